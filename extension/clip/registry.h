/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  Model directories on the server: finding them by name, telling one from
 *	  what took its place, and which files may be mapped.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MMODAL_REGISTRY_H
#define MMODAL_REGISTRY_H

#include <sys/stat.h>

#include "nodes/pg_list.h"

#include "mm_encoders.h"

#define CLIP_MODEL_NAME_MAX 63

/* A model as SQL names it: a directory, and perhaps a precision behind a colon. */
typedef struct ClipModelName
{
	char base[CLIP_MODEL_NAME_MAX + 1];
	char precision[16]; /* empty: the model's own */
} ClipModelName;

/* Raises 22023 where the name is none. */
extern ClipModelName clip_parse_model_name(const char *name);

/* Whether a directory's name can be a model's. */
extern bool clip_is_model_name(const char *name, size_t len);

/* What tells a file, or a directory, from the one that took its place. */
typedef struct FileIdentity
{
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
} FileIdentity;

#define CLIP_MODEL_FILES 9

/*
 * Of a model directory: its files, and the directory itself, which changes
 * when anything is put there by rename.  Compared as bytes.
 */
typedef struct ClipModelIdentity
{
	FileIdentity files[CLIP_MODEL_FILES]; /* zeroed where there is none */
	FileIdentity directory;
} ClipModelIdentity;

/* False where the directory holds no model. */
extern bool clip_identify_model(const char *dir, ClipModelIdentity *identity);

/* The directory of a model, of MAXPGPATH; raises 58P01 where there is none. */
extern void clip_find_model(const char *base, char *dir, ClipModelIdentity *identity);

/* The directories of mmodal.model_path, as palloc'd absolute paths. */
extern List *clip_model_directories(void);

/*
 * May files of a model directory be mapped?  Only what nobody writes in place:
 * below our own share directory, links resolved, and not writable for others
 * than its owner.
 */
extern bool clip_may_map(const char *dir);

/*
 * mmodal.cache_dir as an absolute path, of MAXPGPATH.  False where it is not
 * there, or others than the server may write to it.
 */
extern bool clip_cache_dir(char *path, FileIdentity *identity);

/* The same, made where it is missing; raises where it cannot be used. */
extern void clip_require_cache_dir(char *path);

#endif /* MMODAL_REGISTRY_H */
