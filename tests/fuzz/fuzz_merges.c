/*-------------------------------------------------------------------------
 *
 * fuzz_merges.c
 *	  merges.txt, and the merging of words by it.
 *
 * An input is the number of merges, the length of a word, the word, then the
 * file.  The heap of clip_word.c has to find what the textbook's loop does:
 * merge every occurrence of the pair of lowest rank, then look again.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <string.h>

#include "clip_bpe.h"
#include "clip_merges.h"

#define MAX_WORD 255

void
fuzz_init(void)
{
}

static int
textbook(const mm_merges *merges, const uint8_t *word, int n, int32_t *ids)
{
	for (int i = 0; i < n; i++)
		ids[i] = merges->byte_ids[word[i]] + (i == n - 1 ? MM_BPE_BYTES : 0);
	for (;;)
	{
		int32_t best = -1, left = -1, right = -1;
		int to = 0;

		for (int i = 0; i + 1 < n; i++)
		{
			int32_t merged = mm_merges_find(merges, ids[i], ids[i + 1]);

			if (merged >= 0 && (best < 0 || merged < best))
				best = merged, left = ids[i], right = ids[i + 1];
		}
		if (best < 0)
			return n;
		for (int i = 0; i < n; i++)
		{
			if (i + 1 < n && ids[i] == left && ids[i + 1] == right)
				ids[to++] = best, i++;
			else
				ids[to++] = ids[i];
		}
		n = to;
	}
}

static void
check_word(const mm_merges *merges, const uint8_t *bytes, int n)
{
	int32_t expected[MAX_WORD + 1], ids[MAX_WORD];
	int count = textbook(merges, bytes, n, expected), found;
	mm_word word;

	mm_word_init(&word);
	/* twice: the room is used again */
	for (int round = 0; round < 2; round++)
	{
		for (int i = 0; i < n; i++)
			FUZZ_CHECK(mm_word_add_byte(&word, merges, bytes[i]), "out of memory");
		found = mm_word_merge(&word, merges, ids, MAX_WORD);
		FUZZ_CHECK(found == count, "%d ids, where %d are expected", found, count);
		FUZZ_CHECK(memcmp(ids, expected, sizeof(ids[0]) * (size_t) count) == 0, "other ids");
	}
	mm_word_free(&word);
}

static void
check_text(mm_slice file, int n)
{
	mm_error err = fuzz_no_error();
	mm_bpe *bpe = mm_bpe_create(file, MM_BPE_FIRST_MERGE + n + 2, &err);
	int32_t ids[30];
	int count;

	FUZZ_CHECK(bpe != NULL, "no tokenizer of good merges: %s", err.message);
	if (fuzz_status(mm_bpe_encode(bpe, file, ids, 30, &count, &err), &err, 1u << MM_ERR_BAD_TEXT))
	{
		FUZZ_CHECK(count >= 2 && count <= 30, "%d ids", count);
		for (int i = 0; i < count; i++)
			FUZZ_CHECK(ids[i] >= 0 && ids[i] < mm_bpe_vocab_size(bpe), "id %d", (int) ids[i]);
	}
	mm_bpe_free(bpe);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	mm_error err = fuzz_no_error();
	mm_merges merges;
	mm_slice file;

	if (size < 2 || size - 2 < data[1])
		return;
	file = (mm_slice){data + 2 + data[1], size - 2 - data[1]};
	if (!fuzz_status(mm_merges_init(&merges, file, data[0], &err), &err, 1u << MM_ERR_BAD_MODEL))
		return;
	if (data[1] > 0)
		check_word(&merges, data + 2, data[1]);
	mm_merges_free(&merges);
	check_text(file, data[0]);
}
