/*-------------------------------------------------------------------------
 *
 * clip_merges.h
 *	  The merges of a byte-pair encoding (Sennrich et al. 2016, after Gage
 *	  1994), and their application to a word.
 *
 * Ids are those of CLIP: the 256 bytes, the same at the end of a word, then what
 * each merge makes, in the order of the file.  So the rank of a merge is its id
 * less MM_BPE_FIRST_MERGE, and a merge always has a higher id than its parts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_CLIP_MERGES_H
#define MM_CLIP_MERGES_H

#include "mm_encoders.h"

#define MM_BPE_BYTES 256
#define MM_BPE_FIRST_MERGE (2 * MM_BPE_BYTES)

typedef struct mm_merges
{
	int n;
	uint32_t mask;   /* slots - 1, a power of two less one */
	uint64_t *slots; /* pairs with the id of their merge */

	/* the id of a byte within a word; at its end, MM_BPE_BYTES more */
	int32_t byte_ids[MM_BPE_BYTES];
} mm_merges;

/* Of the first n merges of a file.  The bytes may be freed afterwards. */
/* What two symbols make, or -1. */
extern int32_t mm_merges_find(const mm_merges *merges, int32_t left, int32_t right);

extern mm_status mm_merges_init(mm_merges *merges, mm_slice text, int n, mm_error *err);
extern void mm_merges_free(mm_merges *merges);

/* A symbol of the word that is being merged. */
typedef struct mm_symbol
{
	int32_t id;     /* -1: part of the one before */
	int32_t merged; /* what it makes with the next one; -1: nothing */
	uint32_t prev;
	uint32_t next;
} mm_symbol;

/* Room for one word: its symbols, and a heap of the pairs that merge. */
#define MM_WORD_INLINE 64

typedef struct mm_word
{
	size_t n;
	size_t room;
	mm_symbol *symbols;
	uint64_t *heap; /* 2 * room */
	size_t heap_n;
	mm_symbol inline_symbols[MM_WORD_INLINE];
	uint64_t inline_heap[2 * MM_WORD_INLINE];
} mm_word;

extern void mm_word_init(mm_word *word);
extern void mm_word_free(mm_word *word);

/* False where memory runs out. */
extern bool mm_word_add_byte(mm_word *word, const mm_merges *merges, uint8_t byte);

/* Merge the word; returns the number of ids, of which "max" are written. */
extern int mm_word_merge(mm_word *word, const mm_merges *merges, int32_t *ids, int max);

#endif /* MM_CLIP_MERGES_H */
