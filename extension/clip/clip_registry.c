/*-------------------------------------------------------------------------
 *
 * clip_registry.c
 *	  Model directories on the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"

#include "clip.h"
#include "guc.h"
#include "registry.h"

/* One of the first three makes a directory a model's. */
static const char *const model_files[CLIP_MODEL_FILES] = {"config.json",
														  "open_clip_config.json",
														  "model.safetensors",
														  "model.safetensors.index.json",
														  "open_clip_model.safetensors",
														  "vocab.txt",
														  "merges.txt",
														  "bpe_simple_vocab_16e6.txt",
														  "preprocessor_config.json"};

#define TELLING_FILES 3

/* Nothing that could lead out of mmodal.model_path. */
bool
clip_is_model_name(const char *name, size_t len)
{
	bool ok = len > 0 && len <= CLIP_MODEL_NAME_MAX && name[0] != '.';

	for (size_t i = 0; ok && i < len; i++)
		ok = isalnum((unsigned char) name[i]) || strchr("._-@+", name[i]) != NULL;
	return ok;
}

ClipModelName
clip_parse_model_name(const char *name)
{
	ClipModelName parsed = {{0}};
	const char *colon = strchr(name, ':');
	size_t len = colon ? (size_t) (colon - name) : strlen(name);
	bool ok = clip_is_model_name(name, len);

	if (ok && colon)
		ok = colon[1] != '\0' && strlen(colon + 1) < sizeof(parsed.precision);
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid model name \"%s\"", clip_quoted(name)),
				 errdetail("A model name has 1 to %d letters, digits and ._-@+ and does not begin "
						   "with a dot; a colon and a precision (float32, bf16, int8) may follow.",
						   CLIP_MODEL_NAME_MAX)));
	memcpy(parsed.base, name, len);
	if (colon)
		strlcpy(parsed.precision, colon + 1, sizeof(parsed.precision));
	return parsed;
}

static void
identify(const struct stat *st, FileIdentity *file)
{
	file->dev = st->st_dev;
	file->ino = st->st_ino;
	file->size = st->st_size;
	file->mtime = st->st_mtim;
}

bool
clip_identify_model(const char *dir, ClipModelIdentity *identity)
{
	struct stat st;
	bool found = false;

	/* compared as bytes, padding included */
	memset(identity, 0, sizeof(*identity));
	for (int i = 0; i < CLIP_MODEL_FILES; i++)
	{
		char path[MAXPGPATH];

		snprintf(path, sizeof(path), "%s/%s", dir, model_files[i]);
		if (stat(path, &st) == 0)
		{
			identify(&st, &identity->files[i]);
			found |= i < TELLING_FILES;
		}
		else if (i < TELLING_FILES && errno != ENOENT && errno != ENOTDIR)
			return false;
	}
	if (!found)
	{
		errno = ENOENT;
		return false;
	}
	if (stat(dir, &st) == 0)
		identify(&st, &identity->directory);
	return true;
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

void
clip_find_model(const char *base, char *dir, ClipModelIdentity *identity)
{
	ListCell *lc;

	foreach (lc, clip_model_directories())
	{
		snprintf(dir, MAXPGPATH, "%s/%s", (char *) lfirst(lc), base);
		if (clip_identify_model(dir, identity))
			return;
		if (errno != ENOENT && errno != ENOTDIR)
			ereport(ERROR,
					(errcode_for_file_access(), errmsg("could not read model \"%s\": %m", base)));
	}
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE), errmsg("model \"%s\" does not exist", base),
					errdetail("No directory of mmodal.model_path holds %s/config.json, nor "
							  "open_clip_config.json or model.safetensors there.",
							  base),
					errhint("SELECT name FROM mmodal_models() lists the models; make model and "
							"make install put the default one in place.")));
}

/* Written to by nobody but its owner. */
static bool
is_private(const struct stat *st)
{
	return (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool
clip_may_map(const char *dir)
{
	char share[MAXPGPATH];
	char installed[MAXPGPATH];
	char weights[MAXPGPATH];
	char real_installed[PATH_MAX];
	char real_dir[PATH_MAX];
	size_t len;
	struct stat st;

	get_share_path(my_exec_path, share);
	snprintf(installed, sizeof(installed), "%s/mmodal/models", share);
	if (realpath(installed, real_installed) == NULL || realpath(dir, real_dir) == NULL)
		return false;
	/* who may write there could put a directory of his own in the place of one */
	if (stat(real_installed, &st) != 0 || !is_private(&st))
		return false;
	len = strlen(real_installed);
	if (strncmp(real_dir, real_installed, len) != 0 || real_dir[len] != '/')
		return false;

	/* a link to a file elsewhere is not of this directory */
	snprintf(weights, sizeof(weights), "%s/model.safetensors", real_dir);
	if (lstat(weights, &st) == 0 && (!S_ISREG(st.st_mode) || !is_private(&st)))
		return false;
	return stat(real_dir, &st) == 0 && is_private(&st);
}

static void
cache_dir_path(char *path)
{
	if (is_absolute_path(mm_guc_cache_dir))
		strlcpy(path, mm_guc_cache_dir, MAXPGPATH);
	else
		snprintf(path, MAXPGPATH, "%s/%s", DataDir, mm_guc_cache_dir);
}

bool
clip_cache_dir(char *path, FileIdentity *identity)
{
	struct stat st;

	memset(identity, 0, sizeof(*identity));
	cache_dir_path(path);
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode) || !is_private(&st) || st.st_uid != geteuid())
		return false;
	identify(&st, identity);
	return true;
}

void
clip_require_cache_dir(char *path)
{
	FileIdentity identity;

	cache_dir_path(path);
	if (MakePGDirectory(path) != 0 && errno != EEXIST)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not create directory \"%s\" of mmodal.cache_dir: %m", path)));
	if (!clip_cache_dir(path, &identity))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("directory \"%s\" of mmodal.cache_dir cannot be used", path),
				 errdetail("It must be a directory of the server's own that nobody else can write "
						   "to: what is in it is mapped into backends.")));
}
