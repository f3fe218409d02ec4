/*-------------------------------------------------------------------------
 *
 * clip_model.c
 *	  The models that are open in this backend.
 *
 * A model's weights, or the pack of them, are mapped when they lie where "make
 * install" or mmodal_pack_model() put them by rename, so that all backends share
 * one copy; weights anywhere else are read, since a file that is truncated under
 * a mapping kills the process that touches it, and with it the cluster.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clip.h"
#include "distance/distance.h"
#include "guc.h"
#include "registry.h"

/* Open models a backend keeps; each holds scratch memory of some megabytes. */
#define CLIP_MAX_OPEN_MODELS 4

struct ClipModel
{
	dlist_node node; /* in open_models, most recently used first */
	ClipModelName name;
	char dir[MAXPGPATH];
	ClipModelIdentity identity;
	FileIdentity cache;  /* of mmodal.cache_dir, when the model was opened without a pack */
	TimestampTz checked; /* start of the statement that looked last */
	char *model_path;    /* in which it looked */
	/* the settings it was opened under */
	int simd;
	int threads;
	int max_image_size;
	int max_image_pixels;
	int max_decode_memory;
	int max_text_size;
	uint32 serial;
	mm_model *model;
	mm_session *session;
};

static dlist_head open_models = DLIST_STATIC_INIT(open_models);
static int open_model_count = 0;
static uint32 last_serial = 0;
static uint64 epoch = 1;

/* The settings as they were when the epoch was last asked for. */
typedef struct SeenSettings
{
	int simd;
	char *model;
	char *model_path;
} SeenSettings;

static void
remember_string(char **copy, const char *value)
{
	char *fresh = MemoryContextStrdup(TopMemoryContext, value);

	if (*copy != NULL)
		pfree(*copy);
	*copy = fresh;
}

uint64
clip_model_epoch(void)
{
	static SeenSettings seen = {0};

	/* by value: a setting's string may be freed and its address used again */
	if (seen.model == NULL || seen.simd != mm_guc_simd || strcmp(seen.model, mm_guc_model) != 0 ||
		strcmp(seen.model_path, mm_guc_model_path) != 0)
	{
		remember_string(&seen.model_path, mm_guc_model_path);
		remember_string(&seen.model, mm_guc_model);
		seen.simd = mm_guc_simd;
		epoch++;
	}
	return epoch;
}

const mm_model_info *
clip_model_info(const ClipModel *model)
{
	return mm_compute()->model_get_info(model->model);
}

const mm_model *
clip_model_handle(const ClipModel *model)
{
	return model->model;
}

mm_session *
clip_model_session(const ClipModel *model)
{
	return model->session;
}

uint32
clip_model_serial(const ClipModel *model)
{
	return model->serial;
}

void
clip_require_image_tower(const ClipModel *model)
{
	if (clip_model_info(model)->image_size == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("model \"%s\" has no image tower", model->name.base)));
}

void
clip_require_text_tower(const ClipModel *model)
{
	if (clip_model_info(model)->context_length == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("model \"%s\" has no text tower", model->name.base)));
}

/*
 * Other reasons for an interrupt (a barrier, a catch-up) can wait until the
 * call is over.
 */
static bool
interrupt_pending(void *arg)
{
	(void) arg;
	return QueryCancelPending || ProcDiePending;
}

static void
remember_look(ClipModel *entry)
{
	remember_string(&entry->model_path, mm_guc_model_path);
	entry->checked = GetCurrentStatementStartTimestamp();
}

static void
close_model(ClipModel *entry)
{
	dlist_delete(&entry->node);
	open_model_count--;
	mm_compute()->session_free(entry->session);
	mm_compute()->model_close(entry->model);
	pfree(entry->model_path);
	pfree(entry);
}

static mm_isa
encoder_isa(void)
{
	switch ((MmSimdLevel) mm_guc_simd)
	{
		case MM_SIMD_SCALAR:
			return MM_ISA_SCALAR;
		case MM_SIMD_AVX2:
			return MM_ISA_AVX2;
		case MM_SIMD_AVX512:
			return MM_ISA_AVX512;
		default:
			return MM_ISA_AUTO;
	}
}

mm_model_options
clip_model_options(const ClipModelName *name, const char *dir, char *cache_dir, FileIdentity *cache)
{
	mm_model_options options = {0};
	int packs = 0;

	options.map_weights = clip_may_map(dir);
	options.isa = encoder_isa();
	options.precision = name->precision[0] ? name->precision : NULL;
	options.interrupt = interrupt_pending;
	if (options.map_weights)
		options.pack_dirs[packs++] = dir;
	if (clip_cache_dir(cache_dir, cache))
		options.pack_dirs[packs++] = cache_dir;
	return options;
}

/* Weights that a backend holds for itself are worth a word. */
static void
tell_unpacked(const ClipModel *entry)
{
	const mm_model_info *info = clip_model_info(entry);

	if (info->needs_pack && !info->packed)
		ereport(NOTICE,
				(errmsg("model \"%s\" has no pack at %s, so this session lays out a copy of its "
						"weights for itself",
						entry->name.base, mm_compute()->precision_name(info->precision)),
				 errhint("Have an administrator run SELECT mmodal_pack_model('%s%s%s').",
						 entry->name.base, entry->name.precision[0] ? ":" : "",
						 entry->name.precision)));
}

/* What a user asks for, within what the administrator allows. */
static int
encoder_threads(void)
{
	return Min(mm_guc_encoder_threads, mm_guc_max_encoder_threads);
}

static ClipModel *
open_model(const ClipModelName *name)
{
	const MmComputeApi *api = mm_compute();
	ClipModel *entry;
	char cache_dir[MAXPGPATH];
	mm_error err = {0};
	mm_model_options model_options;
	mm_session_options session_options = {0};

	/* Palloc'd first: from here to the list nothing may raise. */
	entry = MemoryContextAllocZero(TopMemoryContext, sizeof(ClipModel));
	PG_TRY();
	{
		clip_find_model(name->base, entry->dir, &entry->identity);
		remember_look(entry);
	}
	PG_CATCH();
	{
		pfree(entry);
		PG_RE_THROW();
	}
	PG_END_TRY();

	entry->name = *name;
	entry->simd = mm_guc_simd;
	entry->threads = encoder_threads();
	entry->max_image_size = mm_guc_max_image_size;
	entry->max_image_pixels = mm_guc_max_image_pixels;
	entry->max_decode_memory = mm_guc_max_decode_memory;
	entry->max_text_size = mm_guc_max_text_size;
	model_options = clip_model_options(name, entry->dir, cache_dir, &entry->cache);
	session_options.interrupt = interrupt_pending;
	session_options.threads = entry->threads;
	session_options.limits.max_image_bytes = (size_t) mm_guc_max_image_size * 1024;
	session_options.limits.max_image_pixels = mm_guc_max_image_pixels;
	session_options.limits.max_decode_bytes = (size_t) mm_guc_max_decode_memory * 1024;
	session_options.limits.max_text_bytes = (size_t) mm_guc_max_text_size * 1024;

	entry->model = api->model_open(entry->dir, &model_options, &err);
	if (entry->model != NULL)
		entry->session = api->session_create(entry->model, &session_options, &err);
	if (entry->session == NULL)
	{
		if (entry->model != NULL)
			api->model_close(entry->model);
		pfree(entry->model_path);
		pfree(entry);
		clip_report(ERROR, &err, psprintf("Model \"%s\"", name->base));
	}

	entry->serial = ++last_serial;
	dlist_push_head(&open_models, &entry->node);
	open_model_count++;
	epoch++;
	tell_unpacked(entry);
	return entry;
}

/* Where there was no pack, there may be one now. */
static bool
may_have_pack(const ClipModel *entry)
{
	const mm_model_info *info = clip_model_info(entry);
	char cache_dir[MAXPGPATH];
	FileIdentity cache;

	if (!info->needs_pack || info->packed)
		return false;
	clip_cache_dir(cache_dir, &cache);
	return memcmp(&cache, &entry->cache, sizeof(cache)) != 0;
}

/*
 * Is what was opened still what the name and the settings mean?  The directory
 * is looked at once a statement and path, so that all its rows get the same model.
 */
static bool
is_current(ClipModel *entry)
{
	char dir[MAXPGPATH];
	ClipModelIdentity identity;

	if (entry->simd != mm_guc_simd || entry->threads != encoder_threads() ||
		entry->max_image_size != mm_guc_max_image_size ||
		entry->max_image_pixels != mm_guc_max_image_pixels ||
		entry->max_decode_memory != mm_guc_max_decode_memory ||
		entry->max_text_size != mm_guc_max_text_size)
		return false;
	/* a function may have a path of its own, and its caller another one */
	if (entry->checked == GetCurrentStatementStartTimestamp() &&
		strcmp(entry->model_path, mm_guc_model_path) == 0)
		return true;
	clip_find_model(entry->name.base, dir, &identity);
	remember_look(entry);
	return strcmp(dir, entry->dir) == 0 &&
		   memcmp(&identity, &entry->identity, sizeof(identity)) == 0 && !may_have_pack(entry);
}

ClipModel *
clip_model_get(text *name_arg)
{
	ClipModelName name =
		clip_parse_model_name(name_arg != NULL ? text_to_cstring(name_arg) : mm_guc_model);
	dlist_iter iter;

	dlist_foreach(iter, &open_models)
	{
		ClipModel *entry = dlist_container(ClipModel, node, iter.cur);

		/* both are zeroed beyond their strings */
		if (memcmp(&entry->name, &name, sizeof(name)) != 0)
			continue;
		if (is_current(entry))
		{
			dlist_move_head(&open_models, &entry->node);
			return entry;
		}
		close_model(entry);
		break;
	}
	while (open_model_count >= CLIP_MAX_OPEN_MODELS)
		close_model(dlist_container(ClipModel, node, dlist_tail_node(&open_models)));
	return open_model(&name);
}
