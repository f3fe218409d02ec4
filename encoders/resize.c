/*-------------------------------------------------------------------------
 *
 * resize.c
 *	  Bicubic resize in fixed point, bit for bit as Pillow's (its docs:
 *	  "Concepts", filters; the kernel is Keys 1981 with a = -0.5, stretched
 *	  for reduction).
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define COEFFICIENT_BITS 22
#define SUPPORT 2.0 /* half-width of the kernel at scale 1, pixels */

/* For each output position: which inputs it is made of, and their weights. */
typedef struct filter
{
	int n;     /* output positions */
	int width; /* room for weights of one */
	int *first;
	int *count;
	int32_t *weights; /* n x width */
} filter;

static double
bicubic(double x)
{
	const double a = -0.5;

	x = fabs(x);
	if (x < 1.0)
		return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
	if (x < 2.0)
		return (((x - 5) * x + 8) * x - 4) * a;
	return 0.0;
}

static void
filter_free(filter *f)
{
	free(f->first);
	free(f->count);
	free(f->weights);
}

/* The weights of output position i, in double, then in fixed point. */
static void
fill_position(filter *f, int i, int in_size, double scale, double *w)
{
	double stretch = scale < 1.0 ? 1.0 : scale;
	double center = (i + 0.5) * scale;
	double support = SUPPORT * stretch;
	double inverse = 1.0 / stretch;
	double sum = 0;
	int lo = (int) (center - support + 0.5);
	int hi = (int) (center + support + 0.5);

	lo = lo < 0 ? 0 : lo;
	hi = hi > in_size ? in_size : hi;
	f->first[i] = lo;
	f->count[i] = hi - lo;
	for (int k = 0; k < hi - lo; k++)
	{
		w[k] = bicubic((k + lo - center + 0.5) * inverse);
		sum += w[k];
	}
	for (int k = 0; k < hi - lo; k++)
	{
		double x = sum != 0.0 ? w[k] / sum : w[k];

		x *= 1 << COEFFICIENT_BITS;
		f->weights[(size_t) i * f->width + k] = (int32_t) (x < 0 ? x - 0.5 : x + 0.5);
	}
}

static mm_status
filter_create(filter *f, int in_size, int out_size, mm_error *err)
{
	double scale = (double) in_size / out_size;
	double *w;

	f->n = out_size;
	f->width = (int) ceil(SUPPORT * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
	f->first = malloc(sizeof(int) * out_size);
	f->count = malloc(sizeof(int) * out_size);
	f->weights = malloc(sizeof(int32_t) * out_size * f->width);
	w = malloc(sizeof(double) * f->width);
	if (!f->first || !f->count || !f->weights || !w)
	{
		filter_free(f);
		free(w);
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	for (int i = 0; i < out_size; i++)
		fill_position(f, i, in_size, scale, w);
	free(w);
	return MM_OK;
}

static inline uint8_t
to_byte(int32_t sum)
{
	sum >>= COEFFICIENT_BITS;
	return (uint8_t) (sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* Every row of src, filtered along x; dst has its height and f->n columns. */
static void
pass_horizontal(const filter *f, const mm_image *src, mm_image *dst)
{
	for (int y = 0; y < src->height; y++)
	{
		const uint8_t *row = src->data + (size_t) y * src->width * 3;
		uint8_t *out = dst->data + (size_t) y * dst->width * 3;

		for (int x = 0; x < f->n; x++, out += 3)
		{
			const uint8_t *in = row + (size_t) f->first[x] * 3;
			const int32_t *w = f->weights + (size_t) x * f->width;
			int32_t r = 1 << (COEFFICIENT_BITS - 1), g = r, b = r;

			for (int k = 0; k < f->count[x]; k++, in += 3)
			{
				r += in[0] * w[k];
				g += in[1] * w[k];
				b += in[2] * w[k];
			}
			out[0] = to_byte(r);
			out[1] = to_byte(g);
			out[2] = to_byte(b);
		}
	}
}

/*
 * Along y: a row of sums at a time, so that the inner loop runs over
 * neighbours and the compiler vectorises it.
 */
static void
pass_vertical(const filter *f, const mm_image *src, mm_image *dst, int32_t *sums)
{
	size_t n = (size_t) src->width * 3;

	for (int y = 0; y < f->n; y++)
	{
		const int32_t *w = f->weights + (size_t) y * f->width;
		uint8_t *out = dst->data + (size_t) y * n;

		for (size_t i = 0; i < n; i++)
			sums[i] = 1 << (COEFFICIENT_BITS - 1);
		for (int k = 0; k < f->count[y]; k++)
		{
			const uint8_t *in = src->data + (size_t) (f->first[y] + k) * n;
			int32_t weight = w[k];

			for (size_t i = 0; i < n; i++)
				sums[i] += in[i] * weight;
		}
		for (size_t i = 0; i < n; i++)
			out[i] = to_byte(sums[i]);
	}
}

static mm_status
image_alloc(mm_image *img, int width, int height, mm_error *err)
{
	*img = (mm_image){.width = width, .height = height, .channels = 3};
	img->data = malloc((size_t) width * height * 3);
	return img->data ? MM_OK : mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
}

/* One pass, along x or y, to "size" pixels. */
static mm_status
run_pass(bool vertical, const mm_image *src, int size, mm_image *dst, mm_error *err)
{
	filter f = {0};
	int32_t *sums = NULL;
	mm_status status = filter_create(&f, vertical ? src->height : src->width, size, err);

	if (status != MM_OK)
		return status;
	status = image_alloc(dst, vertical ? src->width : size, vertical ? size : src->height, err);
	if (status == MM_OK && vertical)
	{
		sums = malloc(sizeof(int32_t) * 3 * src->width);
		if (sums == NULL)
			status = mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	if (status == MM_OK && vertical)
		pass_vertical(&f, src, dst, sums);
	else if (status == MM_OK)
		pass_horizontal(&f, src, dst);
	free(sums);
	filter_free(&f);
	if (status != MM_OK)
		mm_image_free(dst);
	return status;
}

static bool
vertical_first(const mm_image *src, int width, int height, mm_pass_order order)
{
	int64_t saved_rows = (int64_t) src->height - height;
	int64_t saved_columns = (int64_t) src->width - width;

	return order == MM_PASSES_PILLOW_13 && saved_rows > 0 && saved_rows > 2 * saved_columns;
}

mm_status
mm_resize_bicubic(const mm_image *src, int width, int height, mm_pass_order order, mm_image *dst,
				  mm_error *err)
{
	bool first_vertical = vertical_first(src, width, height, order);
	mm_image between = {0};
	const mm_image *from = src;

	*dst = (mm_image){0};
	for (int pass = 0; pass < 2; pass++)
	{
		bool vertical = (pass == 0) == first_vertical;
		int size = vertical ? height : width;
		mm_image next;
		mm_status status;

		/* a size that does not change needs no pass */
		if (size == (vertical ? from->height : from->width))
			continue;
		status = run_pass(vertical, from, size, &next, err);
		mm_image_free(&between);
		if (status != MM_OK)
			return status;
		between = next;
		from = &between;
	}
	if (from == src)
	{
		mm_status status = image_alloc(dst, width, height, err);

		if (status == MM_OK)
			memcpy(dst->data, src->data, (size_t) width * height * 3);
		return status;
	}
	*dst = between;
	return MM_OK;
}
