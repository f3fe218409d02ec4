/*-------------------------------------------------------------------------
 *
 * linear.h
 *	  Linear layers of any precision, split among the members of a team.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_LINEAR_H
#define MM_LINEAR_H

#include "tower.h"

/* A layer k -> n; pointers into a model's weights, packed as ops.h says. */
typedef struct mm_weight
{
	mm_precision precision;
	int n, k;
	const void *w;
	const float *bias; /* padded n, or NULL */

	const float *scale, *sum; /* int8: groups x padded n */

	/* not float32: columns apart, those beyond "outliers" unused */
	int outliers;
	const int32_t *outlier_columns; /* MM_OUTLIERS */
	const float *outlier_w;         /* [n / 16][MM_OUTLIERS][16] */
} mm_weight;

/* Rows and columns of a layer's inputs and outputs. */
typedef struct mm_linear_io
{
	int m;
	const float *a; /* m x k, rows lda apart; int8 writes there and restores it */
	int lda;
	const float *residual; /* as c, or NULL; may be c */
	float *c;              /* m x padded n, rows ldc apart */
	int ldc;
	mm_activation act;
} mm_linear_io;

/* Room for the packed rows of inputs, of m rows of at most k. */
extern void mm_take_packed_rows(int m, int k, mm_arena *arena, mm_packed_rows *rows);

/* c = act(a W + bias) + residual */
extern void mm_linear(const mm_run *run, const mm_weight *w, const mm_linear_io *io,
					  mm_packed_rows *rows);

#endif /* MM_LINEAR_H */
