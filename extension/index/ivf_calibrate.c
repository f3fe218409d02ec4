/*
 * ivf_calibrate.c
 *		Measuring the curve from the stop rule's spread to recall.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "ivf.h"
#include "ivf_calibrate.h"
#include "ivf_search.h"

/* With this recall a longer search gains nothing: further points are not measured. */
#define RECALL_ENOUGH 0.9995f

/* A build's queries read so many rows in all, but there are never fewer queries. */
#define ROWS_TO_READ 1e7
#define LEAST_ROWS 64

/* Training does without the queries where there are so many times more rows. */
#define HELD_OUT_FACTOR 5

/* The best rows of one query. */
typedef struct Neighbours
{
	int n;
	ItemPointerData tid[IVF_CALIBRATION_K + 1];
} Neighbours;

IvfCalibration *
ivf_calibration_of_sample(float *values, int *rows, int dims, double heap_rows)
{
	IvfCalibration *calibration = palloc0(sizeof(IvfCalibration));
	Size row_bytes = dims * sizeof(float);
	/* Each takes a look at all rows: fewer of them where there are many. */
	int most = (int) Max(LEAST_ROWS, Min(IVF_CALIBRATION_ROWS, ROWS_TO_READ / Max(heap_rows, 1)));
	int n = Min(*rows, most);
	int left = *rows;

	calibration->nqueries = n;
	calibration->queries = palloc(Max(n, 1) * sizeof(Datum));
	calibration->from_base = true;
	for (int i = n - 1; i >= 0; i--)
	{
		float *query = values + (Size) i * *rows / n * dims;

		calibration->queries[i] = EmbeddingPGetDatum(embedding_make_float32(dims, query));
		/* Centres that have seen a query lie nearer to it than to new ones. */
		if (*rows >= HELD_OUT_FACTOR * n)
			memmove(query, values + (Size) --left * dims, row_bytes);
	}
	*rows = left;
	return calibration;
}

/*
 * The first k rows of a search, of one through all lists where options is NULL;
 * adds what it took to the sums.
 */
static void
search_neighbours(Relation index, Datum query, int k, const IvfSearchOptions *options,
				  IvfMemory *memory, Neighbours *out, double *scanned, double *reranked)
{
	static const IvfSearchOptions all = {.recall = 0.5, .error_bound = 4};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "faiss_ivf calibration",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IvfSearch *search = ivf_search_begin(index, query, false, options ? options : &all, memory);
	double distance;
	bool has_distance;

	out->n = 0;
	if (options == NULL && search->query)
		ivf_search_all(search, k);
	while (out->n < k && ivf_search_next(search, &out->tid[out->n], &distance, &has_distance) &&
		   has_distance)
		out->n++;
	*scanned += (double) search->stats.scanned;
	*reranked += (double) search->stats.reranked;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* How many of the true neighbours are among those found; the first `skip` do not count. */
static int
count_found(const Neighbours *truth, int skip, const Neighbours *found)
{
	int count = 0;

	for (int i = skip; i < truth->n; i++)
	{
		for (int j = 0; j < found->n; j++)
		{
			if (ItemPointerEquals((ItemPointer) &truth->tid[i], (ItemPointer) &found->tid[j]))
			{
				count++;
				break;
			}
		}
	}
	return count;
}

void
ivf_calibrate(Relation index, const IvfCalibration *calibration, float *recall, float *scanned,
			  float *reranked)
{
	int n = calibration->nqueries;
	int skip = calibration->from_base ? 1 : 0;
	int k = IVF_CALIBRATION_K + skip;
	Neighbours *truth = palloc0(Max(n, 1) * sizeof(Neighbours));
	IvfSearchOptions options;
	IvfMemory memory = {0};
	double ignored = 0;
	double total = 0;

	memory.context =
		AllocSetContextCreate(CurrentMemoryContext, "faiss_ivf arrays", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < n; i++)
	{
		search_neighbours(index, calibration->queries[i], k, NULL, &memory, &truth[i], &ignored,
						  &ignored);
		total += Max(truth[i].n - skip, 0);
	}
	options = ivf_search_options(index);
	options.recall = 0.5;
	options.probes = 0;
	options.max_rows = 0;
	options.first_round = k;
	for (int point = 0; point < IVF_CURVE_POINTS; point++)
	{
		double rows = 0;
		double ranked = 0;
		int found = 0;

		if (point > 0 && recall[point - 1] >= RECALL_ENOUGH)
		{
			recall[point] = 1;
			scanned[point] = scanned[point - 1];
			reranked[point] = reranked[point - 1];
			continue;
		}
		options.spread = ivf_curve_point(point);
		for (int i = 0; i < n; i++)
		{
			Neighbours neighbours;

			search_neighbours(index, calibration->queries[i], k, &options, &memory, &neighbours,
							  &rows, &ranked);
			found += count_found(&truth[i], skip, &neighbours);
		}
		recall[point] = total > 0 ? (float) (found / total) : 1;
		scanned[point] = (float) (rows / Max(n, 1));
		reranked[point] = (float) (ranked / Max(n, 1));
	}
	MemoryContextDelete(memory.context);
	pfree(truth);
}

void
ivf_calibrate_build(Relation index, const IvfCalibration *calibration, IvfMeta *meta)
{
	ivf_calibrate(index, calibration, meta->curve_recall, meta->curve_scanned,
				  meta->curve_reranked);
	for (int point = 0; point < IVF_CURVE_POINTS; point++)
		meta->curve_scanned[point] /= (float) Max(meta->rows, 1);
	meta->curve_points = IVF_CURVE_POINTS;
}
