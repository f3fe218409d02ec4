/*-------------------------------------------------------------------------
 *
 * clip_cache.c
 *	  Embeddings that this backend keeps for use again.
 *
 * An encoding costs milliseconds, so what was encoded lately is kept: labels
 * and query texts come again and again, and a picture may stand in a query
 * twice.  Two least-recently-used caches, by kind, so that a bulk load of
 * pictures does not push out the texts.  The key is the SHA-256 of the input:
 * pictures are large, and two inputs must never share a row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "funcapi.h"
#include "lib/ilist.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "clip.h"
#include "guc.h"

/* A picture is rarely asked for twice, but by one statement. */
#define IMAGE_CAPACITY 16

PG_FUNCTION_INFO_V1(mmodal_embed_cache_stats);

typedef struct CacheEntry
{
	ClipCacheKey key;
	dlist_node node;
	float *row; /* the model's dims */
} CacheEntry;

typedef struct ClipCache
{
	const char *kind;
	HTAB *table;
	dlist_head lru; /* most recently used first */
	MemoryContext context;
	int64 hits;
	int64 misses;
	int64 evictions;
} ClipCache;

static ClipCache caches[] = {
	[CLIP_TEXT] = {.kind = "text"},
	[CLIP_IMAGE] = {.kind = "image"},
};

static int
capacity_of(ClipKind kind)
{
	return kind == CLIP_TEXT ? mm_guc_embed_cache : Min(mm_guc_embed_cache, IMAGE_CAPACITY);
}

static long
entries_of(const ClipCache *cache)
{
	return cache->table ? hash_get_num_entries(cache->table) : 0;
}

static void
cache_create(ClipCache *cache)
{
	HASHCTL ctl = {0};

	cache->context =
		AllocSetContextCreate(TopMemoryContext, "mmodal embedding cache", ALLOCSET_DEFAULT_SIZES);
	ctl.keysize = sizeof(ClipCacheKey);
	ctl.entrysize = sizeof(CacheEntry);
	ctl.hcxt = cache->context;
	dlist_init(&cache->lru);
	cache->table =
		hash_create("mmodal embeddings", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

ClipCacheKey
clip_cache_key(const ClipModel *model, mm_slice input)
{
	pg_cryptohash_ctx *sha = pg_cryptohash_create(PG_SHA256);
	ClipCacheKey key;

	if (sha == NULL || pg_cryptohash_init(sha) < 0 ||
		pg_cryptohash_update(sha, input.data, input.len) < 0 ||
		pg_cryptohash_final(sha, key.digest, sizeof(key.digest)) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(sha);
	key.serial = clip_model_serial(model);
	return key;
}

bool
clip_cache_lookup(ClipKind kind, const ClipCacheKey *key, float *row, int dims)
{
	ClipCache *cache = &caches[kind];
	CacheEntry *entry = NULL;

	if (cache->table != NULL && capacity_of(kind) > 0)
		entry = hash_search(cache->table, key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		cache->misses++;
		return false;
	}
	cache->hits++;
	dlist_move_head(&cache->lru, &entry->node);
	memcpy(row, entry->row, sizeof(float) * dims);
	return true;
}

static void
evict_oldest(ClipCache *cache)
{
	CacheEntry *oldest = dlist_container(CacheEntry, node, dlist_tail_node(&cache->lru));

	dlist_delete(&oldest->node);
	pfree(oldest->row);
	hash_search(cache->table, &oldest->key, HASH_REMOVE, NULL);
	cache->evictions++;
}

void
clip_cache_insert(ClipKind kind, const ClipCacheKey *key, const float *row, int dims)
{
	ClipCache *cache = &caches[kind];
	int capacity = capacity_of(kind);
	CacheEntry *entry;
	float *copy;
	bool found;

	if (cache->table == NULL && capacity > 0)
		cache_create(cache);

	/* more than one when the setting was lowered */
	while (entries_of(cache) > 0 && entries_of(cache) >= capacity)
		evict_oldest(cache);
	if (capacity == 0)
		return;
	copy = MemoryContextAlloc(cache->context, sizeof(float) * dims);
	memcpy(copy, row, sizeof(float) * dims);
	entry = hash_search(cache->table, key, HASH_ENTER, &found);
	if (found)
		pfree(entry->row); /* the same input twice in one batch */
	else
		dlist_push_head(&cache->lru, &entry->node);
	entry->row = copy;
}

Datum
mmodal_embed_cache_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int kind = 0; kind < (int) lengthof(caches); kind++)
	{
		const ClipCache *cache = &caches[kind];
		Datum values[6] = {
			CStringGetTextDatum(cache->kind), Int32GetDatum(capacity_of((ClipKind) kind)),
			Int64GetDatum(entries_of(cache)), Int64GetDatum(cache->hits),
			Int64GetDatum(cache->misses),     Int64GetDatum(cache->evictions),
		};
		bool nulls[6] = {false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
