/*-------------------------------------------------------------------------
 *
 * clip_manage.c
 *	  What an operator does with models: packing, and proving parity.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "clip.h"

PG_FUNCTION_INFO_V1(mmodal_pack_model);
PG_FUNCTION_INFO_V1(mmodal_verify_model);

/* The only row of a function that returns a record. */
static Datum
record(FunctionCallInfo fcinfo, Datum *values)
{
	TupleDesc desc;
	bool nulls[8] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	Assert(desc->natts <= (int) lengthof(nulls));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/*
 * mmodal_pack_model(model): lay out the weights in mmodal.cache_dir.  The name's
 * precision tells which.
 */
Datum
mmodal_pack_model(PG_FUNCTION_ARGS)
{
	ClipModelName name = clip_parse_model_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	ClipModelIdentity identity;
	FileIdentity cache;
	char dir[MAXPGPATH];
	char cache_dir[MAXPGPATH];
	char path[2 * MAXPGPATH];
	int64_t bytes = 0;
	mm_model_options options;
	mm_pack_request request = {0};
	mm_error err = {0};
	Datum values[2];

	clip_find_model(name.base, dir, &identity);
	clip_require_cache_dir(cache_dir);
	options = clip_model_options(&name, dir, cache_dir, &cache);
	request.dir = dir;
	request.opts = &options;
	request.pack_dir = cache_dir;
	if (mm_compute()->model_pack(&request, path, sizeof(path), &bytes, &err) != MM_OK)
		clip_report(ERROR, &err, psprintf("Model \"%s\"", name.base));
	values[0] = CStringGetTextDatum(path);
	values[1] = Int64GetDatum(bytes);
	return record(fcinfo, values);
}

/* mmodal_verify_model(model): compute the golden embeddings beside it anew. */
Datum
mmodal_verify_model(PG_FUNCTION_ARGS)
{
	ClipModel *model = clip_model_get(PG_GETARG_TEXT_PP(0));
	const mm_model_info *info = clip_model_info(model);
	mm_verification v;
	mm_error err = {0};
	Datum values[6];

	if (mm_compute()->verify(clip_model_session(model), clip_model_handle(model), &v, &err) !=
		MM_OK)
		clip_report(ERROR, &err, psprintf("Model \"%s\"", info->name));
	values[0] = CStringGetTextDatum(mm_compute()->precision_name(info->precision));
	values[1] = Int32GetDatum(v.texts);
	values[2] = Int32GetDatum(v.images);
	values[3] = Float8GetDatum(v.min_cosine);
	values[4] = Float8GetDatum(v.max_abs_diff);
	values[5] = BoolGetDatum(v.ok);
	return record(fcinfo, values);
}
