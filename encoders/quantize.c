/*-------------------------------------------------------------------------
 *
 * quantize.c
 *	  Weights of lower precision, made from packed float32 ones.
 *
 *-------------------------------------------------------------------------
 */
#include "quantize.h"

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

void
mm_quantize_bf16(int n, int k, const float *w, uint16_t *out)
{
	int panels = mm_padded(n) / MM_PANEL;
	int pairs = (k + 1) / 2;

	for (int j = 0; j < panels; j++)
	{
		for (int i = 0; i < 2 * pairs; i++)
		{
			for (int o = 0; o < MM_PANEL; o++)
			{
				float x = i < k ? w[((size_t) j * k + i) * MM_PANEL + o] : 0;

				out[(((size_t) j * pairs + i / 2) * MM_PANEL + o) * 2 + i % 2] =
					mm_float_to_bf16(x);
			}
		}
	}
}

static int
compare_floats(const void *a, const void *b)
{
	float x = *(const float *) a, y = *(const float *) b;

	return (x > y) - (x < y);
}

/* The widest columns, at most MM_OUTLIERS, the widest first. */
static bool
find_outliers(int k, const float *ranges, mm_quantized *q)
{
	float *sorted;
	float limit;

	if (ranges == NULL)
		return true;
	sorted = malloc(sizeof(float) * k);
	if (sorted == NULL)
		return false;
	memcpy(sorted, ranges, sizeof(float) * k);
	qsort(sorted, k, sizeof(float), compare_floats);
	limit = OUTLIER_RATIO * sorted[k / 2];
	if (k > MM_OUTLIERS && sorted[k - MM_OUTLIERS] > limit)
		limit = nextafterf(sorted[k - MM_OUTLIERS], 0);
	free(sorted);
	for (int i = 0; i < k && q->outliers < MM_OUTLIERS; i++)
	{
		if (ranges[i] > limit)
			q->columns[q->outliers++] = i;
	}
	return true;
}

/* One output: row has its k weights, outliers as 0. */
static void
quantize_output(int k, const float *row, int o, mm_quantized *q)
{
	int groups = (k + 3) / 4;
	int8_t *w = q->w + (size_t) (o / MM_PANEL) * groups * MM_PANEL * 4 + o % MM_PANEL * 4;
	float widest = 0;

	/*
	 * Scaled so that an adjacent pair is at most 127, and 128 when both are
	 * rounded up: 255 times that is below 2^15.
	 */
	for (int i = 0; i < k; i += 2)
	{
		float pair = fabsf(row[i]) + (i + 1 < k ? fabsf(row[i + 1]) : 0);

		widest = pair > widest ? pair : widest;
	}
	q->scale[o] = widest / 127;
	for (int i = 0; i < k && widest > 0; i++)
	{
		int v = (int) nearbyintf(row[i] / q->scale[o]);

		w[(size_t) (i / 4) * MM_PANEL * 4 + i % 4] = (int8_t) v;
		q->sum[o] += v;
	}
}

bool
mm_quantize_int8(int n, int k, const float *w, const float *ranges, mm_quantized *q)
{
	size_t padded = mm_padded(n);
	float *row = malloc(sizeof(float) * k);

	*q = (mm_quantized){0};
	q->w = calloc(padded * ((k + 3) / 4), 4);
	q->scale = calloc(padded, sizeof(float));
	q->sum = calloc(padded, sizeof(int32_t));
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
		quantize_output(k, row, o, q);
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
