/*-------------------------------------------------------------------------
 *
 * transformer.h
 *	  The residual attention blocks that both towers of CLIP are made of
 *	  (Vaswani et al. 2017, with the norms before the sublayers: Radford et al.
 *	  2019, 2021).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_TRANSFORMER_H
#define MM_TRANSFORMER_H

#include "linear.h"

#define MM_MAX_LAYERS 128

typedef struct mm_block
{
	const float *norm1_g, *norm1_b; /* width */
	mm_weight qkv;                  /* width -> 3 width: queries, keys, values */
	mm_weight out;                  /* width -> width */
	const float *norm2_g, *norm2_b; /* width */
	mm_weight up;                   /* width -> ffn */
	mm_weight down;                 /* ffn -> width */
} mm_block;

typedef struct mm_transformer
{
	int layers;
	int width;
	int heads;
	int ffn; /* width of the hidden layer of the feed-forward part */
	float eps;
	mm_activation act;
	bool causal;     /* a token sees itself and those before it */
	bool pool_last;  /* the row that is asked for: the last of a sequence, or the first */
	mm_block *block; /* layers of them */
} mm_transformer;

/* Scratch of one worker, for max_rows rows in sequences of at most max_length. */
typedef struct mm_transformer_scratch
{
	int max_length;
	float *x;      /* max_rows x width: the residual stream */
	float *y;      /* max_rows x width */
	float *qkv;    /* max_rows x 3 width */
	float *ffn;    /* max_rows x padded ffn */
	float *pooled; /* max_rows x width */
	float *scores; /* a member: max_length x max_length */
	mm_packed_rows rows;
} mm_transformer_scratch;

/* Sequences side by side: rows starts[i] to starts[i + 1] - 1 are those of i. */
typedef struct mm_sequences
{
	int n;
	const int *starts; /* n + 1 */
} mm_sequences;

/* max_k: the most inputs of other layers that use the scratch's packed rows. */
extern void mm_transformer_take_scratch(const mm_transformer *t, int max_rows, int max_length,
										int max_k, int members, mm_arena *arena,
										mm_transformer_scratch *scratch);

/*
 * From the rows of scratch->x to scratch->pooled, n x width: of each sequence
 * the row that is asked for, after the last block.  MM_ERR_CANCELED is the only
 * failure.
 */
extern mm_status mm_transformer_forward(const mm_transformer *t, mm_transformer_scratch *scratch,
										const mm_run *run, const mm_sequences *sequences);

#endif /* MM_TRANSFORMER_H */
