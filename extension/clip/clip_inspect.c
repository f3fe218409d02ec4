/*-------------------------------------------------------------------------
 *
 * clip_inspect.c
 *	  Looking inside: token ids, input tensors, the models there are, versions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dirent.h>

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "clip.h"
#include "distance/distance.h"

PG_FUNCTION_INFO_V1(clip_tokenize);
PG_FUNCTION_INFO_V1(clip_preprocess);
PG_FUNCTION_INFO_V1(mmodal_models);
MM_FUNCTION_INFO_UNCHECKED(mmodal_version);

static int
compare_strings(const ListCell *a, const ListCell *b)
{
	return strcmp(strVal(lfirst(a)), strVal(lfirst(b)));
}

static ClipModel *
model_for(FunctionCallInfo fcinfo)
{
	return clip_model_get(PG_NARGS() > 1 && !PG_ARGISNULL(1) ? PG_GETARG_TEXT_PP(1) : NULL);
}

Datum
clip_tokenize(PG_FUNCTION_ARGS)
{
	Datum result;
	ClipModel *model;
	int32_t *ids;
	Datum *values;
	int n;
	mm_error err;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (clip_memo_lookup(fcinfo, &result))
		return result;
	model = model_for(fcinfo);
	clip_require_text_tower(model);
	clip_check_size(CLIP_TEXT, PG_GETARG_DATUM(0));
	ids = palloc(sizeof(int32_t) * clip_model_info(model)->context_length);
	if (mm_compute()->tokenize(clip_model_session(model), clip_text_slice(PG_GETARG_TEXT_PP(0)),
							   ids, &n, &err) != MM_OK)
		clip_report(ERROR, &err, NULL);

	values = palloc(sizeof(Datum) * Max(n, 1));
	for (int i = 0; i < n; i++)
		values[i] = Int32GetDatum(ids[i]);
	result = PointerGetDatum(construct_array(values, n, INT4OID, 4, true, TYPALIGN_INT));
	return clip_memo_store(fcinfo, result);
}

Datum
clip_preprocess(PG_FUNCTION_ARGS)
{
	Datum result;
	ClipModel *model;
	ArrayType *array;
	Size size;
	int n;
	mm_error err;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (clip_memo_lookup(fcinfo, &result))
		return result;
	model = model_for(fcinfo);
	clip_require_image_tower(model);
	clip_check_size(CLIP_IMAGE, PG_GETARG_DATUM(0));
	n = 3 * clip_model_info(model)->image_size * clip_model_info(model)->image_size;

	/* Filled in place: as datums, 150,000 numbers would take eight times that. */
	size = ARR_OVERHEAD_NONULLS(1) + sizeof(float4) * (Size) n;
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->dataoffset = 0;
	array->elemtype = FLOAT4OID;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	if (mm_compute()->preprocess(clip_model_session(model), clip_bytea_slice(PG_GETARG_BYTEA_PP(0)),
								 (float *) ARR_DATA_PTR(array), &err) != MM_OK)
		clip_report(ERROR, &err, NULL);
	result = PointerGetDatum(array);
	return clip_memo_store(fcinfo, result);
}

/* A row of mmodal_models(); paths on the server are not everybody's business. */
static void
put_model(ReturnSetInfo *rsinfo, const mm_model_info *info, bool show_path)
{
	Datum values[8] = {
		CStringGetTextDatum(info->name),     CStringGetTextDatum(info->architecture),
		Int32GetDatum(info->dims),           Int32GetDatum(info->image_size),
		Int32GetDatum(info->context_length), Int64GetDatum(info->parameters),
		Int64GetDatum(info->bytes),          CStringGetTextDatum(info->path),
	};
	bool nulls[8] = {false};

	nulls[3] = info->image_size == 0;
	nulls[4] = info->context_length == 0;
	nulls[7] = !show_path;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Names of the model directories below a directory, in order. */
static List *
model_names_in(const char *directory)
{
	List *names = NIL;
	DIR *dir = AllocateDir(directory);
	struct dirent *entry;

	if (dir == NULL && errno == ENOENT)
		return NIL;
	while ((entry = ReadDirExtended(dir, directory, WARNING)) != NULL)
	{
		ClipModelIdentity identity;
		char *path;

		if (!clip_is_model_name(entry->d_name, strlen(entry->d_name)))
			continue;
		path = psprintf("%s/%s", directory, entry->d_name);
		if (clip_identify_model(path, &identity))
			names = lappend(names, makeString(pstrdup(entry->d_name)));
		pfree(path);
	}
	if (dir != NULL)
		FreeDir(dir);
	list_sort(names, compare_strings);
	return names;
}

Datum
mmodal_models(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool show_path = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_SETTINGS);
	List *seen = NIL;
	ListCell *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach (lc, clip_model_directories())
	{
		ListCell *lc2;

		foreach (lc2, model_names_in(lfirst(lc)))
		{
			char *path;
			mm_model_info info;
			mm_error err;

			/* as for a library or a command, the first directory wins */
			if (list_member(seen, lfirst(lc2)))
				continue;
			seen = lappend(seen, lfirst(lc2));
			path = psprintf("%s/%s", (char *) lfirst(lc), strVal(lfirst(lc2)));
			if (mm_compute()->model_probe(path, &info, &err) == MM_OK)
				put_model(rsinfo, &info, show_path);
			else
				clip_report(WARNING, &err, psprintf("Model \"%s\"", strVal(lfirst(lc2))));
		}
	}
	return (Datum) 0;
}

Datum
mmodal_version(PG_FUNCTION_ARGS)
{
	const MmComputeApi *api = mm_compute();

	PG_RETURN_TEXT_P(cstring_to_text(psprintf("mmodal %s, PostgreSQL %s, %s, %s, SIMD %s (of %s)",
											  MMODAL_VERSION, PG_VERSION, api->faiss->description(),
											  api->blas_description(), mm_kernels->name,
											  api->isa_name(api->isa_best()))));
}
