/*-------------------------------------------------------------------------
 *
 * clip_chars.h
 *	  Code points as CLIP's reference tokenizer sees them, and arrays of them.
 *
 * The reference is a Python program.  Its classes of code points are fixed in
 * tables (scripts/make-clip-tables), so that ids do not depend on the Unicode
 * version of a library: letters and numbers are those of Unicode 17, and all
 * else is Unicode 14, whose code points no later version changes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_CLIP_CHARS_H
#define MM_CLIP_CHARS_H

#include "mm_encoders.h"

/* Bits of a class, in the order of scripts/make-clip-tables. */
enum
{
	MM_CLASS_LETTER = 1 << 0,
	MM_CLASS_NUMBER = 1 << 1,
	MM_CLASS_DECIMAL = 1 << 2,
	MM_CLASS_CASED = 1 << 3,     /* and not ignorable */
	MM_CLASS_IGNORABLE = 1 << 4, /* of no account for the end of a word */
	MM_CLASS_UNKNOWN = 1 << 5    /* not assigned in Unicode 14 */
};

extern unsigned mm_class_of(uint32_t c);

/* Unicode's White_Space */
static inline bool
mm_is_space(uint32_t c)
{
	if (c < 0x80)
		return c == ' ' || (c >= 0x09 && c <= 0x0d);
	return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
		   c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/*
 * A growing array of code points.  Where memory runs out it stops growing and
 * remembers that it failed, so that only the end of the work has to ask.
 */
typedef struct mm_points
{
	uint32_t *c;
	size_t n;
	size_t room;
	bool failed;
} mm_points;

extern bool mm_points_grow(mm_points *points, size_t room);
extern void mm_points_free(mm_points *points);

static inline void
mm_points_put(mm_points *points, uint32_t c)
{
	if (points->n < points->room || mm_points_grow(points, points->n + 1))
		points->c[points->n++] = c;
}

extern void mm_points_append(mm_points *points, const uint32_t *c, size_t n);

/* Put the code points from "start" on into NFC; "work" is scratch. */
extern void mm_points_compose(mm_points *points, size_t start, mm_points *work);

/* Append Python's str.lower() of a text. */
extern void mm_points_lower(const mm_points *text, mm_points *out);

#endif /* MM_CLIP_CHARS_H */
