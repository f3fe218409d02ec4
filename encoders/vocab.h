/*-------------------------------------------------------------------------
 *
 * vocab.h
 *	  A vocabulary: from the bytes of a token to its id.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_VOCAB_H
#define MM_VOCAB_H

#include "mm_encoders.h"

typedef struct mm_vocab_slot
{
	uint32_t offset; /* into bytes */
	uint32_t len;    /* 0: empty slot */
	int32_t id;
} mm_vocab_slot;

typedef struct mm_vocab
{
	char *bytes; /* a copy of vocab.txt */
	int n;
	uint32_t mask; /* slots - 1, a power of two less one */
	mm_vocab_slot *slots;
} mm_vocab;

/* One token a line, its id the number of the line from 0. */
extern mm_status mm_vocab_init(mm_vocab *vocab, mm_slice text, mm_error *err);
extern void mm_vocab_free(mm_vocab *vocab);

/* -1 for what is not there. */
extern int32_t mm_vocab_find(const mm_vocab *vocab, const char *token, size_t len);

#endif /* MM_VOCAB_H */
