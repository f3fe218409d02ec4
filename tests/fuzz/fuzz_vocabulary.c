/*-------------------------------------------------------------------------
 *
 * fuzz_vocabulary.c
 *	  vocab.txt: each token is found under the number of its last line, as a
 *	  search through the lines finds it.  Its own text is then tokenized by it.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <string.h>

#include "vocab.h"
#include "wordpiece.h"

#define MAX_LINES 256

void
fuzz_init(void)
{
}

static int
last_line(mm_slice *lines, int n, mm_slice token)
{
	while (--n >= 0)
	{
		if (lines[n].len == token.len && memcmp(lines[n].data, token.data, token.len) == 0)
			return n;
	}
	return -1;
}

static int
split(const uint8_t *data, size_t size, mm_slice lines[MAX_LINES])
{
	int n = 0;

	for (size_t start = 0, end; start < size && n < MAX_LINES; start = end + 1)
	{
		const uint8_t *nl = memchr(data + start, '\n', size - start);
		size_t len;

		end = nl ? (size_t) (nl - data) : size;
		len = end - start;
		if (len > 0 && data[end - 1] == '\r')
			len--;
		lines[n++] = (mm_slice){data + start, len};
	}
	return n;
}

static void
check_vocabulary(const uint8_t *data, size_t size)
{
	mm_slice lines[MAX_LINES];
	int n = split(data, size, lines);
	mm_error err = fuzz_no_error();
	mm_vocab vocab;

	if (!fuzz_status(mm_vocab_init(&vocab, (mm_slice){data, size}, &err), &err,
					 1u << MM_ERR_BAD_MODEL))
		return;
	if (n < MAX_LINES)
		FUZZ_CHECK(vocab.n == n, "%d tokens in %d lines", vocab.n, n);
	for (int i = 0; i < n && n < MAX_LINES; i++)
	{
		int expected = lines[i].len > 0 ? last_line(lines, n, lines[i]) : -1;

		FUZZ_CHECK(mm_vocab_find(&vocab, lines[i].data, lines[i].len) == expected,
				   "line %d is not found at %d", i, expected);
	}
	FUZZ_CHECK(mm_vocab_find(&vocab, "\n", 1) == -1, "finds what is in no line");
	mm_vocab_free(&vocab);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	mm_error err = fuzz_no_error();
	mm_wordpiece *wp;
	int32_t ids[40];
	int n;

	check_vocabulary(data, size);
	wp = mm_wordpiece_create((mm_slice){data, size}, &err);
	if (!fuzz_status(wp ? MM_OK : err.status, &err, 1u << MM_ERR_BAD_MODEL))
		return;
	if (fuzz_status(mm_wordpiece_encode(wp, (mm_slice){data, size}, ids, 40, &n, &err), &err,
					1u << MM_ERR_BAD_TEXT))
	{
		FUZZ_CHECK(n >= 2 && n <= 40, "%d ids", n);
		for (int i = 0; i < n; i++)
			FUZZ_CHECK(ids[i] >= 0 && ids[i] < mm_wordpiece_vocab_size(wp), "id %d", (int) ids[i]);
	}
	mm_wordpiece_free(wp);
}
