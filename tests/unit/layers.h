/*-------------------------------------------------------------------------
 *
 * layers.h
 *	  Linear layers made up for tests, and what they ought to give, in float64.
 *	  Include after cmocka.h.
 *
 * Blocks are of exactly the size that a kernel may touch, so that ASan sees
 * what goes beyond.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TEST_LAYERS_H
#define TEST_LAYERS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "half.h"
#include "ops.h"
#include "quantize.h"

/* Reproducible values in [-1, 1). */
static uint32_t layer_seed;

static inline float
layer_value(void)
{
	layer_seed = layer_seed * 1664525 + 1013904223;
	return (float) ((int32_t) (layer_seed >> 8) - (1 << 23)) / (1 << 23);
}

static inline float *
layer_values(size_t n)
{
	float *x = malloc(sizeof(float) * n);

	assert_non_null(x);
	for (size_t i = 0; i < n; i++)
		x[i] = layer_value();
	return x;
}

/* n x k weights in panels, as float32 kernels read them. */
static inline float *
layer_pack(int n, int k, const float *w)
{
	float *packed = calloc((size_t) mm_padded(n) * k, sizeof(float));

	assert_non_null(packed);
	for (int o = 0; o < n; o++)
		for (int i = 0; i < k; i++)
			packed[((size_t) (o / MM_PANEL) * k + i) * MM_PANEL + o % MM_PANEL] =
				w[(size_t) o * k + i];
	return packed;
}

static inline double
layer_activated(double x, mm_activation act)
{
	switch (act)
	{
		case MM_ACT_RELU6:
			return x < 0 ? 0 : x > 6 ? 6 : x;
		case MM_ACT_GELU:
			return 0.5 * x * (1 + erf(x / sqrt(2)));
		case MM_ACT_QUICK_GELU:
			return x / (1 + exp(-1.702 * x));
		default:
			return x;
	}
}

/* Whether a column stays float32. */
static inline bool
layer_is_outlier(const mm_quantized *q, int column)
{
	for (int o = 0; o < q->outliers; o++)
		if (q->columns[o] == column)
			return true;
	return false;
}

/* Weight (o, i) as a quantised layer has it, outliers too. */
static inline double
layer_weight(const mm_quantized *q, mm_precision precision, int n, int k, int o, int i)
{
	size_t panel = o / MM_PANEL, lane = o % MM_PANEL;

	for (int c = 0; c < q->outliers; c++)
		if (q->columns[c] == i)
			return q->outlier_w[(panel * MM_OUTLIERS + c) * MM_PANEL + lane];
	if (precision == MM_PRECISION_BF16)
		return mm_bf16_to_float(
			((const uint16_t *)
				 q->w)[(panel * ((k + 1) / 2) + i / 2) * MM_PANEL * 2 + lane * 2 + i % 2]);
	return (double) q->scale[(size_t) (i / MM_GROUP) * mm_padded(n) + o] *
		   ((const int8_t *)
				q->w)[(panel * ((k + 3) / 4) + i / 4) * MM_PANEL * 4 + lane * 4 + i % 4];
}

/* Room for the inputs of m rows of k as a kernel reads them. */
static inline mm_packed_rows
layer_rows(int m, int k)
{
	mm_packed_rows rows = {.ld = (k + 3) / 4 * 4};

	rows.q = malloc(sizeof(uint16_t) * m * rows.ld);
	rows.scale = malloc(sizeof(float) * m * mm_groups(k));
	rows.offset = malloc(sizeof(float) * m * mm_groups(k));
	rows.start = malloc(sizeof(int32_t) * m * mm_groups(k));
	rows.outlier = malloc(sizeof(float) * m * MM_OUTLIERS);
	assert_true(rows.q != NULL && rows.scale != NULL && rows.offset != NULL && rows.start != NULL &&
				rows.outlier != NULL);
	return rows;
}

static inline void
layer_rows_free(mm_packed_rows *rows)
{
	free(rows->q);
	free(rows->scale);
	free(rows->offset);
	free(rows->start);
	free(rows->outlier);
}

#endif /* TEST_LAYERS_H */
