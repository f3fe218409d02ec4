/*-------------------------------------------------------------------------
 *
 * clip_entity.h
 *	  Character references of HTML, by the two rules of CLIP's reference.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_CLIP_ENTITY_H
#define MM_CLIP_ENTITY_H

#include "clip_chars.h"

#define MM_ENTITY_MAX_VALUE 3

/*
 * ftfy's rule: whole references alone, "&name;" with at most 24 letters and
 * digits, and some names in capitals.  Returns how many code points of "s" the
 * reference at its beginning takes, 0 where there is none; n may become 0.
 */
extern size_t mm_entity_strict(const uint32_t *s, size_t len, uint32_t value[MM_ENTITY_MAX_VALUE],
							   int *n);

/*
 * Append Python's html.unescape() of a text: what a browser would make of it,
 * old names without a semicolon included.
 */
extern void mm_entity_unescape(const mm_points *text, mm_points *out);

/* What a byte from 0x80 to 0x9f is in Windows-1252; five are themselves. */
extern uint32_t mm_windows_1252(uint32_t c);

#endif /* MM_CLIP_ENTITY_H */
