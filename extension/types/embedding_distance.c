/*
 * embedding_distance.c
 *		The distance functions behind <->, <#>, <=> and <+>.
 *
 * Exact search calls one of these for every row, so they copy and allocate
 * nothing for values that are stored plainly.  Three are not checked for their
 * version: by them an index knows its metric, and VACUUM has to go on.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"

#include "embedding.h"
#include "row_prefetch.h"

/*
 * The metric between the two arguments; 22000 for different dimensions.
 */
static inline double
argument_distance(FunctionCallInfo fcinfo, MmMetric metric)
{
	EmbeddingView a;
	EmbeddingView b;
	RowPrefetch *prefetch = row_prefetch_state(fcinfo);
	double distance;

	embedding_view(PG_GETARG_DATUM(0), &a);
	embedding_view(PG_GETARG_DATUM(1), &b);
	if (unlikely(a.dims != b.dims))
		embedding_dims_mismatch(a.dims, b.dims);
	if (prefetch && !row_prefetch_next(prefetch, a.data, (Size) a.dims * mm_elem_size(a.elem)))
		row_prefetch_next(prefetch, b.data, (Size) b.dims * mm_elem_size(b.elem));
	distance = mm_distance(metric, a.dims, a.elem, a.data, b.elem, b.data);
	embedding_view_free(&a);
	embedding_view_free(&b);
	return distance;
}

MM_FUNCTION_INFO_UNCHECKED(embedding_l2_distance);

/*
 * l2_distance(embedding, embedding) returns double precision
 *		Euclidean distance.
 */
Datum
embedding_l2_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(sqrt(argument_distance(fcinfo, MM_L2_SQUARED)));
}

PG_FUNCTION_INFO_V1(embedding_inner_product);

/* inner_product(embedding, embedding) returns double precision */
Datum
embedding_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(argument_distance(fcinfo, MM_INNER_PRODUCT));
}

MM_FUNCTION_INFO_UNCHECKED(embedding_negative_inner_product);

/*
 * negative_inner_product(embedding, embedding) returns double precision
 *		The inner product as a distance: smaller is nearer.
 */
Datum
embedding_negative_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(-argument_distance(fcinfo, MM_INNER_PRODUCT));
}

MM_FUNCTION_INFO_UNCHECKED(embedding_cosine_distance);

/*
 * cosine_distance(embedding, embedding) returns double precision
 *		1 minus the cosine of the angle; NaN if one is a zero vector.
 */
Datum
embedding_cosine_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(argument_distance(fcinfo, MM_COSINE));
}

PG_FUNCTION_INFO_V1(embedding_l1_distance);

/*
 * l1_distance(embedding, embedding) returns double precision
 *		Taxicab distance.
 */
Datum
embedding_l1_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(argument_distance(fcinfo, MM_L1));
}
