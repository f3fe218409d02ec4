/*-------------------------------------------------------------------------
 *
 * clip_model.c
 *	  The registry of model directories, and the models open in this backend.
 *
 * A model's weights are mapped when they lie where "make install" puts them by
 * rename, so that all backends share one copy; weights anywhere else are read,
 * since a file that is truncated under a mapping kills the process that touches
 * it, and with it the cluster.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xact.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clip.h"
#include "distance/distance.h"
#include "guc.h"

/* Open models a backend keeps; each holds scratch memory of some megabytes. */
#define CLIP_MAX_OPEN_MODELS 4

#define CLIP_MODEL_NAME_MAX 63

/* The files that make a model; the first must be there. */
static const char *const model_files[] = {"config.json", "model.safetensors", "vocab.txt",
										  "preprocessor_config.json"};

/* What tells a file from the one that took its place. */
typedef struct FileIdentity
{
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
} FileIdentity;

typedef struct ModelIdentity
{
	FileIdentity files[lengthof(model_files)]; /* zeroed where there is none */
} ModelIdentity;

struct ClipModel
{
	dlist_node node; /* in open_models, most recently used first */
	char name[CLIP_MODEL_NAME_MAX + 1];
	char dir[MAXPGPATH];
	ModelIdentity identity;
	TimestampTz checked; /* start of the statement that looked last */
	/* the settings it was opened under */
	int simd;
	int threads;
	int max_image_size;
	int max_image_pixels;
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
						errmsg("model \"%s\" has no image tower", model->name)));
}

void
clip_require_text_tower(const ClipModel *model)
{
	if (clip_model_info(model)->context_length == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("model \"%s\" has no text tower", model->name)));
}

static void
installed_models_dir(char *path)
{
	char share[MAXPGPATH];

	get_share_path(my_exec_path, share);
	snprintf(path, MAXPGPATH, "%s/mmodal/models", share);
}

/* mmodal.model_path is a list as dynamic_library_path is one. */
List *
clip_model_directories(void)
{
	static const char share_macro[] = "$sharedir";
	List *directories = NIL;
	char *path = pstrdup(mm_guc_model_path);
	char *save = NULL;

	for (char *item = strtok_r(path, ":", &save); item != NULL; item = strtok_r(NULL, ":", &save))
	{
		char share[MAXPGPATH];
		char *directory = item;

		if (strncmp(item, share_macro, strlen(share_macro)) == 0)
		{
			get_share_path(my_exec_path, share);
			directory = psprintf("%s%s", share, item + strlen(share_macro));
		}
		directories = lappend(directories, pstrdup(directory));
	}
	return directories;
}

/*
 * A name is the last component of a directory, nothing that could lead out of
 * mmodal.model_path.
 */
static void
check_model_name(const char *name)
{
	size_t len = strlen(name);
	bool ok = len > 0 && len <= CLIP_MODEL_NAME_MAX && name[0] != '.';

	for (size_t i = 0; ok && i < len; i++)
		ok = isalnum((unsigned char) name[i]) || strchr("._-@+", name[i]) != NULL;
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid model name \"%s\"", name),
				 errdetail("A model name has 1 to %d letters, digits and ._-@+ and does not begin "
						   "with a dot.",
						   CLIP_MODEL_NAME_MAX)));
}

/* False where there is no configuration. */
static bool
identify_model(const char *dir, ModelIdentity *identity)
{
	/* compared as bytes, padding included */
	memset(identity, 0, sizeof(*identity));
	for (size_t i = 0; i < lengthof(model_files); i++)
	{
		char path[MAXPGPATH];
		struct stat st;
		FileIdentity *file = &identity->files[i];

		snprintf(path, sizeof(path), "%s/%s", dir, model_files[i]);
		if (stat(path, &st) != 0)
		{
			if (i == 0)
				return false;
			continue;
		}
		file->dev = st.st_dev;
		file->ino = st.st_ino;
		file->size = st.st_size;
		file->mtime = st.st_mtim;
	}
	return true;
}

static void
find_model_dir(const char *name, char *dir, ModelIdentity *identity)
{
	ListCell *lc;

	foreach (lc, clip_model_directories())
	{
		snprintf(dir, MAXPGPATH, "%s/%s", (char *) lfirst(lc), name);
		if (identify_model(dir, identity))
			return;
		if (errno != ENOENT && errno != ENOTDIR)
			ereport(ERROR,
					(errcode_for_file_access(), errmsg("could not read model \"%s\": %m", name)));
	}
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE), errmsg("model \"%s\" does not exist", name),
					errdetail("No directory of mmodal.model_path holds %s/config.json.", name),
					errhint("SELECT name FROM mmodal_models() lists the models; make model and "
							"make install put the default one in place.")));
}

/*
 * Only what nobody writes in place: below our own share directory, links
 * resolved, and not writable for others than its owner.
 */
static bool
may_map_weights(const char *dir)
{
	char installed[MAXPGPATH];
	char weights[MAXPGPATH];
	char real_installed[PATH_MAX];
	char real_weights[PATH_MAX];
	size_t len;
	struct stat st;

	installed_models_dir(installed);
	snprintf(weights, sizeof(weights), "%s/model.safetensors", dir);
	if (realpath(installed, real_installed) == NULL || realpath(weights, real_weights) == NULL)
		return false;
	len = strlen(real_installed);
	if (strncmp(real_weights, real_installed, len) != 0 || real_weights[len] != '/')
		return false;
	return stat(real_weights, &st) == 0 && S_ISREG(st.st_mode) &&
		   (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
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
close_model(ClipModel *entry)
{
	dlist_delete(&entry->node);
	open_model_count--;
	mm_compute()->session_free(entry->session);
	mm_compute()->model_close(entry->model);
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

static ClipModel *
open_model(const char *name)
{
	const MmComputeApi *api = mm_compute();
	ClipModel *entry;
	mm_error err;
	mm_model_options model_options = {0};
	mm_session_options session_options = {0};

	/* Palloc'd first: from here to the list nothing may raise. */
	entry = MemoryContextAllocZero(TopMemoryContext, sizeof(ClipModel));
	PG_TRY();
	{
		find_model_dir(name, entry->dir, &entry->identity);
	}
	PG_CATCH();
	{
		pfree(entry);
		PG_RE_THROW();
	}
	PG_END_TRY();

	strlcpy(entry->name, name, sizeof(entry->name));
	entry->simd = mm_guc_simd;
	entry->threads = mm_guc_encoder_threads;
	entry->max_image_size = mm_guc_max_image_size;
	entry->max_image_pixels = mm_guc_max_image_pixels;
	entry->max_text_size = mm_guc_max_text_size;
	entry->checked = GetCurrentStatementStartTimestamp();
	model_options.map_weights = may_map_weights(entry->dir);
	model_options.isa = encoder_isa();
	session_options.interrupt = interrupt_pending;
	session_options.threads = entry->threads;
	session_options.limits.max_image_bytes = (size_t) mm_guc_max_image_size * 1024;
	session_options.limits.max_image_pixels = mm_guc_max_image_pixels;
	session_options.limits.max_text_bytes = (size_t) mm_guc_max_text_size * 1024;

	entry->model = api->model_open(entry->dir, &model_options, &err);
	if (entry->model != NULL)
		entry->session = api->session_create(entry->model, &session_options, &err);
	if (entry->session == NULL)
	{
		if (entry->model != NULL)
			api->model_close(entry->model);
		pfree(entry);
		clip_report(ERROR, &err, psprintf("Model \"%s\"", name));
	}

	entry->serial = ++last_serial;
	dlist_push_head(&open_models, &entry->node);
	open_model_count++;
	epoch++;
	return entry;
}

/*
 * Is what was opened still what the name and the settings mean?  The directory
 * is looked at once a statement, so that all its rows get the same model.
 */
static bool
is_current(ClipModel *entry)
{
	char dir[MAXPGPATH];
	ModelIdentity identity;
	TimestampTz now = GetCurrentStatementStartTimestamp();

	if (entry->simd != mm_guc_simd || entry->threads != mm_guc_encoder_threads ||
		entry->max_image_size != mm_guc_max_image_size ||
		entry->max_image_pixels != mm_guc_max_image_pixels ||
		entry->max_text_size != mm_guc_max_text_size)
		return false;
	if (entry->checked == now)
		return true;
	find_model_dir(entry->name, dir, &identity);
	entry->checked = now;
	return strcmp(dir, entry->dir) == 0 &&
		   memcmp(&identity, &entry->identity, sizeof(identity)) == 0;
}

ClipModel *
clip_model_get(text *name_arg)
{
	char *name = name_arg != NULL ? text_to_cstring(name_arg) : mm_guc_model;
	dlist_iter iter;

	check_model_name(name);
	dlist_foreach(iter, &open_models)
	{
		ClipModel *entry = dlist_container(ClipModel, node, iter.cur);

		if (strcmp(entry->name, name) != 0)
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
	return open_model(name);
}
