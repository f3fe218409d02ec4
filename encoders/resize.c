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

/*
 * Most weights kept at a time.  All those of a side are four times its length,
 * which for a picture one pixel wide would be far more than the picture.
 */
#define MAX_WEIGHTS (1 << 20)

/* One side of a resize: what its output positions are made of. */
typedef struct axis
{
	bool same; /* in and out are of one size: no pass is needed */
	int in_size;
	int64_t from; /* the first wanted output position */
	int n;        /* wanted positions */
	double scale; /* in / out */
	double stretch;
	int lo, hi; /* inputs that the wanted positions need */
} axis;

/* For some output positions: which inputs they are made of, and their weights. */
typedef struct filter
{
	int n;     /* output positions */
	int width; /* room for weights of one */
	int *first;
	int *count;
	int32_t *weights; /* n x width */
} filter;

/* A part of a picture. */
typedef struct view
{
	const uint8_t *data;
	size_t stride;
	int width, height;
} view;

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

/* The inputs of an output position, [lo, hi); returns its centre. */
static double
inputs_of(const axis *a, int64_t position, int *lo, int *hi)
{
	double center = ((double) position + 0.5) * a->scale;
	double support = SUPPORT * a->stretch;

	*lo = (int) (center - support + 0.5);
	*hi = (int) (center + support + 0.5);
	*lo = *lo < 0 ? 0 : *lo;
	*hi = *hi > a->in_size ? a->in_size : *hi;
	return center;
}

static axis
axis_of(int in_size, int64_t out_size, int64_t from, int n)
{
	axis a = {.same = in_size == out_size, .in_size = in_size, .from = from, .n = n};
	int unused;

	a.lo = (int) from;
	a.hi = (int) from + n;
	if (a.same)
		return a;
	a.scale = (double) in_size / (double) out_size;
	a.stretch = a.scale < 1.0 ? 1.0 : a.scale;
	inputs_of(&a, from, &a.lo, &unused);
	inputs_of(&a, from + n - 1, &unused, &a.hi);
	return a;
}

static void
filter_free(filter *f)
{
	free(f->first);
	free(f->count);
	free(f->weights);
}

/*
 * The weights of wanted position "at" as number i of f, in double, then in
 * fixed point.
 */
static void
fill_position(filter *f, int i, const axis *a, int at, double *w)
{
	double inverse = 1.0 / a->stretch;
	double sum = 0;
	int lo, hi;
	double center = inputs_of(a, a->from + at, &lo, &hi);

	f->first[i] = lo - a->lo;
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

/* Room for as many positions of an axis as are kept at a time, and for w. */
static mm_status
filter_alloc(filter *f, const axis *a, double **w, mm_error *err)
{
	f->width = (int) ceil(SUPPORT * a->stretch) * 2 + 1;
	f->n = MAX_WEIGHTS / f->width;
	f->n = f->n < 1 ? 1 : f->n > a->n ? a->n : f->n;
	f->first = malloc(sizeof(int) * f->n);
	f->count = malloc(sizeof(int) * f->n);
	f->weights = malloc(sizeof(int32_t) * f->n * f->width);
	*w = malloc(sizeof(double) * f->width);
	return f->first && f->count && f->weights && *w
			   ? MM_OK
			   : mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
}

static inline uint8_t
to_byte(uint32_t sum)
{
	int32_t value = (int32_t) sum >> COEFFICIENT_BITS;

	return (uint8_t) (value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Every row of src, filtered along x, into columns of dst from "at" on. */
static void
pass_horizontal(const filter *f, const view *src, mm_image *dst, int at)
{
	for (int y = 0; y < src->height; y++)
	{
		const uint8_t *row = src->data + y * src->stride;
		uint8_t *out = dst->data + ((size_t) y * dst->width + at) * 3;

		for (int x = 0; x < f->n; x++, out += 3)
		{
			const uint8_t *in = row + (size_t) f->first[x] * 3;
			const int32_t *w = f->weights + (size_t) x * f->width;
			uint32_t r = 1 << (COEFFICIENT_BITS - 1), g = r, b = r;

			for (int k = 0; k < f->count[x]; k++, in += 3)
			{
				r += in[0] * (uint32_t) w[k];
				g += in[1] * (uint32_t) w[k];
				b += in[2] * (uint32_t) w[k];
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
pass_vertical(const filter *f, const view *src, mm_image *dst, int at, uint32_t *sums)
{
	size_t n = (size_t) src->width * 3;

	for (int y = 0; y < f->n; y++)
	{
		const int32_t *w = f->weights + (size_t) y * f->width;
		uint8_t *out = dst->data + (size_t) (at + y) * n;

		for (size_t i = 0; i < n; i++)
			sums[i] = 1 << (COEFFICIENT_BITS - 1);
		for (int k = 0; k < f->count[y]; k++)
		{
			const uint8_t *in = src->data + (size_t) (f->first[y] + k) * src->stride;
			uint32_t weight = (uint32_t) w[k];

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

/* One pass: the positions of an axis, some at a time. */
static mm_status
run_pass(const axis *a, bool vertical, const view *src, mm_image *dst, mm_error *err)
{
	filter f = {0};
	double *w = NULL;
	uint32_t *sums = NULL;
	mm_status status =
		image_alloc(dst, vertical ? src->width : a->n, vertical ? a->n : src->height, err);

	if (status == MM_OK)
		status = filter_alloc(&f, a, &w, err);
	if (status == MM_OK && vertical)
	{
		sums = malloc(sizeof(uint32_t) * 3 * src->width);
		if (sums == NULL)
			status = mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	for (int at = 0; status == MM_OK && at < a->n; at += f.n)
	{
		f.n = f.n < a->n - at ? f.n : a->n - at;
		for (int i = 0; i < f.n; i++)
			fill_position(&f, i, a, at + i, w);
		if (vertical)
			pass_vertical(&f, src, dst, at, sums);
		else
			pass_horizontal(&f, src, dst, at);
	}
	free(sums);
	free(w);
	filter_free(&f);
	if (status != MM_OK)
		mm_image_free(dst);
	return status;
}

static bool
vertical_first(const mm_image *src, const mm_resize *to)
{
	int64_t saved_rows = src->height - to->height;
	int64_t saved_columns = src->width - to->width;

	return to->order == MM_PASSES_PILLOW_13 && saved_rows > 0 && saved_rows > 2 * saved_columns;
}

static mm_status
copy_view(const view *src, mm_image *dst, mm_error *err)
{
	size_t row = (size_t) src->width * 3;
	mm_status status = image_alloc(dst, src->width, src->height, err);

	for (int y = 0; status == MM_OK && y < src->height; y++)
		memcpy(dst->data + y * row, src->data + y * src->stride, row);
	return status;
}

mm_status
mm_resize_bicubic(const mm_image *src, const mm_resize *to, mm_image *dst, mm_error *err)
{
	axis x = axis_of(src->width, to->width, to->left, to->columns);
	axis y = axis_of(src->height, to->height, to->top, to->rows);
	bool first_vertical = vertical_first(src, to);
	view from = {.data = src->data + ((size_t) y.lo * src->width + x.lo) * 3,
				 .stride = (size_t) src->width * 3,
				 .width = x.hi - x.lo,
				 .height = y.hi - y.lo};
	mm_image between = {0};

	*dst = (mm_image){0};
	if (x.same && y.same)
		return copy_view(&from, dst, err);
	for (int pass = 0; pass < 2; pass++)
	{
		bool vertical = (pass == 0) == first_vertical;
		const axis *a = vertical ? &y : &x;
		mm_image next;
		mm_status status;

		if (a->same)
			continue;
		status = run_pass(a, vertical, &from, &next, err);
		mm_image_free(&between);
		if (status != MM_OK)
			return status;
		between = next;
		from = (view){next.data, (size_t) next.width * 3, next.width, next.height};
	}
	*dst = between;
	return MM_OK;
}
