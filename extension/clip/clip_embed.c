/*-------------------------------------------------------------------------
 *
 * clip_embed.c
 *	  clip_embed and its kin: pictures and texts to embeddings.
 *
 * One C function a shape (scalar, array) and kind serves the one- and the
 * two-argument form, which are two pg_proc rows: the one-argument form depends
 * on mmodal.model and is STABLE, the other IMMUTABLE.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "clip.h"
#include "types/embedding.h"

PG_FUNCTION_INFO_V1(clip_embed_text);
PG_FUNCTION_INFO_V1(clip_embed_image);
PG_FUNCTION_INFO_V1(clip_embed_text_array);
PG_FUNCTION_INFO_V1(clip_embed_image_array);
PG_FUNCTION_INFO_V1(clip_embed_text_or_null);
PG_FUNCTION_INFO_V1(clip_embed_image_or_null);
PG_FUNCTION_INFO_V1(clip_embed_text_array_or_null);
PG_FUNCTION_INFO_V1(clip_embed_image_array_or_null);

/* The optional last argument: NULL where it is absent or NULL. */
static text *
model_argument(FunctionCallInfo fcinfo, int position)
{
	if (PG_NARGS() <= position || PG_ARGISNULL(position))
		return NULL;
	return PG_GETARG_TEXT_PP(position);
}

static Datum
embed_scalar(FunctionCallInfo fcinfo, ClipKind kind, ClipOnError on_error)
{
	Datum result;
	ClipModel *model;
	float *row;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (clip_memo_lookup(fcinfo, &result))
		return result;
	model = clip_model_get(model_argument(fcinfo, 1));
	row = clip_encode_one(model, kind, PG_GETARG_DATUM(0), on_error);
	if (row == NULL)
		PG_RETURN_NULL();
	result = EmbeddingPGetDatum(embedding_make_float32(clip_model_info(model)->dims, row));
	return clip_memo_store(fcinfo, result);
}

/* What they make must fit into an array: found out before, not after, the work. */
static void
check_result_size(int n, int dims)
{
	Size size = VARHDRSZ + EMBEDDING_FIELDS_SIZE + sizeof(float) * dims;

	if (n > MaxAllocSize / 2 / size)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("array has too many elements to encode"),
						errdetail("%d embeddings of %d dimensions would take more than %zu bytes.",
								  n, dims, (Size) MaxAllocSize / 2),
						errhint("Encode fewer at a time.")));
}

static Datum
embed_array(FunctionCallInfo fcinfo, ClipKind kind, ClipOnError on_error)
{
	Datum result;
	ClipModel *model;
	ClipArray input;
	float **rows;
	Datum *values;
	bool *nulls;
	int dims;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (clip_memo_lookup(fcinfo, &result))
		return result;
	model = clip_model_get(model_argument(fcinfo, 1));
	input = clip_array(PG_GETARG_ARRAYTYPE_P(0));
	dims = clip_model_info(model)->dims;
	check_result_size(input.n, dims);
	rows = clip_encode(model, kind, &input, on_error);

	values = palloc0(sizeof(Datum) * Max(input.n, 1));
	nulls = palloc(sizeof(bool) * Max(input.n, 1));
	for (int i = 0; i < input.n; i++)
	{
		nulls[i] = rows[i] == NULL;
		if (!nulls[i])
			values[i] = EmbeddingPGetDatum(embedding_make_float32(dims, rows[i]));
	}
	result = clip_array_like(&input, values, nulls,
							 get_element_type(get_func_rettype(fcinfo->flinfo->fn_oid)));
	return clip_memo_store(fcinfo, result);
}

Datum
clip_embed_text(PG_FUNCTION_ARGS)
{
	return embed_scalar(fcinfo, CLIP_TEXT, CLIP_RAISE);
}

Datum
clip_embed_image(PG_FUNCTION_ARGS)
{
	return embed_scalar(fcinfo, CLIP_IMAGE, CLIP_RAISE);
}

Datum
clip_embed_text_array(PG_FUNCTION_ARGS)
{
	return embed_array(fcinfo, CLIP_TEXT, CLIP_RAISE);
}

Datum
clip_embed_image_array(PG_FUNCTION_ARGS)
{
	return embed_array(fcinfo, CLIP_IMAGE, CLIP_RAISE);
}

Datum
clip_embed_text_or_null(PG_FUNCTION_ARGS)
{
	return embed_scalar(fcinfo, CLIP_TEXT, CLIP_WARN);
}

Datum
clip_embed_image_or_null(PG_FUNCTION_ARGS)
{
	return embed_scalar(fcinfo, CLIP_IMAGE, CLIP_WARN);
}

Datum
clip_embed_text_array_or_null(PG_FUNCTION_ARGS)
{
	return embed_array(fcinfo, CLIP_TEXT, CLIP_WARN);
}

Datum
clip_embed_image_array_or_null(PG_FUNCTION_ARGS)
{
	return embed_array(fcinfo, CLIP_IMAGE, CLIP_WARN);
}
