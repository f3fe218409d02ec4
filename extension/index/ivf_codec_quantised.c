/*
 * ivf_codec_quantised.c
 *		Codecs of rotated residuals: 2 bits to scan, 8 to rerank, 4 more to refine.
 *
 * After the rotation a residual's coordinates are close to normal, with the
 * variance |r|^2 / dims, so that one fixed quantiser serves all: four levels
 * at -1.5, -0.5, 0.5 and 1.5 steps with the best uniform step for a normal
 * distribution, 0.9957 of its deviation (Max, "Quantizing for minimum
 * distortion", 1960).  The scale is not the step: with
 * scale = |r|^2 / <r, levels> the estimate of a product with r is unbiased, as
 * in RaBitQ (Gao and Long, 2024, and its extension to several bits).
 *
 * The 8-bit code is uniform over the largest coordinate; the refinement tells
 * in which sixteenth of its step a coordinate lies.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"

#include "ivf.h"

/* Best step of a uniform quantiser of four levels for a unit normal. */
#define STEP_OF_DEVIATION 0.9957f

/* Deviation of a coordinate's error, in units of a row's scan scale. */
#define SCAN_ERROR 0.3245f

static void
layout_quantised(IvfMeta *meta)
{
	meta->scan_bytes = meta->pdims / 4;
	meta->code_bytes = (uint32) sizeof(IvfCode) + meta->pdims;
	meta->refine_bytes = meta->codec == IVF_CODEC_REFINED ? meta->pdims / 2 : 0;
}

static double
square_length(const float *r, int dims)
{
	double sum = 0;

	for (int i = 0; i < dims; i++)
		sum += (double) r[i] * r[i];
	return sum;
}

/* Write the 2-bit codes of one of four planes; returns the sum of r times its level. */
static double
encode_plane(const float *r, int n, float inverse, int shift, uint8 *code)
{
	double with_levels = 0;

	for (int i = 0; i < n; i++)
	{
		/* Truncation is rounding down: the value is not negative. */
		float value = r[i] * inverse + 2;
		int level = (int) Max(0.0f, Min(3.0f, value));

		with_levels += r[i] * (level - 1.5f);
		code[i] |= (uint8) (level << shift);
	}
	return with_levels;
}

/* Write the 2-bit codes and return the scale. */
static float
encode_scan(const float *r, int dims, int pdims, uint8 *code)
{
	double square = square_length(r, dims);
	double with_levels = 0;
	int quarter = pdims / 4;
	float inverse;

	memset(code, 0, quarter);
	if (square <= 0)
		return 0;
	inverse = 1 / (STEP_OF_DEVIATION * (float) sqrt(square / dims));
	for (int plane = 0; plane * quarter < dims; plane++)
		with_levels += encode_plane(r + plane * quarter, Min(quarter, dims - plane * quarter),
									inverse, 2 * plane, code);
	return (float) (square / with_levels);
}

/* Write 8-bit codes and, unless refine is NULL, one half of the refinement's bytes. */
static void
encode_half(const float *r, int n, float inverse, int8 *code, uint8 *refine, int shift)
{
	for (int i = 0; i < n; i++)
	{
		float value = r[i] * inverse;
		float rounded = ivf_round(value);

		code[i] = (int8) rounded;
		if (refine)
		{
			int part = (int) ((value - rounded + 0.5f) * 16);

			refine[i] |= (uint8) (Min(15, part) << shift);
		}
	}
}

/* Write the 8-bit codes, and the refinement unless it is NULL; return the scale. */
static float
encode_fine(const float *r, int dims, int pdims, int8 *code, uint8 *refine)
{
	float largest = 0;
	float inverse;
	int half = pdims / 2;

	for (int i = 0; i < dims; i++)
		largest = Max(largest, fabsf(r[i]));
	inverse = largest > 0 ? 127 / largest : 0;
	memset(code, 0, pdims);
	if (refine)
		memset(refine, 0, half);
	encode_half(r, Min(half, dims), inverse, code, refine, 0);
	if (dims > half)
		encode_half(r + half, dims - half, inverse, code + half, refine, 4);
	return largest / 127;
}

static void
encode_quantised(const IvfState *state, const IvfVector *vector, IvfRow *row)
{
	int dims = (int) state->meta.dims;
	int pdims = (int) state->meta.pdims;
	char *p = (char *) row;
	const float *r = vector->residual;

	row->scan_scale = encode_scan(r, dims, pdims, (uint8 *) p + state->layout.row_scan);
	row->code_scale =
		encode_fine(r, dims, pdims, (int8 *) p + state->layout.row_code,
					state->meta.refine_bytes ? (uint8 *) p + state->layout.row_refine : NULL);
	row->bias = 0;
	if (state->meta.metric == MM_L2_SQUARED)
		row->bias = (float) (-vector->centre_dot - square_length(r, dims) / 2);
}

static double
estimate(const IvfState *state, const IvfQuery *query, const uint8 *codes, const float *scale,
		 const float *bias, int count, float base, float error_bound, float *similarity,
		 float *upper)
{
	const IvfKernels *kernels = ivf_kernels();
	int32 dots[BLCKSZ / (IVF_DIM_STEP / 4)];

	Assert(count <= (int) lengthof(dots));
	kernels->dot_2bit(codes, state->meta.scan_bytes, count, query->y8, query->pdims, dots);
	return kernels->estimate(dots, scale, bias, count, base, query->step8,
							 -1.5f * query->step8 * query->sum8,
							 error_bound * SCAN_ERROR * query->norm, similarity, upper);
}

static double
scan_quantised(const IvfState *state, const IvfQuery *query, const char *content, int first,
			   int count, float base, float error_bound, float *similarity, float *upper)
{
	const IvfLayout *layout = &state->layout;
	const char *codes = content + sizeof(IvfUnit) + (Size) first * state->meta.scan_bytes;

	return estimate(
		state, query, (const uint8 *) codes, (const float *) (content + layout->scan_scale) + first,
		layout->scan_bias ? (const float *) (content + layout->scan_bias) + first : NULL, count,
		base, error_bound, similarity, upper);
}

static double
scan_row_quantised(const IvfState *state, const IvfQuery *query, const IvfRow *row, float base,
				   float error_bound, float *similarity, float *upper)
{
	const char *codes = (const char *) row + state->layout.row_scan;

	return estimate(state, query, (const uint8 *) codes, &row->scan_scale, &row->bias, 1, base,
					error_bound, similarity, upper);
}

const IvfCodec ivf_codec_refined = {
	.id = IVF_CODEC_REFINED,
	.name = "refined",
	.layout = layout_quantised,
	.encode = encode_quantised,
	.scan = scan_quantised,
	.scan_row = scan_row_quantised,
};

const IvfCodec ivf_codec_compact = {
	.id = IVF_CODEC_COMPACT,
	.name = "compact",
	.layout = layout_quantised,
	.encode = encode_quantised,
	.scan = scan_quantised,
	.scan_row = scan_row_quantised,
};

float
ivf_code_dot(const IvfQuery *query, float scale, const int8 *code)
{
	return scale * query->step16 *
		   (float) ivf_kernels()->dot_8bit_16(code, query->y16, query->pdims);
}

/*
 * A coordinate is scale * (code + (refine + 0.5) / 16 - 0.5).  The part that
 * the refinement tells is small: the query's high byte is enough for it.
 */
float
ivf_refine_dot(const IvfQuery *query, float scale, const uint8 *refine)
{
	float dot = (float) ivf_kernels()->dot_4bit(refine, query->y_high, query->pdims);

	return scale * 256 * query->step16 *
		   ((dot + 0.5f * query->sum_high) / 16 - 0.5f * query->sum_high);
}
