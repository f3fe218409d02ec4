/*-------------------------------------------------------------------------
 *
 * ops.h
 *	  The operations that towers are made of, by instruction set.
 *
 * Matrices are row-major float32; activations of pictures are height x width x
 * channels, with the channels of a pixel padded to a multiple of MM_PANEL by
 * zeros ("ld" is that padded length).
 *
 * Weights of linear layers and 1x1 convolutions are packed in panels of
 * MM_PANEL outputs: [ceil(N / MM_PANEL)][K][MM_PANEL], outputs beyond N being
 * zero.  A panel is read in sequence, once a block of rows; every row of the
 * result is summed in the order of K whatever the other rows are, so an input
 * has the same embedding, to the bit, alone and in any batch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_OPS_H
#define MM_OPS_H

#include "mm_encoders.h"

#define MM_PANEL 16

static inline int
mm_padded(int n)
{
	return (n + MM_PANEL - 1) / MM_PANEL * MM_PANEL;
}

typedef enum mm_activation
{
	MM_ACT_NONE,
	MM_ACT_RELU6,
	MM_ACT_GELU,      /* with erf, not tanh (Hendrycks & Gimpel 2016) */
	MM_ACT_QUICK_GELU /* x sigmoid(1.702 x) */
} mm_activation;

/* Columns of a quantised layer's input that stay float32, at most. */
#define MM_OUTLIERS 16

/* Inputs that share a scale in a quantised layer. */
#define MM_GROUP 128

static inline int
mm_groups(int k)
{
	return (k + MM_GROUP - 1) / MM_GROUP;
}

/*
 * Rows of inputs in the form that a layer of another precision reads.
 *
 * int8: x[r][k] = scale[r][g] q[r][k] - offset[r][g], g the group of k, q of 8
 * bits without sign.  bf16, where the CPU multiplies it: q is x rounded to
 * nearest even.  The values of the outlier columns are beside them, and
 * their weights among the others are 0.
 */
typedef struct mm_packed_rows
{
	void *q;               /* m x ld, room for uint16_t; beyond k what adds nothing */
	int ld;                /* elements; k rounded up to a multiple of 4 */
	float *scale, *offset; /* m x groups */
	int32_t *start;        /* m x groups, of int8: see ops_int8.c */
	float *outlier;        /* m x MM_OUTLIERS */
} mm_packed_rows;

/*
 * c = act(a W + bias) + residual
 *
 * Weights of other precisions have their inputs in groups that one instruction
 * takes: bf16 [n / 16][ceil(k / 2)][16][2]; int8 [n / 16][ceil(k / 4)][16][4],
 * beside them a scale, and the sum of the weights times the scale, for every
 * group and output.  int8 weights are from -127 to 127.
 */
typedef struct mm_linear_args
{
	int m, n, k;
	const float *a; /* m x k, rows lda apart */
	int lda;
	const void *w;         /* float32: packed [n / 16][k][16] */
	const float *bias;     /* padded n, or NULL */
	const float *residual; /* m x n, rows ldc apart, or NULL; may be c */
	float *c;              /* m x padded n, rows ldc apart */
	int ldc;
	mm_activation act;
	int first_panel, panels; /* only these outputs; panels 0: all */

	/* bf16 and int8 */
	const mm_packed_rows *rows;
	const float *scale; /* groups x padded n */
	const float *sum;   /* groups x padded n */
	int outliers;
	const float *outlier_w; /* [n / 16][MM_OUTLIERS][16], those beyond outliers unused */
} mm_linear_args;

/* Depthwise convolution with TensorFlow's SAME padding, bias and ReLU6. */
typedef struct mm_depthwise_args
{
	int height, width;     /* of the input */
	int channels;          /* a multiple of MM_PANEL */
	int kernel, stride;    /* square */
	int pad_top, pad_left; /* zeros before the first row and column */
	int out_height, out_width;
	const float *in;   /* height x width x channels */
	const float *w;    /* kernel x kernel x channels */
	const float *bias; /* channels */
	float *out;        /* out_height x out_width x channels */
} mm_depthwise_args;

typedef struct mm_ops
{
	const char *name;

	void (*linear)(const mm_linear_args *args);
	void (*linear_bf16)(const mm_linear_args *args);
	void (*linear_int8)(const mm_linear_args *args);

	/* outlier columns go beside the rest, in the order of columns */
	void (*pack_rows_bf16)(int m, int k, const float *a, int lda, int outliers,
						   const int32_t *columns, mm_packed_rows *rows);
	void (*pack_rows_int8)(int m, int k, const float *a, int lda, int outliers,
						   const int32_t *columns, mm_packed_rows *rows);

	void (*depthwise)(const mm_depthwise_args *args);

	/* y = (x - mean) / sqrt(var + eps) * gamma + beta over rows of n; in place too */
	void (*layer_norm)(int rows, int n, const float *x, const float *gamma, const float *beta,
					   float eps, float *y);

	/* rows of n, in place, after multiplication by scale */
	void (*softmax)(int rows, int n, float scale, float *x, int ld);
} mm_ops;

/* The table for a level that mm_isa_available says is there. */
extern const mm_ops *mm_ops_for(mm_isa isa);

/*
 * One a set of instructions, from the same source.  Some levels have more than
 * one: dot products of int8 (VNNI) and bf16 came later than the rest.
 */
extern const mm_ops mm_ops_scalar;
extern const mm_ops mm_ops_avx2;
extern const mm_ops mm_ops_avxvnni;
extern const mm_ops mm_ops_avx512;
extern const mm_ops mm_ops_vnni512;
extern const mm_ops mm_ops_bf16512;

/* Of these, those that this CPU has, for tests: NULL after the last. */
extern const mm_ops *mm_ops_nth(int i);

/*
 * c = alpha a b^T or a b, by BLAS; strides in elements.  For the products of
 * attention, whose shape depends on the text alone.
 */
extern void mm_gemm_nt(int m, int n, int k, const float *a, int lda, const float *b, int ldb,
					   float *c, int ldc);
extern void mm_gemm_nn(int m, int n, int k, const float *a, int lda, const float *b, int ldb,
					   float *c, int ldc);

/* x / |x| in place, the norm in float64; a zero vector is left alone. */
extern void mm_l2_normalize(int n, float *x);

#endif /* MM_OPS_H */
