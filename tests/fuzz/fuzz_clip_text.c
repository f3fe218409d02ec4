/*-------------------------------------------------------------------------
 *
 * fuzz_clip_text.c
 *	  Texts, cleaned and tokenized as CLIP does it.
 *
 * The cleaned text has single spaces and no capitals of ASCII, and what ftfy does
 * to a text it does until nothing changes any more.
 *
 *-------------------------------------------------------------------------
 */
#include "tokens.h"

#include <string.h>

#include "clip_bpe.h"
#include "clip_merges.h"
#include "clip_text.h"

#define MERGES 6

static mm_bpe *bpe;

void
fuzz_init(void)
{
	static const char merges[] =
		"#version: 0.2\na b\na b</w>\nab c\n' s</w>\n\xc3\x83 \xc2\xb8</w>\nabc ab</w>\n";
	mm_error err = fuzz_no_error();

	bpe = mm_bpe_create((mm_slice){merges, sizeof(merges) - 1}, MM_BPE_FIRST_MERGE + MERGES + 2,
						&err);
	FUZZ_CHECK(bpe != NULL, "no tokenizer: %s (%s)", err.message, err.detail);
}

static mm_status
encode(mm_slice text, int32_t *ids, int max, int *n, mm_error *err)
{
	return mm_bpe_encode(bpe, text, ids, max, n, err);
}

static void
check_clean(const mm_points *clean)
{
	for (size_t i = 0; i < clean->n; i++)
	{
		uint32_t c = clean->c[i];

		FUZZ_CHECK(c <= 0x10ffff, "code point %x", (unsigned) c);
		FUZZ_CHECK(c < 'A' || c > 'Z', "a capital at %zu", i);
		FUZZ_CHECK(!mm_is_space(c) || c == ' ', "white space %x at %zu", (unsigned) c, i);
		FUZZ_CHECK(c != ' ' || (i > 0 && i + 1 < clean->n && clean->c[i - 1] != ' '),
				   "a space at %zu", i);
	}
}

static void
check_fixed(const mm_points *text)
{
	mm_points once = {0}, twice = {0}, work = {0};

	mm_clip_fix(text, &once, &work);
	mm_clip_fix(&once, &twice, &work);
	FUZZ_CHECK(once.n == twice.n &&
				   (once.n == 0 || memcmp(once.c, twice.c, sizeof(once.c[0]) * once.n) == 0),
			   "the second time it becomes something else");
	mm_points_free(&once);
	mm_points_free(&twice);
	mm_points_free(&work);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	/* a byte may be a code point of two, and that a word of its own */
	const tokenizer t = {encode, mm_bpe_vocab_size(bpe), mm_bpe_vocab_size(bpe) - 2,
						 mm_bpe_vocab_size(bpe) - 1, 12};
	mm_points clean;
	mm_error err = fuzz_no_error();

	fuzz_tokens(&t, data, size);
	if (fuzz_status(mm_clip_clean((mm_slice){data, size}, &clean, &err), &err,
					1u << MM_ERR_BAD_TEXT))
	{
		check_clean(&clean);
		check_fixed(&clean);
	}
	mm_points_free(&clean);
}
