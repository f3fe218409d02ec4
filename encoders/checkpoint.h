/*-------------------------------------------------------------------------
 *
 * checkpoint.h
 *	  The published weights of a model, in one safetensors file or many.
 *
 * Files are read, tensor by tensor, never mapped: they are the user's, and
 * may change under our hands.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_CHECKPOINT_H
#define MM_CHECKPOINT_H

#include "safetensors.h"

/* Shards of a model; those with more could not be opened at once. */
#define MM_MAX_SHARDS 64

typedef struct mm_shard
{
	char name[256];
	int fd;
	mm_safetensors st; /* the header alone */
} mm_shard;

typedef struct mm_checkpoint
{
	int n;
	mm_shard *shards;
} mm_checkpoint;

/*
 * Open the weights of a directory: model.safetensors; else the files of
 * model.safetensors.index.json; else open_clip_model.safetensors.
 */
extern mm_status mm_checkpoint_open(const char *dir, mm_checkpoint *cp, mm_error *err);
extern void mm_checkpoint_close(mm_checkpoint *cp);

/* NULL where there is none of the name. */
extern const mm_tensor *mm_checkpoint_find(const mm_checkpoint *cp, const char *name);

/*
 * Whether a tensor of a name and shape is there to be read: MM_ERR_BAD_MODEL, or
 * MM_ERR_UNSUPPORTED for one of another type.
 */
extern mm_status mm_checkpoint_check(const mm_checkpoint *cp, const char *name, int ndim,
									 const int64_t *shape, mm_error *err);

/*
 * A tensor of a name and shape as float32; it may be float16 or bfloat16 in the
 * file.  out has room for its elements.  Values that are not finite are
 * MM_ERR_BAD_MODEL.
 */
extern mm_status mm_checkpoint_read(const mm_checkpoint *cp, const char *name, int ndim,
									const int64_t *shape, float *out, mm_error *err);

extern int64_t mm_checkpoint_parameters(const mm_checkpoint *cp);
extern int64_t mm_checkpoint_bytes(const mm_checkpoint *cp);

/*
 * What tells these weights from others without reading them all: a hash of the
 * headers and of at most 64 bytes from the middle of every tensor.  It is of the
 * content alone, so a copy has the same.
 */
extern uint64_t mm_checkpoint_hash(const mm_checkpoint *cp);

#endif /* MM_CHECKPOINT_H */
