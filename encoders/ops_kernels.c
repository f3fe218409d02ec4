/*-------------------------------------------------------------------------
 *
 * ops_kernels.c
 *	  The vector kernels, written once and compiled for every level.
 *
 * The Makefile builds this file three times with MM_LEVEL set to scalar, avx2
 * or avx512 and the compiler's flags to match.  GCC's vector extensions give
 * the lanes: 4 for the base instruction set (SSE2, NEON), 8, or 16.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <string.h>

#include "ops.h"

#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_(a, b)

/*
 * Lanes of a vector, and the block of a linear layer that fills the registers:
 * ROWS x PANELS x (16 / LANES) accumulators out of 16 registers, or 32.
 */
#if defined(__AVX512F__)
#define LANES 16
#define ROWS 8
#define PANELS 3
#elif defined(__AVX2__)
#define LANES 8
#define ROWS 6
#define PANELS 1
#else
#define LANES 4
#define ROWS 2
#define PANELS 1
#endif

#define PANEL_VECTORS (MM_PANEL / LANES)

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ivec __attribute__((vector_size(LANES * sizeof(int32_t))));

#define INLINE static inline __attribute__((always_inline))

INLINE vec
load(const float *p)
{
	vec v;

	memcpy(&v, p, sizeof(v));
	return v;
}

INLINE void
store(float *p, vec v)
{
	memcpy(p, &v, sizeof(v));
}

INLINE vec
splat(float x)
{
	return x - (vec){0};
}

INLINE vec
select_vec(ivec mask, vec a, vec b)
{
	return (vec) ((mask & (ivec) a) | (~mask & (ivec) b));
}

INLINE vec
min_vec(vec a, vec b)
{
	return select_vec(a < b, a, b);
}

INLINE vec
max_vec(vec a, vec b)
{
	return select_vec(a > b, a, b);
}

INLINE float
sum_lanes(vec v)
{
	float sum = 0;

	for (int i = 0; i < LANES; i++)
		sum += v[i];
	return sum;
}

/*
 * exp(x) to about 2 units in the last place: x = n ln 2 + r, the series of
 * exp(r) for |r| <= ln 2 / 2, and 2^n by its exponent bits.
 */
INLINE vec
exp_vec(vec x)
{
	const vec magic = splat(12582912.0f); /* 1.5 * 2^23: rounds to integer */
	vec n, r, p;

	x = min_vec(max_vec(x, splat(-87.0f)), splat(88.0f));
	n = (x * 1.44269504088896341f + magic) - magic;
	/* ln 2 in two parts, the first of few bits so that n * part is exact */
	r = x - n * 0.693359375f;
	r = r + n * 2.12194440e-4f;
	p = splat(1.0f / 5040);
	p = p * r + 1.0f / 720;
	p = p * r + 1.0f / 120;
	p = p * r + 1.0f / 24;
	p = p * r + 1.0f / 6;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	return p * (vec) ((__builtin_convertvector(n, ivec) + 127) << 23);
}

/*
 * x Phi(x), with erf by Abramowitz & Stegun 7.1.26 (absolute error 1.5e-7).
 */
INLINE vec
gelu_vec(vec x)
{
	vec z = x * 0.70710678118654752f;
	ivec negative = z < 0;
	vec a = select_vec(negative, -z, z);
	vec t = 1.0f / (1.0f + 0.3275911f * a);
	vec p = splat(1.061405429f);
	vec erf;

	p = p * t - 1.453152027f;
	p = p * t + 1.421413741f;
	p = p * t - 0.284496736f;
	p = p * t + 0.254829592f;
	erf = 1.0f - p * t * exp_vec(-a * a);
	erf = select_vec(negative, -erf, erf);
	return 0.5f * x * (1.0f + erf);
}

INLINE vec
activate(vec x, mm_activation act)
{
	switch (act)
	{
		case MM_ACT_RELU6:
			return min_vec(max_vec(x, splat(0.0f)), splat(6.0f));
		case MM_ACT_GELU:
			return gelu_vec(x);
		default:
			return x;
	}
}

/*
 * The block of rows x panels of c that begins at row i and panel j.  rows and
 * panels are constants where this is inlined, so that the accumulators live in
 * registers.
 */
INLINE void
linear_block(const mm_linear_args *g, int i, int j, const int rows, const int panels)
{
	const int vectors = panels * PANEL_VECTORS;
	const float *a = g->a + (size_t) i * g->lda;
	const float *w = g->w + (size_t) j * g->k * MM_PANEL;
	const size_t panel_size = (size_t) g->k * MM_PANEL;
	vec acc[ROWS][PANELS * PANEL_VECTORS];

#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
			acc[r][v] = splat(0.0f);

	for (int k = 0; k < g->k; k++)
	{
		vec b[PANELS * PANEL_VECTORS];

#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
			b[v] = load(w + (v / PANEL_VECTORS) * panel_size + (size_t) k * MM_PANEL +
						(v % PANEL_VECTORS) * LANES);
#pragma GCC unroll 8
		for (int r = 0; r < rows; r++)
		{
			vec x = splat(a[(size_t) r * g->lda + k]);

#pragma GCC unroll 4
			for (int v = 0; v < vectors; v++)
				acc[r][v] += x * b[v];
		}
	}

#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
	{
		size_t at = (size_t) (i + r) * g->ldc + (size_t) j * MM_PANEL;

#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
		{
			vec x = acc[r][v];

			if (g->bias)
				x += load(g->bias + (size_t) j * MM_PANEL + v * LANES);
			x = activate(x, g->act);
			if (g->residual)
				x += load(g->residual + at + v * LANES);
			store(g->c + at + v * LANES, x);
		}
	}
}

/* The last rows, fewer than ROWS, with as many panels as fit. */
INLINE void
linear_rows(const mm_linear_args *g, int i, int j, int rows, const int panels)
{
	switch (rows)
	{
#if ROWS > 6
		case 8:
			linear_block(g, i, j, 8, panels);
			break;
		case 7:
			linear_block(g, i, j, 7, panels);
			break;
#endif
#if ROWS > 2
		case 6:
			linear_block(g, i, j, 6, panels);
			break;
		case 5:
			linear_block(g, i, j, 5, panels);
			break;
		case 4:
			linear_block(g, i, j, 4, panels);
			break;
		case 3:
			linear_block(g, i, j, 3, panels);
			break;
#endif
		case 2:
			linear_block(g, i, j, 2, panels);
			break;
		default:
			linear_block(g, i, j, 1, panels);
			break;
	}
}

/*
 * Panels outside, rows inside: a group of panels stays in the first-level
 * cache while all rows pass by it.
 */
static void
linear(const mm_linear_args *g)
{
	int panels = (g->n + MM_PANEL - 1) / MM_PANEL;
	int j = 0;

#if PANELS == 3
	for (; j + 3 <= panels; j += 3)
		for (int i = 0; i < g->m; i += ROWS)
			linear_rows(g, i, j, g->m - i < ROWS ? g->m - i : ROWS, 3);
	if (panels - j == 2)
	{
		for (int i = 0; i < g->m; i += ROWS)
			linear_rows(g, i, j, g->m - i < ROWS ? g->m - i : ROWS, 2);
		j += 2;
	}
#endif
	for (; j < panels; j++)
		for (int i = 0; i < g->m; i += ROWS)
			linear_rows(g, i, j, g->m - i < ROWS ? g->m - i : ROWS, 1);
}

/* One output pixel, one vector of channels; taps outside the picture are zero. */
INLINE vec
depthwise_pixel(const mm_depthwise_args *g, int oy, int ox, int c)
{
	int y0 = oy * g->stride - g->pad_top;
	int x0 = ox * g->stride - g->pad_left;
	vec acc = load(g->bias + c);

	for (int ky = 0; ky < g->kernel; ky++)
	{
		if (y0 + ky < 0 || y0 + ky >= g->height)
			continue;
		for (int kx = 0; kx < g->kernel; kx++)
		{
			if (x0 + kx < 0 || x0 + kx >= g->width)
				continue;
			acc += load(g->w + (size_t) (ky * g->kernel + kx) * g->channels + c) *
				   load(g->in + ((size_t) (y0 + ky) * g->width + x0 + kx) * g->channels + c);
		}
	}
	return activate(acc, MM_ACT_RELU6);
}

/* Four output pixels of a row whose taps all lie within its width. */
INLINE void
depthwise_four(const mm_depthwise_args *g, int oy, int ox, int c, const int kernel,
			   const int stride)
{
	int y0 = oy * stride - g->pad_top;
	const float *in = g->in + (size_t) (ox * stride - g->pad_left) * g->channels + c;
	vec acc[4];

#pragma GCC unroll 4
	for (int i = 0; i < 4; i++)
		acc[i] = load(g->bias + c);
	for (int ky = 0; ky < kernel; ky++)
	{
		const float *row = in + (ptrdiff_t) (y0 + ky) * g->width * g->channels;
		const float *w = g->w + (size_t) ky * kernel * g->channels + c;

		if (y0 + ky < 0 || y0 + ky >= g->height)
			continue;
#pragma GCC unroll 5
		for (int kx = 0; kx < kernel; kx++)
		{
			vec tap = load(w + (size_t) kx * g->channels);

#pragma GCC unroll 4
			for (int i = 0; i < 4; i++)
				acc[i] += tap * load(row + (size_t) (i * stride + kx) * g->channels);
		}
	}
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++)
		store(g->out + ((size_t) oy * g->out_width + ox + i) * g->channels + c,
			  activate(acc[i], MM_ACT_RELU6));
}

INLINE void
depthwise_shape(const mm_depthwise_args *g, const int kernel, const int stride)
{
	/* the output columns whose taps all exist: [first, last) */
	int first = (g->pad_left + stride - 1) / stride;
	int last = (g->width - kernel + g->pad_left) / stride + 1;

	if (g->width - kernel + g->pad_left < 0)
		last = 0;
	if (last > g->out_width)
		last = g->out_width;
	for (int oy = 0; oy < g->out_height; oy++)
	{
		for (int c = 0; c < g->channels; c += LANES)
		{
			int ox = 0;

			while (ox < g->out_width)
			{
				if (ox >= first && ox + 4 <= last)
				{
					depthwise_four(g, oy, ox, c, kernel, stride);
					ox += 4;
					continue;
				}
				store(g->out + ((size_t) oy * g->out_width + ox) * g->channels + c,
					  depthwise_pixel(g, oy, ox, c));
				ox++;
			}
		}
	}
}

static void
depthwise(const mm_depthwise_args *g)
{
	if (g->kernel == 3 && g->stride == 1)
		depthwise_shape(g, 3, 1);
	else if (g->kernel == 3 && g->stride == 2)
		depthwise_shape(g, 3, 2);
	else if (g->kernel == 5 && g->stride == 1)
		depthwise_shape(g, 5, 1);
	else if (g->kernel == 5 && g->stride == 2)
		depthwise_shape(g, 5, 2);
	else
		depthwise_shape(g, g->kernel, g->stride);
}

static void
layer_norm(int rows, int n, const float *x, const float *gamma, const float *beta, float eps,
		   float *y)
{
	for (int r = 0; r < rows; r++, x += n, y += n)
	{
		vec sum = splat(0.0f);
		vec squares = splat(0.0f);
		float mean, var, scale;
		float tail = 0;
		int i;

		for (i = 0; i + LANES <= n; i += LANES)
			sum += load(x + i);
		for (int k = i; k < n; k++)
			tail += x[k];
		mean = (sum_lanes(sum) + tail) / n;

		/* the variance around the mean, not E[x^2] - mean^2, which cancels */
		tail = 0;
		for (i = 0; i + LANES <= n; i += LANES)
		{
			vec d = load(x + i) - mean;

			squares += d * d;
		}
		for (int k = i; k < n; k++)
			tail += (x[k] - mean) * (x[k] - mean);
		var = (sum_lanes(squares) + tail) / n;

		scale = 1.0f / sqrtf(var + eps);
		for (i = 0; i + LANES <= n; i += LANES)
			store(y + i, (load(x + i) - mean) * scale * load(gamma + i) + load(beta + i));
		for (; i < n; i++)
			y[i] = (x[i] - mean) * scale * gamma[i] + beta[i];
	}
}

static void
softmax(int rows, int n, float scale, float *x, int ld)
{
	for (int r = 0; r < rows; r++, x += ld)
	{
		float max = -INFINITY;
		float sum = 0;
		int i;

		for (i = 0; i < n; i++)
		{
			x[i] *= scale;
			max = x[i] > max ? x[i] : max;
		}
		for (i = 0; i + LANES <= n; i += LANES)
			store(x + i, exp_vec(load(x + i) - max));
		if (i < n)
		{
			vec last = splat(0.0f);

			memcpy(&last, x + i, (n - i) * sizeof(float));
			last = exp_vec(last - max);
			memcpy(x + i, &last, (n - i) * sizeof(float));
		}
		for (i = 0; i < n; i++)
			sum += x[i];
		for (i = 0; i < n; i++)
			x[i] /= sum;
	}
}

#define STRING_(x) #x
#define STRING(x) STRING_(x)

const mm_ops CONCAT(mm_ops_, MM_LEVEL) = {
	.name = STRING(MM_LEVEL),
	.linear = linear,
	.depthwise = depthwise,
	.layer_norm = layer_norm,
	.softmax = softmax,
};
