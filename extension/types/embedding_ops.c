/*
 * embedding_ops.c
 *		Arithmetic on embeddings, and functions of one embedding.
 *
 * Results have half elements only if all arguments have.  Arithmetic is done
 * in float32.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/float.h"

#include "embedding.h"

/*
 * View two arguments, check that their dimensions agree, and allocate the
 * result of an elementwise operation on them.
 */
static Embedding *
start_elementwise(FunctionCallInfo fcinfo, EmbeddingView *a, EmbeddingView *b)
{
	EmbeddingTag tag;

	embedding_view(PG_GETARG_DATUM(0), a);
	embedding_view(PG_GETARG_DATUM(1), b);
	if (a->dims != b->dims)
		embedding_dims_mismatch(a->dims, b->dims);
	tag = embedding_merge_tags(a->tag, b->tag);
	return embedding_alloc(a->dims, a->elem == b->elem ? a->elem : MM_FLOAT32, &tag);
}

/* Store an element that was computed; 22003 if it overflowed. */
static inline void
store_result(Embedding *result, int i, float value)
{
	if (unlikely(!isfinite(value) || (result->elem == MM_FLOAT16 && !mm_half_fits(value))))
		float_overflow_error();
	embedding_set(result, i, value);
}

PG_FUNCTION_INFO_V1(embedding_add);

/*
 * embedding_add(embedding, embedding) returns embedding
 *		Elementwise sum.  22000 for different dimensions, 22003 for overflow.
 */
Datum
embedding_add(PG_FUNCTION_ARGS)
{
	EmbeddingView a;
	EmbeddingView b;
	Embedding *result = start_elementwise(fcinfo, &a, &b);

	for (int i = 0; i < a.dims; i++)
		store_result(result, i, embedding_get(&a, i) + embedding_get(&b, i));
	PG_RETURN_EMBEDDING_P(result);
}

PG_FUNCTION_INFO_V1(embedding_sub);

/*
 * embedding_sub(embedding, embedding) returns embedding
 *		Elementwise difference.  22000 for different dimensions, 22003 for
 *		overflow.
 */
Datum
embedding_sub(PG_FUNCTION_ARGS)
{
	EmbeddingView a;
	EmbeddingView b;
	Embedding *result = start_elementwise(fcinfo, &a, &b);

	for (int i = 0; i < a.dims; i++)
		store_result(result, i, embedding_get(&a, i) - embedding_get(&b, i));
	PG_RETURN_EMBEDDING_P(result);
}

PG_FUNCTION_INFO_V1(embedding_mul);

/*
 * embedding_mul(embedding, embedding) returns embedding
 *		Elementwise product.  22000 for different dimensions, 22003 for overflow
 *		and for a product of two non-zero elements that becomes zero.
 */
Datum
embedding_mul(PG_FUNCTION_ARGS)
{
	EmbeddingView a;
	EmbeddingView b;
	Embedding *result = start_elementwise(fcinfo, &a, &b);

	for (int i = 0; i < a.dims; i++)
	{
		float x = embedding_get(&a, i);
		float y = embedding_get(&b, i);

		store_result(result, i, x * y);
		if (unlikely(mm_elem_get((MmElem) result->elem, result->data, i) == 0) && x != 0 && y != 0)
			float_underflow_error();
	}
	PG_RETURN_EMBEDDING_P(result);
}

/* Put all elements of a view into result from the start-th (from 0) on. */
static void
copy_elements(Embedding *result, int start, const EmbeddingView *view)
{
	Size width = mm_elem_size((MmElem) result->elem);

	if (result->elem == view->elem)
		memcpy(result->data + (Size) start * width, view->data, (Size) view->dims * width);
	else
		for (int i = 0; i < view->dims; i++)
			embedding_set(result, start + i, embedding_get(view, i));
}

PG_FUNCTION_INFO_V1(embedding_concat);

/*
 * embedding_concat(embedding, embedding) returns embedding
 *		The elements of one after those of the other.  54000 if there are more
 *		than the type allows.
 */
Datum
embedding_concat(PG_FUNCTION_ARGS)
{
	EmbeddingView a;
	EmbeddingView b;
	EmbeddingTag tag;
	Embedding *result;

	embedding_view(PG_GETARG_DATUM(0), &a);
	embedding_view(PG_GETARG_DATUM(1), &b);
	tag = embedding_merge_tags(a.tag, b.tag);
	result = embedding_alloc(a.dims + b.dims, a.elem == b.elem ? a.elem : MM_FLOAT32, &tag);
	copy_elements(result, 0, &a);
	copy_elements(result, a.dims, &b);
	PG_RETURN_EMBEDDING_P(result);
}

PG_FUNCTION_INFO_V1(embedding_subvector);

/*
 * subvector(embedding, start integer, count integer) returns embedding
 *		Elements start to start + count - 1, counted from 1, as far as they
 *		exist.  22000 if that leaves none.
 */
Datum
embedding_subvector(PG_FUNCTION_ARGS)
{
	int64 start = PG_GETARG_INT32(1);
	int64 end = start + PG_GETARG_INT32(2);
	EmbeddingView view;
	Embedding *result;
	Size width;

	embedding_view(PG_GETARG_DATUM(0), &view);
	start = Max(start, 1);
	end = Min(end, (int64) view.dims + 1);
	/* What is left of an empty or negative range has no dimensions: refused. */
	result = embedding_alloc(end > start ? (int) (end - start) : 0, view.elem, &view.tag);
	width = mm_elem_size(view.elem);
	memcpy(result->data, (const char *) view.data + (Size) (start - 1) * width,
		   (Size) result->dims * width);
	PG_RETURN_EMBEDDING_P(result);
}

PG_FUNCTION_INFO_V1(embedding_dims);

/*
 * embedding_dims(embedding) returns integer
 */
Datum
embedding_dims(PG_FUNCTION_ARGS)
{
	EmbeddingView view;

	embedding_view(PG_GETARG_DATUM(0), &view);
	PG_RETURN_INT32(view.dims);
}

/* Euclidean norm, in float64: the squares cannot overflow. */
static double
view_norm(const EmbeddingView *view)
{
	double sum = 0;

	for (int i = 0; i < view->dims; i++)
	{
		double x = embedding_get(view, i);

		sum += x * x;
	}
	return sqrt(sum);
}

PG_FUNCTION_INFO_V1(embedding_norm);

/*
 * embedding_norm(embedding) returns double precision
 */
Datum
embedding_norm(PG_FUNCTION_ARGS)
{
	EmbeddingView view;

	embedding_view(PG_GETARG_DATUM(0), &view);
	PG_RETURN_FLOAT8(view_norm(&view));
}

PG_FUNCTION_INFO_V1(embedding_l2_normalize);

/*
 * l2_normalize(embedding) returns embedding
 *		The embedding divided by its Euclidean norm; a zero vector unchanged.
 */
Datum
embedding_l2_normalize(PG_FUNCTION_ARGS)
{
	EmbeddingView view;
	Embedding *result;
	double norm;

	embedding_view(PG_GETARG_DATUM(0), &view);
	result = embedding_alloc(view.dims, view.elem, &view.tag);
	norm = view_norm(&view);
	if (norm > 0)
		for (int i = 0; i < view.dims; i++)
			embedding_set(result, i, (float) (embedding_get(&view, i) / norm));
	PG_RETURN_EMBEDDING_P(result);
}
