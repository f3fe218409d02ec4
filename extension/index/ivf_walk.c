/*
 * ivf_walk.c
 *		Every row of a list, one after the other, with all that is known of it.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"

#include "ivf.h"

/* A walk, and copies of the pages that it is on: none is locked for long. */
typedef struct Walk
{
	Relation index;
	const IvfState *state;
	uint32 list;
	uint32 generation;
	IvfRowVisitor visit;
	void *arg;
	IvfRow *row;
	PGAlignedBlock scan;
	PGAlignedBlock code;
	PGAlignedBlock refine;
} Walk;

static void
copy_page(Walk *walk, PGAlignedBlock *out, BlockNumber block, IvfPageKind kind, uint32 generation)
{
	Buffer buffer = ivf_read_page(walk->index, block, kind, walk->list, generation);

	memcpy(out->data, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
	/* Entries that are walked are those in force: none leads to a page that is given up. */
	if (IvfPageGetHead(out->data)->flags & IVF_RETIRED)
		ivf_page_unexpected(walk->index, block);
}

/* That a row of the unit belongs to the list, as its page has it. */
static void
check_row_list(const Walk *walk, BlockNumber block, int row)
{
	const IvfMeta *meta = &walk->state->meta;
	uint32 list;

	if (meta->unit_code_rows)
		ivf_page_tid(walk->state, (Page) walk->code.data, row % (int) meta->unit_code_rows, &list);
	else
		ivf_page_tid(walk->state, (Page) walk->scan.data, row, &list);
	if (list != walk->list)
		ivf_page_unexpected(walk->index, block);
}

/* Rows first .. first + count - 1 of the unit whose scan page was copied. */
static void
walk_unit(Walk *walk, BlockNumber block, int first, int count)
{
	const IvfMeta *meta = &walk->state->meta;
	const IvfUnit *unit = (const IvfUnit *) IvfPageGetContent(walk->scan.data);
	int code_page = -1;
	int refine_page = -1;

	for (int i = first; i < first + count; i++)
	{
		if (meta->unit_code_rows && i / (int) meta->unit_code_rows != code_page)
		{
			code_page = i / (int) meta->unit_code_rows;
			copy_page(walk, &walk->code, unit->code[code_page], IVF_CODE, walk->generation);
		}
		if (meta->unit_refine_rows && i / (int) meta->unit_refine_rows != refine_page)
		{
			refine_page = i / (int) meta->unit_refine_rows;
			copy_page(walk, &walk->refine, unit->refine[refine_page], IVF_REFINE, walk->generation);
		}
		check_row_list(walk, code_page >= 0 ? unit->code[code_page] : block, i);
		ivf_unpack_row(walk->state, walk->scan.data, i, walk->code.data, walk->refine.data,
					   walk->row);
		walk->visit(walk->row, code_page >= 0 ? unit->code[code_page] : block, walk->arg);
	}
}

static void
walk_packed(Walk *walk, const IvfList *entry)
{
	BlockNumber block = entry->first_block;
	int first = (int) Min(entry->first_row, walk->state->meta.unit_rows);
	uint32 left = entry->packed;

	walk->generation = entry->generation;
	while (left > 0)
	{
		uint32 rows;
		int count;

		CHECK_FOR_INTERRUPTS();
		copy_page(walk, &walk->scan, block, IVF_SCAN, entry->generation);
		rows = Min(((IvfUnit *) IvfPageGetContent(walk->scan.data))->rows,
				   walk->state->meta.unit_rows);
		count = (int) rows - first;
		/* Where a list goes on in another unit, this one is full: so a circle of units ends. */
		if (count <= 0 || ((uint32) count < left && rows < walk->state->meta.unit_rows))
			ivf_page_unexpected(walk->index, block);
		count = (int) Min((uint32) count, left);
		walk_unit(walk, block, first, count);
		left -= (uint32) count;
		first = 0;
		block = IvfPageGetHead(walk->scan.data)->next;
	}
}

static void
walk_chain(Walk *walk, const IvfList *entry, IvfPageKind kind)
{
	BlockNumber block = entry->tail_first;
	BlockNumber last = block;
	uint32 seq = entry->tail_first_seq;
	uint32 row_bytes = kind == IVF_TAIL ? walk->state->meta.row_bytes : sizeof(IvfSide);

	for (; block != InvalidBlockNumber; seq++)
	{
		Page page = walk->scan.data;
		int rows;

		CHECK_FOR_INTERRUPTS();
		copy_page(walk, &walk->scan, block, kind, seq);
		rows = kind == IVF_TAIL ? ivf_tail_rows(walk->state, page) : ivf_side_rows(page);
		if (rows * row_bytes != ((PageHeader) page)->pd_lower - IVF_CONTENT_START)
			ivf_page_unexpected(walk->index, block);
		for (int i = 0; i < rows; i++)
		{
			if (kind == IVF_TAIL)
				walk->visit(ivf_tail_row(walk->state, page, i), block, walk->arg);
			else
			{
				walk->row->tid = ((const IvfSide *) IvfPageGetContent(page) + i)->tid;
				walk->visit(walk->row, block, walk->arg);
			}
		}
		last = block;
		if (block == entry->tail_last)
			return;
		block = IvfPageGetHead(page)->next;
	}
	if (ivf_chain_is_cut(entry, seq))
		ivf_page_unexpected(walk->index, last);
}

void
ivf_walk_list(Relation index, const IvfState *state, uint32 list, const IvfList *entry,
			  IvfRowVisitor visit, void *arg)
{
	Walk *walk = palloc0(sizeof(Walk));

	walk->index = index;
	walk->state = state;
	walk->list = list;
	walk->visit = visit;
	walk->arg = arg;
	walk->row = palloc0(state->meta.row_bytes);
	walk_packed(walk, entry);
	walk_chain(walk, entry, IVF_TAIL);
	pfree(walk->row);
	pfree(walk);
}

void
ivf_walk_side(Relation index, uint32 list, const IvfList *entry, IvfRowVisitor visit, void *arg)
{
	Walk *walk = palloc0(sizeof(Walk));

	walk->index = index;
	walk->list = list;
	walk->visit = visit;
	walk->arg = arg;
	walk->row = palloc0(sizeof(IvfRow));
	walk_chain(walk, entry, IVF_SIDE);
	pfree(walk->row);
	pfree(walk);
}
