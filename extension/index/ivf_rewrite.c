/*
 * ivf_rewrite.c
 *		Writing a list anew, while others read it and insert into it.
 *
 * 1. The tail's last page is sealed: inserts that come now begin a new page
 *    behind it.  So what lies before is complete and changes no more (only
 *    vacuum puts tombstones, and that is us).
 * 2. Live rows of packed part and sealed tail are copied to new pages.
 * 3. The list's entry is changed, in one WAL record: the packed part is the new
 *    one, the tail begins behind the sealed page.
 *
 * Scans that read the entry before step 3 go on in the old pages, which stay
 * as they are until no snapshot from before remains.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "fmgr.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "../failpoint.h"
#include "ivf.h"
#include "ivf_vacuum.h"

/* Seal the tail; returns the entry as it is then. */
static IvfList
seal_tail(IvfVacuum *vacuum, uint32 list)
{
	BlockNumber before = InvalidBlockNumber;

	for (;;)
	{
		IvfList entry = ivf_read_list(vacuum->index, &vacuum->state->meta, list);
		GenericXLogState *xlog;
		Buffer buffer;
		Page page;

		if (entry.tail_last == InvalidBlockNumber)
			return entry;
		buffer = ReadBuffer(vacuum->index, entry.tail_last);
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		page = BufferGetPage(buffer);
		if (!ivf_page_is(page, IVF_TAIL, list, entry.tail_last_seq))
		{
			UnlockReleaseBuffer(buffer);
			ivf_page_unexpected(vacuum->index, entry.tail_last);
		}
		if (IvfPageGetHead(page)->next != InvalidBlockNumber)
		{
			/* Somebody was faster: there is a new last page. */
			UnlockReleaseBuffer(buffer);
			if (entry.tail_last == before)
				ivf_page_unexpected(vacuum->index, before);
			before = entry.tail_last;
			continue;
		}
		xlog = GenericXLogStart(vacuum->index);
		page = GenericXLogRegisterBuffer(xlog, buffer, 0);
		IvfPageGetHead(page)->flags |= IVF_SEALED;
		GenericXLogFinish(xlog);
		UnlockReleaseBuffer(buffer);
		mm_failpoint(seal_tail);
		return entry;
	}
}

/* What the copy goes to. */
typedef struct Copy
{
	IvfPacker *packer;
	IvfList *written;
} Copy;

static void
copy_row(const IvfRow *row, BlockNumber block, void *arg)
{
	Copy *copy = (Copy *) arg;

	mm_vacuum_delay_point();
	if (!ItemPointerIsValid(&row->tid))
		return;
	ivf_packer_add(copy->packer, row);
	copy->written->packed++;
}

/* Step 3.  Lock order: the entry, then the page of the tail. */
static void
swap_entry(IvfVacuum *vacuum, uint32 list, const IvfList *sealed, const IvfList *written)
{
	Buffer buffer =
		ivf_lock_list_page(vacuum->index, &vacuum->state->meta, list, BUFFER_LOCK_EXCLUSIVE);
	GenericXLogState *xlog;
	IvfList *entry;

	xlog = GenericXLogStart(vacuum->index);
	entry = ivf_list_entry(GenericXLogRegisterBuffer(xlog, buffer, 0), list);
	entry->first_block = written->first_block;
	entry->first_row = written->first_row;
	entry->packed = written->packed;
	entry->dead = 0;
	entry->generation = written->generation;
	if (sealed->tail_last != InvalidBlockNumber)
	{
		if (entry->tail_last == sealed->tail_last)
		{
			entry->tail_first = InvalidBlockNumber;
			entry->tail_last = InvalidBlockNumber;
		}
		else
		{
			Buffer last = ivf_read_page(vacuum->index, sealed->tail_last, IVF_TAIL, list,
										sealed->tail_last_seq);

			entry->tail_first = IvfPageGetHead(BufferGetPage(last))->next;
			UnlockReleaseBuffer(last);
		}
		entry->tail_first_seq = sealed->tail_last_seq + 1;
	}
	GenericXLogFinish(xlog);
	UnlockReleaseBuffer(buffer);
}

void
ivf_rewrite_list(IvfVacuum *vacuum, uint32 list, uint32 generation)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "faiss_ivf rewrite", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IvfList sealed = seal_tail(vacuum, list);
	IvfPacker *packer =
		ivf_packer_begin(vacuum->index, vacuum->heap, vacuum->state, generation, false);
	IvfList written;
	Copy copy = {.packer = packer, .written = &written};

	ivf_packer_list(packer, list, &written);
	ivf_walk_list(vacuum->index, vacuum->state, list, &sealed, copy_row, &copy);
	ivf_packer_end(packer);
	mm_failpoint(rewrite_copied);
	swap_entry(vacuum, list, &sealed, &written);
	mm_failpoint(rewrite_swapped);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Whether a side page is full, and none of its rows is left. */
static bool
is_spent(Page page)
{
	if (IvfPageGetHead(page)->next == InvalidBlockNumber)
		return false;
	for (int i = 0; i < ivf_side_rows(page); i++)
	{
		if (ItemPointerIsValid(&((IvfSide *) IvfPageGetContent(page) + i)->tid))
			return false;
	}
	return true;
}

bool
ivf_trim_side(IvfVacuum *vacuum, uint32 list)
{
	const IvfMeta *meta = &vacuum->state->meta;
	IvfList entry = ivf_read_list(vacuum->index, meta, list);
	BlockNumber block = entry.tail_first;
	uint32 seq = entry.tail_first_seq;
	GenericXLogState *xlog;
	IvfList *stored;
	Buffer buffer;

	while (block != InvalidBlockNumber)
	{
		BlockNumber next;
		bool spent;

		mm_vacuum_delay_point();
		buffer = ivf_read_page(vacuum->index, block, IVF_SIDE, list, seq);
		spent = is_spent(BufferGetPage(buffer));
		next = IvfPageGetHead(BufferGetPage(buffer))->next;
		UnlockReleaseBuffer(buffer);
		if (!spent)
			break;
		block = next;
		seq++;
	}
	if (block == entry.tail_first)
		return false;

	/* Inserts change the chain's end alone, once it has a beginning. */
	buffer = ivf_lock_list_page(vacuum->index, meta, list, BUFFER_LOCK_EXCLUSIVE);
	xlog = GenericXLogStart(vacuum->index);
	stored = ivf_list_entry(GenericXLogRegisterBuffer(xlog, buffer, 0), list);
	stored->tail_first = block;
	stored->tail_first_seq = seq;
	GenericXLogFinish(xlog);
	UnlockReleaseBuffer(buffer);
	mm_failpoint(trim_side);
	return true;
}
