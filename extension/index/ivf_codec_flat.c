/*
 * ivf_codec_flat.c
 *		The codec that keeps vectors as they are, with the column's elements.
 *
 * Similarities are those of the operator itself: nothing is to be reranked.
 */
#include "postgres.h"

#include "fmgr.h"

#include "ivf.h"

static void
layout_flat(IvfMeta *meta)
{
	meta->scan_bytes = (uint32) INTALIGN(meta->dims * mm_elem_size((MmElem) meta->elem));
	meta->code_bytes = 0;
	meta->refine_bytes = 0;
}

static void
encode_flat(const IvfState *state, const IvfVector *vector, IvfRow *row)
{
	char *out = (char *) row + state->layout.row_scan;

	row->scan_scale = 0;
	row->code_scale = 0;
	row->bias = 0;
	memset(out, 0, state->meta.scan_bytes);
	if (vector->view->elem == (MmElem) state->meta.elem)
		memcpy(out, vector->view->data,
			   (Size) vector->view->dims * mm_elem_size((MmElem) state->meta.elem));
	else if (state->meta.elem == MM_FLOAT32)
		embedding_to_floats(vector->view, (float *) out);
	else
	{
		for (int i = 0; i < vector->view->dims; i++)
			((uint16 *) out)[i] = mm_float_to_half(embedding_get(vector->view, i));
	}
}

static float
flat_similarity(const IvfState *state, const IvfQuery *query, const char *data)
{
	double distance = mm_distance(query->metric, (int) state->meta.dims, query->view.elem,
								  query->view.data, (MmElem) state->meta.elem, data);

	switch (query->metric)
	{
		case MM_COSINE:
			return (float) (1 - distance);
		case MM_L2_SQUARED:
			return (float) (-distance / 2);
		default:
			return (float) distance;
	}
}

static double
scan_flat(const IvfState *state, const IvfQuery *query, const char *content, int first, int count,
		  float base, float error_bound, float *similarity, float *upper)
{
	const char *data = content + sizeof(IvfUnit) + (Size) first * state->meta.scan_bytes;
	double square = 0;

	for (int i = 0; i < count; i++)
	{
		similarity[i] = flat_similarity(state, query, data);
		upper[i] = similarity[i];
		square += (double) (similarity[i] - base) * (similarity[i] - base);
		data += state->meta.scan_bytes;
	}
	return square;
}

static double
scan_row_flat(const IvfState *state, const IvfQuery *query, const IvfRow *row, float base,
			  float error_bound, float *similarity, float *upper)
{
	double difference;

	*similarity = flat_similarity(state, query, (const char *) row + state->layout.row_scan);
	*upper = *similarity;
	difference = *similarity - base;
	return difference * difference;
}

const IvfCodec ivf_codec_flat = {
	.id = IVF_CODEC_FLAT,
	.name = "flat",
	.layout = layout_flat,
	.encode = encode_flat,
	.scan = scan_flat,
	.scan_row = scan_row_flat,
};
