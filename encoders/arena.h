/*-------------------------------------------------------------------------
 *
 * arena.h
 *	  Scratch memory sized once: a tower first measures what it needs, then
 *	  takes it from one block.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_ARENA_H
#define MM_ARENA_H

#include <stddef.h>
#include <stdlib.h>

/*
 * With base NULL an arena only measures: takes return NULL and used grows.
 * The same code then runs again over a block of that size.
 */
typedef struct mm_arena
{
	char *base;
	size_t used; /* bytes */
} mm_arena;

/* n floats at a cache line's start. */
static inline float *
mm_arena_floats(mm_arena *arena, size_t n)
{
	char *p = arena->base ? arena->base + arena->used : NULL;

	arena->used += (n * sizeof(float) + 63) & ~(size_t) 63;
	return (float *) p;
}

static inline void *
mm_arena_alloc(mm_arena *arena, size_t bytes)
{
	return mm_arena_floats(arena, (bytes + sizeof(float) - 1) / sizeof(float));
}

/*
 * Pages of a fresh block are not touched here: a session that encodes only
 * texts never pays for the maps of pictures.
 */
static inline char *
mm_arena_block(size_t bytes)
{
	return aligned_alloc(64, (bytes + 63) & ~(size_t) 63);
}

#endif /* MM_ARENA_H */
