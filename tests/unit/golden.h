/*-------------------------------------------------------------------------
 *
 * golden.h
 *	  What the tests against golden files share: reading them, hashing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_GOLDEN_H
#define MM_GOLDEN_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm_encoders.h"

/* FNV-1a, 64 bits, as the golden scripts compute it. */
static inline uint64_t
golden_hash(const uint8_t *data, size_t len)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ data[i]) * 1099511628211u;
	return h;
}

/* The same over ids, little-endian, from a hash to the next. */
static inline uint64_t
golden_hash_ids(uint64_t h, const int32_t *ids, int n)
{
	for (int i = 0; i < n; i++)
	{
		for (int shift = 0; shift < 32; shift += 8)
			h = (h ^ (uint8_t) ((uint32_t) ids[i] >> shift)) * 1099511628211u;
	}
	return h;
}

/* A whole file, in a block of exactly its size, so that ASan sees overruns. */
static inline mm_slice
golden_read(const char *dir, const char *name)
{
	char path[1024];
	uint8_t *data;
	long len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (f == NULL)
		fail_msg("cannot open %s", path);
	fseek(f, 0, SEEK_END);
	len = ftell(f);
	rewind(f);
	data = malloc(len > 0 ? len : 1);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, len, f), len);
	fclose(f);
	return (mm_slice){data, (size_t) len};
}

#endif /* MM_GOLDEN_H */
