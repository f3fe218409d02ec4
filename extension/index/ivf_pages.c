/*
 * ivf_pages.c
 *		Pages of faiss_ivf: making, finding, checking and chaining them.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
#include "utils/snapmgr.h"

#include "../failpoint.h"
#include "ivf.h"

void
ivf_page_init(Page page, IvfPageKind kind, uint32 first_list, uint32 last_list, uint32 generation)
{
	IvfHead *head;

	PageInit(page, BLCKSZ, sizeof(IvfSpecial));
	((IvfSpecial *) PageGetSpecialPointer(page))->page_id = IVF_PAGE_ID;
	((PageHeader) page)->pd_lower = IVF_CONTENT_START;
	head = IvfPageGetHead(page);
	head->retired = InvalidFullTransactionId;
	head->first_list = first_list;
	head->last_list = last_list;
	head->generation = generation;
	head->next = InvalidBlockNumber;
	head->kind = (uint8) kind;
}

void
ivf_page_fill(Page page)
{
	((PageHeader) page)->pd_lower = ((PageHeader) page)->pd_upper;
}

/*
 * Files grow, and are not made shorter while we have a lock: a length that
 * somebody has asked for before tells which blocks there are at least.
 */
bool
ivf_block_exists(Relation index, BlockNumber block)
{
	BlockNumber known = RelationGetSmgr(index)->smgr_cached_nblocks[MAIN_FORKNUM];

	if (known != InvalidBlockNumber && block < known)
		return true;
	return block < RelationGetNumberOfBlocks(index);
}

/* Whether nobody can be on the way to what the page once held. */
static bool
page_is_recyclable(Page page, Relation heap)
{
	IvfHead *head;

	if (PageIsNew(page))
		return true;
	head = IvfPageGetHead(page);
	return (head->flags & IVF_RETIRED) && GlobalVisCheckRemovableFullXid(heap, head->retired);
}

Buffer
ivf_extend(Relation index, ForkNumber fork)
{
	Buffer buffer;
	bool need_lock = !RELATION_IS_LOCAL(index);

	if (need_lock)
		LockRelationForExtension(index, ExclusiveLock);
	buffer = ReadBufferExtended(index, fork, P_NEW, RBM_NORMAL, NULL);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	if (need_lock)
		UnlockRelationForExtension(index, ExclusiveLock);
	return buffer;
}

Buffer
ivf_new_buffer(Relation index, Relation heap)
{
	BlockNumber block;

	while ((block = GetFreeIndexPage(index)) != InvalidBlockNumber)
	{
		/*
		 * The map is only a hint: after a crash it may name a page that is in
		 * use, whose owner may hold its lock, and wait for one of ours.
		 */
		Buffer buffer;

		/* A damaged map may name any block: the call above took it out. */
		if (!ivf_block_exists(index, block))
			continue;
		buffer = ReadBuffer(index, block);
		if (ConditionalLockBuffer(buffer))
		{
			if (page_is_recyclable(BufferGetPage(buffer), heap))
				return buffer;
			LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		}
		ReleaseBuffer(buffer);
	}
	return ivf_extend(index, MAIN_FORKNUM);
}

/*
 * Generic WAL and inserts write between these, so that nothing is taken on trust;
 * a page in shared buffers may have been damaged after it was read, too.
 */
bool
ivf_page_is_ours(Page page)
{
	const PageHeaderData *header = (const PageHeaderData *) page;

	return header->pd_upper == IVF_CONTENT_START + IVF_PAGE_ROOM &&
		   header->pd_special == IVF_CONTENT_START + IVF_PAGE_ROOM &&
		   header->pd_lower >= IVF_CONTENT_START && header->pd_lower <= header->pd_upper &&
		   header->pd_pagesize_version == (BLCKSZ | PG_PAGE_LAYOUT_VERSION);
}

bool
ivf_page_is(Page page, IvfPageKind kind, uint32 list, uint32 generation)
{
	IvfHead *head;

	if (!ivf_page_is_ours(page))
		return false;
	head = IvfPageGetHead(page);
	return head->kind == kind && head->generation == generation && head->first_list <= list &&
		   list <= head->last_list;
}

void
ivf_page_unexpected(Relation index, BlockNumber block)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("canceling statement due to conflict with recovery"),
				 errdetail("Block %u of index \"%s\" was recycled on the primary server while "
						   "this scan was on its way to it.",
						   block, RelationGetRelationName(index)),
				 errhint("Repeat the statement; hot_standby_feedback avoids such conflicts.")));
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" has an unexpected page at block %u",
						   RelationGetRelationName(index), block),
					errhint("Please REINDEX it.")));
}

Buffer
ivf_lock_page(Relation index, BlockNumber block, IvfPageKind kind, uint32 list, uint32 generation,
			  int mode)
{
	Buffer buffer;

	if (unlikely(!ivf_block_exists(index, block)))
		ivf_page_unexpected(index, block);
	buffer = ReadBuffer(index, block);
	LockBuffer(buffer, mode);
	if (unlikely(!ivf_page_is(BufferGetPage(buffer), kind, list, generation)))
	{
		UnlockReleaseBuffer(buffer);
		ivf_page_unexpected(index, block);
	}
	return buffer;
}

Buffer
ivf_read_page(Relation index, BlockNumber block, IvfPageKind kind, uint32 list, uint32 generation)
{
	return ivf_lock_page(index, block, kind, list, generation, BUFFER_LOCK_SHARE);
}

Buffer
ivf_read_hot(const IvfState *state, Relation index, BlockNumber block, IvfPageKind kind,
			 uint32 list, uint32 generation)
{
	Buffer buffer;

	if (unlikely(block >= state->nrecent))
		return ivf_read_page(index, block, kind, list, generation);
	buffer = state->recent[block];
	if (buffer == InvalidBuffer || !mm_read_recent_buffer(index, MAIN_FORKNUM, block, buffer))
	{
		buffer = ReadBuffer(index, block);
		state->recent[block] = buffer;
	}
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (unlikely(!ivf_page_is(BufferGetPage(buffer), kind, list, generation)))
	{
		UnlockReleaseBuffer(buffer);
		ivf_page_unexpected(index, block);
	}
	return buffer;
}

/*
 * Lock order: list page, then the chain's last page, then the new page, which
 * nobody else knows.
 */
bool
ivf_extend_tail(Relation index, Relation heap, const IvfMeta *meta, uint32 list,
				BlockNumber expected_last, const void *content, Size size)
{
	IvfPageKind kind = list < meta->lists ? IVF_TAIL : IVF_SIDE;
	Buffer list_buffer = ivf_lock_list_page(index, meta, list, BUFFER_LOCK_EXCLUSIVE);
	Buffer last_buffer = InvalidBuffer;
	Buffer new_buffer;
	GenericXLogState *xlog;
	IvfList *entry;
	Page page;

	if (ivf_list_entry(BufferGetPage(list_buffer), list)->tail_last != expected_last)
	{
		UnlockReleaseBuffer(list_buffer);
		return false;
	}
	if (expected_last != InvalidBlockNumber)
	{
		/* A damaged entry must not make us wait for ourselves, or write elsewhere. */
		if (expected_last < meta->list_start + 1 + (meta->lists + 1) / IVF_LISTS_PER_PAGE)
			ivf_page_unexpected(index, expected_last);
		last_buffer = ReadBuffer(index, expected_last);
		LockBuffer(last_buffer, BUFFER_LOCK_EXCLUSIVE);
		if (!ivf_page_is(BufferGetPage(last_buffer), kind, list,
						 ivf_list_entry(BufferGetPage(list_buffer), list)->tail_last_seq))
			ivf_page_unexpected(index, expected_last);
	}
	new_buffer = ivf_new_buffer(index, heap);
	mm_failpoint(extend_allocated);

	xlog = GenericXLogStart(index);
	entry = ivf_list_entry(GenericXLogRegisterBuffer(xlog, list_buffer, 0), list);
	if (expected_last == InvalidBlockNumber)
	{
		entry->tail_first = BufferGetBlockNumber(new_buffer);
		entry->tail_first_seq = ++entry->tail_last_seq;
	}
	else
	{
		entry->tail_last_seq++;
		page = GenericXLogRegisterBuffer(xlog, last_buffer, 0);
		IvfPageGetHead(page)->next = BufferGetBlockNumber(new_buffer);
	}
	entry->tail_last = BufferGetBlockNumber(new_buffer);
	page = GenericXLogRegisterBuffer(xlog, new_buffer, GENERIC_XLOG_FULL_IMAGE);
	ivf_page_init(page, kind, list, list, entry->tail_last_seq);
	if (size > 0)
		memcpy(IvfPageGetContent(page), content, size);
	((PageHeader) page)->pd_lower += size;
	GenericXLogFinish(xlog);

	UnlockReleaseBuffer(new_buffer);
	if (BufferIsValid(last_buffer))
		UnlockReleaseBuffer(last_buffer);
	UnlockReleaseBuffer(list_buffer);
	mm_failpoint(extend_linked);
	return true;
}

int
ivf_page_rows(const IvfState *state, Page page)
{
	switch (IvfPageGetHead(page)->kind)
	{
		case IVF_SCAN:
			if (state->layout.scan_tid == 0)
				return 0;
			return (int) Min(((const IvfUnit *) IvfPageGetContent(page))->rows,
							 state->meta.unit_rows);
		case IVF_CODE:
			return (int) state->meta.unit_code_rows;
		case IVF_TAIL:
			return ivf_tail_rows(state, page);
		case IVF_SIDE:
			return ivf_side_rows(page);
		default:
			return 0;
	}
}

ItemPointer
ivf_page_tid(const IvfState *state, Page page, int row, uint32 *list)
{
	const IvfHead *head = IvfPageGetHead(page);
	char *content = IvfPageGetContent(page);

	*list = head->first_list;
	switch (head->kind)
	{
		case IVF_SCAN:
		{
			IvfSide *side = (IvfSide *) (content + state->layout.scan_tid) + row;

			*list += side->list;
			return &side->tid;
		}
		case IVF_CODE:
		{
			IvfCode *code = (IvfCode *) (content + (Size) row * state->meta.code_bytes);

			*list += code->list;
			return &code->tid;
		}
		case IVF_TAIL:
			return &ivf_tail_row(state, page, row)->tid;
		default:
			return &((IvfSide *) content + row)->tid;
	}
}
