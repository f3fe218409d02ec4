/*-------------------------------------------------------------------------
 *
 * fuzz_wordpiece.c
 *	  Texts, tokenized by WordPiece.
 *
 *-------------------------------------------------------------------------
 */
#include "tokens.h"

#include <string.h>

#include "wordpiece.h"

static mm_wordpiece *wordpiece;

/* Each printable character, at the beginning of a word and within, and pieces. */
void
fuzz_init(void)
{
	static const char pieces[] =
		"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nab\n##ab\n##bc\n##aaa\naaaa\n\xc3\xb8\n##\xc3\xb8\n"
		"\xe4\xb8\x80\n\xce\xb1\n##\xcf\x82\n##\xe2\x80\x8d\n";
	char text[2048];
	size_t at = sizeof(pieces) - 1;
	mm_error err = fuzz_no_error();

	memcpy(text, pieces, at);
	for (char c = '!'; c <= '~'; c++)
	{
		const char lines[] = {c, '\n', '#', '#', c, '\n'};

		memcpy(text + at, lines, sizeof(lines));
		at += sizeof(lines);
	}
	wordpiece = mm_wordpiece_create((mm_slice){text, at}, &err);
	FUZZ_CHECK(wordpiece != NULL, "no tokenizer: %s (%s)", err.message, err.detail);
}

static mm_status
encode(mm_slice text, int32_t *ids, int max, int *n, mm_error *err)
{
	return mm_wordpiece_encode(wordpiece, text, ids, max, n, err);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	const tokenizer t = {encode, mm_wordpiece_vocab_size(wordpiece), 2, 3, 2};

	fuzz_tokens(&t, data, size);
}
