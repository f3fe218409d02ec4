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
	MM_DTYPE_I8,
	MM_DTYPE_I32,
	MM_DTYPE_OTHER /* integers and the like: listed, never read */
} mm_dtype;

typedef struct mm_tensor
{
	char *name;
	mm_dtype dtype;
	int ndim;
	int64_t shape[MM_TENSOR_MAX_DIMS];
	int64_t count;   /* elements */
	uint64_t offset; /* of its bytes in the file */
	uint64_t bytes;
	const void *data; /* count elements, inside the file; NULL for a header alone */
} mm_tensor;

typedef struct mm_safetensors
{
	mm_file file;
	int n;
	mm_tensor *tensors;     /* by name */
	struct cJSON *metadata; /* "__metadata__"; NULL where there is none */
} mm_safetensors;

/* Parse what a file holds.  The file stays the caller's. */
extern mm_status mm_safetensors_parse(const void *data, size_t size, mm_safetensors *st,
									  mm_error *err);

/*
 * Only what dir/model.safetensors says of itself: the weights are not read, and
 * the tensors' data is NULL.  file.size is the file's.
 */
extern mm_status mm_safetensors_open_header(const char *dir, mm_safetensors *st, mm_error *err);

/* The same of another file than model.safetensors. */
extern mm_status mm_safetensors_open_header_of(const char *dir, const char *file,
											   mm_safetensors *st, mm_error *err);

/* Open dir/model.safetensors; mm_safetensors_close releases file and table. */
extern mm_status mm_safetensors_open(const char *dir, bool map, mm_safetensors *st, mm_error *err);
/* The same of another file than model.safetensors. */
extern mm_status mm_safetensors_open_file(const char *dir, const char *file, bool map,
										  mm_safetensors *st, mm_error *err);
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

/* The same for a tensor of any type; "data" is at a multiple of the element's size. */
extern mm_status mm_safetensors_get_typed(const mm_safetensors *st, const char *name,
										  mm_dtype dtype, int ndim, const int64_t *shape,
										  const void **data, mm_error *err);

/* MM_ERR_BAD_MODEL where a tensor has another shape than that. */
extern mm_status mm_tensor_check(const mm_tensor *t, int ndim, const int64_t *shape, mm_error *err);

/* Bytes of an element, 0 for MM_DTYPE_OTHER; "F32" and so on, for messages and files. */
extern int mm_dtype_size(mm_dtype dtype);
extern const char *mm_dtype_name(mm_dtype dtype);

/* A string of the metadata, or NULL. */
extern const char *mm_safetensors_metadata(const mm_safetensors *st, const char *key);

#endif /* MM_SAFETENSORS_H */
