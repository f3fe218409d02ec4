/*-------------------------------------------------------------------------
 *
 * clip_chars.c
 *	  Classes, case and normalisation of code points.
 *
 * libutf8proc may be of any Unicode version from 14 on: what was assigned in 14
 * is the same in all of them, and the rest is kept away from it.
 *
 *-------------------------------------------------------------------------
 */
#include "clip_chars.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "clip_classes.inc"

#define CLASS_RUNS (sizeof(class_runs) / sizeof(class_runs[0]))

/* The most code points that one decomposes to canonically is 4. */
#define MAX_DECOMPOSITION 8

/* No code point below is changed by NFC, or changes one before it. */
#define FIRST_COMBINING 0x300

#define CAPITAL_SIGMA 0x3a3

unsigned
mm_class_of(uint32_t c)
{
	size_t low = 0, high = CLASS_RUNS;

	/* the last run that begins at or before c */
	while (high - low > 1)
	{
		size_t middle = (low + high) / 2;

		if (class_runs[middle] >> 8 <= c)
			low = middle;
		else
			high = middle;
	}
	return class_runs[low] & 0xff;
}

/*---- arrays ----*/

bool
mm_points_grow(mm_points *points, size_t room)
{
	uint32_t *c;

	if (room <= points->room)
		return true;
	if (points->failed)
		return false;
	if (room < points->room * 2)
		room = points->room * 2;
	c = realloc(points->c, room * sizeof(points->c[0]));
	if (c == NULL)
	{
		points->failed = true;
		return false;
	}
	points->c = c;
	points->room = room;
	return true;
}

void
mm_points_free(mm_points *points)
{
	free(points->c);
	*points = (mm_points){0};
}

void
mm_points_append(mm_points *points, const uint32_t *c, size_t n)
{
	if (n == 0 || !mm_points_grow(points, points->n + n))
		return;
	memcpy(points->c + points->n, c, n * sizeof(c[0]));
	points->n += n;
}

/*---- normalisation ----*/

static bool
is_unknown(uint32_t c)
{
	return c >= FIRST_COMBINING && (mm_class_of(c) & MM_CLASS_UNKNOWN) != 0;
}

static int
combining_class(uint32_t c)
{
	if (c < FIRST_COMBINING || is_unknown(c))
		return 0;
	return utf8proc_get_property((utf8proc_int32_t) c)->combining_class;
}

static void
decompose(const uint32_t *c, size_t n, mm_points *out)
{
	for (size_t i = 0; i < n; i++)
	{
		utf8proc_int32_t parts[MAX_DECOMPOSITION];
		utf8proc_ssize_t count;
		int boundclass = 0;

		if (c[i] < 0x80 || is_unknown(c[i]))
		{
			mm_points_put(out, c[i]);
			continue;
		}
		count = utf8proc_decompose_char((utf8proc_int32_t) c[i], parts, MAX_DECOMPOSITION,
										UTF8PROC_DECOMPOSE, &boundclass);
		for (utf8proc_ssize_t k = 0; k < count && k < MAX_DECOMPOSITION; k++)
			mm_points_put(out, (uint32_t) parts[k]);
	}
}

/*
 * Sort marks by combining class, those of one class in the order they have.
 * Nearly all runs are of one or two; counting keeps hostile ones linear.
 */
static void
sort_marks(uint32_t *c, size_t n, mm_points *scratch)
{
	size_t places[257] = {0};

	if (n <= 16)
	{
		for (size_t i = 1; i < n; i++)
		{
			uint32_t mark = c[i];
			int class = combining_class(mark);
			size_t at = i;

			for (; at > 0 && combining_class(c[at - 1]) > class; at--)
				c[at] = c[at - 1];
			c[at] = mark;
		}
		return;
	}
	if (!mm_points_grow(scratch, scratch->n + n))
		return;
	for (size_t i = 0; i < n; i++)
		places[combining_class(c[i]) + 1]++;
	for (int class = 1; class < 257; class ++)
		places[class] += places[class - 1];
	for (size_t i = 0; i < n; i++)
		scratch->c[scratch->n + places[combining_class(c[i])]++] = c[i];
	memcpy(c, scratch->c + scratch->n, n * sizeof(c[0]));
}

static void
order_marks(mm_points *text, mm_points *scratch)
{
	size_t start = 0;

	while (start < text->n)
	{
		size_t end = start;

		while (end < text->n && combining_class(text->c[end]) != 0)
			end++;
		if (end - start > 1)
			sort_marks(text->c + start, end - start, scratch);
		start = end + 1;
	}
}

/*
 * What is no part of a composition, and stands between others: the unknown, and
 * one vowel of old Korean, which libutf8proc 2.8 takes for a final consonant.
 */
static bool
stands_apart(uint32_t c)
{
	return c == 0x11a7 || is_unknown(c);
}

static void
compose(mm_points *text, mm_points *out)
{
	const utf8proc_option_t options = UTF8PROC_COMPOSE | UTF8PROC_STABLE;
	size_t start = 0;

	while (start < text->n)
	{
		size_t end = start;

		while (end < text->n && !stands_apart(text->c[end]))
			end++;
		if (end > start)
		{
			utf8proc_ssize_t n = utf8proc_normalize_utf32(
				(utf8proc_int32_t *) text->c + start, (utf8proc_ssize_t) (end - start), options);

			mm_points_append(out, text->c + start, n > 0 ? (size_t) n : 0);
		}
		if (end < text->n)
			mm_points_put(out, text->c[end++]);
		start = end;
	}
}

void
mm_points_compose(mm_points *points, size_t start, mm_points *work)
{
	size_t at = start;

	while (at < points->n && points->c[at] < FIRST_COMBINING)
		at++;
	if (at == points->n)
		return;
	work->n = 0;
	decompose(points->c + start, points->n - start, work);
	points->n = start;
	/* the room behind points->n is free now, and serves as scratch */
	order_marks(work, points);
	compose(work, points);
}

/*---- case ----*/

/*
 * Whether the sigma at "at" ends a word: a cased letter before it and none
 * behind, not counting those that are ignorable.
 */
static bool
is_final(const mm_points *text, size_t at)
{
	size_t i = at;
	unsigned class = 0;

	while (i > 0)
	{
		class = mm_class_of(text->c[--i]);
		if (!(class & MM_CLASS_IGNORABLE))
			break;
	}
	if (!(class & MM_CLASS_CASED))
		return false;
	for (i = at + 1; i < text->n; i++)
	{
		class = mm_class_of(text->c[i]);
		if (!(class & MM_CLASS_IGNORABLE))
			return !(class & MM_CLASS_CASED);
	}
	return true;
}

void
mm_points_lower(const mm_points *text, mm_points *out)
{
	for (size_t i = 0; i < text->n; i++)
	{
		uint32_t c = text->c[i];

		if (c < 0x80)
			mm_points_put(out, c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
		else if (c == CAPITAL_SIGMA)
			mm_points_put(out, is_final(text, i) ? 0x3c2 : 0x3c3);
		else if (c == 0x130) /* the only one that becomes two */
		{
			mm_points_put(out, 'i');
			mm_points_put(out, 0x307);
		}
		else if (is_unknown(c))
			mm_points_put(out, c);
		else
			mm_points_put(out, (uint32_t) utf8proc_tolower((utf8proc_int32_t) c));
	}
}
