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

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "error.h"

/* A pair and its merge are packed into one slot of 64 bits. */
#define ID_BITS 21
#define MAX_MERGES ((1 << 20) - MM_BPE_FIRST_MERGE)

#define MAX_TEXT_BYTES ((size_t) 64 << 20)

#define END_OF_WORD "</w>"
#define END_LEN 4

/* Text of the bytes' symbols: at most two bytes each, and the end. */
#define BASE_TEXT (MM_BPE_FIRST_MERGE * (2 + END_LEN))

/* Behind the text, so that its last bytes can be read eight at a time. */
#define PADDING 8

/* Lines whose slots are on their way from memory at one time. */
#define BATCH 16

static size_t
slots_for(size_t n)
{
	size_t slots = 1024;

	while (slots < n)
		slots *= 2;
	return slots;
}

/*
 * As calloc, but pages are touched by writing: a table is read at random before
 * it is written, and each page of it would fault twice.
 */
static void *
zeroed(size_t size)
{
	void *p = mm_arena_block(size); /* malloc and memset would be made calloc */

	return p ? memset(p, 0, size) : NULL;
}

/*---- from symbols to ids, while the file is read ----*/

/*
 * A symbol's text, without the mark of the end.  Most are of at most eight bytes,
 * which one comparison settles.
 */
typedef struct name
{
	const char *text;
	uint64_t first; /* its first eight bytes, or less */
	uint32_t len;
	uint32_t size; /* len, doubled, plus 1 with the mark */
	uint32_t hash;
} name;

typedef struct name_slot
{
	uint64_t first;
	uint32_t size;
	uint32_t id; /* plus 1; 0: empty */
} name_slot;

typedef struct names
{
	char *text;       /* of the bytes' symbols, then a copy of the file */
	uint32_t *starts; /* of a symbol's text */
	name_slot *slots;
	uint32_t mask;
	uint32_t n;
} names;

static uint64_t
mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static uint64_t
read_word(const char *s, size_t len)
{
	uint64_t word;

	memcpy(&word, s, sizeof(word));
	word = le64toh(word);
	return len < 8 ? word & (((uint64_t) 1 << 8 * len) - 1) : word;
}

/* Eight bytes behind s + len can be read. */
static name
name_of(const char *s, size_t len)
{
	name name = {.text = s};
	bool end = len >= END_LEN && memcmp(s + len - END_LEN, END_OF_WORD, END_LEN) == 0;
	uint64_t h;

	if (end)
		len -= END_LEN;
	name.len = (uint32_t) len;
	name.size = (uint32_t) len * 2 + end;
	name.first = read_word(s, len);
	h = mix(name.size, name.first);
	for (size_t i = 8; i < len; i += 8)
		h = mix(h, read_word(s + i, len - i));
	name.hash = (uint32_t) (h >> 32);
	return name;
}

/* The slot of a symbol, or the empty one where it would be. */
static name_slot *
name_probe(const names *names, const name *name)
{
	uint32_t i = name->hash & names->mask;

	for (;; i = (i + 1) & names->mask)
	{
		name_slot *slot = &names->slots[i];

		if (slot->id == 0)
			return slot;
		if (slot->first == name->first && slot->size == name->size &&
			(name->len <= 8 ||
			 memcmp(names->text + names->starts[slot->id - 1], name->text, name->len) == 0))
			return slot;
	}
}

/* False where it is there already. */
static bool
name_add(names *names, const name *name)
{
	name_slot *slot = name_probe(names, name);

	if (slot->id != 0)
		return false;
	names->starts[names->n] = (uint32_t) (name->text - names->text);
	*slot = (name_slot){name->first, name->size, ++names->n};
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
names_init(names *names, mm_slice file, int merges)
{
	size_t symbols = MM_BPE_FIRST_MERGE + (size_t) merges;
	size_t slots = slots_for(symbols + symbols / 4);

	names->n = 0;
	names->mask = (uint32_t) slots - 1;
	names->text = malloc(BASE_TEXT + file.len + PADDING);
	names->starts = malloc(symbols * sizeof(names->starts[0]));
	names->slots = zeroed(slots * sizeof(names->slots[0]));
	if (names->text == NULL || names->starts == NULL || names->slots == NULL)
	{
		names_free(names);
		return false;
	}
	memset(names->text, 0, BASE_TEXT);
	if (file.len > 0)
		memcpy(names->text + BASE_TEXT, file.data, file.len);
	memset(names->text + BASE_TEXT + file.len, 0, PADDING);
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
	char *s = names->text;
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
		size_t len = put_utf8(points[id % MM_BPE_BYTES], s);
		name name;

		if (id >= MM_BPE_BYTES)
		{
			memcpy(s + len, END_OF_WORD, END_LEN);
			len += END_LEN;
		}
		name = name_of(s, len);
		name_add(names, &name);
		s += len;
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

/* A line, taken apart. */
typedef struct merge
{
	name left, right, whole;
} merge;

/*
 * "left right".  The space is closed, so that the text of what they make is in
 * one piece, where the line was.
 */
static bool
take_apart(char *s, size_t len, merge *merge)
{
	char *space = memchr(s, ' ', len);
	size_t left, right;

	if (space == NULL || space == s || space == s + len - 1)
		return false;
	left = (size_t) (space - s);
	right = len - left - 1;
	merge->left = name_of(s, left);
	merge->right = name_of(space + 1, right);
	memmove(space, space + 1, right);
	merge->right.text = space;
	merge->whole = name_of(s, left + right);
	return true;
}

static mm_status
add_merge(mm_merges *merges, names *names, const merge *merge, int line, mm_error *err)
{
	uint32_t left = name_probe(names, &merge->left)->id;
	uint32_t right = name_probe(names, &merge->right)->id;

	if (left == 0 || right == 0)
		return bad_line(line, "a symbol that no line before it makes", err);
	if (!name_add(names, &merge->whole))
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

/* The lines of the file that are still to be read. */
typedef struct lines
{
	char *s;
	size_t len;
	int number; /* of the one that was read last, from 1 */
} lines;

static bool
next_line(lines *lines, char **s, size_t *len)
{
	char *nl;
	size_t used;

	if (lines->len == 0)
		return false;
	nl = memchr(lines->s, '\n', lines->len);
	*s = lines->s;
	*len = nl ? (size_t) (nl - lines->s) : lines->len;
	used = *len + (nl != NULL);
	lines->s += used;
	lines->len -= used;
	lines->number++;
	if (*len > 0 && (*s)[*len - 1] == '\r')
		(*len)--;
	return true;
}

/*
 * Take some lines apart and ask for the slots of their symbols, so that they are
 * there when the lines are added.  Returns how many, fewer where the file ends
 * or, *bad, is malformed.
 */
static int
read_batch(lines *lines, const names *names, merge *batch, int most, bool *bad)
{
	int n = 0;

	*bad = false;
	while (n < most)
	{
		merge *merge = &batch[n];
		char *s;
		size_t len;

		if (!next_line(lines, &s, &len))
			break;
		if (!take_apart(s, len, merge))
		{
			*bad = true;
			break;
		}
		__builtin_prefetch(&names->slots[merge->left.hash & names->mask]);
		__builtin_prefetch(&names->slots[merge->right.hash & names->mask]);
		__builtin_prefetch(&names->slots[merge->whole.hash & names->mask]);
		n++;
	}
	return n;
}

static mm_status
read_merges(mm_merges *merges, names *names, lines *lines, mm_error *err)
{
	merge batch[BATCH];
	int done = 0;

	while (done < merges->n)
	{
		int line = lines->number + 1;
		int most = merges->n - done < BATCH ? merges->n - done : BATCH;
		bool bad;
		int n = read_batch(lines, names, batch, most, &bad);

		for (int i = 0; i < n; i++)
		{
			mm_status status = add_merge(merges, names, &batch[i], line + i, err);

			if (status != MM_OK)
				return status;
		}
		if (bad)
			return bad_line(line + n, "not two symbols with a space between them", err);
		done += n;
		if (n < most)
		{
			mm_fail(err, MM_ERR_BAD_MODEL, "merges are too few for the vocabulary");
			mm_fail_detail(err, "%d of %d", done, merges->n);
			return MM_ERR_BAD_MODEL;
		}
	}
	return MM_OK;
}

static mm_status
read_file(mm_merges *merges, names *names, size_t file_len, mm_error *err)
{
	lines lines = {.s = names->text + BASE_TEXT, .len = file_len};
	char *s;
	size_t len;

	if (!next_line(&lines, &s, &len) || !is_header(s, len))
		return bad_line(1, "no \"#version\"", err);
	return read_merges(merges, names, &lines, err);
}

mm_status
mm_merges_init(mm_merges *merges, mm_slice text, int n, mm_error *err)
{
	size_t slots;
	names names;
	mm_status status;

	*merges = (mm_merges){.n = n};
	if (text.len > MAX_TEXT_BYTES)
		return mm_fail(err, MM_ERR_BAD_MODEL, "merges are of no sensible size");
	if (n < 0 || n > MAX_MERGES)
		return mm_fail(err, MM_ERR_BAD_MODEL, "vocabulary of no sensible size");
	slots = slots_for((size_t) n * 2);
	merges->mask = (uint32_t) slots - 1;
	merges->slots = zeroed(slots * sizeof(merges->slots[0]));
	if (merges->slots == NULL || !names_init(&names, text, n))
	{
		mm_merges_free(merges);
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	add_bytes(&names, merges->byte_ids);
	status = read_file(merges, &names, text.len, err);
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
