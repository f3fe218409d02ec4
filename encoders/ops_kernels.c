/*-------------------------------------------------------------------------
 *
 * ops_kernels.c
 *	  The vector kernels, written once and compiled for every level.
 *
 * The Makefile builds this file and its neighbours with MM_LEVEL set to the
 * name of each level and the compiler's flags to match (ops.h lists them).
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <string.h>

#include "ops_level.h"
#include "vec.h"

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

const mm_ops LEVEL(mm_ops) = {
	.name = STRING(MM_LEVEL),
	.linear = LEVEL(mm_linear_f32),
	.linear_bf16 = LEVEL(mm_linear_bf16),
	.linear_int8 = LEVEL(mm_linear_int8),
	.pack_rows_bf16 = LEVEL(mm_pack_rows_bf16),
	.pack_rows_int8 = LEVEL(mm_pack_rows_int8),
	.depthwise = depthwise,
	.layer_norm = layer_norm,
	.softmax = softmax,
};
