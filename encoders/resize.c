/*-------------------------------------------------------------------------
 *
 * resize.c
 *	  Bicubic resize in fixed point, bit for bit as Pillow's (its docs:
 *	  "Concepts", filters; the kernel is Keys 1981 with a = -0.5, stretched
 *	  for reduction).
 *
 *-------------------------------------------------------------------------
 */
#include "resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

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

/* A part of a picture. */
typedef struct view
{
	const uint8_t *data;
	size_t stride;
	int width, height;
	const uint8_t *end; /* of the whole picture */
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

	if (a.same)
	{
		a.lo = (int) from;
		a.hi = (int) from + n;
		return a;
	}
	a.scale = (double) in_size / (double) out_size;
	a.stretch = a.scale < 1.0 ? 1.0 : a.scale;
	inputs_of(&a, from, &a.lo, &unused);
	inputs_of(&a, from + n - 1, &unused, &a.hi);
	return a;
}

static void
filter_free(mm_filter *f)
{
	free(f->first);
	free(f->count);
	free(f->weights);
	free(f->split);
}

/* Weights of number i once more, in halves for the vector kernels. */
static void
split_weights(mm_filter *f, int i)
{
	const int32_t *w = f->weights + (size_t) i * f->width;
	int16_t *split = f->split + (size_t) i * f->width * 2;

	for (int k = 0; k < f->count[i]; k += MM_TAPS, split += 2 * MM_TAPS)
	{
		for (int j = 0; j < MM_TAPS; j++)
		{
			split[j] = (int16_t) (w[k + j] >> MM_LOW_BITS);
			split[MM_TAPS + j] = (int16_t) (w[k + j] & ((1 << MM_LOW_BITS) - 1));
		}
	}
}

/*
 * The weights of wanted position "at" as number i of f, in double, then in
 * fixed point.
 */
static void
fill_position(mm_filter *f, int i, const axis *a, int at, double *w)
{
	int32_t *weights = f->weights + (size_t) i * f->width;
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

		x *= 1 << MM_WEIGHT_BITS;
		weights[k] = (int32_t) (x < 0 ? x - 0.5 : x + 0.5);
	}
	for (int k = hi - lo; k < f->width && k % MM_TAPS != 0; k++)
		weights[k] = 0;
	split_weights(f, i);
}

/* Room for as many positions of an axis as are kept at a time, and for w. */
static mm_status
filter_alloc(mm_filter *f, const axis *a, double **w, mm_error *err)
{
	size_t weights;

	f->width = (int) ceil(SUPPORT * a->stretch) * 2 + 1;
	f->width = (f->width + MM_TAPS - 1) / MM_TAPS * MM_TAPS;
	f->n = MAX_WEIGHTS / f->width;
	f->n = f->n < 1 ? 1 : f->n > a->n ? a->n : f->n;
	weights = (size_t) f->n * f->width;
	f->first = malloc(sizeof(int) * f->n);
	f->count = malloc(sizeof(int) * f->n);
	f->weights = malloc(sizeof(int32_t) * weights);
	f->split = malloc(sizeof(int16_t) * 2 * weights);
	*w = malloc(sizeof(double) * f->width);
	if (!f->first || !f->count || !f->weights || !f->split || !*w)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	return MM_OK;
}

static const mm_resize_kernels *
kernels_for(mm_isa isa)
{
	if (isa == MM_ISA_AUTO)
		isa = mm_isa_best();
#if defined(__x86_64__)
	if (isa == MM_ISA_AVX512)
		return &mm_resize_avx512;
	if (isa == MM_ISA_AVX2)
		return &mm_resize_avx2;
#endif
	return &mm_resize_scalar;
}

static mm_status
image_alloc(mm_image *img, int width, int height, mm_error *err)
{
	*img = (mm_image){.width = width, .height = height, .channels = 3};
	img->data = malloc((size_t) width * height * 3);
	return img->data ? MM_OK : mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
}

/* The positions of an axis, some at a time. */
static void
run_kernel(const axis *a, bool vertical, mm_isa isa, mm_filter *f, mm_pass *pass, double *w)
{
	const mm_resize_kernels *kernels = kernels_for(isa);

	pass->filter = f;
	for (int at = 0; at < a->n; at += f->n)
	{
		f->n = f->n < a->n - at ? f->n : a->n - at;
		for (int i = 0; i < f->n; i++)
			fill_position(f, i, a, at + i, w);
		if (vertical)
			kernels->vertical(pass);
		else
			kernels->horizontal(pass);
		pass->out += vertical ? f->n * pass->out_stride : (size_t) f->n * 3;
	}
}

/* One pass, over all of src. */
static mm_status
run_pass(const axis *a, bool vertical, mm_isa isa, const view *src, mm_image *dst, mm_error *err)
{
	mm_filter f = {0};
	double *w = NULL;
	mm_pass pass = {.in = src->data,
					.in_stride = src->stride,
					.in_width = src->width,
					.in_height = src->height,
					.in_end = src->end};
	mm_status status =
		image_alloc(dst, vertical ? src->width : a->n, vertical ? a->n : src->height, err);

	if (status == MM_OK)
		status = filter_alloc(&f, a, &w, err);
	if (status == MM_OK && !vertical)
	{
		pass.spare = malloc(MM_MAX_ROWS * ((size_t) src->width * 3 + MM_ROW_SLACK));
		if (pass.spare == NULL)
			status = mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	if (status == MM_OK)
	{
		pass.out = dst->data;
		pass.out_stride = (size_t) dst->width * 3;
		run_kernel(a, vertical, isa, &f, &pass, w);
	}
	free(pass.spare);
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
				 .height = y.hi - y.lo,
				 .end = src->data + (size_t) src->width * src->height * 3};
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
		status = run_pass(a, vertical, to->isa, &from, &next, err);
		mm_image_free(&between);
		if (status != MM_OK)
			return status;
		between = next;
		from = (view){next.data, (size_t) next.width * 3, next.width, next.height,
					  next.data + (size_t) next.width * next.height * 3};
	}
	*dst = between;
	return MM_OK;
}
