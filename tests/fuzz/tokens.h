/*-------------------------------------------------------------------------
 *
 * tokens.h
 *	  What has to hold of every tokenizer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_TOKENS_H
#define FUZZ_TOKENS_H

#include "fuzz.h"

typedef struct tokenizer
{
	mm_status (*encode)(mm_slice text, int32_t *ids, int max, int *n, mm_error *err);
	int32_t vocabulary;
	int32_t first, last; /* ids around every text */
	int most;            /* ids of a byte, at most */
} tokenizer;

/*
 * Ids are in the vocabulary and between the two ends; those for a smaller context
 * are the beginning of those for a larger one.  Only bad UTF-8 is refused, and
 * by the largest context all of it.
 */
extern void fuzz_tokens(const tokenizer *t, const uint8_t *data, size_t size);

#endif /* FUZZ_TOKENS_H */
