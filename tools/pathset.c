/*-------------------------------------------------------------------------
 *
 * pathset.c
 *	  A set of strings as an open hash table of their SHA-256.  A slot of zeros is
 *	  free; no string is known whose hash begins so.
 *
 *-------------------------------------------------------------------------
 */
#include "pathset.h"

#include <stdlib.h>
#include <string.h>

#include "load.h"

static const uint8_t none[16];

static uint8_t *
find_slot(const pathset *set, const uint8_t *key)
{
	uint64_t at;

	memcpy(&at, key, sizeof(at));
	for (;; at++)
	{
		uint8_t *slot = set->slots[at & (set->room - 1)];

		if (memcmp(slot, key, 16) == 0 || memcmp(slot, none, 16) == 0)
			return slot;
	}
}

static void
grow(pathset *set)
{
	pathset old = *set;

	set->room = old.room > 0 ? old.room * 2 : 1024;
	set->slots = xmalloc(set->room * 16);
	for (size_t i = 0; i < old.room; i++)
		if (memcmp(old.slots[i], none, 16) != 0)
			memcpy(find_slot(set, old.slots[i]), old.slots[i], 16);
	free(old.slots);
}

void
pathset_add(pathset *set, const char *path, size_t size)
{
	uint8_t hash[HASH_SIZE], *slot;

	if (set->n * 3 >= set->room * 2)
		grow(set);
	hash_bytes(path, size, hash);
	slot = find_slot(set, hash);
	if (memcmp(slot, none, 16) == 0)
	{
		memcpy(slot, hash, 16);
		set->n++;
	}
}

bool
pathset_has(const pathset *set, const char *path)
{
	uint8_t hash[HASH_SIZE];

	if (set->n == 0)
		return false;
	hash_bytes(path, strlen(path), hash);
	return memcmp(find_slot(set, hash), hash, 16) == 0;
}

void
pathset_free(pathset *set)
{
	free(set->slots);
	*set = (pathset){0};
}
