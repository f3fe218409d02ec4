/*-------------------------------------------------------------------------
 *
 * pathset.h
 *	  A set of strings, kept as 16 bytes of their SHA-256 each: for the paths of
 *	  millions of pictures.  Filled by one thread, then read by many.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PATHSET_H
#define PATHSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pathset
{
	uint8_t (*slots)[16];
	size_t n, room; /* a power of two, or 0 */
} pathset;

extern void pathset_add(pathset *set, const char *path, size_t size);
extern bool pathset_has(const pathset *set, const char *path);
extern void pathset_free(pathset *set);

#endif /* PATHSET_H */
