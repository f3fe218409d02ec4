/*
 * ivf_vector.c
 *		Values and queries on their way into the index's own coordinates.
 *
 * A value less the mean of the base, rotated, less its list's centre is what
 * codes hold.  Taking the mean away first matters for joint embedding spaces,
 * where each modality lies in a narrow cone of its own.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"

#include "ivf.h"

/* |query| / step16: leaves room for 16-bit codes to round. */
#define STEPS_16 32500.0f
#define STEPS_8 127.0f

/* Lengths for which cosine distance is what it should be. */
#define SHORTEST 1e-17
#define LONGEST 1e17

static double
view_norm(const EmbeddingView *view)
{
	double sum = 0;

	for (int i = 0; i < view->dims; i++)
	{
		double value = embedding_get(view, i);

		sum += value * value;
	}
	return sqrt(sum);
}

/*
 * Elements of view as float32, of unit length under cosine; false for a zero
 * vector there, and for one whose square float32 cannot hold: the operator
 * gives NaN for that too, or next to nothing.
 */
static bool
load_values(MmMetric metric, const EmbeddingView *view, float *out)
{
	embedding_to_floats(view, out);
	if (metric == MM_COSINE)
	{
		double norm = view_norm(view);

		if (!(norm >= SHORTEST && norm <= LONGEST))
			return false;
		for (int i = 0; i < view->dims; i++)
			out[i] = (float) (out[i] / norm);
	}
	return true;
}

static void
check_dims(const IvfState *state, const EmbeddingView *view)
{
	if (view->dims != (int) state->meta.dims)
		embedding_dims_mismatch((int) state->meta.dims, view->dims);
}

bool
ivf_rotate_value(const IvfState *state, const EmbeddingView *view, float *y)
{
	uint32 dims = state->meta.dims;

	check_dims(state, view);
	if (!load_values((MmMetric) state->meta.metric, view, y))
		return false;
	for (uint32 i = 0; i < dims; i++)
		y[i] -= state->mean[i];
	ivf_rotate(state->rotation, y);
	memset(y + dims, 0, (state->meta.pdims - dims) * sizeof(float));
	return true;
}

/* Round x / step to -limit .. limit, with step so that the largest is limit. */
static float
quantise(const float *x, int n, float limit, int16 *out)
{
	float largest = 0;
	float step;

	for (int i = 0; i < n; i++)
		largest = Max(largest, fabsf(x[i]));
	step = largest / limit;
	for (int i = 0; i < n; i++)
		out[i] = step > 0 ? (int16) ivf_round(x[i] / step) : 0;
	return step;
}

uint32
ivf_nearest_list(const IvfState *state, const float *y)
{
	int pdims = (int) state->meta.pdims;
	int lists = (int) state->meta.lists;
	int16 *y16 = palloc(pdims * sizeof(int16));
	int8 *y8 = palloc(pdims);
	int32 *dots = palloc(lists * sizeof(int32));
	float step = quantise(y, pdims, STEPS_8, y16);
	float best = -INFINITY;
	uint32 nearest = 0;

	for (int i = 0; i < pdims; i++)
		y8[i] = (int8) y16[i];
	ivf_kernels()->dot_8bit(state->centres, pdims, lists, y8, pdims, dots);
	for (int list = 0; list < lists; list++)
	{
		float score = step * state->centre_scale[list] * dots[list] - state->centre_half[list];

		if (score > best)
		{
			best = score;
			nearest = (uint32) list;
		}
	}
	pfree(y16);
	pfree(y8);
	pfree(dots);
	return nearest;
}

float
ivf_residual(const IvfState *state, uint32 list, float *y)
{
	const int8 *centre = state->centres + (Size) list * state->meta.pdims;
	float scale = state->centre_scale[list];
	double dot = 0;

	for (uint32 i = 0; i < state->meta.dims; i++)
	{
		y[i] -= scale * centre[i];
		dot += (double) y[i] * centre[i];
	}
	return (float) (dot * scale);
}

void
ivf_quantise_query(IvfQuery *query)
{
	int64 sum_high = 0;
	int64 sum8 = 0;
	double square = 0;

	query->step8 = quantise(query->y, query->pdims, STEPS_8, query->y16);
	for (int i = 0; i < query->pdims; i++)
	{
		query->y8[i] = (int8) query->y16[i];
		sum8 += query->y8[i];
		square += (double) query->y[i] * query->y[i];
	}
	query->step16 = quantise(query->y, query->pdims, STEPS_16, query->y16);
	for (int i = 0; i < query->pdims; i++)
	{
		query->y_high[i] = (int8) ((query->y16[i] + 128) >> 8);
		sum_high += query->y_high[i];
	}
	query->sum8 = (float) sum8;
	query->sum_high = (float) sum_high;
	query->norm = (float) sqrt(square);
}

IvfQuery *
ivf_query_make(const IvfState *state, Datum value)
{
	uint32 dims = state->meta.dims;
	uint32 pdims = state->meta.pdims;
	IvfQuery *query = palloc0(sizeof(IvfQuery));

	query->metric = (MmMetric) state->meta.metric;
	query->pdims = (int) pdims;
	query->y = palloc0(pdims * sizeof(float));
	query->y16 = palloc0(pdims * sizeof(int16));
	query->y_high = palloc0(pdims);
	query->y8 = palloc0(pdims);

	query->value = DatumGetPointer(value);
	embedding_view(value, &query->view);
	check_dims(state, &query->view);
	if (query->metric == MM_L2_SQUARED)
		(void) ivf_rotate_value(state, &query->view, query->y);
	else
	{
		double constant = 0;

		if (!load_values(query->metric, &query->view, query->y))
			return query;
		for (uint32 i = 0; i < dims; i++)
			constant += (double) query->y[i] * state->mean[i];
		ivf_rotate(state->rotation, query->y);
		query->constant = (float) constant;
	}
	ivf_quantise_query(query);
	if (query->metric == MM_L2_SQUARED)
		query->constant = -0.5f * query->norm * query->norm;
	return query;
}

float
ivf_centre_dot(const IvfState *state, const IvfQuery *query, uint32 list)
{
	const int8 *centre = state->centres + (Size) list * state->meta.pdims;

	return query->step16 * state->centre_scale[list] *
		   (float) ivf_kernels()->dot_8bit_16(centre, query->y16, query->pdims);
}

double
ivf_distance(MmMetric metric, double similarity)
{
	switch (metric)
	{
		case MM_COSINE:
			return 1 - similarity;
		case MM_L2_SQUARED:
			return similarity < 0 ? sqrt(-2 * similarity) : 0;
		default:
			return -similarity;
	}
}
