/*-------------------------------------------------------------------------
 *
 * clip_bpe.h
 *	  CLIP's tokenizer (Radford et al. 2021), with the ids of the reference
 *	  implementation: byte-pair encoding of lower-case text.
 *
 * What "the reference" is, and where this differs, is in docs/tokenizer.md.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_CLIP_BPE_H
#define MM_CLIP_BPE_H

#include "mm_encoders.h"

typedef struct mm_bpe mm_bpe;

/*
 * Build a tokenizer from the bytes of a merges.txt: a header line, then a merge
 * a line.  The vocabulary is 512 symbols of bytes, as many merges as it takes,
 * and two special tokens; further lines are not read.  The bytes may be freed
 * afterwards.  Immutable, so threads may share it.
 */
extern mm_bpe *mm_bpe_create(mm_slice merges, int vocab_size, mm_error *err);
extern void mm_bpe_free(mm_bpe *bpe);
extern int mm_bpe_vocab_size(const mm_bpe *bpe);

/*
 * Start, tokens, end, truncated to at most max_ids ids (the end stays last).
 * max_ids >= 2.  Invalid UTF-8 is MM_ERR_BAD_TEXT.  Takes memory in proportion
 * to the text.
 */
extern mm_status mm_bpe_encode(const mm_bpe *bpe, mm_slice text, int32_t *ids, int max_ids, int *n,
							   mm_error *err);

#endif /* MM_CLIP_BPE_H */
