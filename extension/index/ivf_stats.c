/*
 * ivf_stats.c
 *		mmodal_index_stats: what an index is and how it is doing; mmodal_last_scan:
 *		what a scan did.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"

#include "ivf.h"
#include "ivf_admin.h"
#include "ivf_search.h"

PG_FUNCTION_INFO_V1(mmodal_index_stats);
PG_FUNCTION_INFO_V1(mmodal_last_scan);

/* Counts that only a look at all pages gives. */
typedef struct PageCounts
{
	int64 rows;
	int64 dead;
	int64 retired;
	int64 orphans;
} PageCounts;

/* Whether a page of rows belongs to its list as the entry tells. */
static bool
is_current(const IvfMeta *meta, const IvfList *lists, const IvfHead *head, uint32 list)
{
	if (list >= meta->lists + IVF_SIDE_LISTS)
		return false;
	if (head->kind == IVF_TAIL || head->kind == IVF_SIDE)
		return head->generation >= lists[list].tail_first_seq;
	return head->generation == lists[list].generation;
}

static void
count_page(const IvfState *state, const IvfList *lists, Page page, PageCounts *counts)
{
	const IvfHead *head;
	bool current = false;

	if (!ivf_page_is_ours(page))
		return;
	head = IvfPageGetHead(page);
	if (head->kind < IVF_SCAN)
		return;
	if (head->flags & IVF_RETIRED)
	{
		counts->retired++;
		return;
	}
	for (uint32 list = head->first_list;
		 list <= head->last_list && list < state->meta.lists + IVF_SIDE_LISTS && !current; list++)
		current = is_current(&state->meta, lists, head, list);
	counts->orphans += !current;
	for (int i = 0; i < ivf_page_rows(state, page); i++)
	{
		uint32 list;
		bool live = ItemPointerIsValid(ivf_page_tid(state, page, i, &list));

		if (is_current(&state->meta, lists, head, list))
			counts->rows += live;
	}
}

static PageCounts
count_pages(Relation index, const IvfState *state, const IvfList *lists)
{
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
	BlockNumber blocks = RelationGetNumberOfBlocks(index);
	PageCounts counts = {0};

	for (BlockNumber block = IVF_METAPAGE_BLKNO + 1; block < blocks; block++)
	{
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		count_page(state, lists, BufferGetPage(buffer), &counts);
		UnlockReleaseBuffer(buffer);
	}
	FreeAccessStrategy(strategy);
	return counts;
}

static const char *
metric_name(uint32 metric)
{
	switch (metric)
	{
		case MM_COSINE:
			return "cosine";
		case MM_L2_SQUARED:
			return "l2";
		default:
			return "ip";
	}
}

/*
 * One row that describes an index.
 */
Datum
mmodal_index_stats(PG_FUNCTION_ARGS)
{
	IvfAdmin admin;
	const IvfState *state;
	const IvfMeta *meta;
	IvfList *lists;
	PageCounts counts;
	TupleDesc desc;
	Datum values[13];
	bool nulls[13] = {0};
	int64 largest = 0;
	int64 empty = 0;
	int64 tail_pages = 0;
	int n = 0;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	ivf_admin_open(PG_GETARG_OID(0), AccessShareLock, &admin);
	state = ivf_state_load(admin.index);
	meta = &state->meta;
	lists = palloc((meta->lists + IVF_SIDE_LISTS) * sizeof(IvfList));
	ivf_read_lists(admin.index, meta, lists);
	for (uint32 list = 0; list < meta->lists; list++)
	{
		uint32 tail = ivf_tail_most(state, &lists[list]);

		largest = Max(largest, (int64) lists[list].packed - lists[list].dead + tail);
		empty += lists[list].packed == lists[list].dead && tail == 0;
		tail_pages += tail / Max(state->layout.rows_per_tail, 1);
	}
	counts = count_pages(admin.index, state, lists);

	values[n++] = CStringGetTextDatum(state->codec->name);
	values[n++] = CStringGetTextDatum(metric_name(meta->metric));
	values[n++] = Int32GetDatum((int32) meta->dims);
	values[n++] = Int32GetDatum((int32) meta->lists);
	values[n++] = Int64GetDatum(empty);
	values[n++] = Int64GetDatum(largest);
	values[n++] = Int64GetDatum(counts.rows);
	values[n++] = Int64GetDatum((int64) (meta->trained ? meta->rows : 0));
	values[n++] = Int64GetDatum((int64) RelationGetNumberOfBlocks(admin.index));
	values[n++] = Int64GetDatum(tail_pages);
	values[n++] = Int64GetDatum(counts.retired);
	values[n++] = Int64GetDatum(counts.orphans);
	values[n++] = BoolGetDatum(ivf_training_is_stale(meta, (double) counts.rows));
	ivf_admin_close(&admin);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * One row of what the scan did that this backend ended last, or none.
 */
Datum
mmodal_last_scan(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	IvfScanStats stats = ivf_last_scan();
	Datum values[11];
	bool nulls[11] = {0};
	int n = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (stats.searches == 0)
		return (Datum) 0;
	values[n++] = ObjectIdGetDatum(stats.index);
	values[n++] = Int64GetDatum(stats.searches);
	values[n++] = Float8GetDatum(stats.recall);
	values[n++] = BoolGetDatum(stats.exact);
	values[n++] = Int32GetDatum((int32) stats.lists);
	values[n++] = Int64GetDatum(stats.work.lists);
	values[n++] = Int64GetDatum(stats.work.scanned);
	values[n++] = Int64GetDatum(stats.work.reranked);
	values[n++] = Int64GetDatum(stats.work.refined);
	values[n++] = Int64GetDatum(stats.work.rounds);
	values[n++] = Int64GetDatum(stats.rows);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}
