/*-------------------------------------------------------------------------
 *
 * wordpiece.h
 *	  BERT's uncased WordPiece tokenizer (Schuster & Nakajima 2012; Devlin et
 *	  al. 2019), with the ids of the reference implementation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_WORDPIECE_H
#define MM_WORDPIECE_H

#include "mm_encoders.h"

typedef struct mm_wordpiece mm_wordpiece;

/*
 * Build a tokenizer from the bytes of a vocab.txt: one token a line, the id is
 * the line number.  [UNK], [CLS] and [SEP] must be there.  The bytes may be
 * freed afterwards.  Immutable, so threads may share it.
 */
extern mm_wordpiece *mm_wordpiece_create(mm_slice vocab, mm_error *err);
extern void mm_wordpiece_free(mm_wordpiece *wp);
extern int mm_wordpiece_vocab_size(const mm_wordpiece *wp);

/*
 * [CLS] tokens [SEP], truncated to at most max_ids ids ([SEP] stays last).
 * max_ids >= 2.  Invalid UTF-8 is MM_ERR_BAD_TEXT.
 */
extern mm_status mm_wordpiece_encode(const mm_wordpiece *wp, mm_slice text, int32_t *ids,
									 int max_ids, int *n, mm_error *err);

#endif /* MM_WORDPIECE_H */
