/*
 * ivf_build.c
 *		CREATE INDEX and REINDEX.
 *
 * A sample trains mean and centres (ivf_train.c).  Then one scan of the table
 * encodes every row; a sort brings rows of a list together, spilling to disk
 * beyond maintenance_work_mem; they are written as packed parts (ivf_pack.c).
 * Pages are not logged one by one: the whole file is, at the end.
 */
#include "postgres.h"

#include <math.h>

#include "access/tableam.h"
#include "access/xloginsert.h"
#include "catalog/index.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "commands/progress.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

#include "../failpoint.h"
#include "ivf.h"
#include "ivf_calibrate.h"
#include "ivf_train.h"

/* Rows that are assigned to lists at once. */
#define BATCH_ROWS 256

/* Coordinates beyond so many deviations are clipped when rows are assigned. */
#define ASSIGN_RANGE 4.5f

/* The packed parts of a build have this generation. */
#define BUILD_GENERATION 1

typedef struct IvfBuild
{
	Relation heap;
	Relation index;
	IndexInfo *info;
	IvfMeta meta;
	IvfState *state;
	IvfList *lists;   /* pseudo lists last */
	double rows;      /* in lists and pseudo lists */
	int64 heap_done;  /* rows that came to be indexed */
	double heap_rows; /* live rows of the table, those that a partial index leaves out included */

	/* What rows are assigned by: centres of one scale. */
	int8 *centres;
	float *half_norm;
	float centre_scale;
	float row_scale;

	/* A batch of rows. */
	int nbatch;
	float *batch_y;
	int8 *batch_code;
	int32 *batch_list;
	ItemPointerData batch_tid[BATCH_ROWS];
	Datum batch_value[BATCH_ROWS];
	MemoryContext batch_context;

	Tuplesortstate *sort;
	TupleDesc sort_desc;
	TupleTableSlot *sort_slot;
	bytea *row;     /* the datum that is being made */
	double *square; /* of residuals, a list */
	double *count;  /* rows, a list */
	ItemPointerData *side[IVF_SIDE_LISTS];
	int64 nside[IVF_SIDE_LISTS];
	int64 max_side[IVF_SIDE_LISTS];
} IvfBuild;

/* Dimensions and elements of the column. */
static void
set_column(IvfMeta *meta, Relation index)
{
	int dims = ivf_column(index, &meta->elem);

	if (dims < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("column does not have dimensions"),
						errhint("Declare it as embedding(dimensions), or index an expression such "
								"as (e::embedding(512)).")));
	meta->dims = (uint32) dims;
}

/* A metapage for an index, without what training finds. */
static void
init_meta(IvfMeta *meta, Relation index)
{
	const IvfOptions *options = (const IvfOptions *) index->rd_options;

	memset(meta, 0, sizeof(*meta));
	meta->magic = IVF_MAGIC;
	meta->version = IVF_VERSION;
	meta->am = 1;
	meta->codec = options ? (uint32) options->codec : IVF_CODEC_REFINED;
	meta->metric = (uint32) ivf_metric(index);
	meta->seed = 0x6d6d6f64616c; /* any will do; the same one makes builds repeatable */
	meta->lists = 1;
	meta->generation = BUILD_GENERATION;
	set_column(meta, index);
	ivf_meta_layout(meta);
}

/* The buffer of a fixed page, zeroed and locked; made new where the fork ends before it. */
static Buffer
fixed_buffer(Relation index, ForkNumber fork, BlockNumber block)
{
	Buffer buffer;

	if (block < RelationGetNumberOfBlocksInFork(index, fork))
		return ReadBufferExtended(index, fork, block, RBM_ZERO_AND_LOCK, NULL);
	buffer = ivf_extend(index, fork);
	if (BufferGetBlockNumber(buffer) != block)
		elog(ERROR, "block %u of index \"%s\" is not where it should be", block,
			 RelationGetRelationName(index));
	return buffer;
}

/* Write one fixed page with size bytes of content. */
static void
write_fixed_page(Relation index, ForkNumber fork, BlockNumber block, IvfPageKind kind,
				 uint32 first_list, uint32 last_list, const void *content, Size size)
{
	Buffer buffer = fixed_buffer(index, fork, block);
	Page page = BufferGetPage(buffer);

	START_CRIT_SECTION();
	ivf_page_init(page, kind, first_list, last_list, 0);
	memcpy(IvfPageGetContent(page), content, size);
	((PageHeader) page)->pd_lower += size;
	MarkBufferDirty(buffer);
	/* An init fork is copied after a crash: it must be in the log. */
	if (fork == INIT_FORKNUM)
		log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
	if (fork == INIT_FORKNUM)
		mm_failpoint(init_fork);
	else
		mm_failpoint(build_fixed);
}

static void
write_centres(Relation index, ForkNumber fork, const IvfState *state)
{
	const IvfMeta *meta = &state->meta;
	BlockNumber block = meta->centre_start;
	char content[BLCKSZ];
	uint32 list = 0;

	while (list < meta->lists)
	{
		uint32 first = list;
		char *p = content;

		for (int i = 0; i < state->layout.centres_per_page && list < meta->lists; i++, list++)
		{
			IvfCentre centre = {.scale = state->centre_scale[list]};

			memcpy(p, &centre, sizeof(centre));
			memcpy(p + sizeof(centre), state->centres + (Size) list * meta->pdims, meta->pdims);
			p += sizeof(centre) + meta->pdims;
		}
		write_fixed_page(index, fork, block++, IVF_CENTRE, first, list - 1, content, p - content);
	}
}

static void
write_metapage(Relation index, ForkNumber fork, const IvfState *state)
{
	IvfMeta meta = state->meta;

	meta.checksum = ivf_state_checksum(state);
	write_fixed_page(index, fork, IVF_METAPAGE_BLKNO, IVF_META, 0, 0, &meta, sizeof(meta));
}

/* Write metapage, mean, centres and lists. */
static void
write_fixed_pages(Relation index, ForkNumber fork, const IvfState *state, const IvfList *lists)
{
	const IvfMeta *meta = &state->meta;
	uint32 total = meta->lists + IVF_SIDE_LISTS;
	uint32 done;

	write_metapage(index, fork, state);
	for (done = 0; done < meta->dims; done += IVF_MEAN_PER_PAGE)
		write_fixed_page(index, fork, meta->mean_start + done / IVF_MEAN_PER_PAGE, IVF_MEAN, 0, 0,
						 state->mean + done,
						 Min(meta->dims - done, IVF_MEAN_PER_PAGE) * sizeof(float));
	write_centres(index, fork, state);
	for (done = 0; done < total; done += IVF_LISTS_PER_PAGE)
	{
		uint32 count = Min(total - done, IVF_LISTS_PER_PAGE);

		write_fixed_page(index, fork, ivf_list_block(meta, done), IVF_LIST, done, done + count - 1,
						 lists + done, count * sizeof(IvfList));
	}
}

static IvfList *
empty_lists(const IvfMeta *meta)
{
	uint32 total = meta->lists + IVF_SIDE_LISTS;
	IvfList *lists = palloc0(total * sizeof(IvfList));

	for (uint32 i = 0; i < total; i++)
	{
		lists[i].first_block = InvalidBlockNumber;
		lists[i].generation = meta->generation;
		lists[i].tail_first = InvalidBlockNumber;
		lists[i].tail_last = InvalidBlockNumber;
	}
	return lists;
}

/* Centres with one scale for all, for the integer kernel, and rows' scale from the sample. */
static void
prepare_assignment(IvfBuild *build, const IvfSample *sample)
{
	const IvfState *state = build->state;
	const IvfMeta *meta = &state->meta;
	float largest = 0;
	double square = 0;
	Size values = (Size) sample->rows * meta->dims;

	for (uint32 list = 0; list < meta->lists; list++)
		largest = Max(largest, state->centre_scale[list]);
	build->centre_scale = largest > 0 ? largest : 1;
	for (Size i = 0; i < values; i++)
	{
		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		square += (double) sample->values[i] * sample->values[i];
	}
	build->row_scale = (float) (ASSIGN_RANGE * sqrt(square / Max(values, 1)) / 127);
	if (build->row_scale <= 0)
		build->row_scale = 1;

	build->centres = MemoryContextAllocExtended(
		CurrentMemoryContext, (Size) meta->lists * meta->pdims, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	build->half_norm = palloc(meta->lists * sizeof(float));
	for (uint32 list = 0; list < meta->lists; list++)
	{
		const int8 *from = state->centres + (Size) list * meta->pdims;
		int8 *to = build->centres + (Size) list * meta->pdims;
		float factor = state->centre_scale[list] / build->centre_scale;

		for (uint32 i = 0; i < meta->dims; i++)
			to[i] = (int8) ivf_round(from[i] * factor);
		build->half_norm[list] =
			state->centre_half[list] / (build->centre_scale * build->row_scale);
	}
}

static void
prepare_sort(IvfBuild *build)
{
	AttrNumber columns[] = {1};
	Oid operators[] = {Int4LessOperator};
	Oid collations[] = {InvalidOid};
	bool nulls_first[] = {false};

	build->sort_desc = CreateTemplateTupleDesc(2);
	TupleDescInitEntry(build->sort_desc, 1, "list", INT4OID, -1, 0);
	TupleDescInitEntry(build->sort_desc, 2, "row", BYTEAOID, -1, 0);
	build->sort_slot = MakeSingleTupleTableSlot(build->sort_desc, &TTSOpsVirtual);
	build->sort = tuplesort_begin_heap(build->sort_desc, 1, columns, operators, collations,
									   nulls_first, maintenance_work_mem, NULL, TUPLESORT_NONE);
	build->row = palloc0(VARHDRSZ + build->meta.row_bytes + MAXIMUM_ALIGNOF);
	SET_VARSIZE(build->row, VARHDRSZ + build->meta.row_bytes);
}

static void
add_side(IvfBuild *build, int side, ItemPointer tid)
{
	if (build->nside[side] == build->max_side[side])
	{
		build->max_side[side] = Max(1024, 2 * build->max_side[side]);
		if (build->side[side])
			build->side[side] =
				repalloc_huge(build->side[side], build->max_side[side] * sizeof(ItemPointerData));
		else
			build->side[side] = palloc(build->max_side[side] * sizeof(ItemPointerData));
	}
	build->side[side][build->nside[side]++] = *tid;
}

/* Encode row i of the batch, of a list, and give it to the sort. */
static void
encode_row(IvfBuild *build, int i, uint32 list)
{
	const IvfState *state = build->state;
	float *y = build->batch_y + (Size) i * state->meta.pdims;
	IvfRow *row = (IvfRow *) VARDATA(build->row);
	TupleTableSlot *slot = build->sort_slot;
	EmbeddingView view;
	IvfVector vector = {.view = &view, .residual = y};
	double square = 0;

	/* The value is still there only for the codec that keeps it. */
	if (state->meta.code_bytes == 0)
		embedding_view(build->batch_value[i], &view);
	vector.centre_dot = ivf_residual(state, list, y);
	for (uint32 j = 0; j < state->meta.dims; j++)
		square += (double) y[j] * y[j];
	build->square[list] += square;
	build->count[list]++;
	row->tid = build->batch_tid[i];
	state->codec->encode(state, &vector, row);

	ExecClearTuple(slot);
	slot->tts_values[0] = Int32GetDatum((int32) list);
	slot->tts_values[1] = PointerGetDatum(build->row);
	slot->tts_isnull[0] = false;
	slot->tts_isnull[1] = false;
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(build->sort, slot);
}

static void
flush_batch(IvfBuild *build)
{
	const IvfMeta *meta = &build->meta;
	float inverse = 1 / build->row_scale;

	CHECK_FOR_INTERRUPTS();
	for (Size i = 0; i < (Size) build->nbatch * meta->pdims; i++)
	{
		float value = build->batch_y[i] * inverse;

		build->batch_code[i] = (int8) ivf_round(Max(-127.0f, Min(127.0f, value)));
	}
	if (meta->lists > 1)
		ivf_kernels()->assign(build->batch_code, build->nbatch, build->centres, build->half_norm,
							  (int) meta->lists, (int) meta->pdims, build->batch_list);
	else
		memset(build->batch_list, 0, build->nbatch * sizeof(int32));
	for (int i = 0; i < build->nbatch; i++)
		encode_row(build, i, (uint32) build->batch_list[i]);
	build->rows += build->nbatch;
	build->nbatch = 0;
	MemoryContextReset(build->batch_context);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, build->heap_done);
}

static void
build_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *state)
{
	IvfBuild *build = (IvfBuild *) state;
	MemoryContext old;
	EmbeddingView view;
	Datum value;

	build->heap_done++;
	if (isnull[0])
	{
		add_side(build, IVF_NULL_LIST, tid);
		return;
	}
	old = MemoryContextSwitchTo(build->batch_context);
	/* Only the flat codec needs the value itself later, which dies with this row. */
	value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(values[0]));
	if (build->meta.code_bytes == 0 && DatumGetPointer(value) == DatumGetPointer(values[0]))
		value = PointerGetDatum(PG_DETOAST_DATUM_COPY(values[0]));
	embedding_view(value, &view);
	MemoryContextSwitchTo(old);
	if (!ivf_rotate_value(build->state, &view,
						  build->batch_y + (Size) build->nbatch * build->meta.pdims))
	{
		add_side(build, IVF_ZERO_LIST, tid);
		if (build->nbatch == 0)
			MemoryContextReset(build->batch_context);
		return;
	}
	build->batch_tid[build->nbatch] = *tid;
	build->batch_value[build->nbatch] = value;
	if (++build->nbatch == BATCH_ROWS)
		flush_batch(build);
}

static void
encode_rows(IvfBuild *build)
{
	const IvfMeta *meta = &build->meta;

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, IVF_PHASE_ENCODE);
	build->batch_y = palloc((Size) BATCH_ROWS * meta->pdims * sizeof(float));
	build->batch_code = palloc((Size) BATCH_ROWS * meta->pdims);
	build->batch_list = palloc(BATCH_ROWS * sizeof(int32));
	build->square = palloc0(meta->lists * sizeof(double));
	build->count = palloc0(meta->lists * sizeof(double));
	build->batch_context =
		AllocSetContextCreate(CurrentMemoryContext, "faiss_ivf batch", ALLOCSET_DEFAULT_SIZES);
	build->heap_rows = table_index_build_scan(build->heap, build->index, build->info, true, true,
											  build_row, build, NULL);
	flush_batch(build);
	tuplesort_performsort(build->sort);
}

/* Set lists' radii; one of an empty list is that of all. */
static void
set_radii(IvfBuild *build)
{
	double square = 0;
	double count = 0;

	for (uint32 list = 0; list < build->meta.lists; list++)
	{
		square += build->square[list];
		count += build->count[list];
	}
	build->meta.residual_square = count > 0 ? square / count : 0;
	for (uint32 list = 0; list < build->meta.lists; list++)
		build->lists[list].radius =
			(float) sqrt(build->count[list] > 0 ? build->square[list] / build->count[list]
												: build->meta.residual_square);
}

static void
write_lists(IvfBuild *build)
{
	IvfPacker *packer =
		ivf_packer_begin(build->index, build->heap, build->state, BUILD_GENERATION, true);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(build->sort_desc, &TTSOpsMinimalTuple);
	IvfRow *row = palloc(build->meta.row_bytes);
	uint32 next = 0;

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, IVF_PHASE_WRITE);
	while (tuplesort_gettupleslot(build->sort, true, false, slot, NULL))
	{
		bool isnull;
		uint32 list = (uint32) DatumGetInt32(slot_getattr(slot, 1, &isnull));
		Datum stored = slot_getattr(slot, 2, &isnull);

		CHECK_FOR_INTERRUPTS();
		while (next <= list)
		{
			ivf_packer_list(packer, next, &build->lists[next]);
			next++;
		}
		/* The sort keeps small values behind a short header, unaligned. */
		memcpy(row, VARDATA_ANY(DatumGetPointer(stored)), build->meta.row_bytes);
		ivf_packer_add(packer, row);
		build->lists[list].packed++;
	}
	ivf_packer_end(packer);
	ExecDropSingleTupleTableSlot(slot);
	tuplesort_end(build->sort);
}

/* The chains of rows that have no direction. */
static void
write_side(IvfBuild *build, int side)
{
	IvfList *entry = &build->lists[build->meta.lists + side];
	uint32 list = build->meta.lists + side;
	Buffer last = InvalidBuffer;

	for (int64 done = 0; done < build->nside[side]; done += IVF_SIDES_PER_PAGE)
	{
		Buffer buffer = ivf_extend(build->index, MAIN_FORKNUM);
		Page page = BufferGetPage(buffer);
		int count = (int) Min(build->nside[side] - done, (int64) IVF_SIDES_PER_PAGE);
		IvfSide *rows;

		entry->tail_last = BufferGetBlockNumber(buffer);
		entry->tail_last_seq++;
		if (entry->tail_first == InvalidBlockNumber)
		{
			entry->tail_first = entry->tail_last;
			entry->tail_first_seq = entry->tail_last_seq;
		}
		START_CRIT_SECTION();
		ivf_page_init(page, IVF_SIDE, list, list, entry->tail_last_seq);
		rows = (IvfSide *) IvfPageGetContent(page);
		for (int i = 0; i < count; i++)
			rows[i].tid = build->side[side][done + i];
		((PageHeader) page)->pd_lower += count * sizeof(IvfSide);
		MarkBufferDirty(buffer);
		if (BufferIsValid(last))
		{
			IvfPageGetHead(BufferGetPage(last))->next = entry->tail_last;
			MarkBufferDirty(last);
		}
		END_CRIT_SECTION();
		if (BufferIsValid(last))
			UnlockReleaseBuffer(last);
		last = buffer;
		mm_failpoint(build_side);
	}
	if (BufferIsValid(last))
		UnlockReleaseBuffer(last);
	build->rows += build->nside[side];
}

/* Forget what the relation cache holds of the index's former content. */
static void
forget_state(Relation index)
{
	if (index->rd_amcache)
		pfree(index->rd_amcache);
	index->rd_amcache = NULL;
}

static void
build_pages(IvfBuild *build)
{
	forget_state(build->index);
	ivf_place_fixed_pages(&build->meta, &build->state->layout);
	build->state->meta = build->meta;
	build->lists = empty_lists(&build->meta);
	write_fixed_pages(build->index, MAIN_FORKNUM, build->state, build->lists);
	encode_rows(build);
	set_radii(build);
	write_lists(build);
	write_side(build, IVF_ZERO_LIST);
	write_side(build, IVF_NULL_LIST);
	build->meta.rows = build->rows;
	build->state->meta = build->meta;
	write_fixed_pages(build->index, MAIN_FORKNUM, build->state, build->lists);
}

IndexBuildResult *
ivf_build(Relation heap, Relation index, IndexInfo *info)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "faiss_ivf build", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	const IvfOptions *options = (const IvfOptions *) index->rd_options;
	int wanted = options ? options->lists : IVF_DEFAULT_LISTS;
	IvfBuild *build = palloc0(sizeof(IvfBuild));
	IvfSample *sample;
	IvfCalibration *calibration;
	IndexBuildResult *result;

	if (RelationGetNumberOfBlocks(index) != 0)
		elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index));
	build->heap = heap;
	build->index = index;
	build->info = info;
	init_meta(&build->meta, index);
	sample = ivf_sample_rows(heap, index, info, &build->meta, wanted);
	calibration = ivf_calibration_of_sample(sample->values, &sample->rows, (int) build->meta.dims,
											sample->heap_rows);
	build->state = ivf_train(&build->meta, sample, wanted);
	prepare_assignment(build, sample);
	if (sample->values)
		pfree(sample->values);
	prepare_sort(build);
	build_pages(build);

	mm_failpoint(build_lists);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, IVF_PHASE_MEASURE);
	if (build->meta.trained)
	{
		ivf_calibrate_build(index, calibration, &build->meta);
		build->state->meta = build->meta;
		write_metapage(index, MAIN_FORKNUM, build->state);
		forget_state(index);
	}
	mm_failpoint(build_complete);
	if (RelationNeedsWAL(index))
		log_newpage_range(index, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(index), true);
	mm_failpoint(build_logged);

	MemoryContextSwitchTo(caller);
	result = palloc(sizeof(IndexBuildResult));
	result->heap_tuples = build->heap_rows;
	result->index_tuples = build->rows;
	MemoryContextDelete(context);
	return result;
}

/*
 * The init fork of an unlogged index: an untrained index without rows.
 */
void
ivf_buildempty(Relation index)
{
	IvfMeta meta;
	IvfState *state;

	init_meta(&meta, index);
	state = ivf_state_make(&meta, NULL, NULL, NULL);
	ivf_place_fixed_pages(&state->meta, &state->layout);
	write_fixed_pages(index, INIT_FORKNUM, state, empty_lists(&state->meta));
}
