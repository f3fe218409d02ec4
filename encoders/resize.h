/*-------------------------------------------------------------------------
 *
 * resize.h
 *	  Between resize.c and its kernels: filters, and passes over pictures.
 *
 * Weights are fixed-point numbers of MM_WEIGHT_BITS fractional bits, and sums
 * are taken modulo 2^32 in whatever order: so every level has the same result,
 * and it is Pillow's, whose int32 sums never overflow.  (The absolute weights
 * of a position add to less than 1.3, so a sum stays below 1.3 * 255 * 2^22.)
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_RESIZE_H
#define MM_RESIZE_H

#include "image.h"

#define MM_WEIGHT_BITS 22

/* A sum begins with one half, so that the shift at its end rounds to nearest. */
#define MM_SUM_START (1u << (MM_WEIGHT_BITS - 1))

/*
 * Vector kernels multiply 16-bit numbers: a weight is high * 2^12 + low, with
 * low from 0 to 4095 and high, for a weight below 2, within 2^11.
 */
#define MM_LOW_BITS 12
#define MM_TAPS 4 /* weights that are split and read together */

/* For some output positions: which inputs they are made of, and their weights. */
typedef struct mm_filter
{
	int n;     /* output positions */
	int width; /* room for weights of one, a multiple of MM_TAPS */
	int *first;
	int *count;
	int32_t *weights; /* n x width, zeros behind count */
	int16_t *split;   /* the same, each MM_TAPS of them as high parts, then low parts */
} mm_filter;

/* Bytes behind a row that a horizontal kernel may read. */
#define MM_ROW_SLACK 16
#define MM_MAX_ROWS 8 /* of a block that a horizontal kernel works on */

/* One pass; what it reads begins at in, where the filter's position 0 is. */
typedef struct mm_pass
{
	const mm_filter *filter;
	const uint8_t *in;
	size_t in_stride;
	int in_width, in_height;
	const uint8_t *in_end; /* of all that may be read */
	uint8_t *out;
	size_t out_stride;
	uint8_t *spare; /* MM_MAX_ROWS x (3 in_width + MM_ROW_SLACK), for rows near in_end */
} mm_pass;

typedef struct mm_resize_kernels
{
	/* in_height rows, of filter->n pixels each */
	void (*horizontal)(const mm_pass *pass);

	/* filter->n rows, of in_width pixels each */
	void (*vertical)(const mm_pass *pass);
} mm_resize_kernels;

/* One a level, from the same source: resize_kernels.c. */
extern const mm_resize_kernels mm_resize_scalar;
extern const mm_resize_kernels mm_resize_avx2;
extern const mm_resize_kernels mm_resize_avx512;

#endif /* MM_RESIZE_H */
