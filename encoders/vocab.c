/*-------------------------------------------------------------------------
 *
 * vocab.c
 *	  A hash table of tokens, open addressing, at most half full.
 *
 *-------------------------------------------------------------------------
 */
#include "vocab.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

#define MAX_VOCAB_BYTES ((size_t) 256 << 20)

/* FNV-1a (Fowler, Noll & Vo), folded to 32 bits. */
static uint32_t
hash_bytes(const char *s, size_t len)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char) s[i]) * 1099511628211u;
	return (uint32_t) (h ^ h >> 32);
}

static mm_vocab_slot *
probe(const mm_vocab *vocab, const char *token, size_t len)
{
	uint32_t i = hash_bytes(token, len) & vocab->mask;

	while (vocab->slots[i].len != 0 &&
		   (vocab->slots[i].len != len ||
			memcmp(vocab->bytes + vocab->slots[i].offset, token, len) != 0))
		i = (i + 1) & vocab->mask;
	return &vocab->slots[i];
}

static int
count_lines(const char *s, size_t len)
{
	int n = 0;

	for (size_t i = 0; i < len; i++)
		n += s[i] == '\n';
	return n + (len > 0 && s[len - 1] != '\n');
}

static void
fill(mm_vocab *vocab, size_t size)
{
	size_t start = 0;

	for (int id = 0; id < vocab->n; id++)
	{
		const char *nl = memchr(vocab->bytes + start, '\n', size - start);
		size_t end = nl ? (size_t) (nl - vocab->bytes) : size;
		size_t len = end - start;
		mm_vocab_slot *slot;

		if (len > 0 && vocab->bytes[end - 1] == '\r')
			len--;
		/* of a token that is there twice the last id counts, as in the reference */
		if (len > 0)
		{
			slot = probe(vocab, vocab->bytes + start, len);
			*slot = (mm_vocab_slot){(uint32_t) start, (uint32_t) len, id};
		}
		start = end + 1;
	}
}

mm_status
mm_vocab_init(mm_vocab *vocab, mm_slice text, mm_error *err)
{
	uint32_t slots = 16;

	*vocab = (mm_vocab){0};
	if (text.len == 0 || text.len > MAX_VOCAB_BYTES)
		return mm_fail(err, MM_ERR_BAD_MODEL, "vocabulary has no sensible size");
	vocab->n = count_lines(text.data, text.len);
	while (slots < (uint32_t) vocab->n * 2)
		slots *= 2;
	vocab->mask = slots - 1;
	vocab->bytes = malloc(text.len);
	vocab->slots = calloc(slots, sizeof(mm_vocab_slot));
	if (vocab->bytes == NULL || vocab->slots == NULL)
	{
		mm_vocab_free(vocab);
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	memcpy(vocab->bytes, text.data, text.len);
	fill(vocab, text.len);
	return MM_OK;
}

void
mm_vocab_free(mm_vocab *vocab)
{
	free(vocab->bytes);
	free(vocab->slots);
	*vocab = (mm_vocab){0};
}

int32_t
mm_vocab_find(const mm_vocab *vocab, const char *token, size_t len)
{
	const mm_vocab_slot *slot;

	if (len == 0)
		return -1;
	slot = probe(vocab, token, len);
	return slot->len != 0 ? slot->id : -1;
}
