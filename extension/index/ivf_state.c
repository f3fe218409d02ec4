/*
 * ivf_state.c
 *		The metapage, what is computed from it, and what never changes.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "fmgr.h"
#include "port/pg_crc32c.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "ivf.h"

/* Bytes of the columns beside the codes in a scan page, for one row. */
static Size
scan_column_bytes(const IvfMeta *meta)
{
	Size bytes = meta->scan_bytes;

	if (meta->code_bytes == 0)
		return bytes + sizeof(IvfSide);
	bytes += sizeof(float);
	if (meta->metric == MM_L2_SQUARED)
		bytes += sizeof(float);
	return bytes;
}

/*
 * How many rows a scan page takes, with the pages that go with it, so that
 * fewest pages are needed for a row.
 */
static void
choose_unit(IvfMeta *meta)
{
	Size room = IVF_PAGE_ROOM - sizeof(IvfUnit) - 4 * sizeof(float); /* padding of columns */
	int most = (int) (room / scan_column_bytes(meta));
	int code_most = meta->code_bytes ? (int) (IVF_PAGE_ROOM / meta->code_bytes) : 0;
	int refine_most = meta->refine_bytes ? (int) (IVF_PAGE_ROOM / meta->refine_bytes) : 0;
	double best = 0;

	if (most < 1 || (meta->code_bytes && code_most < 1) || meta->row_bytes > IVF_PAGE_ROOM)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("%u dimensions are too many for codec \"%s\"", meta->dims,
							   ivf_codec(meta->codec)->name),
						errhint("Index a subvector, or a half embedding.")));
	for (int rows = 1; rows <= most; rows++)
	{
		int code_pages = code_most ? (rows + code_most - 1) / code_most : 0;
		int refine_pages = refine_most ? (rows + refine_most - 1) / refine_most : 0;
		double per_page = (double) rows / (1 + code_pages + refine_pages);

		if (code_pages > IVF_UNIT_CODE_PAGES || refine_pages > IVF_UNIT_REFINE_PAGES)
			break;
		if (per_page < best)
			continue;
		best = per_page;
		meta->unit_rows = rows;
		meta->unit_code_rows = code_pages ? (rows + code_pages - 1) / code_pages : 0;
		meta->unit_refine_rows = refine_pages ? (rows + refine_pages - 1) / refine_pages : 0;
	}
}

void
ivf_meta_layout(IvfMeta *meta)
{
	meta->pdims = (uint32) TYPEALIGN(IVF_DIM_STEP, meta->dims);
	ivf_codec(meta->codec)->layout(meta);
	meta->row_bytes = (uint32) INTALIGN(
		sizeof(IvfRow) + meta->scan_bytes +
		(meta->code_bytes ? meta->code_bytes - sizeof(IvfCode) : 0) + meta->refine_bytes);
	choose_unit(meta);
}

static IvfLayout
make_layout(const IvfMeta *meta)
{
	IvfLayout layout = {0};
	Size offset = sizeof(IvfUnit) + (Size) meta->unit_rows * meta->scan_bytes;

	if (meta->code_bytes == 0)
		layout.scan_tid = INTALIGN(offset);
	else
	{
		layout.scan_scale = INTALIGN(offset);
		if (meta->metric == MM_L2_SQUARED)
			layout.scan_bias = layout.scan_scale + meta->unit_rows * sizeof(float);
	}
	layout.row_scan = sizeof(IvfRow);
	layout.row_code = layout.row_scan + meta->scan_bytes;
	layout.row_refine =
		layout.row_code + (meta->code_bytes ? meta->code_bytes - sizeof(IvfCode) : 0);
	layout.centres_per_page = (int) (IVF_PAGE_ROOM / (sizeof(IvfCentre) + meta->pdims));
	layout.rows_per_tail = (int) (IVF_PAGE_ROOM / meta->row_bytes);
	return layout;
}

/* Room for a state and all that it points to, aligned for vector loads. */
static IvfState *
allocate_state(MemoryContext context, const IvfMeta *meta, BlockNumber blocks)
{
	Size header = MAXALIGN(sizeof(IvfState));
	Size rotation = MAXALIGN(ivf_rotation_size((int) meta->dims));
	Size mean = MAXALIGN(meta->dims * sizeof(float));
	Size scales = MAXALIGN(meta->lists * sizeof(float));
	Size centres = MAXALIGN((Size) meta->lists * meta->pdims);
	Size recent = MAXALIGN((Size) blocks * sizeof(Buffer));
	char *p = MemoryContextAllocExtended(context,
										 header + rotation + mean + 2 * scales + centres + recent,
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	IvfState *state = (IvfState *) p;

	state->meta = *meta;
	state->layout = make_layout(meta);
	state->codec = ivf_codec(meta->codec);
	p += header;
	state->rotation = (IvfRotation *) p;
	ivf_rotation_init((IvfRotation *) p, (int) meta->dims, meta->seed);
	p += rotation;
	state->mean = (float *) p;
	p += mean;
	state->centre_scale = (float *) p;
	p += scales;
	state->centre_half = (float *) p;
	p += scales;
	state->centres = (int8 *) p;
	p += centres;
	state->recent = (Buffer *) p;
	state->nrecent = blocks;
	return state;
}

/* Half the squared length of centre number list. */
static float
centre_half(const IvfState *state, uint32 list)
{
	const int8 *centre = state->centres + (Size) list * state->meta.pdims;
	int64 sum = 0;

	for (uint32 i = 0; i < state->meta.pdims; i++)
		sum += centre[i] * centre[i];
	return (float) (0.5 * sum * state->centre_scale[list] * state->centre_scale[list]);
}

static void
finish_state(IvfState *state)
{
	for (uint32 list = 0; list < state->meta.lists; list++)
		((float *) state->centre_half)[list] = centre_half(state, list);
}

IvfState *
ivf_state_make(const IvfMeta *meta, const float *mean, const int8 *centres,
			   const float *centre_scale)
{
	IvfState *state = allocate_state(CurrentMemoryContext, meta, 0);

	if (mean)
		memcpy((float *) state->mean, mean, meta->dims * sizeof(float));
	if (centres)
	{
		memcpy((int8 *) state->centres, centres, (Size) meta->lists * meta->pdims);
		memcpy((float *) state->centre_scale, centre_scale, meta->lists * sizeof(float));
	}
	finish_state(state);
	return state;
}

int
ivf_column(Relation index, uint32 *elem)
{
	int32 typmod = TupleDescAttr(RelationGetDescr(index), 0)->atttypmod;

	*elem = (uint32) embedding_typmod_elem(typmod);
	return embedding_typmod_dims(typmod);
}

void
ivf_place_fixed_pages(IvfMeta *meta, const IvfLayout *layout)
{
	uint32 mean_pages = (meta->dims + IVF_MEAN_PER_PAGE - 1) / IVF_MEAN_PER_PAGE;
	uint32 centre_pages =
		(meta->lists + layout->centres_per_page - 1) / (uint32) layout->centres_per_page;

	meta->mean_start = IVF_METAPAGE_BLKNO + 1;
	meta->centre_start = meta->mean_start + mean_pages;
	meta->list_start = meta->centre_start + centre_pages;
}

uint32
ivf_state_checksum(const IvfState *state)
{
	IvfMeta meta = state->meta;
	pg_crc32c crc;

	meta.generation = 0;
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, &meta, offsetof(IvfMeta, checksum));
	COMP_CRC32C(crc, state->mean, meta.dims * sizeof(float));
	COMP_CRC32C(crc, state->centre_scale, meta.lists * sizeof(float));
	COMP_CRC32C(crc, state->centres, (Size) meta.lists * meta.pdims);
	FIN_CRC32C(crc);
	return crc;
}

static _Noreturn void
metapage_damaged(Relation index, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" has a damaged metapage", RelationGetRelationName(index)),
					errdetail("%s", detail), errhint("Please REINDEX it.")));
}

/*
 * Whether a metapage is what a build would have made of the column, as far as
 * memory and loops depend on it; its checksum tells of the rest.
 */
static bool
is_possible(Relation index, const IvfMeta *meta)
{
	IvfMeta computed = *meta;
	IvfLayout layout;
	uint32 elem;

	if ((int64) meta->dims != ivf_column(index, &elem) || meta->elem != elem || meta->am != 1 ||
		meta->lists < 1 || meta->lists > IVF_MAX_LISTS || ivf_codec(meta->codec) == NULL ||
		meta->metric != (uint32) ivf_metric(index) || meta->attribute_bytes != 0 ||
		meta->curve_points > IVF_CURVE_POINTS)
		return false;
	ivf_meta_layout(&computed);
	layout = make_layout(&computed);
	ivf_place_fixed_pages(&computed, &layout);
	return memcmp(&computed, meta, sizeof(computed)) == 0 &&
		   ivf_block_exists(index, ivf_list_block(meta, meta->lists + IVF_SIDE_LISTS - 1));
}

static void
check_meta(Relation index, Page page, const IvfMeta *meta)
{
	if (!ivf_page_is_ours(page) || IvfPageGetHead(page)->kind != IVF_META ||
		meta->magic != IVF_MAGIC)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" is not a faiss_ivf index", RelationGetRelationName(index)),
				 errhint("Please REINDEX it.")));
	if (meta->version != IVF_VERSION)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("index \"%s\" has format version %u, this library writes %d",
							   RelationGetRelationName(index), meta->version, IVF_VERSION),
						errhint("Please REINDEX it.")));
	if (!is_possible(index, meta))
		metapage_damaged(index, "It is not that of an index on this column.");
}

static IvfMeta
read_meta(Relation index)
{
	Buffer buffer;
	IvfMeta meta;

	if (!ivf_block_exists(index, IVF_METAPAGE_BLKNO))
		ivf_page_unexpected(index, IVF_METAPAGE_BLKNO);
	buffer = ReadBuffer(index, IVF_METAPAGE_BLKNO);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	meta = *IvfPageGetMeta(BufferGetPage(buffer));
	check_meta(index, BufferGetPage(buffer), &meta);
	UnlockReleaseBuffer(buffer);
	return meta;
}

static void
read_mean(Relation index, IvfState *state)
{
	uint32 done = 0;

	for (BlockNumber block = state->meta.mean_start; done < state->meta.dims; block++)
	{
		Buffer buffer = ivf_read_page(index, block, IVF_MEAN, 0, 0);
		uint32 count = Min(state->meta.dims - done, IVF_MEAN_PER_PAGE);

		memcpy((float *) state->mean + done, IvfPageGetContent(BufferGetPage(buffer)),
			   count * sizeof(float));
		done += count;
		UnlockReleaseBuffer(buffer);
	}
}

static void
read_centres(Relation index, IvfState *state)
{
	uint32 pdims = state->meta.pdims;
	uint32 list = 0;

	for (BlockNumber block = state->meta.centre_start; list < state->meta.lists; block++)
	{
		Buffer buffer = ivf_read_page(index, block, IVF_CENTRE, list, 0);
		char *p = IvfPageGetContent(BufferGetPage(buffer));

		for (int i = 0; i < state->layout.centres_per_page && list < state->meta.lists; i++)
		{
			((float *) state->centre_scale)[list] = ((IvfCentre *) p)->scale;
			memcpy((int8 *) state->centres + (Size) list * pdims, p + sizeof(IvfCentre), pdims);
			p += sizeof(IvfCentre) + pdims;
			list++;
		}
		UnlockReleaseBuffer(buffer);
	}
}

static IvfState *
load_state(Relation index, MemoryContext context)
{
	IvfMeta meta = read_meta(index);
	IvfState *state = allocate_state(context, &meta, RelationGetNumberOfBlocks(index));

	/* The relation's context outlives an error. */
	PG_TRY();
	{
		read_mean(index, state);
		read_centres(index, state);
		if (ivf_state_checksum(state) != state->meta.checksum)
			metapage_damaged(index,
							 "Its checksum does not fit what it, the mean or the centres tell.");
	}
	PG_CATCH();
	{
		pfree(state);
		PG_RE_THROW();
	}
	PG_END_TRY();
	finish_state(state);
	return state;
}

IvfState *
ivf_state_load(Relation index)
{
	return load_state(index, CurrentMemoryContext);
}

/*
 * The relation cache frees rd_amcache when it learns of a change of the index,
 * which REINDEX and TRUNCATE announce.
 */
const IvfState *
ivf_state(Relation index)
{
	if (index->rd_amcache == NULL)
		index->rd_amcache = load_state(index, index->rd_indexcxt);
	return (const IvfState *) index->rd_amcache;
}

BlockNumber
ivf_list_block(const IvfMeta *meta, uint32 list)
{
	return meta->list_start + list / IVF_LISTS_PER_PAGE;
}

IvfList *
ivf_list_entry(Page page, uint32 list)
{
	return (IvfList *) IvfPageGetContent(page) + list % IVF_LISTS_PER_PAGE;
}

static _Noreturn void
entry_damaged(Relation index, const IvfMeta *meta, uint32 list)
{
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" has a damaged entry of list %u at block %u",
						   RelationGetRelationName(index), list, ivf_list_block(meta, list)),
					errhint("Please REINDEX it.")));
}

/* Whether a chain of pages with these numbers can be: it has no more pages than there are. */
static bool
is_chain(Relation index, const IvfList *entry)
{
	uint32 more = entry->tail_last_seq - entry->tail_first_seq;

	if (entry->tail_first == InvalidBlockNumber)
		return entry->tail_last == InvalidBlockNumber;
	return ivf_block_exists(index, entry->tail_first) &&
		   ivf_block_exists(index, entry->tail_last) &&
		   (more == 0) == (entry->tail_first == entry->tail_last) && ivf_block_exists(index, more);
}

/* Whether rows of packed parts, so many, have room in the index. */
static bool
has_room(Relation index, const IvfMeta *meta, uint64 rows)
{
	uint64 units = (rows + meta->unit_rows - 1) / meta->unit_rows;

	return rows == 0 || (units <= MaxBlockNumber && ivf_block_exists(index, (BlockNumber) units));
}

/*
 * All that is done by an entry is bounded by what is checked here: arrays are
 * made as large as it tells, and loops run as often.
 */
static void
check_entry(Relation index, const IvfMeta *meta, uint32 list, const IvfList *entry)
{
	bool good = is_chain(index, entry) && entry->dead <= entry->packed && !(entry->radius < 0);

	if (entry->packed > 0)
		good = good && list < meta->lists && ivf_block_exists(index, entry->first_block) &&
			   entry->first_row < meta->unit_rows &&
			   has_room(index, meta, (uint64) entry->first_row + entry->packed);
	if (unlikely(!good))
		entry_damaged(index, meta, list);
}

Buffer
ivf_lock_list_page(Relation index, const IvfMeta *meta, uint32 list, int mode)
{
	uint32 first = list / IVF_LISTS_PER_PAGE * IVF_LISTS_PER_PAGE;
	BlockNumber block = ivf_list_block(meta, list);
	Buffer buffer = ivf_lock_page(index, block, IVF_LIST, list, 0, mode);
	const IvfHead *head = IvfPageGetHead(BufferGetPage(buffer));

	/* What it serves tells how many lists there are: as many as the metapage has it. */
	if (head->first_list != first ||
		head->last_list != Min(first + IVF_LISTS_PER_PAGE, meta->lists + IVF_SIDE_LISTS) - 1)
	{
		UnlockReleaseBuffer(buffer);
		ivf_page_unexpected(index, block);
	}
	return buffer;
}

void
ivf_read_lists(Relation index, const IvfMeta *meta, IvfList *lists)
{
	uint32 total = meta->lists + IVF_SIDE_LISTS;
	uint64 packed = 0;

	for (uint32 list = 0; list < total; list += IVF_LISTS_PER_PAGE)
	{
		Buffer buffer = ivf_lock_list_page(index, meta, list, BUFFER_LOCK_SHARE);

		memcpy(lists + list, ivf_list_entry(BufferGetPage(buffer), list),
			   Min(total - list, IVF_LISTS_PER_PAGE) * sizeof(IvfList));
		UnlockReleaseBuffer(buffer);
	}
	for (uint32 list = 0; list < total; list++)
	{
		check_entry(index, meta, list, &lists[list]);
		packed += lists[list].packed;
	}
	/* Entries are of moments that lie apart: pages may have changed hands meanwhile. */
	if (!has_room(index, meta, packed / 2))
		entry_damaged(index, meta, 0);
}

IvfList
ivf_read_list(Relation index, const IvfMeta *meta, uint32 list)
{
	Buffer buffer = ivf_lock_list_page(index, meta, list, BUFFER_LOCK_SHARE);
	IvfList entry = *ivf_list_entry(BufferGetPage(buffer), list);

	UnlockReleaseBuffer(buffer);
	check_entry(index, meta, list, &entry);
	return entry;
}
