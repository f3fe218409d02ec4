/*-------------------------------------------------------------------------
 *
 * clip_fix.c
 *	  What ftfy.fix_text() 6.3 does to a text, mojibake aside.
 *
 * ftfy works on a line at a time: it resolves references of HTML, replaces
 * single code points (control characters of Latin-1, ligatures, wide and narrow
 * forms, curly quotes, line breaks), removes terminal escapes and control
 * characters, composes to NFC, and does all that again until nothing changes.
 *
 * Done literally, a line of "&amp;amp;amp;..." is read once for each layer.  But
 * from the second time on only references make a difference: there is no escape
 * character any more, and what a reference stands for is a few code points,
 * which can be replaced as they come.  So the first time is done as ftfy does
 * it, and all others are one pass that looks back at each semicolon.  References
 * cannot overlap, so the order in which they are resolved is of no account, and
 * one that becomes whole later does so by the semicolon of another within it.
 * NFC can wait until the end: of what it does, only the three code points that
 * become ASCII could complete a reference, and those are replaced at once.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <utf8proc.h>

#include "clip_entity.h"
#include "clip_text.h"

/* ftfy cuts longer lines. */
#define MAX_SEGMENT 1000000

#define ESCAPE 0x1b

/* What one code point becomes; none yields another that would be replaced. */
#define MAX_REPLACEMENT 4

static bool
is_control(uint32_t c)
{
	if (c < 0x20)
		return c != '\t' && c != '\n' && c != '\f' && c != '\r';
	return c == 0x7f || (c >= 0x206a && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffc);
}

/* Latin letters that were one for the sake of type or of an old encoding. */
static const char *
ligature(uint32_t c)
{
	switch (c)
	{
		case 0x132:
			return "IJ";
		case 0x133:
			return "ij";
		case 0x149:
			return "'n"; /* after its curly quote is straight */
		case 0x1c7:
			return "LJ";
		case 0x1c8:
			return "Lj";
		case 0x1c9:
			return "lj";
		case 0x1ca:
			return "NJ";
		case 0x1cb:
			return "Nj";
		case 0x1cc:
			return "nj";
		case 0x1f1:
			return "DZ";
		case 0x1f2:
			return "Dz";
		case 0x1f3:
			return "dz";
		case 0xfb00:
			return "ff";
		case 0xfb01:
			return "fi";
		case 0xfb02:
			return "fl";
		case 0xfb03:
			return "ffi";
		case 0xfb04:
			return "ffl";
		case 0xfb06:
			return "st";
		default:
			return NULL;
	}
}

static int
copy_ascii(const char *s, uint32_t *out)
{
	int n = 0;

	for (; *s != '\0'; s++)
		out[n++] = (uint32_t) *s;
	return n;
}

static int
replace_ligature(uint32_t c, uint32_t *out)
{
	const char *letters = ligature(c);

	if (letters != NULL)
		return copy_ascii(letters, out);
	switch (c)
	{
		case 0x1c4:
			out[0] = 'D', out[1] = 0x17d;
			return 2;
		case 0x1c5:
			out[0] = 'D', out[1] = 0x17e;
			return 2;
		case 0x1c6:
			out[0] = 'd', out[1] = 0x17e;
			return 2;
		case 0xfb05:
			out[0] = 0x17f, out[1] = 't';
			return 2;
		default:
			out[0] = c;
			return 1;
	}
}

/* Wide and narrow forms are compatibility characters, and lose that. */
static int
replace_width(uint32_t c, uint32_t *out)
{
	utf8proc_int32_t parts[MAX_REPLACEMENT];
	utf8proc_ssize_t n;
	int boundclass = 0;

	n = utf8proc_decompose_char((utf8proc_int32_t) c, parts, MAX_REPLACEMENT,
								UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundclass);
	if (n < 1 || n > MAX_REPLACEMENT)
	{
		out[0] = c;
		return 1;
	}
	for (utf8proc_ssize_t i = 0; i < n; i++)
		out[i] = (uint32_t) parts[i];
	return (int) n;
}

/* The replacements of single code points, in ftfy's order. */
static int
replace(uint32_t c, uint32_t *out)
{
	if (c >= 0x80 && c <= 0x9f)
		c = mm_windows_1252(c);
	if (c >= 0xff01 && c <= 0xffef)
		return replace_width(c, out);
	if (c == 0x2bc || (c >= 0x2018 && c <= 0x201b))
		c = '\'';
	else if (c >= 0x201c && c <= 0x201f)
		c = '"';
	else if (c == 0x3000)
		c = ' ';
	else if (c == '\r' || c == 0x2028 || c == 0x2029)
		c = '\n'; /* "\r\n" makes two, and the text collapses them anyway */
	else if (c > 0x80)
		return replace_ligature(c, out);
	out[0] = c;
	return 1;
}

/*---- the first time ----*/

/* ftfy's unescape_html: one pass. */
static void
unescape_once(const uint32_t *s, size_t len, mm_points *out)
{
	size_t at = 0;

	while (at < len)
	{
		uint32_t value[MM_ENTITY_MAX_VALUE];
		int n = 0;
		size_t used = mm_entity_strict(s + at, len - at, value, &n);

		if (used > 0)
		{
			mm_points_append(out, value, (size_t) n);
			at += used;
		}
		else
			mm_points_put(out, s[at++]);
	}
}

/* The length of a terminal escape at s, or 0: ESC [ digits and ; a letter. */
static size_t
terminal_escape(const uint32_t *s, size_t len)
{
	size_t at = 2;

	if (len < 3 || s[0] != ESCAPE || s[1] != '[')
		return 0;
	while (at < len && (s[at] == ';' || (mm_class_of(s[at]) & MM_CLASS_DECIMAL)))
		at++;
	if (at < len && ((s[at] >= 'a' && s[at] <= 'z') || (s[at] >= 'A' && s[at] <= 'Z')))
		return at + 1;
	return 0;
}

/* Terminal escapes, then control characters; in place. */
static void
remove_controls(mm_points *text, size_t start)
{
	size_t to = start;
	size_t at = start;

	while (at < text->n)
	{
		size_t escape = terminal_escape(text->c + at, text->n - at);

		if (escape > 0)
			at += escape;
		else if (is_control(text->c[at]))
			at++;
		else
			text->c[to++] = text->c[at++];
	}
	text->n = to;
}

/*---- all others ----*/

static int
replace_all(uint32_t c, uint32_t *out)
{
	if (is_control(c))
		return 0;
	/* NFC's */
	if (c == 0x37e)
		c = ';';
	else if (c == 0x1fef)
		c = '`';
	else if (c == 0x212a)
		c = 'K';
	return replace(c, out);
}

/* The reference that ends at the end of s: where it begins, or len. */
static size_t
reference_start(const uint32_t *s, size_t len, uint32_t *value, int *n)
{
	size_t most = len < 27 ? len : 27; /* ampersand, '#', 24, semicolon */

	for (size_t back = 2; back <= most; back++)
	{
		uint32_t c = s[len - back];

		if (c == '&')
			return mm_entity_strict(s + len - back, back, value, n) == back ? len - back : len;
		if (c >= 0x80 || c == ';' || c <= ' ')
			break;
	}
	return len;
}

/*
 * Resolve references until there are none, in place: s[0..to) is done, and what
 * a reference stands for is shorter than itself.  One code point may be a
 * semicolon that completes the reference before it.
 */
static void
resolve_rest(mm_points *text, size_t start)
{
	uint32_t *s = text->c + start;
	size_t n = text->n - start;
	size_t to = 0;

	for (size_t at = 0; at < n; at++)
	{
		uint32_t value[MM_ENTITY_MAX_VALUE] = {s[at]};
		int values = 1;
		bool again;

		do
		{
			again = false;
			for (int i = 0; i < values; i++)
			{
				uint32_t out[MAX_REPLACEMENT];
				int m = replace_all(value[i], out);

				memcpy(s + to, out, sizeof(out[0]) * (size_t) m);
				to += (size_t) m;
			}
			if (values == 1 && to > 0 && s[to - 1] == ';')
			{
				size_t from = reference_start(s, to, value, &values);

				again = from < to;
				to = from;
			}
		} while (again);
	}
	text->n = start + to;
}

/*---- lines ----*/

/* Nothing in it that any of the steps would touch. */
static bool
is_plain(const uint32_t *s, size_t len, bool unescape)
{
	for (size_t i = 0; i < len; i++)
	{
		if (s[i] >= 0x7f || (s[i] < ' ' && s[i] != '\n') || (s[i] == '&' && unescape))
			return false;
	}
	return true;
}

static void
fix_segment(const uint32_t *s, size_t len, bool unescape, mm_points *out, mm_points *work)
{
	size_t start = out->n;

	if (is_plain(s, len, unescape))
	{
		mm_points_append(out, s, len);
		return;
	}
	work->n = 0;
	if (unescape)
		unescape_once(s, len, work);
	else
		mm_points_append(work, s, len);
	for (size_t i = 0; i < work->n; i++)
	{
		uint32_t c[MAX_REPLACEMENT];

		mm_points_append(out, c, (size_t) replace(work->c[i], c));
	}
	remove_controls(out, start);
	if (unescape)
		resolve_rest(out, start);
	mm_points_compose(out, start, work);
}

/*
 * A "<" is taken for a sign that the text is HTML, whose references are meant:
 * from the line on where there is one, they are left.
 */
void
mm_clip_fix(const mm_points *text, mm_points *out, mm_points *work)
{
	bool unescape = true;
	size_t start = 0;

	while (start < text->n)
	{
		size_t end = start;

		while (end < text->n && end - start < MAX_SEGMENT)
		{
			uint32_t c = text->c[end++];

			if (c == '<')
				unescape = false;
			if (c == '\n')
				break;
		}
		fix_segment(text->c + start, end - start, unescape, out, work);
		start = end;
	}
}
