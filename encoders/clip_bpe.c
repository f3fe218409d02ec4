/*-------------------------------------------------------------------------
 *
 * clip_bpe.c
 *	  CLIP's tokenizer: from a cleaned text to words, and to ids.
 *
 * Words are what the reference's regular expression finds: special tokens, some
 * contractions, runs of letters, single numbers, and runs of all else that is no
 * space, the first that fits at each place.
 *
 *-------------------------------------------------------------------------
 */
#include "clip_bpe.h"

#include <stdlib.h>
#include <string.h>

#include "clip_merges.h"
#include "clip_text.h"
#include "error.h"

enum
{
	SPECIAL_START,
	SPECIAL_END,
	SPECIAL_COUNT
};

static const char *const special_names[SPECIAL_COUNT] = {"<|startoftext|>", "<|endoftext|>"};

/* In the order in which they are tried. */
static const char *const contractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

#define CONTRACTIONS (sizeof(contractions) / sizeof(contractions[0]))

/* The long s, which ignoring case takes for an s; it has no capital of its own. */
#define LONG_S 0x17f

/*
 * The iota below.  Ignoring case, the expression takes it for the letter iota,
 * but not as a letter: so it is no part of any word, and ends one.
 */
#define IOTA_BELOW 0x345

struct mm_bpe
{
	mm_merges merges;
};

mm_bpe *
mm_bpe_create(mm_slice merges, int vocab_size, mm_error *err)
{
	mm_bpe *bpe;

	if (vocab_size < MM_BPE_FIRST_MERGE + SPECIAL_COUNT)
	{
		mm_fail(err, MM_ERR_BAD_MODEL, "vocabulary of %d tokens is too small", vocab_size);
		return NULL;
	}
	bpe = calloc(1, sizeof(mm_bpe));
	if (bpe == NULL)
	{
		mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	if (mm_merges_init(&bpe->merges, merges, vocab_size - MM_BPE_FIRST_MERGE - SPECIAL_COUNT,
					   err) != MM_OK)
	{
		free(bpe);
		return NULL;
	}
	return bpe;
}

void
mm_bpe_free(mm_bpe *bpe)
{
	if (bpe == NULL)
		return;
	mm_merges_free(&bpe->merges);
	free(bpe);
}

int
mm_bpe_vocab_size(const mm_bpe *bpe)
{
	return MM_BPE_FIRST_MERGE + bpe->merges.n + SPECIAL_COUNT;
}

static int32_t
special_id(const mm_bpe *bpe, int special)
{
	return MM_BPE_FIRST_MERGE + bpe->merges.n + special;
}

/* The state of one text. */
typedef struct encoder
{
	const mm_bpe *bpe;
	int32_t *ids;
	int n;
	int max; /* ids before the closing one */
	mm_word word;
} encoder;

static void
put(encoder *e, int32_t id)
{
	if (e->n < e->max)
		e->ids[e->n++] = id;
}

/*---- words ----*/

/* Whether s begins with ASCII text, case ignored; *exact: not ignored either. */
static bool
begins_with(const uint32_t *s, size_t len, const char *what, bool *exact)
{
	*exact = true;
	for (size_t i = 0; what[i] != '\0'; i++)
	{
		if (i >= len)
			return false;
		if (what[i] == 's' && s[i] == LONG_S)
			*exact = false;
		else if (s[i] != (unsigned char) what[i])
			return false;
	}
	return true;
}

/* One that is spelt with a long s is found, but is a word as any other. */
static size_t
special_length(const uint32_t *s, size_t len, int *special)
{
	*special = -1;
	if (s[0] != '<')
		return 0;
	for (int i = 0; i < SPECIAL_COUNT; i++)
	{
		bool exact;

		if (begins_with(s, len, special_names[i], &exact))
		{
			if (exact)
				*special = i;
			return strlen(special_names[i]);
		}
	}
	return 0;
}

static size_t
contraction_length(const uint32_t *s, size_t len)
{
	if (s[0] != '\'')
		return 0;
	for (size_t i = 0; i < CONTRACTIONS; i++)
	{
		bool exact;

		if (begins_with(s, len, contractions[i], &exact))
			return strlen(contractions[i]);
	}
	return 0;
}

/* MM_CLASS_LETTER, MM_CLASS_NUMBER or neither, for what is no space. */
static unsigned
kind_of(uint32_t c)
{
	if (c >= 'a' && c <= 'z')
		return MM_CLASS_LETTER;
	if (c < 0x80)
		return c >= '0' && c <= '9' ? MM_CLASS_NUMBER : 0;
	return mm_class_of(c) & (MM_CLASS_LETTER | MM_CLASS_NUMBER);
}

static bool
is_between_words(uint32_t c)
{
	return c == ' ' || c == IOTA_BELOW;
}

/* s does not begin between words. */
static size_t
word_length(const uint32_t *s, size_t len, int *special)
{
	size_t n = special_length(s, len, special);
	unsigned kind;

	if (n == 0)
		n = contraction_length(s, len);
	if (n > 0)
		return n;
	kind = kind_of(s[0]);
	n = 1;
	while (kind != MM_CLASS_NUMBER && n < len && !is_between_words(s[n]) && kind_of(s[n]) == kind)
		n++;
	return n;
}

/*---- ids ----*/

static bool
add_utf8(mm_word *word, const mm_merges *merges, uint32_t c)
{
	if (c < 0x80)
		return mm_word_add_byte(word, merges, (uint8_t) c);
	if (c < 0x800)
		return mm_word_add_byte(word, merges, (uint8_t) (0xc0 | c >> 6)) &&
			   mm_word_add_byte(word, merges, (uint8_t) (0x80 | (c & 0x3f)));
	if (c < 0x10000)
		return mm_word_add_byte(word, merges, (uint8_t) (0xe0 | c >> 12)) &&
			   mm_word_add_byte(word, merges, (uint8_t) (0x80 | (c >> 6 & 0x3f))) &&
			   mm_word_add_byte(word, merges, (uint8_t) (0x80 | (c & 0x3f)));
	return mm_word_add_byte(word, merges, (uint8_t) (0xf0 | c >> 18)) &&
		   mm_word_add_byte(word, merges, (uint8_t) (0x80 | (c >> 12 & 0x3f))) &&
		   mm_word_add_byte(word, merges, (uint8_t) (0x80 | (c >> 6 & 0x3f))) &&
		   mm_word_add_byte(word, merges, (uint8_t) (0x80 | (c & 0x3f)));
}

static mm_status
encode_word(encoder *e, const uint32_t *s, size_t len, mm_error *err)
{
	const mm_merges *merges = &e->bpe->merges;
	int found;

	for (size_t i = 0; i < len; i++)
	{
		if (!add_utf8(&e->word, merges, s[i]))
			return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	found = mm_word_merge(&e->word, merges, e->ids + e->n, e->max - e->n);
	e->n += found < e->max - e->n ? found : e->max - e->n;
	return MM_OK;
}

/* Word by word, and no further than the ids that are wanted. */
static mm_status
encode_clean(encoder *e, const mm_points *text, mm_error *err)
{
	mm_status status = MM_OK;
	size_t at = 0;

	mm_word_init(&e->word);
	while (status == MM_OK && at < text->n && e->n < e->max)
	{
		int special;
		size_t len;

		if (is_between_words(text->c[at]))
		{
			at++;
			continue;
		}
		len = word_length(text->c + at, text->n - at, &special);
		if (special >= 0)
			put(e, special_id(e->bpe, special));
		else
			status = encode_word(e, text->c + at, len, err);
		at += len;
	}
	mm_word_free(&e->word);
	return status;
}

mm_status
mm_bpe_encode(const mm_bpe *bpe, mm_slice text, int32_t *ids, int max_ids, int *n, mm_error *err)
{
	encoder e = {.bpe = bpe, .ids = ids, .max = max_ids - 1};
	mm_points clean;
	mm_status status;

	if (max_ids < 2)
		return mm_fail(err, MM_ERR_INVALID_ARGUMENT, "room for %d token ids is too little",
					   max_ids);
	status = mm_clip_clean(text, &clean, err);
	if (status == MM_OK)
	{
		put(&e, special_id(bpe, SPECIAL_START));
		status = encode_clean(&e, &clean, err);
	}
	mm_points_free(&clean);
	if (status != MM_OK)
		return status;
	e.max++;
	put(&e, special_id(bpe, SPECIAL_END));
	*n = e.n;
	return MM_OK;
}
