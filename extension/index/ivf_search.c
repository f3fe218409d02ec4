/*
 * ivf_search.c
 *		The rounds of a search, and what it gives out.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "ivf.h"
#include "ivf_search.h"

/* Each round is for so many times the rows of the one before. */
#define ROUND_GROWTH 4

/* Estimates to rerank before the k-th best similarity is known, in units of k. */
#define FIRST_RERANK 2

void *
ivf_memory(IvfMemory *memory, IvfBlock block, Size size)
{
	StaticAssertStmt(IVF_BLOCK_COUNT == IVF_MEMORY_BLOCKS, "one block for each array");
	if (size <= memory->size[block])
		return memory->block[block];
	size = Max(size + size / 2, 1024);
	if (memory->block[block])
		memory->block[block] = repalloc_huge(memory->block[block], size);
	else
		memory->block[block] = MemoryContextAllocHuge(memory->context, size);
	memory->size[block] = size;
	return memory->block[block];
}

IvfSearch *
ivf_search_begin(Relation index, Datum value, bool isnull, const IvfSearchOptions *options,
				 IvfMemory *memory)
{
	IvfSearch *search = palloc0(sizeof(IvfSearch));

	/* The argument may not outlive this call; to fetch it may make the state go stale. */
	if (!isnull)
		value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	search->index = index;
	search->state = ivf_state(index);
	search->options = *options;
	search->context = CurrentMemoryContext;
	search->memory = memory;
	search->phase = IVF_RANKED;
	search->round = Max(options->first_round, 1) / (double) ROUND_GROWTH;
	if (!isnull)
	{
		search->query = ivf_query_make(search->state, value);
		if (search->query->norm == 0 && search->query->metric == MM_COSINE)
			search->query = NULL;
	}
	search->exact = search->query && options->recall >= 1;
	ivf_probe_begin(search);
	for (uint32 i = 0; i < search->nlists; i++)
		search->total +=
			search->lists[i].packed + (double) ivf_tail_most(search->state, &search->lists[i]);
	search->total = Max(Min(search->total, INT_MAX / 16), 1);
	return search;
}

/* The k-th largest similarity of the hits, -infinity where there are fewer. */
static float
kth_hit(IvfSearch *search, double k)
{
	float *values;

	if (search->nhits < k)
		return -INFINITY;
	values = ivf_memory(search->memory, IVF_HIT_VALUES, search->nhits * sizeof(float));
	for (uint32 i = 0; i < search->nhits; i++)
		values[i] = search->hits[i].similarity;
	return ivf_kth_largest(values, (int) search->nhits, (int) k);
}

/* Lists that are at hand to be read next, on the way to needed. */
static uint32
next_stop(const IvfSearch *search, uint32 needed)
{
	uint32 step = (needed - search->probed) / 2;

	/* What is needed falls as better rows are found: approach it in steps. */
	step = Min(step, search->probed / 3);
	step = Max(step, 8);
	return Min(search->probed + step, needed);
}

static bool
may_read_more(const IvfSearch *search)
{
	double limit = search->options.max_rows;

	return search->probed < search->nlists && !(limit > 0 && search->stats.scanned >= limit);
}

/* Read lists until the stop rule holds for the k-th largest estimate. */
static void
probe_by_estimates(IvfSearch *search, int k)
{
	while (may_read_more(search))
	{
		float worst = ivf_top_kth(search, k);
		uint32 needed = search->nlists;

		if (worst > -INFINITY)
			needed = ivf_probes_needed(search, worst, k);
		if (needed <= search->probed)
			break;
		ivf_probe(search, next_stop(search, needed));
	}
}

/* Expert mode: so many lists a round. */
static void
probe_fixed(IvfSearch *search)
{
	double lists = search->options.probes * (double) (search->stats.rounds);

	if (may_read_more(search))
		ivf_probe(search, (uint32) Min(lists, (double) search->nlists));
}

/* Have the k best of the rows read so far, with final similarities; returns the k-th one. */
static float
rank_rows(IvfSearch *search, int k)
{
	float threshold = -FLT_MAX;

	if (search->unranked > 0)
	{
		float enough = ivf_top_kth(search, Min(FIRST_RERANK * k, search->top_want));

		ivf_rerank(search, Max(enough, -FLT_MAX), false);
		threshold = kth_hit(search, k);
		ivf_rerank(search, threshold, true);
	}
	threshold = kth_hit(search, k);
	ivf_refine(search, threshold);
	return kth_hit(search, k);
}

static int
compare_hits(const void *a, const void *b, void *arg)
{
	const IvfHit *hits = ((IvfSearch *) arg)->hits;
	const IvfHit *x = &hits[*(const uint32 *) a];
	const IvfHit *y = &hits[*(const uint32 *) b];

	/* A sort of millions of rows takes seconds, and may be left at any time. */
	CHECK_FOR_INTERRUPTS();
	if (x->similarity != y->similarity)
		return x->similarity > y->similarity ? -1 : 1;
	return ItemPointerCompare((ItemPointer) &x->tid, (ItemPointer) &y->tid);
}

/* Queue the hits that are not out yet and reach worst, best first. */
static void
queue_hits(IvfSearch *search, float worst)
{
	search->queue = ivf_memory(search->memory, IVF_QUEUE, search->nhits * sizeof(uint32));
	search->nqueue = 0;
	search->queue_next = 0;
	for (uint32 i = 0; i < search->nhits; i++)
	{
		IvfHit *hit = &search->hits[i];

		if (hit->out || hit->similarity < worst)
			continue;
		hit->out = true;
		search->queue[search->nqueue++] = i;
	}
	qsort_arg(search->queue, search->nqueue, sizeof(uint32), compare_hits, search);
}

/* Read lists and rank rows for the k best; returns the similarity of the k-th. */
static float
search_round(IvfSearch *search, int k)
{
	float worst;

	if (search->options.probes > 0)
		probe_fixed(search);
	else
		probe_by_estimates(search, k);
	worst = rank_rows(search, k);

	/* Estimates flatter the k-th best: look again with its final similarity. */
	while (search->options.probes == 0 && may_read_more(search))
	{
		uint32 needed = worst > -INFINITY ? ivf_probes_needed(search, worst, k) : search->nlists;

		if (needed <= search->probed)
			break;
		ivf_probe(search, worst > -INFINITY ? needed : next_stop(search, needed));
		worst = rank_rows(search, k);
	}
	return worst;
}

/* One round; false where nothing is left to give out. */
static bool
run_round(IvfSearch *search)
{
	bool last = search->round >= search->total;
	float worst = -INFINITY;
	int k;

	search->round = Min(search->round * ROUND_GROWTH, search->total);
	k = (int) search->round;
	search->stats.rounds++;
	ivf_top_restart(search, FIRST_RERANK * k);
	if (!last)
		worst = search_round(search, k);
	else
	{
		/* As many rows as there are were asked for before: whatever remains. */
		if (may_read_more(search))
			ivf_probe(search, search->nlists);
		ivf_rerank(search, -FLT_MAX, false);
		ivf_refine(search, -FLT_MAX);
	}
	queue_hits(search, worst);
	return search->nqueue > 0 || !last;
}

/* Rows whose estimates are held at a time by a search that reads all lists. */
#define ALL_CHUNK 200000

/* Keep the hits that reach worst, all of which are final, and forget all rows read. */
static void
forget_rows(IvfSearch *search, int k, float worst)
{
	uint32 kept = 0;

	for (uint32 i = 0; i < search->nhits; i++)
	{
		if (search->hits[i].similarity >= worst)
			search->hits[kept++] = search->hits[i];
	}
	search->nhits = kept;
	search->nrows = 0;
	search->nsegments = 0;
	search->unranked = 0;
	ivf_top_restart(search, FIRST_RERANK * k);
}

void
ivf_search_all(IvfSearch *search, int k)
{
	float worst = -INFINITY;

	ivf_top_restart(search, FIRST_RERANK * k);
	search->stats.rounds++;
	while (search->probed < search->nlists)
	{
		while (search->probed < search->nlists && search->nrows < ALL_CHUNK)
			ivf_probe(search, search->probed + 1);
		worst = rank_rows(search, k);
		forget_rows(search, k, worst);
	}
	queue_hits(search, worst);
	search->round = search->total;
}

/* Every row at once, for searches that are exact or have nothing to rank by. */
static void
read_everything(IvfSearch *search)
{
	if (search->query == NULL)
	{
		/* Any vector will do to go through the lists. */
		search->query = palloc0(sizeof(IvfQuery));
		search->query->metric = (MmMetric) search->state->meta.metric;
		search->query->pdims = (int) search->state->meta.pdims;
		search->query->y = palloc0(search->state->meta.pdims * sizeof(float));
		search->query->y16 = palloc0(search->state->meta.pdims * sizeof(int16));
		search->query->y_high = palloc0(search->state->meta.pdims);
		search->query->y8 = palloc0(search->state->meta.pdims);
		search->query->view.dims = (int) search->state->meta.dims;
		search->query->view.data = palloc0(search->state->meta.dims * sizeof(float));
	}
	search->top_threshold = INFINITY;
	ivf_probe(search, search->nlists);
	for (uint32 i = 0; i < search->nrows; i++)
		search->upper[i] = INFINITY;
	ivf_rerank(search, -FLT_MAX, true);
}

/* A max-heap of hits by proven upper bound, as indexes in queue. */
static inline float
heap_key(const IvfSearch *search, uint32 at)
{
	const IvfHit *hit = &search->hits[search->queue[at]];

	return hit->similarity + hit->slack;
}

static void
sift_down(IvfSearch *search, uint32 at)
{
	for (;;)
	{
		uint32 child = 2 * at + 1;
		uint32 swapped;

		if (child >= search->nqueue)
			return;
		if (child + 1 < search->nqueue && heap_key(search, child + 1) > heap_key(search, child))
			child++;
		if (heap_key(search, at) >= heap_key(search, child))
			return;
		swapped = search->queue[at];
		search->queue[at] = search->queue[child];
		search->queue[child] = swapped;
		at = child;
	}
}

/* The next row of an exact search: by falling upper bound, refined when its turn comes. */
static IvfHit *
next_exact(IvfSearch *search)
{
	if (search->stats.rounds == 0)
	{
		search->stats.rounds = 1;
		read_everything(search);
		queue_hits(search, -INFINITY);
		for (uint32 i = search->nqueue / 2; i-- > 0;)
			sift_down(search, i);
	}
	while (search->nqueue > 0)
	{
		IvfHit *hit = &search->hits[search->queue[0]];

		CHECK_FOR_INTERRUPTS();
		if (!hit->final)
			ivf_refine_hit(search, hit);
		else
		{
			search->queue[0] = search->queue[--search->nqueue];
			sift_down(search, 0);
			return hit;
		}
		sift_down(search, 0);
	}
	return NULL;
}

static IvfHit *
next_ranked(IvfSearch *search)
{
	while (search->queue_next >= search->nqueue)
	{
		if (search->query == NULL || search->top_threshold == INFINITY)
		{
			if (search->stats.rounds++ > 0)
				return NULL;
			read_everything(search);
			queue_hits(search, -INFINITY);
		}
		else if (!run_round(search))
			return NULL;
	}
	return &search->hits[search->queue[search->queue_next++]];
}

/* Copy the live rows of the next page of a pseudo list's chain. */
static bool
next_side_page(IvfSearch *search, uint32 list)
{
	Buffer buffer;
	Page page;

	if (search->side_block == InvalidBlockNumber)
	{
		const IvfList *entry = &search->lists[list];

		if (ivf_chain_is_cut(entry, search->side_seq))
			ivf_page_unexpected(search->index, entry->tail_last);
		return false;
	}
	buffer = ivf_read_page(search->index, search->side_block, IVF_SIDE, list, search->side_seq);
	page = BufferGetPage(buffer);
	if (search->side == NULL)
		search->side =
			MemoryContextAlloc(search->context, IVF_SIDES_PER_PAGE * sizeof(ItemPointerData));
	search->nside = 0;
	search->side_next = 0;
	for (int i = 0; i < ivf_side_rows(page); i++)
	{
		const IvfSide *row = (const IvfSide *) IvfPageGetContent(page) + i;

		if (ItemPointerIsValid(&row->tid))
			search->side[search->nside++] = row->tid;
	}
	search->side_block = IvfPageGetHead(page)->next;
	search->side_seq++;
	UnlockReleaseBuffer(buffer);
	return true;
}

static void
begin_side(IvfSearch *search, IvfPhase phase, uint32 side)
{
	const IvfList *entry = &search->lists[search->nlists + side];

	search->phase = phase;
	search->side_block = entry->tail_first;
	search->side_seq = entry->tail_first_seq;
	search->nside = 0;
	search->side_next = 0;
}

static bool
next_side(IvfSearch *search, uint32 side, ItemPointer tid)
{
	while (search->side_next >= search->nside)
	{
		if (!next_side_page(search, search->nlists + side))
			return false;
	}
	*tid = search->side[search->side_next++];
	return true;
}

/* A hit's distance, or a lower bound of it in an exact search. */
static double
hit_distance(const IvfSearch *search, const IvfHit *hit)
{
	/* Overflown: the operator may give anything. */
	if (search->exact && hit->similarity == FLT_MAX)
		return -get_float8_infinity();
	return ivf_distance((MmMetric) search->state->meta.metric,
						(double) hit->similarity + (search->exact ? hit->slack : 0));
}

bool
ivf_search_next(IvfSearch *search, ItemPointer tid, double *distance, bool *has_distance)
{
	search->state = ivf_state(search->index);
	*has_distance = false;
	*distance = 0;
	if (search->phase == IVF_RANKED)
	{
		bool ranked = search->query != NULL && search->top_threshold != INFINITY;
		IvfHit *hit = search->exact ? next_exact(search) : next_ranked(search);

		if (hit)
		{
			*tid = hit->tid;
			*has_distance = ranked || search->exact;
			if (*has_distance)
				*distance = hit_distance(search, hit);
			return true;
		}
		begin_side(search, IVF_ZERO_ROWS, IVF_ZERO_LIST);
	}
	if (search->phase == IVF_ZERO_ROWS)
	{
		if (next_side(search, IVF_ZERO_LIST, tid))
			return true;
		begin_side(search, IVF_NULL_ROWS, IVF_NULL_LIST);
	}
	if (search->phase == IVF_NULL_ROWS && next_side(search, IVF_NULL_LIST, tid))
		return true;
	search->phase = IVF_DONE;
	return false;
}
