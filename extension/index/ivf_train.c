/*
 * ivf_train.c
 *		A sample of the table, its mean, and centres by k-means.
 */
#include "postgres.h"

#include <math.h>

#include "access/tableam.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/sampling.h"

#include "faiss/faiss.h"
#include "ivf.h"
#include "ivf_train.h"

/* Rows a list that k-means sees, and its iterations: more gains no recall. */
#define ROWS_PER_LIST 40
#define ITERATIONS 8

/* Blocks that are looked at to tell how many rows a table has. */
#define DENSITY_BLOCKS 16

/* Beyond so many lists each gets fewer rows, down to a least number. */
#define MANY_LISTS 1000.0
#define LEAST_PER_LIST 16

/* A sample is never smaller, if the table has so many rows. */
#define LEAST_SAMPLE 1000

int
ivf_default_lists(double rows)
{
	double lists = Min(rows / 40, 2 * sqrt(rows));

	return (int) Max(1, Min(lists, IVF_MAX_LISTS));
}

/* What the callback of the sampling scan works on. */
typedef struct IvfSampleScan
{
	const IvfMeta *meta;
	IvfSample *sample;
	ReservoirStateData reservoir;
	double seen;
	double skip;
	MemoryContext context;
} IvfSampleScan;

/* Put a value at a place in the sample; false for a zero vector under cosine. */
static bool
store_sample(IvfSampleScan *scan, Datum value, int place)
{
	const IvfMeta *meta = scan->meta;
	float *out = scan->sample->values + (Size) place * meta->dims;
	EmbeddingView view;
	double square = 0;

	embedding_view(value, &view);
	if (view.dims != (int) meta->dims)
		embedding_dims_mismatch((int) meta->dims, view.dims);
	embedding_to_floats(&view, out);
	if (meta->metric != MM_COSINE)
		return true;
	for (uint32 i = 0; i < meta->dims; i++)
		square += (double) out[i] * out[i];
	if (square == 0)
		return false;
	for (uint32 i = 0; i < meta->dims; i++)
		out[i] = (float) (out[i] / sqrt(square));
	return true;
}

/* Reservoir sampling (Vitter's algorithm Z, of core) over the rows of sampled blocks. */
static void
sample_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *state)
{
	IvfSampleScan *scan = (IvfSampleScan *) state;
	IvfSample *sample = scan->sample;
	MemoryContext old;

	if (isnull[0])
		return;
	old = MemoryContextSwitchTo(scan->context);
	if (sample->rows < sample->max_rows)
	{
		if (store_sample(scan, values[0], sample->rows))
			sample->rows++;
	}
	else
	{
		if (scan->skip < 0)
			scan->skip = reservoir_get_next_S(&scan->reservoir, scan->seen, sample->max_rows);
		if (scan->skip <= 0)
		{
			int place = (int) (sample->max_rows * sampler_random_fract(&scan->reservoir.randstate));

			place = Min(place, sample->max_rows - 1);
			/* A zero vector would leave garbage: it has no direction to learn from. */
			if (!store_sample(scan, values[0], place))
				((float *) sample->values)[(Size) place * scan->meta->dims] = 1;
		}
		scan->skip--;
	}
	scan->seen++;
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->context);
}

static void
count_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *state)
{
	(*(double *) state)++;
}

/*
 * Rows of the table.  Core's estimate for a table that was never vacuumed is
 * wide of the mark for wide rows, and tables are often indexed just when they
 * have been filled: then look at some blocks.
 */
static double
estimate_heap_rows(Relation heap, Relation index, IndexInfo *info)
{
	BlockNumber pages;
	double tuples;
	double visible;
	double seen = 0;
	BlockNumber looked;

	table_relation_estimate_size(heap, NULL, &pages, &tuples, &visible);
	if (heap->rd_rel->reltuples >= 0)
		return tuples;
	/* Core takes an unknown table for one of ten pages at least. */
	pages = RelationGetNumberOfBlocks(heap);
	if (pages == 0)
		return 0;
	looked = Min(pages, DENSITY_BLOCKS);
	for (BlockNumber i = 0; i < looked; i++)
		table_index_build_range_scan(heap, index, info, false, !info->ii_Concurrent, false,
									 (BlockNumber) ((uint64) i * pages / looked), 1, count_row,
									 &seen, NULL);
	return seen / looked * pages;
}

/* Rows to sample: enough for the lists, within half of maintenance_work_mem. */
static int
sample_size(const IvfMeta *meta, double heap_rows, int wanted)
{
	double lists = wanted > 0 ? wanted : ivf_default_lists(heap_rows);
	/* Training costs rows times lists: spend less on each of many lists. */
	double per_list = Max(Min(ROWS_PER_LIST, ROWS_PER_LIST * MANY_LISTS / lists), LEAST_PER_LIST);
	double rows = Max(lists * per_list, LEAST_SAMPLE);
	/* The rotated copy goes in place; FAISS keeps some on top. */
	double most = maintenance_work_mem * 512.0 / (meta->dims * sizeof(float));
	int size = (int) Max(Min(rows, most), 100);

	ereport(rows > most && heap_rows > most ? NOTICE : DEBUG1,
			(errmsg("faiss_ivf trains %.0f centres on %d rows, with %.0f MB", lists, size,
					size * (meta->dims * sizeof(float)) / 1048576.0),
			 rows > most ? errhint("With a larger maintenance_work_mem it would be %.0f rows.",
								   Min(rows, heap_rows))
						 : 0));
	return size;
}

IvfSample *
ivf_sample_rows(Relation heap, Relation index, IndexInfo *info, const IvfMeta *meta, int wanted)
{
	IvfSample *sample = palloc0(sizeof(IvfSample));
	BlockNumber blocks = RelationGetNumberOfBlocks(heap);
	IvfSampleScan scan = {.meta = meta, .sample = sample, .skip = -1};
	BlockSamplerData sampler;
	double rows_per_block;
	double want_blocks;

	if (blocks == 0)
		return sample;
	sample->heap_rows = estimate_heap_rows(heap, index, info);
	sample->max_rows = sample_size(meta, sample->heap_rows, wanted);
	sample->values = MemoryContextAllocHuge(CurrentMemoryContext,
											(Size) sample->max_rows * meta->dims * sizeof(float));
	scan.context =
		AllocSetContextCreate(CurrentMemoryContext, "faiss_ivf sample", ALLOCSET_DEFAULT_SIZES);
	reservoir_init_selection_state(&scan.reservoir, sample->max_rows);

	/* Half as many blocks more than needed, for rows that are dead or NULL. */
	rows_per_block = Max(sample->heap_rows / blocks, 0.1);
	want_blocks = 1.5 * sample->max_rows / rows_per_block + 10;
	BlockSampler_Init(&sampler, blocks, (int) Min(want_blocks, INT_MAX / 2), 42);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, IVF_PHASE_SAMPLE);
	while (BlockSampler_HasMore(&sampler))
	{
		BlockNumber block = BlockSampler_Next(&sampler);

		CHECK_FOR_INTERRUPTS();
		/* a concurrent build looks by a snapshot, which knows no "any version" */
		table_index_build_range_scan(heap, index, info, false, !info->ii_Concurrent, false, block,
									 1, sample_row, &scan, NULL);
	}
	MemoryContextDelete(scan.context);
	return sample;
}

/* Take the mean away from the sample, and leave it in mean. */
static void
centre_sample(const IvfMeta *meta, IvfSample *sample, float *mean)
{
	double *sum = palloc0(meta->dims * sizeof(double));

	for (int row = 0; row < sample->rows; row++)
	{
		const float *x = sample->values + (Size) row * meta->dims;

		CHECK_FOR_INTERRUPTS();
		for (uint32 i = 0; i < meta->dims; i++)
			sum[i] += x[i];
	}
	for (uint32 i = 0; i < meta->dims; i++)
		mean[i] = sample->rows > 0 ? (float) (sum[i] / sample->rows) : 0;
	for (int row = 0; row < sample->rows; row++)
	{
		float *x = sample->values + (Size) row * meta->dims;

		CHECK_FOR_INTERRUPTS();
		for (uint32 i = 0; i < meta->dims; i++)
			x[i] -= mean[i];
	}
	pfree(sum);
}

static void
free_kmeans(void *kmeans)
{
	mm_faiss()->kmeans_free((MmKmeans *) kmeans);
}

/* k-means on the sample; the centres are the training's, freed with the current context. */
static const float *
run_kmeans(const IvfMeta *meta, const IvfSample *sample, int lists)
{
	const MmFaissApi *faiss = mm_faiss();
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));
	char error[256] = "";
	MmKmeans *kmeans;
	bool ok = true;

	kmeans = faiss->kmeans_begin((int) meta->dims, lists, sample->rows, sample->values,
								 max_parallel_maintenance_workers + 1,
								 (int64) meta->seed & 0x7fffffff, error, sizeof(error));
	if (kmeans)
	{
		callback->func = free_kmeans;
		callback->arg = kmeans;
		MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
		for (int i = 0; i < ITERATIONS && ok; i++)
		{
			/* A signal ends a step early; most often it ends all of this. */
			do
			{
				CHECK_FOR_INTERRUPTS();
				ok = faiss->kmeans_step(kmeans, error, sizeof(error));
			} while (!ok && faiss->kmeans_interrupted(kmeans));
		}
	}
	if (kmeans == NULL || !ok)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("training of %d centres failed: %s", lists, error)));
	return faiss->kmeans_centres(kmeans);
}

/* 8-bit codes of the centres, each with a scale of its own. */
static void
quantise_centres(const IvfMeta *meta, const float *centres, int8 *codes, float *scales)
{
	for (uint32 list = 0; list < meta->lists; list++)
	{
		const float *centre = centres + (Size) list * meta->dims;
		int8 *code = codes + (Size) list * meta->pdims;
		float largest = 0;

		for (uint32 i = 0; i < meta->dims; i++)
			largest = Max(largest, fabsf(centre[i]));
		scales[list] = largest / 127;
		for (uint32 i = 0; i < meta->dims; i++)
			code[i] = largest > 0 ? (int8) ivf_round(centre[i] * (127 / largest)) : 0;
	}
}

IvfState *
ivf_train(IvfMeta *meta, IvfSample *sample, int wanted)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "faiss_ivf training", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	int lists = wanted > 0 ? wanted : ivf_default_lists(sample->heap_rows);
	float *mean = palloc0(meta->dims * sizeof(float));
	IvfRotation *rotation = palloc(ivf_rotation_size((int) meta->dims));
	int8 *codes;
	float *scales;
	IvfState *state;

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, IVF_PHASE_TRAIN);
	lists = Max(1, Min(lists, sample->rows));
	centre_sample(meta, sample, mean);
	ivf_rotation_init(rotation, (int) meta->dims, meta->seed);
	for (int row = 0; row < sample->rows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		ivf_rotate(rotation, sample->values + (Size) row * meta->dims);
	}

	meta->lists = (uint32) lists;
	meta->trained = lists > 1;
	codes = MemoryContextAllocExtended(context, (Size) lists * meta->pdims,
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	scales = palloc0(lists * sizeof(float));
	if (lists > 1)
		quantise_centres(meta, run_kmeans(meta, sample, lists), codes, scales);

	MemoryContextSwitchTo(caller);
	state = ivf_state_make(meta, mean, codes, scales);
	MemoryContextDelete(context);
	return state;
}
