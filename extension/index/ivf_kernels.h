/*
 * ivf_kernels.h
 *		Integer and float kernels of faiss_ivf's quantised codes, and the
 *		rotation that comes before them.
 *
 * Plain C: knows nothing of PostgreSQL.  Kernels exist for several instruction
 * sets; the table in use follows mm_simd_get_level() of distance.h.  Kernels
 * give the same result at every level, to the bit, but for the one sum that
 * says so.  Pointers need no alignment beyond that of their type.
 *
 * pdims is the padded number of dimensions, a multiple of IVF_DIM_STEP; what
 * lies beyond dims is zero in queries and ignored in codes.
 */
#ifndef MM_IVF_KERNELS_H
#define MM_IVF_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Padded dimensions are a multiple of this. */
#define IVF_DIM_STEP 64

/* Padded dimensions, at most: sums of products stay within an int32. */
#define IVF_MAX_PDIMS 16384

/*
 * Layouts of one row of codes:
 *
 * 2 bits (pdims / 4 bytes): with s = pdims / 4, byte j holds the codes 0 .. 3
 * of the dimensions j, s + j, 2 s + j and 3 s + j, the first in the lowest bits.
 *
 * 4 bits (pdims / 2 bytes): with s = pdims / 2, byte j holds the codes 0 .. 15
 * of the dimensions j (low half) and s + j (high half).
 *
 * 8 bits (pdims bytes): byte j holds the code -127 .. 127 of dimension j.
 */
typedef struct IvfKernels
{
	const char *name;

	/*
	 * out[i] = sum_j code[i][j] * query[j] for rows of 2-bit codes, stride bytes
	 * apart.  query holds -127 .. 127.
	 */
	void (*dot_2bit)(const uint8_t *codes, size_t stride, int rows, const int8_t *query, int pdims,
					 int32_t *out);

	/* The same for rows of 8-bit codes. */
	void (*dot_8bit)(const int8_t *codes, size_t stride, int rows, const int8_t *query, int pdims,
					 int32_t *out);

	/* sum_j code[j] * query[j] for one row of 8-bit codes and a 16-bit query. */
	int64_t (*dot_8bit_16)(const int8_t *code, const int16_t *query, int pdims);

	/* sum_j code[j] * query[j] for one row of 4-bit codes. */
	int32_t (*dot_4bit)(const uint8_t *code, const int8_t *query, int pdims);

	/*
	 * estimate[i] = base + scale[i] * (step * dot[i] + offset) + bias[i], and
	 * upper[i] = estimate[i] + slack * scale[i].  bias may be NULL: zeros.
	 * Returns the sum of squares of scale[i] * (step * dot[i] + offset), whose
	 * last bits differ from level to level.
	 */
	double (*estimate)(const int32_t *dot, const float *scale, const float *bias, int rows,
					   float base, float step, float offset, float slack, float *estimate,
					   float *upper);

	/*
	 * Write the indexes i (ascending) of those values[i] >= threshold to out,
	 * which has room for n; returns how many.
	 */
	int (*collect)(const float *values, int n, float threshold, uint32_t *out);

	/*
	 * Nearest centre of each row, for 8-bit rows of one common scale and 8-bit
	 * centres of another: nearest[i] is the first c that maximises
	 * dot(row i, centre c) - half_norm[c], as float32.  Rows and centres lie
	 * pdims bytes apart; what lies beyond dims is zero in one of the two.
	 */
	void (*assign)(const int8_t *rows, int n, const int8_t *centres, const float *half_norm,
				   int ncentres, int pdims, int32_t *nearest);

	/*
	 * Fast Walsh-Hadamard transform in place, not normalised; n is a power of
	 * two (1 and 2 included).
	 */
	void (*hadamard)(float *x, int n);
} IvfKernels;

/* The kernels of the level that mm_simd_get_level() tells. */
extern const IvfKernels *ivf_kernels(void);

/*
 * A pseudo-random rotation of dims dimensions.  Behind it lie rounds * dims
 * signs, as floats that are 1 or -1.
 */
typedef struct IvfRotation
{
	int dims;
	int block;  /* the largest power of two that is not above dims */
	int rounds; /* rounds of signs and a transform */
} IvfRotation;

/* Bytes of the rotation of dims dimensions. */
extern size_t ivf_rotation_size(int dims);

/*
 * Make the rotation that belongs to a seed, at *rotation, which has
 * ivf_rotation_size(dims) bytes.  The same on every machine and at every level.
 *
 * Each round multiplies by random signs and transforms a block by Hadamard's
 * matrix, normalised; where dims is no power of two the rounds take the first
 * and the last block in turn, which overlap.  Three rounds of the first kind,
 * six of the second make coordinates close to normal (Ailon and Chazelle's
 * fast Johnson-Lindenstrauss transform, as used by Andoni et al. 2015 and by
 * RaBitQ).
 */
extern void ivf_rotation_init(IvfRotation *rotation, int dims, uint64_t seed);

/* Rotate x[0 .. dims - 1] in place.  Keeps lengths, to rounding. */
extern void ivf_rotate(const IvfRotation *rotation, float *x);

#endif /* MM_IVF_KERNELS_H */
