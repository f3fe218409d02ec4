/*-------------------------------------------------------------------------
 *
 * wordpiece.c
 *	  BERT's uncased WordPiece tokenizer.
 *
 * The ids are those of the "fast" tokenizer (tokenizer.json) that sentence
 * encoders are published with.  A text is read once, from left to right, and
 * no further than the ids that are wanted.
 *
 *-------------------------------------------------------------------------
 */
#include "wordpiece.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "error.h"
#include "vocab.h"

/* Longer words are [UNK]; counted in code points after normalisation. */
#define MAX_WORD_CHARS 100

/* The most code points that one decomposes to is 18, in any Unicode version. */
#define MAX_DECOMPOSITION 32

enum
{
	SPECIAL_UNK,
	SPECIAL_CLS,
	SPECIAL_SEP,
	SPECIAL_PAD,
	SPECIAL_MASK,
	SPECIAL_COUNT
};

static const char *const special_names[SPECIAL_COUNT] = {"[UNK]", "[CLS]", "[SEP]", "[PAD]",
														 "[MASK]"};

struct mm_wordpiece
{
	mm_vocab vocab;
	int32_t special[SPECIAL_COUNT]; /* -1 where the vocabulary lacks it */
};

mm_wordpiece *
mm_wordpiece_create(mm_slice text, mm_error *err)
{
	mm_wordpiece *wp = calloc(1, sizeof(mm_wordpiece));

	if (wp == NULL)
	{
		mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	if (mm_vocab_init(&wp->vocab, text, err) != MM_OK)
	{
		free(wp);
		return NULL;
	}
	for (int i = 0; i < SPECIAL_COUNT; i++)
	{
		wp->special[i] = mm_vocab_find(&wp->vocab, special_names[i], strlen(special_names[i]));
		if (wp->special[i] < 0 && i <= SPECIAL_SEP)
		{
			mm_fail(err, MM_ERR_BAD_MODEL, "vocabulary has no token \"%s\"", special_names[i]);
			mm_wordpiece_free(wp);
			return NULL;
		}
	}
	return wp;
}

void
mm_wordpiece_free(mm_wordpiece *wp)
{
	if (wp == NULL)
		return;
	mm_vocab_free(&wp->vocab);
	free(wp);
}

int
mm_wordpiece_vocab_size(const mm_wordpiece *wp)
{
	return wp->vocab.n;
}

/* The state of one text: the word being read, and the ids found. */
typedef struct encoder
{
	const mm_wordpiece *wp;
	int32_t *ids;
	int n;
	int max; /* ids before the closing [SEP] */

	int chars;                     /* of the word; may exceed MAX_WORD_CHARS */
	size_t len;                    /* bytes of it kept */
	int ends[MAX_WORD_CHARS + 1];  /* byte offset behind each character */
	char word[4 * MAX_WORD_CHARS]; /* UTF-8 */
} encoder;

static void
put(encoder *e, int32_t id)
{
	if (e->n < e->max)
		e->ids[e->n++] = id;
}

/*
 * The longest piece of the word that begins at character "start" and is in the
 * vocabulary; pieces within a word are written with "##" in front.  Returns
 * the character behind it, or start where there is none.
 */
static int
longest_piece(const encoder *e, int start, int32_t *id)
{
	char piece[2 + sizeof(e->word)];
	int from = start == 0 ? 0 : e->ends[start - 1];
	size_t prefix = start == 0 ? 0 : 2;

	memcpy(piece, "##", prefix);
	memcpy(piece + prefix, e->word + from, e->len - from);
	for (int end = e->chars; end > start; end--)
	{
		*id = mm_vocab_find(&e->wp->vocab, piece, prefix + (e->ends[end - 1] - from));
		if (*id >= 0)
			return end;
	}
	return start;
}

/* Greedy longest match; one piece that is missing makes the word [UNK]. */
static void
end_word(encoder *e)
{
	int before = e->n;
	int start = 0;

	if (e->chars == 0)
		return;
	if (e->chars > MAX_WORD_CHARS)
		put(e, e->wp->special[SPECIAL_UNK]);
	else
	{
		while (start < e->chars)
		{
			int32_t id;
			int end = longest_piece(e, start, &id);

			if (end == start)
			{
				e->n = before;
				put(e, e->wp->special[SPECIAL_UNK]);
				break;
			}
			put(e, id);
			start = end;
		}
	}
	e->chars = 0;
	e->len = 0;
}

static void
add_char(encoder *e, utf8proc_int32_t c)
{
	if (e->chars < MAX_WORD_CHARS)
	{
		e->len += utf8proc_encode_char(c, (utf8proc_uint8_t *) e->word + e->len);
		e->ends[e->chars] = (int) e->len;
	}
	if (e->chars <= MAX_WORD_CHARS)
		e->chars++;
}

static bool
is_whitespace(utf8proc_int32_t c)
{
	/* Unicode's White_Space property */
	return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
		   (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
		   c == 0x205f || c == 0x3000;
}

/* Dropped before anything else; the reference keeps unassigned code points. */
static bool
is_control(utf8proc_int32_t c)
{
	if (c == '\t' || c == '\n' || c == '\r')
		return false;
	switch (utf8proc_category(c))
	{
		case UTF8PROC_CATEGORY_CC:
		case UTF8PROC_CATEGORY_CF:
		case UTF8PROC_CATEGORY_CO:
			return true;
		default:
			return c == 0 || c == 0xfffd;
	}
}

/* Every one a word of its own; the blocks that BERT's authors chose. */
static bool
is_cjk(utf8proc_int32_t c)
{
	return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
		   (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
		   (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
		   (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static bool
is_punctuation(utf8proc_int32_t c)
{
	if (c < 0x80)
		return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
			   (c >= 123 && c <= 126);
	switch (utf8proc_category(c))
	{
		case UTF8PROC_CATEGORY_PC:
		case UTF8PROC_CATEGORY_PD:
		case UTF8PROC_CATEGORY_PE:
		case UTF8PROC_CATEGORY_PF:
		case UTF8PROC_CATEGORY_PI:
		case UTF8PROC_CATEGORY_PO:
		case UTF8PROC_CATEGORY_PS:
			return true;
		default:
			return false;
	}
}

/* A code point after normalisation: lower case, without accents. */
static void
add_normalized(encoder *e, utf8proc_int32_t c)
{
	if (is_whitespace(c))
		end_word(e);
	else if (is_punctuation(c))
	{
		end_word(e);
		add_char(e, c);
		end_word(e);
	}
	else
		add_char(e, c);
}

/*
 * Clean, isolate CJK, decompose canonically, strip accents, lower.  Marks are
 * not put into canonical order: those that could change places are stripped,
 * or in no vocabulary.
 */
static void
add_code_point(encoder *e, utf8proc_int32_t c)
{
	utf8proc_int32_t parts[MAX_DECOMPOSITION];
	utf8proc_ssize_t n;
	int boundclass = 0;
	bool cjk;

	if (is_control(c))
		return;
	if (is_whitespace(c))
	{
		end_word(e);
		return;
	}
	cjk = is_cjk(c);
	if (cjk)
		end_word(e);
	n = utf8proc_decompose_char(c, parts, MAX_DECOMPOSITION, UTF8PROC_DECOMPOSE, &boundclass);
	for (utf8proc_ssize_t i = 0; i < n && i < MAX_DECOMPOSITION; i++)
	{
		if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN)
			add_normalized(e, utf8proc_tolower(parts[i]));
	}
	if (cjk)
		end_word(e);
}

/*
 * Names of special tokens stand for themselves, as they are written and before
 * any normalisation.
 */
static int
special_at(const mm_wordpiece *wp, const char *s, size_t len)
{
	if (len == 0 || s[0] != '[')
		return -1;
	for (int i = 0; i < SPECIAL_COUNT; i++)
	{
		size_t name_len = strlen(special_names[i]);

		if (wp->special[i] >= 0 && len >= name_len && memcmp(s, special_names[i], name_len) == 0)
			return i;
	}
	return -1;
}

mm_status
mm_wordpiece_encode(const mm_wordpiece *wp, mm_slice text, int32_t *ids, int max_ids, int *n,
					mm_error *err)
{
	encoder e = {.wp = wp, .ids = ids, .max = max_ids - 1};
	const char *s = text.data;
	size_t at = 0;

	if (max_ids < 2)
		return mm_fail(err, MM_ERR_INVALID_ARGUMENT, "room for %d token ids is too little",
					   max_ids);
	put(&e, wp->special[SPECIAL_CLS]);
	while (at < text.len && e.n < e.max)
	{
		int special = special_at(wp, s + at, text.len - at);
		utf8proc_int32_t c;
		utf8proc_ssize_t used;

		if (special >= 0)
		{
			end_word(&e);
			put(&e, wp->special[special]);
			at += strlen(special_names[special]);
			continue;
		}
		used = utf8proc_iterate((const utf8proc_uint8_t *) s + at, text.len - at, &c);
		if (used <= 0)
		{
			mm_fail(err, MM_ERR_BAD_TEXT, "text is not valid UTF-8");
			mm_fail_detail(err, "invalid byte sequence at offset %zu", at);
			return MM_ERR_BAD_TEXT;
		}
		add_code_point(&e, c);
		at += used;
	}
	end_word(&e);
	e.max++;
	put(&e, wp->special[SPECIAL_SEP]);
	*n = e.n;
	return MM_OK;
}
