/*
 * embedding_compare.c
 *		Order, equality and hashing of embeddings.
 *
 * By value, whatever the element type: a half and a float32 embedding of the
 * same values are equal, -0 equals 0, the reserved fields do not count.  The
 * order is element by element, a prefix comes first.  None of this raises for
 * different dimensions, so that any two embeddings can be sorted together.
 *
 * Equal embeddings may differ in their bytes, so the btree class must not
 * claim equalimage.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"

#include "embedding.h"

/* Elements that are hashed at a time, as normalised float32. */
#define HASH_CHUNK 128

static int
compare_views(const EmbeddingView *a, const EmbeddingView *b)
{
	int common = Min(a->dims, b->dims);

	for (int i = 0; i < common; i++)
	{
		float x = embedding_get(a, i);
		float y = embedding_get(b, i);

		if (x < y)
			return -1;
		if (x > y)
			return 1;
	}
	return (a->dims > b->dims) - (a->dims < b->dims);
}

/*
 * Compare the two arguments.  Copies are freed: sorts and index builds call
 * this many times in one memory context.
 */
static int
compare_arguments(FunctionCallInfo fcinfo)
{
	EmbeddingView a;
	EmbeddingView b;
	int result;

	embedding_view(PG_GETARG_DATUM(0), &a);
	embedding_view(PG_GETARG_DATUM(1), &b);
	result = compare_views(&a, &b);
	embedding_view_free(&a);
	embedding_view_free(&b);
	return result;
}

PG_FUNCTION_INFO_V1(embedding_cmp);

/*
 * embedding_cmp(embedding, embedding) returns integer
 *		-1, 0 or 1: the btree support function.
 */
Datum
embedding_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_arguments(fcinfo));
}

PG_FUNCTION_INFO_V1(embedding_lt);

/* embedding_lt(embedding, embedding) returns boolean */
Datum
embedding_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) < 0);
}

PG_FUNCTION_INFO_V1(embedding_le);

/* embedding_le(embedding, embedding) returns boolean */
Datum
embedding_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) <= 0);
}

PG_FUNCTION_INFO_V1(embedding_eq);

/* embedding_eq(embedding, embedding) returns boolean */
Datum
embedding_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) == 0);
}

PG_FUNCTION_INFO_V1(embedding_ne);

/* embedding_ne(embedding, embedding) returns boolean */
Datum
embedding_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) != 0);
}

PG_FUNCTION_INFO_V1(embedding_ge);

/* embedding_ge(embedding, embedding) returns boolean */
Datum
embedding_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) >= 0);
}

PG_FUNCTION_INFO_V1(embedding_gt);

/* embedding_gt(embedding, embedding) returns boolean */
Datum
embedding_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) > 0);
}

/*
 * Hash the values, chunk after chunk, each seeded by the one before.
 */
static uint64
hash_datum(Datum d, uint64 seed)
{
	EmbeddingView view;
	uint64 hash = seed;

	embedding_view(d, &view);
	for (int start = 0; start < view.dims; start += HASH_CHUNK)
	{
		float values[HASH_CHUNK];
		int count = Min(HASH_CHUNK, view.dims - start);

		/* Adding 0 turns -0 into 0 and changes nothing else. */
		for (int i = 0; i < count; i++)
			values[i] = embedding_get(&view, start + i) + 0.0f;
		hash =
			hash_bytes_extended((const unsigned char *) values, count * (int) sizeof(float), hash);
	}
	embedding_view_free(&view);
	return hash;
}

PG_FUNCTION_INFO_V1(embedding_hash);

/*
 * embedding_hash(embedding) returns integer
 */
Datum
embedding_hash(PG_FUNCTION_ARGS)
{
	/* The hash with seed 0 must agree with the extended one in 32 bits. */
	PG_RETURN_UINT32((uint32) hash_datum(PG_GETARG_DATUM(0), 0));
}

PG_FUNCTION_INFO_V1(embedding_hash_extended);

/*
 * embedding_hash_extended(embedding, bigint) returns bigint
 */
Datum
embedding_hash_extended(PG_FUNCTION_ARGS)
{
	PG_RETURN_UINT64(hash_datum(PG_GETARG_DATUM(0), (uint64) PG_GETARG_INT64(1)));
}
