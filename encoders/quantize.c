/*-------------------------------------------------------------------------
 *
 * quantize.c
 *	  Weights of lower precision, made from packed float32 ones.
 *
 *-------------------------------------------------------------------------
 */
#include "quantize.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "half.h"

/*
 * A column is an outlier when its largest value is that many times the
 * layer's median: it would cost the other columns two of their eight bits.
 */
#define OUTLIER_RATIO 4

static float
weight_at(const float *w, int k_all, int o, int k)
{
	return w[((size_t) (o / MM_PANEL) * k_all + k) * MM_PANEL + o % MM_PANEL];
}

static int
compare_floats(const void *a, const void *b)
{
	float x = *(const float *) a, y = *(const float *) b;

	return (x > y) - (x < y);
}

/* The widest columns, at most MM_OUTLIERS, in their order. */
static bool
find_outliers(int k, const float *ranges, mm_quantized *q)
{
	float *sorted;
	float limit;
	int ties = 0; /* columns as wide as the limit that are outliers too */

	if (ranges == NULL)
		return true;
	sorted = malloc(sizeof(float) * k);
	if (sorted == NULL)
		return false;
	memcpy(sorted, ranges, sizeof(float) * k);
	qsort(sorted, k, sizeof(float), compare_floats);
	limit = OUTLIER_RATIO * sorted[k / 2];
	if (k > MM_OUTLIERS && sorted[k - MM_OUTLIERS] > limit)
	{
		limit = sorted[k - MM_OUTLIERS];
		for (int i = k - MM_OUTLIERS; i < k; i++)
			ties += sorted[i] == limit;
	}
	free(sorted);
	for (int i = 0; i < k; i++)
	{
		if (ranges[i] > limit || (ranges[i] == limit && ties-- > 0))
			q->columns[q->outliers++] = i;
	}
	return true;
}

/* One output; row has its k weights, outliers as 0. */
static void
round_output(int k, const float *row, int o, mm_quantized *q)
{
	int pairs = (k + 1) / 2;
	uint16_t *w =
		(uint16_t *) q->w + (size_t) (o / MM_PANEL) * pairs * MM_PANEL * 2 + o % MM_PANEL * 2;

	for (int i = 0; i < k; i++)
		w[(size_t) (i / 2) * MM_PANEL * 2 + i % 2] = mm_float_to_bf16(row[i]);
}

/* One group of an output's weights. */
static void
quantize_group(const float *row, int begin, int end, int8_t *w, float *scale, float *sum)
{
	float widest = 0;
	int total = 0;

	for (int i = begin; i < end; i++)
		widest = fabsf(row[i]) > widest ? fabsf(row[i]) : widest;
	/* what is so small that its scale would be no normal number is nothing */
	*scale = widest / 127 < FLT_MIN ? 0 : widest / 127;
	if (*scale == 0)
		end = begin;
	for (int i = begin; i < end; i++)
	{
		int v = (int) nearbyintf(row[i] / *scale);

		w[(size_t) (i / 4) * MM_PANEL * 4 + i % 4] = (int8_t) v;
		total += v;
	}
	*sum = *scale * (float) total;
}

static void
quantize_output(int n, int k, const float *row, int o, mm_quantized *q)
{
	int8_t *w =
		(int8_t *) q->w + (size_t) (o / MM_PANEL) * ((k + 3) / 4) * MM_PANEL * 4 + o % MM_PANEL * 4;

	for (int g = 0; g < mm_groups(k); g++)
	{
		size_t at = (size_t) g * mm_padded(n) + o;
		int end = (g + 1) * MM_GROUP < k ? (g + 1) * MM_GROUP : k;

		quantize_group(row, g * MM_GROUP, end, w, &q->scale[at], &q->sum[at]);
	}
}

bool
mm_quantize(mm_precision precision, int n, int k, const float *w, const float *ranges,
			mm_quantized *q)
{
	size_t padded = mm_padded(n);
	float *row = malloc(sizeof(float) * k);

	*q = (mm_quantized){0};
	/* 4 bytes hold four inputs of int8 or two of bf16 */
	q->w = calloc(padded * (precision == MM_PRECISION_INT8 ? (k + 3) / 4 : (k + 1) / 2), 4);
	q->scale = calloc(padded * mm_groups(k), sizeof(float));
	q->sum = calloc(padded * mm_groups(k), sizeof(float));
	q->outlier_w = calloc(padded * MM_OUTLIERS, sizeof(float));
	if (row == NULL || q->w == NULL || q->scale == NULL || q->sum == NULL || q->outlier_w == NULL ||
		!find_outliers(k, ranges, q))
	{
		free(row);
		mm_quantized_free(q);
		return false;
	}
	for (int o = 0; o < n; o++)
	{
		float *beside = q->outlier_w + (size_t) (o / MM_PANEL) * MM_OUTLIERS * MM_PANEL;

		for (int i = 0; i < k; i++)
			row[i] = weight_at(w, k, o, i);
		for (int i = 0; i < q->outliers; i++)
		{
			beside[i * MM_PANEL + o % MM_PANEL] = row[q->columns[i]];
			row[q->columns[i]] = 0;
		}
		if (precision == MM_PRECISION_INT8)
			quantize_output(n, k, row, o, q);
		else
			round_output(k, row, o, q);
	}
	free(row);
	return true;
}

void
mm_quantized_free(mm_quantized *q)
{
	free(q->w);
	free(q->scale);
	free(q->sum);
	free(q->outlier_w);
	*q = (mm_quantized){0};
}

static mm_range *
range_of(mm_ranges *ranges, const mm_weight *w)
{
	mm_range *r;

	for (int i = 0; i < ranges->n; i++)
	{
		if (ranges->ranges[i].weight == w)
			return &ranges->ranges[i];
	}
	if (ranges->n == ranges->room)
	{
		int room = ranges->room ? 2 * ranges->room : 64;

		r = realloc(ranges->ranges, sizeof(*r) * room);
		if (r == NULL)
			return NULL;
		ranges->ranges = r;
		ranges->room = room;
	}
	r = &ranges->ranges[ranges->n];
	*r = (mm_range){w, calloc(w->k, sizeof(float))};
	if (r->max == NULL)
		return NULL;
	ranges->n++;
	return r;
}

void
mm_ranges_observe(void *arg, const mm_weight *w, const mm_linear_io *io)
{
	mm_ranges *ranges = arg;
	mm_range *r = range_of(ranges, w);

	if (r == NULL)
	{
		ranges->failed = true;
		return;
	}
	for (int row = 0; row < io->m; row++)
	{
		const float *a = io->a + (size_t) row * io->lda;

		for (int i = 0; i < w->k; i++)
			r->max[i] = fabsf(a[i]) > r->max[i] ? fabsf(a[i]) : r->max[i];
	}
}

const float *
mm_ranges_of(const mm_ranges *ranges, const mm_weight *w)
{
	for (int i = 0; i < ranges->n; i++)
	{
		if (ranges->ranges[i].weight == w)
			return ranges->ranges[i].max;
	}
	return NULL;
}

void
mm_ranges_free(mm_ranges *ranges)
{
	for (int i = 0; i < ranges->n; i++)
		free(ranges->ranges[i].max);
	free(ranges->ranges);
	*ranges = (mm_ranges){0};
}
