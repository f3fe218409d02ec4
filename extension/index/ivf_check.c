/*
 * ivf_check.c
 *		mmodal_index_check: an index against its table and its own rules.
 *
 * First all lists are walked, which checks that every hop leads to a page of
 * the expected kind, list and generation; what is found of each row is kept in
 * order of TID.  Then the table is read with one snapshot: each row must be in
 * the index, with the codes that encoding it anew gives.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "ivf.h"
#include "ivf_admin.h"

PG_FUNCTION_INFO_V1(mmodal_index_check);

/* A row of the index. */
typedef struct IndexedRow
{
	ItemPointerData tid;
	uint32 list;
	pg_crc32c codes;
} IndexedRow;

typedef struct IvfCheck
{
	Relation index;
	Relation heap;
	const IvfState *state;
	uint32 list; /* being walked */
	IndexedRow *rows;
	int64 nrows;
	int64 max_rows;
	int64 checked;
	MemoryContext row_context; /* reset for every row of the table */
} IvfCheck;

/* Checksum of what encoding decides: all of a row but its TID. */
static pg_crc32c
checksum(const IvfState *state, const IvfRow *row)
{
	pg_crc32c crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, (const char *) row + offsetof(IvfRow, scan_scale),
				state->meta.row_bytes - offsetof(IvfRow, scan_scale));
	FIN_CRC32C(crc);
	return crc;
}

static void
collect_row(const IvfRow *row, BlockNumber block, void *arg)
{
	IvfCheck *check = (IvfCheck *) arg;
	IndexedRow *out;

	if (!ItemPointerIsValid(&row->tid))
		return;
	if (check->nrows == check->max_rows)
	{
		check->max_rows = Max(1024, 2 * check->max_rows);
		if (check->rows)
			check->rows = repalloc_huge(check->rows, check->max_rows * sizeof(IndexedRow));
		else
			check->rows = palloc(check->max_rows * sizeof(IndexedRow));
	}
	out = &check->rows[check->nrows++];
	out->tid = row->tid;
	out->list = check->list;
	out->codes = check->list < check->state->meta.lists ? checksum(check->state, row) : 0;
}

static int
compare_rows(const void *a, const void *b)
{
	/* A sort of millions of rows takes seconds, and may be left at any time. */
	CHECK_FOR_INTERRUPTS();
	return ItemPointerCompare((ItemPointer) & ((const IndexedRow *) a)->tid,
							  (ItemPointer) & ((const IndexedRow *) b)->tid);
}

/* No row may lie beyond the table's end, as it is after all rows were collected. */
static void
check_ends(const IvfCheck *check)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(check->heap);

	for (int64 i = 0; i < check->nrows; i++)
	{
		const ItemPointerData *tid = &check->rows[i].tid;

		if (ItemPointerGetBlockNumber(tid) < blocks)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" points to row (%u,%u), beyond the end of table \"%s\"",
						RelationGetRelationName(check->index), ItemPointerGetBlockNumber(tid),
						ItemPointerGetOffsetNumber(tid), RelationGetRelationName(check->heap)),
				 errdetail("It is in list %u.", check->rows[i].list),
				 errhint("Please REINDEX it.")));
	}
}

static void
check_lists(IvfCheck *check)
{
	/* A standby's vacuum does not wait for us: a row may have moved meanwhile. */
	int fault = RecoveryInProgress() ? ERRCODE_T_R_SERIALIZATION_FAILURE : ERRCODE_INDEX_CORRUPTED;
	const IvfMeta *meta = &check->state->meta;
	uint32 total = meta->lists + IVF_SIDE_LISTS;
	IvfList *lists = palloc(total * sizeof(IvfList));

	ivf_read_lists(check->index, meta, lists);
	for (uint32 list = 0; list < total; list++)
	{
		IvfList entry = lists[list];

		check->list = list;
		/* Rows inserted since the entry was read count as well. */
		entry.tail_last = InvalidBlockNumber;
		if (list < meta->lists)
			ivf_walk_list(check->index, check->state, list, &entry, collect_row, check);
		else
			ivf_walk_side(check->index, list, &entry, collect_row, check);
		/* A standby's vacuum may have counted on since the metapage was read. */
		if (entry.generation > meta->generation && !RecoveryInProgress())
			ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
							errmsg("list %u of index \"%s\" has generation %u, beyond the last one",
								   list, RelationGetRelationName(check->index), entry.generation),
							errhint("Please REINDEX it.")));
	}
	pfree(lists);

	check_ends(check);
	qsort(check->rows, check->nrows, sizeof(IndexedRow), compare_rows);
	for (int64 i = 1; i < check->nrows; i++)
	{
		if (compare_rows(&check->rows[i - 1], &check->rows[i]) == 0)
			ereport(ERROR, (errcode(fault),
							errmsg("index \"%s\" has row (%u,%u) twice",
								   RelationGetRelationName(check->index),
								   ItemPointerGetBlockNumber(&check->rows[i].tid),
								   ItemPointerGetOffsetNumber(&check->rows[i].tid)),
							errdetail("It is in lists %u and %u.", check->rows[i - 1].list,
									  check->rows[i].list),
							fault == ERRCODE_INDEX_CORRUPTED ? errhint("Please REINDEX it.") : 0));
	}
}

/* The row as encoding it for a list gives it, as a checksum; 0 for pseudo lists. */
static pg_crc32c
expected_codes(const IvfState *state, Datum value, bool isnull, uint32 list, bool *in_place)
{
	EmbeddingView view;
	IvfVector vector = {.view = &view};
	IvfRow *row;
	float *y;

	*in_place = true;
	if (isnull)
	{
		*in_place = list == state->meta.lists + IVF_NULL_LIST;
		return 0;
	}
	embedding_view(value, &view);
	y = palloc(state->meta.pdims * sizeof(float));
	if (!ivf_rotate_value(state, &view, y))
	{
		*in_place = list == state->meta.lists + IVF_ZERO_LIST;
		return 0;
	}
	*in_place = list < state->meta.lists;
	if (!*in_place)
		return 0;
	vector.residual = y;
	vector.centre_dot = ivf_residual(state, list, y);
	row = palloc0(state->meta.row_bytes);
	state->codec->encode(state, &vector, row);
	return checksum(state, row);
}

static void
check_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	IvfCheck *check = (IvfCheck *) arg;
	MemoryContext old = MemoryContextSwitchTo(check->row_context);
	IndexedRow key = {.tid = *tid};
	IndexedRow *found = bsearch(&key, check->rows, check->nrows, sizeof(IndexedRow), compare_rows);
	bool in_place;

	if (found == NULL)
		ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
						errmsg("row (%u,%u) of table \"%s\" is not in index \"%s\"",
							   ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid),
							   RelationGetRelationName(check->heap),
							   RelationGetRelationName(check->index)),
						errhint("Please REINDEX it.")));
	if (expected_codes(check->state, values[0], isnull[0], found->list, &in_place) !=
			found->codes ||
		!in_place)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" has other codes for row (%u,%u) than its value gives",
						RelationGetRelationName(check->index), ItemPointerGetBlockNumber(tid),
						ItemPointerGetOffsetNumber(tid)),
				 errdetail("It is in list %u.", found->list), errhint("Please REINDEX it.")));
	check->checked++;
	MemoryContextSwitchTo(old);
	MemoryContextReset(check->row_context);
}

static void
check_heap(IvfCheck *check, Snapshot snapshot)
{
	IndexInfo *info = BuildIndexInfo(check->index);
	TableScanDesc scan = table_beginscan_strat(check->heap, snapshot, 0, NULL, true, true);

	/* As a concurrent build does: rows that the snapshot sees, and no others. */
	info->ii_Concurrent = true;
	info->ii_Unique = false;
	check->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "faiss_ivf check", ALLOCSET_DEFAULT_SIZES);
	table_index_build_scan(check->heap, check->index, info, true, false, check_row, check, scan);
}

/*
 * A build leaves out versions of a row that were superseded by then within their
 * page: they share an entry with the newest one.  A snapshot that sees them has
 * no use for the index, as the planner knows too.
 */
static void
check_snapshot(const IvfCheck *check, Snapshot snapshot)
{
	TransactionId built = HeapTupleHeaderGetXmin(check->index->rd_indextuple->t_data);

	if (!check->index->rd_index->indcheckxmin || !XidInMVCCSnapshot(built, snapshot))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("index \"%s\" cannot be checked with a snapshot from before it was built",
					RelationGetRelationName(check->index)),
			 errhint("Repeat it in a new transaction.")));
}

/*
 * Check an index of ours; returns how many rows of its table were checked.
 */
Datum
mmodal_index_check(PG_FUNCTION_ARGS)
{
	IvfCheck check = {0};
	IvfAdmin admin;
	Snapshot snapshot;

	/* Vacuum rewrites lists: it has to wait.  A standby's locks are weaker, but so is its vacuum. */
	ivf_admin_open(PG_GETARG_OID(0),
				   RecoveryInProgress() ? AccessShareLock : ShareUpdateExclusiveLock, &admin);
	check.index = admin.index;
	check.heap = admin.heap;
	check.state = ivf_state_load(check.index);
	/* Before the lists are walked: what is committed by now must be found there. */
	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	check_snapshot(&check, snapshot);
	check_lists(&check);
	check_heap(&check, snapshot);
	UnregisterSnapshot(snapshot);
	ivf_admin_close(&admin);
	PG_RETURN_INT64(check.checked);
}
