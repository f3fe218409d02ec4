/*
 * embedding.c
 *		Construction, checks and typmod of the embedding type.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "embedding.h"

/*
 * A typmod holds the dimensions in its low bits and one bit for half.  It is
 * stored in catalogs, so this is for ever.
 */
#define TYPMOD_DIMS_MASK 0xffff
#define TYPMOD_HALF (1 << 16)

void
embedding_corrupted(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED), errmsg("embedding is corrupted"),
			 errdetail("Its length contradicts its number of dimensions and element type.")));
}

void
embedding_check_dims(int dims)
{
	if (dims < EMBEDDING_MIN_DIMS)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("embedding must have at least %d dimension", EMBEDDING_MIN_DIMS)));
	if (dims > EMBEDDING_MAX_DIMS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("embedding cannot have more than %d dimensions", EMBEDDING_MAX_DIMS)));
}

void
embedding_check_finite(float value)
{
	if (unlikely(isnan(value)))
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("NaN not allowed in embedding")));
	if (unlikely(isinf(value)))
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("infinite value not allowed in embedding")));
}

void
embedding_dims_mismatch(int a, int b)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
					errmsg("different embedding dimensions %d and %d", a, b)));
}

EmbeddingTag
embedding_merge_tags(EmbeddingTag a, EmbeddingTag b)
{
	EmbeddingTag merged = a;

	if (a.flags != b.flags)
		merged.flags = a.flags == 0 ? b.flags : b.flags == 0 ? a.flags : 0;
	if (a.space != b.space)
		merged.space = a.space == 0 ? b.space : b.space == 0 ? a.space : 0;
	return merged;
}

Embedding *
embedding_alloc(int dims, MmElem elem, const EmbeddingTag *tag)
{
	Embedding *e;
	Size size;

	embedding_check_dims(dims);
	size = embedding_size(dims, elem);
	e = palloc0(size);
	SET_VARSIZE(e, size);
	e->dims = (uint16) dims;
	e->elem = (uint8) elem;
	if (tag)
	{
		e->flags = tag->flags;
		e->space = tag->space;
	}
	return e;
}

Embedding *
embedding_make_float32(int dims, const float *values)
{
	return embedding_make(dims, values, MM_FLOAT32, NULL);
}

Embedding *
embedding_make(int dims, const float *values, MmElem elem, const EmbeddingTag *tag)
{
	Embedding *e = embedding_alloc(dims, elem, tag);

	for (int i = 0; i < dims; i++)
	{
		embedding_check_finite(values[i]);
		embedding_set(e, i, values[i]);
	}
	return e;
}

void
embedding_set(Embedding *e, int i, float value)
{
	if (e->elem == MM_FLOAT32)
		((float *) e->data)[i] = value;
	else
	{
		if (unlikely(!mm_half_fits(value)))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("\"%g\" is out of range for type embedding with half elements", value),
					 errdetail("Half elements range from -%g to %g.", MM_HALF_MAX, MM_HALF_MAX)));
		((uint16 *) e->data)[i] = mm_float_to_half(value);
	}
}

void
embedding_to_floats(const EmbeddingView *view, float *out)
{
	if (view->elem == MM_FLOAT32)
		memcpy(out, view->data, (Size) view->dims * sizeof(float));
	else
		for (int i = 0; i < view->dims; i++)
			out[i] = embedding_get(view, i);
}

int
embedding_typmod_dims(int32 typmod)
{
	return typmod < 0 ? -1 : typmod & TYPMOD_DIMS_MASK;
}

MmElem
embedding_typmod_elem(int32 typmod)
{
	return typmod & TYPMOD_HALF ? MM_FLOAT16 : MM_FLOAT32;
}

void
embedding_check_typmod(int32 typmod, int dims)
{
	if (typmod >= 0 && dims != embedding_typmod_dims(typmod))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %d dimensions, not %d", embedding_typmod_dims(typmod), dims)));
}

Embedding *
embedding_apply_typmod(Embedding *e, int32 typmod)
{
	EmbeddingTag tag = {e->flags, e->space};
	Embedding *result;
	MmElem elem;

	if (typmod < 0)
		return e;
	embedding_check_typmod(typmod, e->dims);
	elem = embedding_typmod_elem(typmod);
	if (e->elem == elem)
		return e;
	result = embedding_alloc(e->dims, elem, &tag);
	for (int i = 0; i < e->dims; i++)
		embedding_set(result, i, mm_elem_get((MmElem) e->elem, e->data, i));
	return result;
}

PG_FUNCTION_INFO_V1(embedding_typmod_in);

/*
 * embedding_typmod_in(cstring[]) returns integer
 *		(dims) or (dims, half).  22023 for anything else.
 */
Datum
embedding_typmod_in(PG_FUNCTION_ARGS)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum *items;
	int count;
	int32 typmod;

	deconstruct_array(array, CSTRINGOID, -2, false, TYPALIGN_CHAR, &items, NULL, &count);
	if (count < 1 || count > 2)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid type modifier"),
						errhint("Write embedding(dimensions) or embedding(dimensions, half).")));
	typmod = pg_strtoint32(DatumGetCString(items[0]));
	if (typmod < EMBEDDING_MIN_DIMS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type embedding must be at least %d", EMBEDDING_MIN_DIMS)));
	if (typmod > EMBEDDING_MAX_DIMS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type embedding cannot exceed %d", EMBEDDING_MAX_DIMS)));
	if (count == 2)
	{
		if (pg_strcasecmp(DatumGetCString(items[1]), "half") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid type modifier"),
					 errdetail("\"%s\" is not an element type.", DatumGetCString(items[1])),
					 errhint("Write embedding(dimensions) or embedding(dimensions, half).")));
		typmod |= TYPMOD_HALF;
	}
	PG_RETURN_INT32(typmod);
}

PG_FUNCTION_INFO_V1(embedding_typmod_out);

/*
 * embedding_typmod_out(integer) returns cstring
 */
Datum
embedding_typmod_out(PG_FUNCTION_ARGS)
{
	int32 typmod = PG_GETARG_INT32(0);
	bool half = embedding_typmod_elem(typmod) == MM_FLOAT16;

	PG_RETURN_CSTRING(psprintf("(%d%s)", embedding_typmod_dims(typmod), half ? ",half" : ""));
}
