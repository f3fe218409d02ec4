/*
 * ivf_vacuum.c
 *		Dead rows out of the index, and space back.
 *
 * ambulkdelete goes over all pages in the order of the file and puts tombstones
 * where dead rows were.  amvacuumcleanup goes over them once more: it retires
 * pages that no list refers to, gives those retired long ago to the free space
 * map, and rewrites lists that have many tombstones or a long tail.  Which
 * pages a list refers to follows from its entry alone (generation of the packed
 * part, numbers of the tail's pages), so that a crash between any two steps
 * leaves nothing that the next vacuum does not find.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/transam.h"
#include "commands/vacuum.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
#include "utils/snapmgr.h"

#include "../failpoint.h"
#include "ivf.h"
#include "ivf_vacuum.h"

/* A list is rewritten when tombstones, or rows in its tail, are so large a part of it. */
#define REWRITE_SHARE 0.2

/* Training is stale when the index has grown by this factor. */
#define STALE_GROWTH 4

/* An untrained index this large should be trained. */
#define STALE_UNTRAINED 10000

static IvfVacuum *
begin(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	IvfVacuum *vacuum = palloc0(sizeof(IvfVacuum));
	uint32 total;

	vacuum->info = info;
	vacuum->index = info->index;
	vacuum->heap = mm_vacuum_heap(info);
	vacuum->state = ivf_state_load(info->index);
	total = vacuum->state->meta.lists + IVF_SIDE_LISTS;
	vacuum->lists = palloc(total * sizeof(IvfList));
	ivf_read_lists(info->index, &vacuum->state->meta, vacuum->lists);
	vacuum->count = palloc0(total * sizeof(IvfListCount));
	vacuum->stats = stats ? stats : palloc0(sizeof(IndexBulkDeleteResult));
	return vacuum;
}

static void
finish(IvfVacuum *vacuum)
{
	pfree(vacuum->count);
	pfree(vacuum->lists);
	pfree(vacuum->state);
	pfree(vacuum);
}

/* Blocks of the index now, those that others are adding included. */
static BlockNumber
count_blocks(Relation index)
{
	BlockNumber blocks;
	bool need_lock = !RELATION_IS_LOCAL(index);

	if (need_lock)
		LockRelationForExtension(index, ExclusiveLock);
	blocks = RelationGetNumberOfBlocks(index);
	if (need_lock)
		UnlockRelationForExtension(index, ExclusiveLock);
	return blocks;
}

/* Whether a list refers to the page, as far as its entry tells. */
static bool
is_referred_to(const IvfVacuum *vacuum, const IvfHead *head)
{
	uint32 total = vacuum->state->meta.lists + IVF_SIDE_LISTS;

	switch (head->kind)
	{
		case IVF_SCAN:
		case IVF_CODE:
		case IVF_REFINE:
			for (uint32 list = head->first_list; list <= head->last_list && list < total; list++)
			{
				if (vacuum->lists[list].generation == head->generation)
					return true;
			}
			return false;
		case IVF_TAIL:
		case IVF_SIDE:
			/* A page with a later number than the entry knew of is a new one. */
			return head->first_list >= total ||
				   head->generation >= vacuum->lists[head->first_list].tail_first_seq;
		default:
			return true;
	}
}

/*
 * A page that cannot be told to be ours may have rows that are dead, which scans
 * would find when it is mended, and so may one that was retired, but is in use:
 * better no vacuum than half of one.
 */
static void
check_page(IvfVacuum *vacuum, Page page, BlockNumber block)
{
	if (PageIsNew(page))
		return;
	if (!ivf_page_is_ours(page) || ((IvfPageGetHead(page)->flags & IVF_RETIRED) &&
									is_referred_to(vacuum, IvfPageGetHead(page))))
		ivf_page_unexpected(vacuum->index, block);
}

typedef void (*PageVisitor)(IvfVacuum *vacuum, Buffer buffer, void *arg);

/* Call visit for every page but the metapage; it has the buffer pinned and locked for sharing. */
static void
visit_pages(IvfVacuum *vacuum, PageVisitor visit, void *arg)
{
	BlockNumber block = IVF_METAPAGE_BLKNO + 1;
	BlockNumber blocks;

	while (block < (blocks = count_blocks(vacuum->index)))
	{
		for (; block < blocks; block++)
		{
			Buffer buffer;

			mm_vacuum_delay_point();
			buffer = ReadBufferExtended(vacuum->index, MAIN_FORKNUM, block, RBM_NORMAL,
										vacuum->info->strategy);
			LockBuffer(buffer, BUFFER_LOCK_SHARE);
			check_page(vacuum, BufferGetPage(buffer), block);
			visit(vacuum, buffer, arg);
			UnlockReleaseBuffer(buffer);
		}
	}
}

/* Whether the page is one of ours with rows, and part of the index. */
static bool
has_rows(const IvfState *state, Page page)
{
	return !PageIsNew(page) && !(IvfPageGetHead(page)->flags & IVF_RETIRED) &&
		   ivf_page_rows(state, page) > 0;
}

typedef struct BulkDelete
{
	IndexBulkDeleteCallback callback;
	void *state;
} BulkDelete;

static bool
is_dead(BulkDelete *delete, ItemPointer tid)
{
	return ItemPointerIsValid(tid) && delete->callback(tid, delete->state);
}

static void
delete_on_page(IvfVacuum *vacuum, Buffer buffer, void *arg)
{
	const IvfState *state = vacuum->state;
	BulkDelete *delete = (BulkDelete *) arg;
	Page page = BufferGetPage(buffer);
	GenericXLogState *xlog;
	bool any = false;
	uint32 list;

	if (!has_rows(state, page))
		return;
	for (int i = 0; i < ivf_page_rows(state, page); i++)
		any |= is_dead(delete, ivf_page_tid(state, page, i, &list));
	if (!any)
		return;

	/* Rows may come to a tail's end meanwhile; those here stay where they are. */
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	xlog = GenericXLogStart(vacuum->index);
	page = GenericXLogRegisterBuffer(xlog, buffer, 0);
	for (int i = 0; i < ivf_page_rows(state, page); i++)
	{
		ItemPointer tid = ivf_page_tid(state, page, i, &list);

		if (!is_dead(delete, tid))
			continue;
		ItemPointerSetInvalid(tid);
		vacuum->stats->tuples_removed++;
	}
	GenericXLogFinish(xlog);
	mm_failpoint(delete_page);
}

IndexBulkDeleteResult *
ivf_bulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
			   IndexBulkDeleteCallback callback, void *state)
{
	IvfVacuum *vacuum = begin(info, stats);
	BulkDelete delete = {.callback = callback, .state = state};
	IndexBulkDeleteResult *result = vacuum->stats;

	visit_pages(vacuum, delete_on_page, &delete);
	finish(vacuum);
	return result;
}

static void
retire(IvfVacuum *vacuum, Buffer buffer)
{
	GenericXLogState *xlog;
	IvfHead *head;

	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	xlog = GenericXLogStart(vacuum->index);
	head = IvfPageGetHead(GenericXLogRegisterBuffer(xlog, buffer, 0));
	head->flags |= IVF_RETIRED;
	/* Scans that may be on the way here have snapshots from before this XID. */
	head->retired = ReadNextFullTransactionId();
	GenericXLogFinish(xlog);
	vacuum->stats->pages_newly_deleted++;
	mm_failpoint(retire_page);
}

static void
count_rows(IvfVacuum *vacuum, Page page)
{
	const IvfState *state = vacuum->state;
	const IvfHead *head = IvfPageGetHead(page);
	bool tail = head->kind == IVF_TAIL || head->kind == IVF_SIDE;
	uint32 total = state->meta.lists + IVF_SIDE_LISTS;

	for (int i = 0; i < ivf_page_rows(state, page); i++)
	{
		uint32 list;
		bool live = ItemPointerIsValid(ivf_page_tid(state, page, i, &list));

		/* Rows of a list that has moved on are copies that count no more. */
		if (list >= total || (!tail && vacuum->lists[list].generation != head->generation))
			continue;
		if (tail)
			*(live ? &vacuum->count[list].tail_live : &vacuum->count[list].tail_dead) += 1;
		else
			*(live ? &vacuum->count[list].live : &vacuum->count[list].dead) += 1;
		vacuum->stats->num_index_tuples += live;
	}
}

/* Retire, recycle or count one page. */
static void
clean_page(IvfVacuum *vacuum, Buffer buffer, void *arg)
{
	bool count = *(bool *) arg;
	Page page = BufferGetPage(buffer);
	BlockNumber block = BufferGetBlockNumber(buffer);
	IvfHead *head;

	if (PageIsNew(page))
	{
		RecordFreeIndexPage(vacuum->index, block);
		vacuum->stats->pages_free++;
		return;
	}
	head = IvfPageGetHead(page);
	if (head->flags & IVF_RETIRED)
	{
		vacuum->stats->pages_deleted++;
		if (GlobalVisCheckRemovableFullXid(vacuum->heap, head->retired))
		{
			RecordFreeIndexPage(vacuum->index, block);
			vacuum->stats->pages_free++;
			mm_failpoint(free_page);
		}
	}
	else if (!is_referred_to(vacuum, head))
	{
		retire(vacuum, buffer);
		vacuum->stats->pages_deleted++;
	}
	else if (count)
		count_rows(vacuum, page);
}

/* Note in the entries how many tombstones lists have: searches weigh lists by that. */
static void
store_dead_counts(IvfVacuum *vacuum)
{
	uint32 lists = vacuum->state->meta.lists;

	for (uint32 first = 0; first < lists; first += IVF_LISTS_PER_PAGE)
	{
		uint32 end = Min(lists, first + IVF_LISTS_PER_PAGE);
		GenericXLogState *xlog;
		bool differ = false;
		Buffer buffer;
		Page page;

		for (uint32 list = first; list < end; list++)
			differ |= vacuum->lists[list].dead != vacuum->count[list].dead;
		if (!differ)
			continue;
		buffer =
			ivf_lock_list_page(vacuum->index, &vacuum->state->meta, first, BUFFER_LOCK_EXCLUSIVE);
		xlog = GenericXLogStart(vacuum->index);
		page = GenericXLogRegisterBuffer(xlog, buffer, 0);
		for (uint32 list = first; list < end; list++)
			ivf_list_entry(page, list)->dead =
				Min(vacuum->count[list].dead, ivf_list_entry(page, list)->packed);
		GenericXLogFinish(xlog);
		UnlockReleaseBuffer(buffer);
		mm_failpoint(count_dead);
	}
}

static bool
wants_rewrite(const IvfVacuum *vacuum, uint32 list)
{
	const IvfListCount *count = &vacuum->count[list];
	double packed = (double) count->live + count->dead;
	double tail = (double) count->tail_live + count->tail_dead;

	return count->dead > REWRITE_SHARE * packed ||
		   (tail >= vacuum->state->meta.unit_rows && tail > REWRITE_SHARE * packed) ||
		   (packed == 0 && tail > vacuum->state->layout.rows_per_tail);
}

/* A generation that no page has yet, not even one left by a crash. */
static uint32
new_generation(IvfVacuum *vacuum)
{
	uint32 lists = vacuum->state->meta.lists;
	Buffer buffer =
		ivf_lock_page(vacuum->index, IVF_METAPAGE_BLKNO, IVF_META, 0, 0, BUFFER_LOCK_EXCLUSIVE);
	GenericXLogState *xlog;
	uint32 generation;

	xlog = GenericXLogStart(vacuum->index);
	generation = ++IvfPageGetMeta(GenericXLogRegisterBuffer(xlog, buffer, 0))->generation;
	/* The counter has no checksum: lists tell whether it has gone astray. */
	for (uint32 list = 0; list < lists; list++)
	{
		if (vacuum->lists[list].generation >= generation)
			ivf_page_unexpected(vacuum->index, IVF_METAPAGE_BLKNO);
	}
	GenericXLogFinish(xlog);
	UnlockReleaseBuffer(buffer);
	mm_failpoint(new_generation);
	return generation;
}

static void
rewrite_lists(IvfVacuum *vacuum)
{
	uint32 lists = vacuum->state->meta.lists;
	uint32 generation = 0;
	bool moved = false;
	bool count = false;

	for (uint32 list = 0; list < lists; list++)
	{
		if (!wants_rewrite(vacuum, list))
			continue;
		if (generation == 0)
			generation = new_generation(vacuum);
		ivf_rewrite_list(vacuum, list, generation);
	}
	for (uint32 side = 0; side < IVF_SIDE_LISTS; side++)
		moved |= ivf_trim_side(vacuum, lists + side);
	if (generation == 0 && !moved)
		return;
	/* What they left behind can be retired at once. */
	ivf_read_lists(vacuum->index, &vacuum->state->meta, vacuum->lists);
	vacuum->stats->pages_deleted = 0;
	vacuum->stats->pages_free = 0;
	visit_pages(vacuum, clean_page, &count);
}

bool
ivf_training_is_stale(const IvfMeta *meta, double rows)
{
	return meta->trained ? rows >= STALE_GROWTH * meta->rows : rows >= STALE_UNTRAINED;
}

static void
report_stale_training(const IvfVacuum *vacuum)
{
	const IvfMeta *meta = &vacuum->state->meta;
	double rows = vacuum->stats->num_index_tuples;

	if (!ivf_training_is_stale(meta, rows))
		return;
	ereport(NOTICE,
			(errmsg("centres of index \"%s\" fit %.0f rows, but it has %.0f",
					RelationGetRelationName(vacuum->index), meta->trained ? meta->rows : 0, rows),
			 errhint("REINDEX INDEX CONCURRENTLY trains them anew and makes searches faster.")));
}

IndexBulkDeleteResult *
ivf_vacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	IvfVacuum *vacuum;
	IndexBulkDeleteResult *result;
	bool count = true;

	if (info->analyze_only)
		return stats;
	vacuum = begin(info, stats);
	result = vacuum->stats;
	result->num_index_tuples = 0;
	visit_pages(vacuum, clean_page, &count);
	store_dead_counts(vacuum);
	rewrite_lists(vacuum);
	report_stale_training(vacuum);
	IndexFreeSpaceMapVacuum(info->index);
	result->num_pages = RelationGetNumberOfBlocks(info->index);
	finish(vacuum);
	return result;
}
