/*
 * ivf_insert.c
 *		One row into the index.
 *
 * A row with all of its codes goes to the last page of its list's tail: one
 * page, one WAL record, so that a crash leaves the row there whole or not at
 * all.  Only a full page makes it write more: the new page, the one before it
 * and the list's entry, in one record as well.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "fmgr.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "../failpoint.h"
#include "ivf.h"

/*
 * Put size bytes at the end of a chain's last page.  False where it is not the
 * last one any more, or has no room.
 */
static bool
append_to_page(Relation index, BlockNumber block, IvfPageKind kind, uint32 list, uint32 seq,
			   const void *content, Size size)
{
	Buffer buffer = ReadBuffer(index, block);
	Page page = BufferGetPage(buffer);
	GenericXLogState *xlog;
	bool fits;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	/* Vacuum may have sealed or even recycled it since the entry was read. */
	fits = ivf_page_is(page, kind, list, seq) &&
		   (((PageHeader) page)->pd_lower - IVF_CONTENT_START) % size == 0 &&
		   IvfPageGetHead(page)->next == InvalidBlockNumber && IvfPageGetHead(page)->flags == 0 &&
		   ((PageHeader) page)->pd_lower + size <= ((PageHeader) page)->pd_upper;
	if (fits)
	{
		xlog = GenericXLogStart(index);
		page = GenericXLogRegisterBuffer(xlog, buffer, 0);
		memcpy((char *) page + ((PageHeader) page)->pd_lower, content, size);
		((PageHeader) page)->pd_lower += size;
		GenericXLogFinish(xlog);
	}
	UnlockReleaseBuffer(buffer);
	return fits;
}

static void
append(Relation index, Relation heap, const IvfMeta *meta, uint32 list, const void *content,
	   Size size)
{
	IvfPageKind kind = list < meta->lists ? IVF_TAIL : IVF_SIDE;

	for (;;)
	{
		IvfList entry = ivf_read_list(index, meta, list);

		if (entry.tail_last != InvalidBlockNumber &&
			append_to_page(index, entry.tail_last, kind, list, entry.tail_last_seq, content, size))
			return;
		if (ivf_extend_tail(index, heap, meta, list, entry.tail_last, content, size))
			return;
	}
}

static void
insert_side(Relation index, Relation heap, const IvfMeta *meta, uint32 side, ItemPointer tid)
{
	IvfSide row = {.tid = *tid};

	append(index, heap, meta, meta->lists + side, &row, sizeof(row));
}

static void
insert_value(Relation index, Relation heap, Datum value, ItemPointer tid)
{
	const IvfState *state;
	IvfMeta meta;
	EmbeddingView view;
	IvfVector vector;
	IvfRow *row;
	uint32 list;
	float *y;

	/* First: to fetch a value that lies out of line may make the state go stale. */
	embedding_view(value, &view);
	state = ivf_state(index);
	meta = state->meta;
	y = palloc(meta.pdims * sizeof(float));
	if (!ivf_rotate_value(state, &view, y))
	{
		insert_side(index, heap, &meta, IVF_ZERO_LIST, tid);
		return;
	}
	list = ivf_nearest_list(state, y);
	vector.view = &view;
	vector.residual = y;
	vector.centre_dot = ivf_residual(state, list, y);
	row = palloc0(meta.row_bytes);
	row->tid = *tid;
	state->codec->encode(state, &vector, row);
	append(index, heap, &meta, list, row, meta.row_bytes);
}

bool
ivf_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
		   IndexUniqueCheck check_unique, bool index_unchanged, IndexInfo *info)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "faiss_ivf insert", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	mm_failpoint(insert_begin);
	if (isnull[0])
	{
		IvfMeta meta = ivf_state(index)->meta;

		insert_side(index, heap, &meta, IVF_NULL_LIST, tid);
	}
	else
		insert_value(index, heap, values[0], tid);
	mm_failpoint(insert_appended);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return false;
}
