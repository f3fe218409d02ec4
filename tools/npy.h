/*-------------------------------------------------------------------------
 *
 * npy.h
 *	  Headers of NumPy's .npy files, versions 1 to 3, as hostile input.
 *
 *-------------------------------------------------------------------------
 */
#ifndef NPY_H
#define NPY_H

#include "load.h"

/* A header is no longer than this, where NumPy's own limit is 10,000. */
#define NPY_MAX_HEADER 65536
/* Magic, version, length. */
#define NPY_PREFIX 12

typedef struct npy_array
{
	uint64_t rows;
	int dims;           /* 1 to 16,000 */
	int element_size;   /* 4: float32, 2: float16; little-endian both */
	size_t data_offset; /* of the first row in the file */
} npy_array;

extern bool npy_is_magic(const uint8_t *data, size_t size);

/* How many bytes of the file npy_parse wants; 0: no such header, *why says why. */
extern size_t npy_header_size(const uint8_t *prefix, size_t size, problem *why);

/* From the first npy_header_size() bytes.  False: *why says why. */
extern bool npy_parse(const uint8_t *data, size_t size, npy_array *array, problem *why);

/*
 * A row in the binary form of the type embedding, big-endian, malloc'd; NULL
 * where a value is not finite.
 */
extern uint8_t *npy_row_to_embedding(const npy_array *array, const uint8_t *row, size_t *size);

#endif /* NPY_H */
