/*-------------------------------------------------------------------------
 *
 * clip_word.c
 *	  Byte-pair encoding of one word.
 *
 * The reference takes the pair of lowest rank that the word has, merges all its
 * occurrences from left to right, and begins anew.  A merge can only make pairs
 * of higher rank than its own, since its symbol has to exist before it is part
 * of another; so taking single occurrences in order of rank and place, from a
 * heap, comes to the same, and a word of n bytes costs n log n.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "clip_merges.h"

void
mm_word_init(mm_word *word)
{
	word->n = 0;
	word->room = MM_WORD_INLINE;
	word->symbols = word->inline_symbols;
	word->heap = word->inline_heap;
}

void
mm_word_free(mm_word *word)
{
	if (word->symbols != word->inline_symbols)
	{
		free(word->symbols);
		free(word->heap);
	}
}

static bool
grow(mm_word *word)
{
	size_t room = word->room * 2;
	mm_symbol *symbols = malloc(room * sizeof(symbols[0]));
	uint64_t *heap = malloc(2 * room * sizeof(heap[0]));

	if (symbols == NULL || heap == NULL)
	{
		free(symbols);
		free(heap);
		return false;
	}
	memcpy(symbols, word->symbols, word->n * sizeof(symbols[0]));
	mm_word_free(word);
	word->room = room;
	word->symbols = symbols;
	word->heap = heap;
	return true;
}

bool
mm_word_add_byte(mm_word *word, const mm_merges *merges, uint8_t byte)
{
	if (word->n == word->room && !grow(word))
		return false;
	word->symbols[word->n++].id = merges->byte_ids[byte];
	return true;
}

/*---- a heap of pairs, lowest rank and leftmost place first ----*/

static uint64_t
heap_entry(int32_t merged, uint32_t place)
{
	return (uint64_t) (uint32_t) merged << 32 | place;
}

static void
heap_push(mm_word *word, uint64_t entry)
{
	size_t i = word->heap_n++;

	while (i > 0 && word->heap[(i - 1) / 2] > entry)
	{
		word->heap[i] = word->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	word->heap[i] = entry;
}

static uint64_t
heap_pop(mm_word *word)
{
	uint64_t top = word->heap[0];
	uint64_t entry = word->heap[--word->heap_n];
	size_t i = 0;

	for (;;)
	{
		size_t child = 2 * i + 1;

		if (child >= word->heap_n)
			break;
		if (child + 1 < word->heap_n && word->heap[child + 1] < word->heap[child])
			child++;
		if (word->heap[child] >= entry)
			break;
		word->heap[i] = word->heap[child];
		i = child;
	}
	word->heap[i] = entry;
	return top;
}

/*---- merging ----*/

/*
 * Note what a symbol makes with the one behind it.  Each merge takes an entry
 * from the heap and adds at most two, so that 2n of them are enough.
 */
static void
pair_up(mm_word *word, const mm_merges *merges, uint32_t place)
{
	mm_symbol *symbol = &word->symbols[place];

	symbol->merged = -1;
	if (symbol->next == word->n)
		return;
	symbol->merged = mm_merges_find(merges, symbol->id, word->symbols[symbol->next].id);
	if (symbol->merged >= 0)
		heap_push(word, heap_entry(symbol->merged, place));
}

static void
merge_at(mm_word *word, const mm_merges *merges, uint32_t place)
{
	mm_symbol *left = &word->symbols[place];
	mm_symbol *right = &word->symbols[left->next];

	left->id = left->merged;
	left->next = right->next;
	right->id = right->merged = -1;
	if (left->next < word->n)
		word->symbols[left->next].prev = place;
	pair_up(word, merges, place);
	if (place > 0)
		pair_up(word, merges, left->prev);
}

int
mm_word_merge(mm_word *word, const mm_merges *merges, int32_t *ids, int max)
{
	int count = 0;

	if (word->n == 0)
		return 0;
	word->symbols[word->n - 1].id += MM_BPE_BYTES;
	word->heap_n = 0;
	for (uint32_t i = 0; i < word->n; i++)
	{
		word->symbols[i].prev = i - 1;
		word->symbols[i].next = i + 1;
	}
	for (uint32_t i = 0; i < word->n; i++)
		pair_up(word, merges, i);
	while (word->heap_n > 0)
	{
		uint64_t top = heap_pop(word);
		uint32_t place = (uint32_t) top;

		/* else the pair is no more */
		if (word->symbols[place].merged == (int32_t) (top >> 32))
			merge_at(word, merges, place);
	}
	for (uint32_t i = 0; i < word->n; i = word->symbols[i].next)
	{
		if (count < max)
			ids[count] = word->symbols[i].id;
		count++;
	}
	word->n = 0;
	return count;
}
