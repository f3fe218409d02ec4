/*-------------------------------------------------------------------------
 *
 * pack.h
 *	  Writing weights in the layout that the kernels read.
 *
 * A pack is a safetensors file whose tensors begin at cache lines, and whose
 * metadata has "format" (mmodal-pack-2), "precision" and "key", the identity
 * of what it was made from.  It is written to a file, or to memory where there
 * is none.  Tensors are declared first, then filled one after another.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_PACK_H
#define MM_PACK_H

#include "safetensors.h"

#define MM_PACK_FORMAT "mmodal-pack-2"

typedef struct mm_pack_tensor
{
	char name[96];
	mm_dtype dtype;
	int ndim;
	int64_t shape[4];
	uint64_t offset; /* in the file */
	size_t bytes;
} mm_pack_tensor;

typedef struct mm_pack
{
	int n, room;
	mm_pack_tensor *tensors;
	int next;  /* the tensor that is to be filled next */
	int fd;    /* -1: to memory */
	char *own; /* of a file: the tensor that is being filled */
	size_t own_size;
	mm_file memory; /* where to, else */
} mm_pack;

extern void mm_pack_init(mm_pack *pack, int fd);
extern void mm_pack_free(mm_pack *pack);

/* Declare a tensor. */
extern mm_status mm_pack_declare(mm_pack *pack, const char *name, mm_dtype dtype, int ndim,
								 const int64_t *shape, mm_error *err);

/* After the last declaration: write the header. */
extern mm_status mm_pack_begin(mm_pack *pack, mm_precision precision, const char *key,
							   mm_error *err);

/*
 * Room for the next tensor, zeroed, in the order of declaration; what is put
 * there goes into the pack with mm_pack_put.
 */
extern mm_status mm_pack_next(mm_pack *pack, const char *name, void **room, mm_error *err);
extern mm_status mm_pack_put(mm_pack *pack, mm_error *err);

#endif /* MM_PACK_H */
