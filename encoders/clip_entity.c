/*-------------------------------------------------------------------------
 *
 * clip_entity.c
 *	  Character references of HTML.
 *
 *-------------------------------------------------------------------------
 */
#include "clip_entity.h"

#include <string.h>
#include <utf8proc.h>

/* A name of HTML 5. */
typedef struct entity
{
	uint32_t first;
	uint16_t second; /* 0: none */
	uint16_t offset; /* into entity_names */
	uint8_t len;
	uint8_t bare; /* stands without a semicolon too */
} entity;

#include "clip_entities.inc"

#define ENTITIES ((int) (sizeof(entities) / sizeof(entities[0])))

#define MAX_NAME 32     /* that html.unescape looks at */
#define MAX_BARE_NAME 6 /* "Aacute" */
#define MAX_STRICT 24   /* that ftfy looks at */
#define NO_NUMBER 0x110000

/*
 * The windows-1252 half of Latin-1's control characters.  Those that Windows
 * does not define stay what they are, as in browsers.
 */
static const uint16_t windows_1252[32] = {
	0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
	0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
	0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178,
};

uint32_t
mm_windows_1252(uint32_t c)
{
	return windows_1252[c & 0x1f];
}

static bool
is_digit(uint32_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(uint32_t c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static int
hex_value(uint32_t c)
{
	if (is_digit(c))
		return (int) (c - '0');
	if (c >= 'a' && c <= 'f')
		return (int) (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (int) (c - 'A' + 10);
	return -1;
}

/* NULL for what is no name. */
static const entity *
find_name(const char *name, size_t len)
{
	int low = 0, high = ENTITIES;

	while (low < high)
	{
		int middle = (low + high) / 2;
		const entity *e = &entities[middle];
		int order = memcmp(name, entity_names + e->offset, len < e->len ? len : e->len);

		if (order == 0)
			order = (len > e->len) - (len < e->len);
		if (order == 0)
			return e;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The longest beginning that is a name without a semicolon, or NULL. */
static const entity *
find_bare(const char *name, size_t len)
{
	for (size_t n = len < MAX_BARE_NAME ? len : MAX_BARE_NAME; n >= 2; n--)
	{
		const entity *e = find_name(name, n);

		if (e != NULL && e->bare)
			return e;
	}
	return NULL;
}

static int
value_of(const entity *e, uint32_t *value)
{
	value[0] = e->first;
	value[1] = e->second;
	return e->second != 0 ? 2 : 1;
}

/* The letters and digits that s begins with, at most "most". */
static size_t
copy_name(const uint32_t *s, size_t len, char *name, size_t most)
{
	size_t n = 0;

	while (n < len && n < most && is_alnum(s[n]))
	{
		name[n] = (char) s[n];
		n++;
	}
	return n;
}

/*
 * "#123" or "#x1f" at s: how many code points it takes, without the semicolon,
 * or 0.  A number too large for a code point is NO_NUMBER.
 */
static size_t
read_number(const uint32_t *s, size_t len, uint32_t *number)
{
	size_t start = 1;
	uint32_t base = 10;
	size_t at;

	if (len > 1 && (s[1] == 'x' || s[1] == 'X'))
	{
		start = 2;
		base = 16;
	}
	*number = 0;
	for (at = start; at < len; at++)
	{
		int digit = base == 16 ? hex_value(s[at]) : is_digit(s[at]) ? (int) (s[at] - '0') : -1;

		if (digit < 0)
			break;
		*number = *number * base + (uint32_t) digit;
		if (*number > NO_NUMBER)
			*number = NO_NUMBER;
	}
	return at > start ? at : 0;
}

/* What HTML makes of a number; 0 code points for those that it drops. */
static int
number_value(uint32_t number, uint32_t *value)
{
	value[0] = number;
	if (number == 0 || (number >= 0xd800 && number <= 0xdfff) || number >= NO_NUMBER)
		value[0] = 0xfffd;
	else if (number >= 0x80 && number <= 0x9f)
		value[0] = mm_windows_1252(number);
	else if (number < ' ')
		return number == '\t' || number == '\n' || number == '\f' || number == '\r';
	else if (number == 0x7f || (number >= 0xfdd0 && number <= 0xfdef) ||
			 (number & 0xfffe) == 0xfffe)
		return 0;
	return 1;
}

/*---- html.unescape ----*/

/* Where the name that browsers see at s ends: it need not be one. */
static size_t
name_length(const uint32_t *s, size_t len)
{
	size_t n = 0;

	while (n < len && n < MAX_NAME && s[n] != '\t' && s[n] != '\n' && s[n] != '\f' && s[n] != ' ' &&
		   s[n] != '<' && s[n] != '&' && s[n] != '#' && s[n] != ';')
		n++;
	return n;
}

/* s is behind an ampersand; returns what the reference takes of it, or 0. */
static size_t
loose_reference(const uint32_t *s, size_t len, uint32_t *value, int *n)
{
	char name[MAX_NAME];
	const entity *e = NULL;
	size_t whole, used;

	if (len > 0 && s[0] == '#')
	{
		uint32_t number;

		used = read_number(s, len, &number);
		if (used == 0)
			return 0;
		*n = number_value(number, value);
		return used + (used < len && s[used] == ';');
	}
	used = copy_name(s, len, name, MAX_NAME);
	whole = name_length(s, len);
	if (used == whole && whole < len && s[whole] == ';')
		e = find_name(name, used);
	if (e != NULL)
		used = whole + 1;
	else
	{
		e = find_bare(name, used);
		if (e == NULL)
			return 0;
		used = e->len;
	}
	*n = value_of(e, value);
	return used;
}

void
mm_entity_unescape(const mm_points *text, mm_points *out)
{
	size_t at = 0;

	while (at < text->n)
	{
		uint32_t value[MM_ENTITY_MAX_VALUE];
		size_t used = 0;
		int n = 0;

		if (text->c[at] == '&')
			used = loose_reference(text->c + at + 1, text->n - at - 1, value, &n);
		if (used > 0)
		{
			mm_points_append(out, value, (size_t) n);
			at += 1 + used;
		}
		else
			mm_points_put(out, text->c[at++]);
	}
}

/*---- ftfy ----*/

/* Capitals of a name's value, in full. */
static int
put_upper(uint32_t c, uint32_t *value)
{
	static const struct
	{
		uint32_t c;
		const char *upper;
	} longer[] = {
		{0xdf, "SS"},   {0xfb00, "FF"},  {0xfb01, "FI"},
		{0xfb02, "FL"}, {0xfb03, "FFI"}, {0xfb04, "FFL"},
	};
	int n = 0;

	if (c == 0x149)
	{
		value[n++] = 0x2bc;
		value[n++] = 'N';
		return n;
	}
	for (size_t i = 0; i < sizeof(longer) / sizeof(longer[0]); i++)
	{
		if (longer[i].c == c)
		{
			for (const char *s = longer[i].upper; *s != '\0'; s++)
				value[n++] = (uint32_t) *s;
			return n;
		}
	}
	value[n++] = (uint32_t) utf8proc_toupper((utf8proc_int32_t) c);
	return n;
}

/*
 * "&EACUTE;": a name of small letters written in capitals stands for the
 * capitals of its value, unless HTML itself sees a name there.
 */
static const entity *
find_capitals(const char *name, size_t len)
{
	char small[MAX_STRICT];

	for (size_t i = 0; i < len; i++)
	{
		if (name[i] >= 'a' && name[i] <= 'z')
			return NULL;
		small[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char) (name[i] + ('a' - 'A')) : name[i];
	}
	return find_bare(name, len) != NULL ? NULL : find_name(small, len);
}

size_t
mm_entity_strict(const uint32_t *s, size_t len, uint32_t value[MM_ENTITY_MAX_VALUE], int *n)
{
	char name[MAX_STRICT];
	size_t hash = len > 1 && s[1] == '#';
	size_t name_len, end;
	const entity *e;

	if (len < 3 || s[0] != '&')
		return 0;
	name_len = copy_name(s + 1 + hash, len - 1 - hash, name, MAX_STRICT);
	end = 1 + hash + name_len;
	if (name_len == 0 || end >= len || s[end] != ';')
		return 0;
	if (hash)
	{
		uint32_t number;

		/* all of it has to be the number; and ftfy takes a semicolon for a sign
		 * that it was not */
		if (read_number(s + 1, end - 1, &number) != end - 1 || number == ';')
			return 0;
		*n = number_value(number, value);
		return end + 1;
	}
	e = find_name(name, name_len);
	if (e != NULL)
	{
		*n = value_of(e, value);
		return end + 1;
	}
	e = find_capitals(name, name_len);
	if (e == NULL)
		return 0;
	*n = put_upper(e->first, value);
	if (e->second != 0)
		value[(*n)++] = (uint32_t) utf8proc_toupper(e->second);
	return end + 1;
}
