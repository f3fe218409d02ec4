/*
 * embedding_cast.c
 *		Casts: to a typmod, from and to arrays, from raw bytes.
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"

#include "embedding.h"

PG_FUNCTION_INFO_V1(embedding);

/*
 * embedding(embedding, integer, boolean) returns embedding
 *		Length coercion: checks the dimensions (22000) and converts elements to
 *		the type that the typmod names (22003).
 */
Datum
embedding(PG_FUNCTION_ARGS)
{
	Embedding *e = PG_GETARG_EMBEDDING_P(0);
	int32 typmod = PG_GETARG_INT32(1);

	PG_RETURN_EMBEDDING_P(embedding_apply_typmod(e, typmod));
}

/* Narrow to float32; 22003 for what float32 cannot hold, NaN stays NaN. */
static float
float8_to_float4(double value)
{
	float narrow = (float) value;

	if (unlikely(isinf(narrow)) && !isinf(value))
		float_overflow_error();
	return narrow;
}

/*
 * The count elements of an array without NULLs, as float32.  Those of fixed
 * width lie side by side.
 */
static void
array_to_floats(ArrayType *array, int count, float *out)
{
	const void *data = ARR_DATA_PTR(array);
	Datum *items;

	switch (ARR_ELEMTYPE(array))
	{
		case FLOAT4OID:
			memcpy(out, data, (Size) count * sizeof(float4));
			break;
		case FLOAT8OID:
			for (int i = 0; i < count; i++)
				out[i] = float8_to_float4(((const float8 *) data)[i]);
			break;
		case INT4OID:
			for (int i = 0; i < count; i++)
				out[i] = (float) ((const int32 *) data)[i];
			break;
		case NUMERICOID:
			deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &items, NULL, &count);
			for (int i = 0; i < count; i++)
				out[i] =
					float8_to_float4(DatumGetFloat8(DirectFunctionCall1(numeric_float8, items[i])));
			break;
		default:
			elog(ERROR, "unexpected array element type %u", ARR_ELEMTYPE(array));
	}
}

PG_FUNCTION_INFO_V1(array_to_embedding);

/*
 * array_to_embedding(T[], integer, boolean) returns embedding
 *		T is real, double precision, integer or numeric.  22004 for a NULL
 *		element, 22000 for NaN, infinity, more than one array dimension or a
 *		number of elements that the type or typmod does not allow, 22003 for a
 *		value out of range.
 */
Datum
array_to_embedding(PG_FUNCTION_ARGS)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
	int32 typmod = PG_GETARG_INT32(1);
	int count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	Embedding *e;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("array must be 1-D")));
	if (ARR_HASNULL(array) && array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("array must not contain nulls")));
	embedding_check_dims(count);
	embedding_check_typmod(typmod, count);
	e = embedding_alloc(count, MM_FLOAT32, NULL);
	array_to_floats(array, count, (float *) e->data);
	for (int i = 0; i < count; i++)
		embedding_check_finite(((float *) e->data)[i]);
	PG_RETURN_EMBEDDING_P(embedding_apply_typmod(e, typmod));
}

PG_FUNCTION_INFO_V1(embedding_to_float4);

/*
 * embedding_to_float4(embedding) returns real[]
 */
Datum
embedding_to_float4(PG_FUNCTION_ARGS)
{
	EmbeddingView view;
	ArrayType *array;
	Size size;

	embedding_view(PG_GETARG_DATUM(0), &view);
	size = ARR_OVERHEAD_NONULLS(1) + (Size) view.dims * sizeof(float4);
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = FLOAT4OID;
	ARR_DIMS(array)[0] = view.dims;
	ARR_LBOUND(array)[0] = 1;
	embedding_to_floats(&view, (float *) ARR_DATA_PTR(array));
	PG_RETURN_ARRAYTYPE_P(array);
}

/* The element type that the caller names, or 22023. */
static MmElem
elem_by_name(const char *name)
{
	if (strcmp(name, "float32") == 0)
		return MM_FLOAT32;
	if (strcmp(name, "float16") == 0)
		return MM_FLOAT16;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unknown element type \"%.*s\"",
						   pg_mbcliplen(name, (int) strlen(name), 100), name),
					errhint("Use \"float32\" or \"float16\".")));
}

PG_FUNCTION_INFO_V1(embedding_from_bytes);

/*
 * embedding_from_bytes(bytea, text) returns embedding
 *		Raw little-endian float32 or float16 elements, nothing before or after.
 *		22P03 for a wrong length or a value that is not finite, 22023 for an
 *		unknown element type, 22000 or 54000 for too few or too many elements.
 */
Datum
embedding_from_bytes(PG_FUNCTION_ARGS)
{
	MmElem elem = elem_by_name(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	Size length = toast_raw_datum_size(PG_GETARG_DATUM(0)) - VARHDRSZ;
	Size width = mm_elem_size(elem);
	const unsigned char *in;
	Embedding *e;

	if (length % width != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid length of embedding data"),
						errdetail("%zu bytes are not a multiple of %zu.", length, width)));
	/* A bytea is below 1 GB, so the count fits; and what is compressed stays so if it is too long. */
	embedding_check_dims((int) (length / width));
	in = (const unsigned char *) VARDATA_ANY(PG_GETARG_BYTEA_PP(0));
	e = embedding_alloc((int) (length / width), elem, NULL);
	for (int i = 0; i < e->dims; i++, in += width)
	{
		if (elem == MM_FLOAT32)
			((float *) e->data)[i] = mm_bits_to_float((uint32) in[0] | (uint32) in[1] << 8 |
													  (uint32) in[2] << 16 | (uint32) in[3] << 24);
		else
			((uint16 *) e->data)[i] = (uint16) (in[0] | in[1] << 8);
		if (!isfinite(mm_elem_get(elem, e->data, i)))
			ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
							errmsg("embedding data is not finite"),
							errdetail("Element %d is NaN or infinite.", i + 1)));
	}
	PG_RETURN_EMBEDDING_P(e);
}
