/*
 * ivf_pack.c
 *		Packed parts: rows by column, so that a search touches few pages.
 *
 * A unit is a scan page with the code and refinement pages that go with it.
 * Rows fill units in order; lists follow each other without a gap, so that a
 * unit may hold the end of one list, others, and the beginning of a next one.
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"

#include "../failpoint.h"
#include "ivf.h"

struct IvfPacker
{
	Relation index;
	Relation heap;
	const IvfState *state;
	uint32 generation;
	bool build; /* new pages, logged later */

	/* The unit in the making. */
	PGAlignedBlock scan;
	char *code;   /* unit_code_pages pages */
	char *refine; /* unit_refine_pages pages */
	BlockNumber block;
	int rows;
	uint32 first_list;
	uint32 last_list; /* also the list that rows are added to */
};

static int
pages_for(uint32 rows, uint32 per_page)
{
	return per_page ? (int) ((rows + per_page - 1) / per_page) : 0;
}

/*
 * A page for the unit in the making.  It is written later, and is unlocked until
 * then: so it is made one of ours at once, or whoever was given the same block
 * by the free space map, which two may read at the same time, would take it for
 * a free one.
 */
static BlockNumber
allocate(IvfPacker *packer)
{
	Buffer buffer;
	BlockNumber block;

	if (packer->build)
		buffer = ivf_extend(packer->index, MAIN_FORKNUM);
	else
	{
		GenericXLogState *xlog;

		buffer = ivf_new_buffer(packer->index, packer->heap);
		xlog = GenericXLogStart(packer->index);
		ivf_page_init(GenericXLogRegisterBuffer(xlog, buffer, GENERIC_XLOG_FULL_IMAGE), IVF_SCAN,
					  packer->last_list, packer->last_list, packer->generation);
		GenericXLogFinish(xlog);
	}
	block = BufferGetBlockNumber(buffer);
	UnlockReleaseBuffer(buffer);
	if (packer->build)
		mm_failpoint(build_allocated);
	else
		mm_failpoint(rewrite_allocated);
	return block;
}

static void
begin_unit(IvfPacker *packer)
{
	memset(packer->scan.data, 0, BLCKSZ);
	memset(packer->code, 0, (Size) IVF_UNIT_CODE_PAGES * BLCKSZ);
	memset(packer->refine, 0, (Size) IVF_UNIT_REFINE_PAGES * BLCKSZ);
	packer->rows = 0;
	packer->first_list = packer->last_list;
}

IvfPacker *
ivf_packer_begin(Relation index, Relation heap, const IvfState *state, uint32 generation,
				 bool build)
{
	IvfPacker *packer = palloc0(sizeof(IvfPacker));

	packer->index = index;
	packer->heap = heap;
	packer->state = state;
	packer->generation = generation;
	packer->build = build;
	packer->code = palloc((Size) IVF_UNIT_CODE_PAGES * BLCKSZ);
	packer->refine = palloc((Size) IVF_UNIT_REFINE_PAGES * BLCKSZ);
	packer->block = InvalidBlockNumber;
	return packer;
}

/* Put an image into its block. */
static void
write_page(IvfPacker *packer, BlockNumber block, IvfPageKind kind, const char *content,
		   BlockNumber next)
{
	Buffer buffer = ReadBufferExtended(packer->index, MAIN_FORKNUM, block, RBM_ZERO_AND_LOCK, NULL);
	Page page = BufferGetPage(buffer);

	START_CRIT_SECTION();
	ivf_page_init(page, kind, packer->first_list, packer->last_list, packer->generation);
	memcpy(IvfPageGetContent(page), content, IVF_PAGE_ROOM);
	IvfPageGetHead(page)->next = next;
	ivf_page_fill(page);
	MarkBufferDirty(buffer);
	if (!packer->build && RelationNeedsWAL(packer->index))
		log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
	if (packer->build)
		mm_failpoint(build_written);
	else
		mm_failpoint(rewrite_written);
}

/* Write the unit in the making; next is the scan page of the one after it. */
static void
write_unit(IvfPacker *packer, BlockNumber next)
{
	const IvfMeta *meta = &packer->state->meta;
	IvfUnit *unit = (IvfUnit *) packer->scan.data;
	int code_pages = pages_for(packer->rows, meta->unit_code_rows);
	int refine_pages = pages_for(packer->rows, meta->unit_refine_rows);

	unit->rows = packer->rows;
	for (int i = 0; i < IVF_UNIT_CODE_PAGES; i++)
		unit->code[i] = i < code_pages ? allocate(packer) : InvalidBlockNumber;
	for (int i = 0; i < IVF_UNIT_REFINE_PAGES; i++)
		unit->refine[i] = i < refine_pages ? allocate(packer) : InvalidBlockNumber;
	for (int i = 0; i < code_pages; i++)
		write_page(packer, unit->code[i], IVF_CODE, packer->code + (Size) i * BLCKSZ,
				   InvalidBlockNumber);
	for (int i = 0; i < refine_pages; i++)
		write_page(packer, unit->refine[i], IVF_REFINE, packer->refine + (Size) i * BLCKSZ,
				   InvalidBlockNumber);
	write_page(packer, packer->block, IVF_SCAN, packer->scan.data, next);
}

/* Have a unit with room for one more row. */
static void
make_room(IvfPacker *packer)
{
	BlockNumber next;

	if (packer->block == InvalidBlockNumber)
		packer->block = allocate(packer);
	else if (packer->rows == (int) packer->state->meta.unit_rows)
	{
		next = allocate(packer);
		write_unit(packer, next);
		packer->block = next;
	}
	else if (packer->rows > 0)
		return;
	begin_unit(packer);
}

void
ivf_packer_list(IvfPacker *packer, uint32 list, IvfList *entry)
{
	packer->last_list = list;
	make_room(packer);
	if (packer->rows == 0)
		packer->first_list = list;
	entry->first_block = packer->block;
	entry->first_row = (uint32) packer->rows;
	entry->packed = 0;
	entry->dead = 0;
	entry->generation = packer->generation;
}

void
ivf_packer_add(IvfPacker *packer, const IvfRow *row)
{
	const IvfState *state = packer->state;
	const IvfMeta *meta = &state->meta;
	const IvfLayout *layout = &state->layout;
	const char *codes = (const char *) row;
	char *content = packer->scan.data;
	int i;

	make_room(packer);
	i = packer->rows++;
	memcpy(content + sizeof(IvfUnit) + (Size) i * meta->scan_bytes, codes + layout->row_scan,
		   meta->scan_bytes);
	if (layout->scan_tid)
	{
		IvfSide *side = (IvfSide *) (content + layout->scan_tid) + i;

		side->tid = row->tid;
		side->list = (uint16) (packer->last_list - packer->first_list);
	}
	if (layout->scan_scale)
		((float *) (content + layout->scan_scale))[i] = row->scan_scale;
	if (layout->scan_bias)
		((float *) (content + layout->scan_bias))[i] = row->bias;
	if (meta->code_bytes)
	{
		IvfCode *code = (IvfCode *) (packer->code + (Size) (i / meta->unit_code_rows) * BLCKSZ +
									 (Size) (i % meta->unit_code_rows) * meta->code_bytes);

		code->tid = row->tid;
		code->list = (uint16) (packer->last_list - packer->first_list);
		code->scale = row->code_scale;
		memcpy(code + 1, codes + layout->row_code, meta->code_bytes - sizeof(IvfCode));
	}
	if (meta->refine_bytes)
		memcpy(packer->refine + (Size) (i / meta->unit_refine_rows) * BLCKSZ +
				   (Size) (i % meta->unit_refine_rows) * meta->refine_bytes,
			   codes + layout->row_refine, meta->refine_bytes);
}

void
ivf_packer_end(IvfPacker *packer)
{
	if (packer->block != InvalidBlockNumber)
		write_unit(packer, InvalidBlockNumber);
	pfree(packer->code);
	pfree(packer->refine);
	pfree(packer);
}

void
ivf_unpack_row(const IvfState *state, Page scan, int row, Page code, Page refine, IvfRow *out)
{
	const IvfMeta *meta = &state->meta;
	const IvfLayout *layout = &state->layout;
	const char *content = IvfPageGetContent(scan);
	char *codes = (char *) out;

	memset(out, 0, meta->row_bytes);
	memcpy(codes + layout->row_scan, content + sizeof(IvfUnit) + (Size) row * meta->scan_bytes,
		   meta->scan_bytes);
	if (layout->scan_tid)
		out->tid = ((const IvfSide *) (content + layout->scan_tid))[row].tid;
	if (layout->scan_scale)
		out->scan_scale = ((const float *) (content + layout->scan_scale))[row];
	if (layout->scan_bias)
		out->bias = ((const float *) (content + layout->scan_bias))[row];
	if (meta->code_bytes)
	{
		const IvfCode *from =
			(const IvfCode *) (IvfPageGetContent(code) +
							   (Size) (row % meta->unit_code_rows) * meta->code_bytes);

		out->tid = from->tid;
		out->code_scale = from->scale;
		memcpy(codes + layout->row_code, from + 1, meta->code_bytes - sizeof(IvfCode));
	}
	if (meta->refine_bytes)
		memcpy(codes + layout->row_refine,
			   IvfPageGetContent(refine) +
				   (Size) (row % meta->unit_refine_rows) * meta->refine_bytes,
			   meta->refine_bytes);
}
