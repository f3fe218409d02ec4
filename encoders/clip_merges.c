/*-------------------------------------------------------------------------
 *
 * clip_merges.c
 *	  Reading a file of merges.
 *
 * The parts of a merge are written as text, in which a byte is a printable code
 * point and "</w>" marks the end of a word.  While the file is read, a hash
 * table leads from a symbol's text to its id; what stays is one from a pair of
 * ids to the id of their merge.
 *
 *-------------------------------------------------------------------------
 */
#include "clip_merges.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

/* A pair and its merge are packed into one slot of 64 bits. */
#define ID_BITS 21
#define MAX_MERGES ((1 << 20) - MM_BPE_FIRST_MERGE)

#define MAX_TEXT_BYTES ((size_t) 256 << 20)

#define END_OF_WORD "</w>"
#define END_LEN 4

/* Text of the bytes' symbols: at most two bytes each, with and without end. */
#define BASE_TEXT (MM_BPE_BYTES * (2 + 2 + END_LEN))

/*---- from symbols to ids, while the file is read ----*/

typedef struct name_slot
{
	uint32_t hash;
	uint32_t id; /* plus 1; 0: empty */
} name_slot;

typedef struct names
{
	char *text;       /* of all symbols, one behind the other */
	uint32_t *starts; /* of symbol i: from starts[i] to starts[i + 1] */
	name_slot *slots;
	uint32_t mask;
	uint32_t n;
} names;

#define HASH_START 14695981039346656037u

/* FNV-1a (Fowler, Noll & Vo); of two parts, one after the other. */
static uint64_t
hash_more(uint64_t h, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char) s[i]) * 1099511628211u;
	return h;
}

static uint32_t
hash_end(uint64_t h)
{
	return (uint32_t) (h ^ h >> 32);
}

/* The slot of a symbol, or the empty one where it would be. */
static name_slot *
name_probe(const names *names, uint32_t hash, const char *s, size_t len)
{
	uint32_t i = hash & names->mask;

	for (;; i = (i + 1) & names->mask)
	{
		name_slot *slot = &names->slots[i];
		uint32_t start;

		if (slot->id == 0)
			return slot;
		if (slot->hash != hash)
			continue;
		start = names->starts[slot->id - 1];
		if (names->starts[slot->id] - start == len && memcmp(names->text + start, s, len) == 0)
			return slot;
	}
}

static bool
name_add(names *names, uint32_t hash, const char *s, size_t len)
{
	name_slot *slot = name_probe(names, hash, s, len);

	if (slot->id != 0)
		return false;
	*slot = (name_slot){hash, ++names->n};
	names->starts[names->n] = (uint32_t) (s + len - names->text);
	return true;
}

static void
names_free(names *names)
{
	free(names->text);
	free(names->starts);
	free(names->slots);
}

static bool
names_init(names *names, size_t text_len, int merges)
{
	size_t symbols = MM_BPE_FIRST_MERGE + (size_t) merges;
	size_t slots = 1024;

	while (slots < symbols * 2)
		slots *= 2;
	names->n = 0;
	names->mask = (uint32_t) slots - 1;
	names->text = malloc(BASE_TEXT + text_len);
	names->starts = malloc((symbols + 1) * sizeof(names->starts[0]));
	names->slots = calloc(slots, sizeof(names->slots[0]));
	if (names->text == NULL || names->starts == NULL || names->slots == NULL)
	{
		names_free(names);
		return false;
	}
	names->starts[0] = 0;
	return true;
}

/*---- the bytes ----*/

/* Printable ones stand for themselves and come first. */
static bool
stands_for_itself(int byte)
{
	return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

static size_t
put_utf8(uint32_t c, char *s)
{
	if (c < 0x80)
	{
		s[0] = (char) c;
		return 1;
	}
	s[0] = (char) (0xc0 | c >> 6);
	s[1] = (char) (0x80 | (c & 0x3f));
	return 2;
}

/* The others are the code points from 256 on. */
static void
add_bytes(names *names, int32_t *byte_ids)
{
	uint32_t points[MM_BPE_BYTES];
	int n = 0;

	for (int printable = 1; printable >= 0; printable--)
	{
		uint32_t next = 256;

		for (int byte = 0; byte < MM_BPE_BYTES; byte++)
		{
			if (stands_for_itself(byte) != printable)
				continue;
			byte_ids[byte] = n;
			points[n++] = printable ? (uint32_t) byte : next++;
		}
	}
	for (int id = 0; id < MM_BPE_FIRST_MERGE; id++)
	{
		char *s = names->text + names->starts[id];
		size_t len = put_utf8(points[id % MM_BPE_BYTES], s);

		if (id >= MM_BPE_BYTES)
		{
			memcpy(s + len, END_OF_WORD, END_LEN);
			len += END_LEN;
		}
		name_add(names, hash_end(hash_more(HASH_START, s, len)), s, len);
	}
}

/*---- the merges ----*/

static uint64_t
pair_key(int32_t left, int32_t right)
{
	return (uint64_t) (uint32_t) left << ID_BITS | (uint32_t) right;
}

/* Multiplicative hashing: the upper bits are the mixed ones. */
static uint32_t
pair_hash(uint64_t key)
{
	return (uint32_t) (key * 0x9e3779b97f4a7c15u >> 32);
}

int32_t
mm_merges_find(const mm_merges *merges, int32_t left, int32_t right)
{
	uint64_t key = pair_key(left, right);
	uint32_t i = pair_hash(key) & merges->mask;

	for (; merges->slots[i] != 0; i = (i + 1) & merges->mask)
	{
		if (merges->slots[i] >> ID_BITS == key)
			return (int32_t) (merges->slots[i] & ((1 << ID_BITS) - 1));
	}
	return -1;
}

static void
add_pair(mm_merges *merges, int32_t left, int32_t right, int32_t id)
{
	uint64_t key = pair_key(left, right);
	uint32_t i = pair_hash(key) & merges->mask;

	while (merges->slots[i] != 0)
		i = (i + 1) & merges->mask;
	merges->slots[i] = key << ID_BITS | (uint32_t) id;
}

static mm_status
bad_line(int line, const char *what, mm_error *err)
{
	mm_fail(err, MM_ERR_BAD_MODEL, "malformed merges");
	mm_fail_detail(err, "line %d: %s", line, what);
	return MM_ERR_BAD_MODEL;
}

/* "left right": what they make is the next symbol. */
static mm_status
add_merge(mm_merges *merges, names *names, const char *s, size_t len, int line, mm_error *err)
{
	const char *space = memchr(s, ' ', len);
	size_t left_len, right_len;
	uint64_t left_hash;
	uint32_t left, right;
	const char *right_text;
	char *whole;

	if (space == NULL || space == s || space == s + len - 1)
		return bad_line(line, "not two symbols with a space between them", err);
	left_len = (size_t) (space - s);
	right_text = space + 1;
	right_len = len - left_len - 1;
	left_hash = hash_more(HASH_START, s, left_len);
	left = name_probe(names, hash_end(left_hash), s, left_len)->id;
	right = name_probe(names, hash_end(hash_more(HASH_START, right_text, right_len)), right_text,
					   right_len)
				->id;
	if (left == 0 || right == 0)
		return bad_line(line, "a symbol that no line before it makes", err);

	whole = names->text + names->starts[names->n];
	memcpy(whole, s, left_len);
	memcpy(whole + left_len, right_text, right_len);
	if (!name_add(names, hash_end(hash_more(left_hash, right_text, right_len)), whole,
				  left_len + right_len))
		return bad_line(line, "makes a symbol that there is already", err);
	add_pair(merges, (int32_t) left - 1, (int32_t) right - 1, (int32_t) names->n - 1);
	return MM_OK;
}

/* The header is a comment, in the two spellings that are about. */
static bool
is_header(const char *s, size_t len)
{
	static const char word[] = "#version";

	for (size_t i = 0; i + strlen(word) <= len; i++)
	{
		if (memcmp(s + i, word, strlen(word)) == 0)
			return true;
	}
	return false;
}

static mm_status
read_lines(mm_merges *merges, names *names, mm_slice text, mm_error *err)
{
	const char *s = text.data;
	size_t start = 0;

	/* line 0 is the header */
	for (int line = 0; line <= merges->n; line++)
	{
		const char *nl;
		size_t end, len;
		mm_status status;

		if (start >= text.len)
		{
			mm_fail(err, MM_ERR_BAD_MODEL, "merges are too few for the vocabulary");
			mm_fail_detail(err, "%d of %d", line > 0 ? line - 1 : 0, merges->n);
			return MM_ERR_BAD_MODEL;
		}
		nl = memchr(s + start, '\n', text.len - start);
		end = nl ? (size_t) (nl - s) : text.len;
		len = end - start;
		if (len > 0 && s[end - 1] == '\r')
			len--;
		if (line == 0)
		{
			if (!is_header(s, len))
				return bad_line(1, "no \"#version\"", err);
		}
		else if ((status = add_merge(merges, names, s + start, len, line + 1, err)) != MM_OK)
			return status;
		start = end + 1;
	}
	return MM_OK;
}

mm_status
mm_merges_init(mm_merges *merges, mm_slice text, int n, mm_error *err)
{
	size_t slots = 1024;
	names names;
	mm_status status;

	*merges = (mm_merges){.n = n};
	if (text.len > MAX_TEXT_BYTES)
		return mm_fail(err, MM_ERR_BAD_MODEL, "merges are of no sensible size");
	if (n < 0 || n > MAX_MERGES)
		return mm_fail(err, MM_ERR_BAD_MODEL, "vocabulary of no sensible size");
	while (slots < (size_t) n * 2)
		slots *= 2;
	merges->mask = (uint32_t) slots - 1;
	merges->slots = calloc(slots, sizeof(merges->slots[0]));
	if (merges->slots == NULL || !names_init(&names, text.len, n))
	{
		mm_merges_free(merges);
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	add_bytes(&names, merges->byte_ids);
	status = read_lines(merges, &names, text, err);
	names_free(&names);
	if (status != MM_OK)
		mm_merges_free(merges);
	return status;
}

void
mm_merges_free(mm_merges *merges)
{
	free(merges->slots);
	merges->slots = NULL;
}
