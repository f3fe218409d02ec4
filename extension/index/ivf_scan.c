/*
 * ivf_scan.c
 *		Index scans: ORDER BY column <operator> value.
 */
#include "postgres.h"

#include <math.h>

#include "access/relscan.h"
#include "fmgr.h"
#include "pgstat.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "../guc.h"
#include "compat.h"
#include "ivf.h"
#include "ivf_search.h"

/* Arrays of a search that the next scan may use again, at most so many bytes. */
#define SPARE_MOST ((Size) 32 * 1024 * 1024)

/* What a scan keeps; a search is made at the first row that is asked for. */
typedef struct IvfScan
{
	MemoryContext context; /* of the search, reset by a rescan */
	IvfSearch *search;
	IvfMemory *memory; /* its arrays, which stay: the backend's spare ones or own */
	IvfMemory own;
	MemoryContextCallback callback; /* at the end of the scan, or of its query */
	BlockNumber heap_blocks;        /* that the table has at least */
	IvfScanStats stats;             /* of searches that ended, and rows of all */
} IvfScan;

/* What the scan that ended last did; valid where an index is named. */
static IvfScanStats last_scan;

/*
 * The arrays of the scan before, kept by the backend: to have fresh memory from
 * the system for each query takes longer than many a search.
 */
static IvfMemory spare;
static bool spare_is_taken = false;

/* Give the spare arrays back; called when the scan's memory goes, errors included. */
static void
return_spare(void *arg)
{
	Size total = 0;

	for (int block = 0; block < IVF_MEMORY_BLOCKS; block++)
		total += spare.size[block];
	if (total > SPARE_MOST)
	{
		MemoryContextReset(spare.context);
		memset(spare.block, 0, sizeof(spare.block));
		memset(spare.size, 0, sizeof(spare.size));
	}
	spare_is_taken = false;
}

/* Arrays for a scan whose own context is arrays. */
static IvfMemory *
take_memory(IvfScan *ivf, MemoryContext arrays)
{
	ivf->own.context = arrays;
	if (spare_is_taken)
		return &ivf->own;
	if (spare.context == NULL)
		spare.context = AllocSetContextCreate(TopMemoryContext, "faiss_ivf spare arrays",
											  ALLOCSET_DEFAULT_SIZES);
	ivf->callback.func = return_spare;
	MemoryContextRegisterResetCallback(arrays, &ivf->callback);
	spare_is_taken = true;
	return &spare;
}

IvfSearchOptions
ivf_search_options(Relation index)
{
	const IvfState *state = ivf_state(index);
	IvfSearchOptions options = {0};
	float curve[IVF_CURVE_POINTS];

	options.recall = mm_guc_recall;
	options.probes = mm_guc_ivf_probes;
	options.error_bound = mm_guc_ivf_error_bound;
	options.max_rows = mm_guc_max_scan_tuples;
	options.first_round = IVF_FIRST_ROUND;
	options.spread = (float) mm_guc_ivf_spread;
	if (options.spread <= 0)
	{
		ivf_curve_of(index, &state->meta, curve);
		options.spread = ivf_curve_spread(curve, options.recall);
	}
	return options;
}

IndexScanDesc
ivf_beginscan(Relation index, int nkeys, int norderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
	IvfScan *ivf = palloc0(sizeof(IvfScan));

	ivf->context =
		AllocSetContextCreate(CurrentMemoryContext, "faiss_ivf search", ALLOCSET_DEFAULT_SIZES);
	ivf->memory = take_memory(ivf, AllocSetContextCreate(CurrentMemoryContext, "faiss_ivf arrays",
														 ALLOCSET_DEFAULT_SIZES));
	scan->opaque = ivf;
	if (norderbys > 0)
	{
		scan->xs_orderbyvals = palloc0(norderbys * sizeof(Datum));
		scan->xs_orderbynulls = palloc0(norderbys * sizeof(bool));
	}
	return scan;
}

/* Add what a search did. */
static void
add_search(IvfScanStats *stats, const IvfSearch *search)
{
	stats->index = RelationGetRelid(search->index);
	stats->searches++;
	stats->recall = search->options.recall;
	stats->exact = search->exact;
	stats->lists = search->nlists;
	stats->work.lists += search->stats.lists;
	stats->work.scanned += search->stats.scanned;
	stats->work.reranked += search->stats.reranked;
	stats->work.refined += search->stats.refined;
	stats->work.rounds += search->stats.rounds;
}

IvfScanStats
ivf_scan_stats(IndexScanDesc scan)
{
	const IvfScan *ivf = (const IvfScan *) scan->opaque;
	IvfScanStats stats = ivf->stats;

	if (ivf->search)
		add_search(&stats, ivf->search);
	return stats;
}

IvfScanStats
ivf_last_scan(void)
{
	return last_scan;
}

void
ivf_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys)
{
	IvfScan *ivf = (IvfScan *) scan->opaque;

	ivf->stats = ivf_scan_stats(scan);
	ivf->search = NULL;
	MemoryContextReset(ivf->context);
	if (keys && scan->numberOfKeys > 0)
		memmove(scan->keyData, keys, scan->numberOfKeys * sizeof(ScanKeyData));
	if (orderbys && scan->numberOfOrderBys > 0)
		memmove(scan->orderByData, orderbys, scan->numberOfOrderBys * sizeof(ScanKeyData));
}

static void
begin_search(IndexScanDesc scan)
{
	IvfScan *ivf = (IvfScan *) scan->opaque;
	const ScanKeyData *key = scan->orderByData;
	IvfSearchOptions options;

	if (scan->numberOfOrderBys != 1 || scan->numberOfKeys != 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("faiss_ivf index \"%s\" can only be scanned in order of distance",
							   RelationGetRelationName(scan->indexRelation))));
	pgstat_count_index_scan(scan->indexRelation);
	mm_count_index_search(scan);
	options = ivf_search_options(scan->indexRelation);
	ivf->search = ivf_search_begin(scan->indexRelation, key->sk_argument,
								   (key->sk_flags & SK_ISNULL) != 0, &options, ivf->memory);
}

/* In an exact search the executor puts rows in order by their true distances. */
static void
set_lower_bound(IndexScanDesc scan, double distance, bool has_distance, bool is_null_row)
{
	scan->xs_orderbynulls[0] = is_null_row;
	/* Rows without a direction come last, but the operator may think otherwise. */
	scan->xs_orderbyvals[0] = Float8GetDatum(has_distance ? distance : -get_float8_infinity());
	scan->xs_recheckorderby = true;
}

/*
 * No row may lie beyond the end of its table: to read there is an error of files
 * that does not name us, and to read the last block number of all would make the
 * table longer.
 */
static void
check_tid(IndexScanDesc scan)
{
	IvfScan *ivf = (IvfScan *) scan->opaque;
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(&scan->xs_heaptid);

	if (likely(block < ivf->heap_blocks))
		return;
	ivf->heap_blocks = RelationGetNumberOfBlocks(scan->heapRelation);
	if (block >= ivf->heap_blocks)
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("index \"%s\" points to row (%u,%u), beyond the end of table \"%s\"",
							   RelationGetRelationName(scan->indexRelation), block,
							   ItemPointerGetOffsetNumberNoCheck(&scan->xs_heaptid),
							   RelationGetRelationName(scan->heapRelation)),
						errhint("Please REINDEX it.")));
}

bool
ivf_gettuple(IndexScanDesc scan, ScanDirection direction)
{
	IvfScan *ivf = (IvfScan *) scan->opaque;
	MemoryContext old = MemoryContextSwitchTo(ivf->context);
	double distance;
	bool has_distance;
	bool found;

	Assert(ScanDirectionIsForward(direction));
	if (ivf->search == NULL)
		begin_search(scan);
	found = ivf_search_next(ivf->search, &scan->xs_heaptid, &distance, &has_distance);
	scan->xs_recheck = false;
	scan->xs_recheckorderby = false;
	MemoryContextSwitchTo(old);
	if (found)
		check_tid(scan);
	ivf->stats.rows += found;
	if (found && ivf->search->exact)
		set_lower_bound(scan, distance, has_distance, ivf->search->phase == IVF_NULL_ROWS);
	return found;
}

void
ivf_endscan(IndexScanDesc scan)
{
	IvfScan *ivf = (IvfScan *) scan->opaque;
	IvfScanStats stats = ivf_scan_stats(scan);

	if (stats.searches > 0)
		last_scan = stats;
	MemoryContextDelete(ivf->context);
	MemoryContextDelete(ivf->own.context);
	pfree(ivf);
	scan->opaque = NULL;
}
