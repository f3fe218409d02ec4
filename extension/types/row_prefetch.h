/*
 * row_prefetch.h
 *		Fetch the vector of the next row while this one is computed.
 *
 * Exact search reads every vector once, and a table's vectors lie in memory
 * that no cache holds: kernels mostly wait for it.  The processor's own
 * prefetcher does not help, because rows go down in a page while their bytes
 * go up, and each is too short to be recognised as a stream.  But a sequential
 * scan is easy to foresee: PostgreSQL fills a page from its end, so the next
 * row lies just below, and after the lowest one the next page's rows start at
 * its end, usually in the next buffer.
 *
 * This is a hint only.  It never reads what it has not been given (prefetches
 * of a wrong address do nothing, the page header belongs to the pinned page
 * that the row is in), and it stops where its guesses turn out wrong, as in an
 * index scan or behind a filter that few rows pass.
 *
 * Include postgres.h and fmgr.h before it.
 */
#ifndef MM_ROW_PREFETCH_H
#define MM_ROW_PREFETCH_H

#include "storage/bufmgr.h"
#include "storage/bufpage.h"

/* Guesses in a row that must fail before prefetching stops. */
#define ROW_PREFETCH_PATIENCE 8

/* Bytes of a row besides its vector, at most, where this works well. */
#define ROW_PREFETCH_SLACK 64

#define ROW_PREFETCH_LINE 64

/* What a call site remembers, in its fn_extra. */
typedef struct RowPrefetch
{
	const char *guess; /* where the next row was expected to begin, roughly */
	int trust;         /* 0: do not prefetch */
} RowPrefetch;

/* The state of a call site, made at its first call; NULL without flinfo. */
static inline RowPrefetch *
row_prefetch_state(FunctionCallInfo fcinfo)
{
	FmgrInfo *flinfo = fcinfo->flinfo;

	if (unlikely(flinfo == NULL))
		return NULL;
	if (unlikely(flinfo->fn_extra == NULL))
		flinfo->fn_extra = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(RowPrefetch));
	return (RowPrefetch *) flinfo->fn_extra;
}

/*
 * Tell that the size bytes at row are about to be read.  Returns whether row
 * lies in shared buffers, that is, whether this is the side to follow.
 */
static inline bool
row_prefetch_next(RowPrefetch *state, const char *row, Size size)
{
	Size offset = (Size) (row - BufferBlocks);
	const char *page;
	const char *end;
	Size span = size + 2 * ROW_PREFETCH_SLACK;

	if (offset >= (Size) NBuffers * BLCKSZ)
		return false;

	if (row >= state->guess && row < state->guess + span)
		state->trust = ROW_PREFETCH_PATIENCE;
	else if (state->trust > 0)
		state->trust--;

	/* The next row ends where this one begins, or where the next page ends. */
	page = BufferBlocks + offset / BLCKSZ * BLCKSZ;
	end = row;
	if ((Size) (row - page) < ((PageHeader) page)->pd_upper + size)
		end = page + 2 * BLCKSZ;
	state->guess = end - span;
	if (state->trust > 0)
	{
		/* Into the second-level cache: the first one's fill queue is short. */
		for (const char *line = state->guess; line < end; line += ROW_PREFETCH_LINE)
			__builtin_prefetch(line, 0, 2);
	}
	return true;
}

#endif /* MM_ROW_PREFETCH_H */
