/*-------------------------------------------------------------------------
 *
 * safetensors.h
 *	  Reading the safetensors format: an 8-byte little-endian header length, a
 *	  JSON header, then the tensors' bytes.
 *
 * The file is taken for hostile: every name, type, shape and offset is checked
 * against the file's real size before anything is used.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_SAFETENSORS_H
#define MM_SAFETENSORS_H

#include "mm_encoders.h"

#include "file.h"

#define MM_TENSOR_MAX_DIMS 8

typedef enum mm_dtype
{
	MM_DTYPE_F32,
	MM_DTYPE_F16,
	MM_DTYPE_BF16,
	MM_DTYPE_OTHER /* integers and the like: listed, never read */
} mm_dtype;

typedef struct mm_tensor
{
	char *name;
	mm_dtype dtype;
	int ndim;
	int64_t shape[MM_TENSOR_MAX_DIMS];
	int64_t count;    /* elements */
	const void *data; /* count elements, inside the file; NULL for a header alone */
} mm_tensor;

typedef struct mm_safetensors
{
	mm_file file;
	int n;
	mm_tensor *tensors; /* by name */
} mm_safetensors;

/* Parse what a file holds.  The file stays the caller's. */
extern mm_status mm_safetensors_parse(const void *data, size_t size, mm_safetensors *st,
									  mm_error *err);

/*
 * Only what dir/model.safetensors says of itself: the weights are not read, and
 * the tensors' data is NULL.  file.size is the file's.
 */
extern mm_status mm_safetensors_open_header(const char *dir, mm_safetensors *st, mm_error *err);

/* Open dir/model.safetensors; mm_safetensors_close releases file and table. */
extern mm_status mm_safetensors_open(const char *dir, bool map, mm_safetensors *st, mm_error *err);
extern void mm_safetensors_close(mm_safetensors *st);

/* Elements of all tensors; bytes of the file. */
extern int64_t mm_safetensors_parameters(const mm_safetensors *st);

/* NULL where there is none of the name. */
extern const mm_tensor *mm_safetensors_find(const mm_safetensors *st, const char *name);

/*
 * The float32 tensor of a name and shape (shape[0..ndim-1]).  Another type or
 * shape, or none, is MM_ERR_BAD_MODEL.
 */
extern mm_status mm_safetensors_get(const mm_safetensors *st, const char *name, int ndim,
									const int64_t *shape, const float **data, mm_error *err);

#endif /* MM_SAFETENSORS_H */
