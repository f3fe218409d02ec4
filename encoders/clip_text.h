/*-------------------------------------------------------------------------
 *
 * clip_text.h
 *	  What CLIP's reference tokenizer does to a text before it looks for words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_CLIP_TEXT_H
#define MM_CLIP_TEXT_H

#include "clip_chars.h"

/*
 * The cleaned text in code points: references resolved, white space collapsed,
 * lower case.  The caller frees it, after a failure too.  Invalid UTF-8 is
 * MM_ERR_BAD_TEXT.
 */
extern mm_status mm_clip_clean(mm_slice text, mm_points *clean, mm_error *err);

/*
 * The part of it that is ftfy's fix_text(), without its repair of mojibake: see
 * docs/tokenizer.md.  Appends to out; "work" is scratch.
 */
extern void mm_clip_fix(const mm_points *text, mm_points *out, mm_points *work);

#endif /* MM_CLIP_TEXT_H */
