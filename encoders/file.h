/*-------------------------------------------------------------------------
 *
 * file.h
 *	  Whole files, read or mapped.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_FILE_H
#define MM_FILE_H

#include "mm_encoders.h"

typedef struct mm_file
{
	void *data; /* read-only; NULL for an empty file */
	size_t size;
	bool mapped;
} mm_file;

/*
 * Open dir/name, whole.  A file of more than max_size bytes is MM_ERR_BAD_MODEL;
 * one that is not there MM_ERR_NOT_FOUND, anything but a regular file MM_ERR_IO.
 */
extern mm_status mm_file_open(const char *dir, const char *name, bool map, size_t max_size,
							  mm_file *file, mm_error *err);

/*
 * The first n bytes of dir/name, read; a shorter file is read whole.  file_size
 * is the size of the whole file.
 */
extern mm_status mm_file_read_head(const char *dir, const char *name, size_t n, mm_file *file,
								   size_t *file_size, mm_error *err);
/* Bytes of dir/name, 0 where it is not there. */
extern int64_t mm_file_size(const char *dir, const char *name);

/* False where dir/name is not there, or cannot be looked at. */
extern bool mm_file_exists(const char *dir, const char *name);

extern void mm_file_close(mm_file *file);

#endif /* MM_FILE_H */
