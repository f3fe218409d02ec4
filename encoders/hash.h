/*-------------------------------------------------------------------------
 *
 * hash.h
 *	  FNV-1a of 64 bits: tells versions of files apart, guards nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_HASH_H
#define MM_HASH_H

#include <stddef.h>
#include <stdint.h>

#define MM_HASH_SEED UINT64_C(14695981039346656037)

static inline uint64_t
mm_hash(uint64_t hash, const void *data, size_t n)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * UINT64_C(1099511628211);
	return hash;
}

#endif /* MM_HASH_H */
