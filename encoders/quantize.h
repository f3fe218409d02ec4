/*-------------------------------------------------------------------------
 *
 * quantize.h
 *	  Weights of lower precision, made from packed float32 ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_QUANTIZE_H
#define MM_QUANTIZE_H

#include "linear.h"

/* n x k weights of another precision, as ops.h says. */
typedef struct mm_quantized
{
	void *w;
	float *scale, *sum; /* int8 alone */
	int outliers;
	int32_t columns[MM_OUTLIERS];
	float *outlier_w;
} mm_quantized;

/*
 * ranges: the largest absolute value seen in each of the k inputs; NULL where
 * nothing was seen, and no column stays float32.  False when out of memory.
 */
extern bool mm_quantize(mm_precision precision, int n, int k, const float *w, const float *ranges,
						mm_quantized *q);
extern void mm_quantized_free(mm_quantized *q);

/* The ranges of the inputs of every layer that a forward pass went through. */
typedef struct mm_range
{
	const mm_weight *weight;
	float *max; /* weight->k */
} mm_range;

typedef struct mm_ranges
{
	int n, room;
	mm_range *ranges;
	bool failed; /* out of memory */
} mm_ranges;

/* For mm_run.observe; arg is an mm_ranges. */
extern void mm_ranges_observe(void *arg, const mm_weight *w, const mm_linear_io *io);

/* NULL where the layer was not seen. */
extern const float *mm_ranges_of(const mm_ranges *ranges, const mm_weight *w);
extern void mm_ranges_free(mm_ranges *ranges);

#endif /* MM_QUANTIZE_H */
