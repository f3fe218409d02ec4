/*-------------------------------------------------------------------------
 *
 * clip_text.c
 *	  Cleaning a text as CLIP's reference does.
 *
 * ftfy.fix_text, html.unescape twice, white space collapsed, lower case.  Each
 * step reads the whole text from one array and writes the other.
 *
 *-------------------------------------------------------------------------
 */
#include "clip_text.h"

#include <utf8proc.h>

#include "clip_entity.h"
#include "error.h"

static mm_status
decode(mm_slice text, mm_points *out, mm_error *err)
{
	const utf8proc_uint8_t *s = text.data;
	size_t at = 0;

	/* so that nothing below has to grow for a text of ASCII */
	if (!mm_points_grow(out, text.len + 1))
		return MM_OK;
	while (at < text.len)
	{
		utf8proc_int32_t c;
		utf8proc_ssize_t used;

		if (s[at] < 0x80)
		{
			mm_points_put(out, s[at++]);
			continue;
		}
		used = utf8proc_iterate(s + at, (utf8proc_ssize_t) (text.len - at), &c);
		if (used <= 0)
		{
			mm_fail(err, MM_ERR_BAD_TEXT, "text is not valid UTF-8");
			mm_fail_detail(err, "invalid byte sequence at offset %zu", at);
			return MM_ERR_BAD_TEXT;
		}
		mm_points_put(out, (uint32_t) c);
		at += (size_t) used;
	}
	return MM_OK;
}

/* One space for each run of white space, none at the ends; in place. */
static void
collapse(mm_points *text)
{
	size_t to = 0;

	for (size_t i = 0; i < text->n; i++)
	{
		if (!mm_is_space(text->c[i]))
			text->c[to++] = text->c[i];
		else if (to > 0 && text->c[to - 1] != ' ')
			text->c[to++] = ' ';
	}
	text->n = to > 0 && text->c[to - 1] == ' ' ? to - 1 : to;
}

static void
swap(mm_points *a, mm_points *b)
{
	mm_points t = *a;

	*a = *b;
	*b = t;
}

mm_status
mm_clip_clean(mm_slice text, mm_points *clean, mm_error *err)
{
	mm_points from = {0}, work = {0};
	mm_status status;

	*clean = (mm_points){0};
	status = decode(text, &from, err);
	if (status == MM_OK)
	{
		mm_points_grow(clean, from.n + 1);
		mm_clip_fix(&from, clean, &work);
		for (int i = 0; i < 2; i++)
		{
			swap(&from, clean);
			clean->n = 0;
			mm_entity_unescape(&from, clean);
		}
		collapse(clean);
		swap(&from, clean);
		clean->n = 0;
		mm_points_lower(&from, clean);
		if (from.failed || clean->failed || work.failed)
			status = mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	mm_points_free(&from);
	mm_points_free(&work);
	return status;
}
