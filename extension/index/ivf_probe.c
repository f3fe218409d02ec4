/*
 * ivf_probe.c
 *		Which lists a search reads, in which order, and when that is enough.
 *
 * The stop rule.  In an unread list with centre similarity b, n rows and root
 * mean square residual rad, similarities scatter around b with a deviation
 * that is proportional to rad |y|; the factor depends on the query (how the
 * base varies in its direction, how far from the base it lies) and is measured
 * on the rows already read.  So the number of rows in unread lists that beat
 * the k-th best found, T, is expected to be the sum of n Q((T - b) / deviation),
 * Q being the normal distribution's tail.  A search has read enough for its k
 * rows when that is at most a fixed share of k.  One factor on the deviation
 * ("spread") then trades work for recall, much the same for every k and for
 * queries of another modality, which lie elsewhere and have other deviations;
 * calibration finds the factor that gives the recall asked for.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "ivf.h"
#include "ivf_search.h"

/* Rows likely to be missed, as a share of k, with which a search may stop. */
#define MISSED_SHARE 0.05

/* Lists are read in the order of centre + this times spread. */
#define ORDER_BONUS 0.3f

/* Rows that are scanned between fetches of those that come next. */
#define SCAN_STRETCH 16

/* Beyond this, sums of float32 products are not to be trusted. */
#define OVERFLOW_BOUND 1e30f

/* Tail of the normal distribution at multiples of 1 / TAIL_STEPS. */
#define TAIL_STEPS 64
#define TAIL_END 6

static float tail_table[TAIL_END * TAIL_STEPS + 1];

static void
init_tail_table(void)
{
	if (tail_table[0] != 0)
		return;
	for (int i = 0; i <= TAIL_END * TAIL_STEPS; i++)
		tail_table[i] = (float) (0.5 * erfc((double) i / TAIL_STEPS * M_SQRT1_2));
}

static inline float
normal_tail(float z)
{
	float position = fabsf(z) * TAIL_STEPS;
	float tail;

	if (position >= TAIL_END * TAIL_STEPS)
		tail = 0;
	else
		tail = tail_table[(int) position];
	return z >= 0 ? tail : 1 - tail;
}

static float
tail_rows(const IvfState *state, const IvfList *entry)
{
	if (entry->tail_first == InvalidBlockNumber)
		return 0;
	/* The last page is half full, for all that we know. */
	return (float) ivf_tail_most(state, entry) - 0.5f * state->layout.rows_per_tail;
}

/* Similarity of each list's centre by the 8-bit query, and what rows scatter around. */
static void
rank_centres(IvfSearch *search)
{
	const IvfState *state = search->state;
	const IvfQuery *query = search->query;
	bool l2 = query->metric == MM_L2_SQUARED;
	int32 *dots = palloc(search->nlists * sizeof(int32));

	ivf_kernels()->dot_8bit(state->centres, state->meta.pdims, (int) search->nlists, query->y8,
							query->pdims, dots);
	for (uint32 list = 0; list < search->nlists; list++)
	{
		const IvfList *entry = &search->lists[list];
		float radius = entry->radius;
		float base =
			query->constant + query->step8 * state->centre_scale[list] * (float) dots[list];

		search->weight[list] =
			(float) entry->packed - (float) entry->dead + tail_rows(state, entry);
		if (l2)
		{
			base = Min(base - state->centre_half[list], 0);
			search->centre[list] = base - radius * radius / 2;
			search->spread[list] = radius * sqrtf(-2 * base);
		}
		else
		{
			search->centre[list] = base;
			search->spread[list] = radius * query->norm;
		}
		search->base[list] = base;
	}
	pfree(dots);
}

/* The bucket of a key; also for keys that have overflowed. */
static inline uint32
bucket_of(float position, uint32 buckets)
{
	if (!(position > 0))
		return 0;
	return position < buckets - 1 ? (uint32) position : buckets - 1;
}

/*
 * Sort lists by what they promise, roughly: a counting sort on so many buckets
 * that few lists share one.
 */
static void
order_lists(IvfSearch *search)
{
	uint32 n = search->nlists;
	uint32 buckets = 2 * n;
	/* Keys, then where buckets start. */
	float *key = ivf_memory(search->memory, IVF_KEYS, (3 * (Size) n + 1) * sizeof(uint32));
	uint32 *start = (uint32 *) key + n;
	float largest = -INFINITY;
	float smallest = INFINITY;
	float factor;

	memset(start, 0, (buckets + 1) * sizeof(uint32));
	for (uint32 i = 0; i < n; i++)
	{
		key[i] = search->centre[i] + ORDER_BONUS * search->spread[i];
		largest = Max(largest, key[i]);
		smallest = Min(smallest, key[i]);
	}
	factor = largest > smallest ? (buckets - 1) / (largest - smallest) : 0;
	for (uint32 i = 0; i < n; i++)
		start[bucket_of((largest - key[i]) * factor, buckets) + 1]++;
	for (uint32 b = 0; b < buckets; b++)
		start[b + 1] += start[b];
	for (uint32 i = 0; i < n; i++)
		search->order[start[bucket_of((largest - key[i]) * factor, buckets)]++] = i;
}

void
ivf_probe_begin(IvfSearch *search)
{
	const IvfMeta *meta = &search->state->meta;
	IvfMemory *memory = search->memory;
	Size n = meta->lists;

	init_tail_table();
	search->nlists = meta->lists;
	search->lists = ivf_memory(memory, IVF_LISTS, (n + IVF_SIDE_LISTS) * sizeof(IvfList));
	ivf_read_lists(search->index, meta, search->lists);
	search->order = ivf_memory(memory, IVF_ORDER, n * sizeof(uint32));
	search->centre = ivf_memory(memory, IVF_CENTRES, n * sizeof(float));
	search->spread = ivf_memory(memory, IVF_SPREADS, n * sizeof(float));
	search->weight = ivf_memory(memory, IVF_WEIGHTS, n * sizeof(float));
	search->base = ivf_memory(memory, IVF_BASES, n * sizeof(float));
	if (search->query)
	{
		rank_centres(search);
		order_lists(search);
		return;
	}
	for (uint32 i = 0; i < n; i++)
		search->order[i] = i;
}

/* Have room for count more rows. */
static void
reserve_rows(IvfSearch *search, uint32 count)
{
	Size want = (Size) search->nrows + count;

	if (want <= search->max_rows)
		return;
	if (want > PG_UINT32_MAX / 2)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many rows in one search of index \"%s\"",
							   RelationGetRelationName(search->index))));
	want = Max(want + want / 2, 8192);
	search->similarity = ivf_memory(search->memory, IVF_SIMILARITIES, want * sizeof(float));
	search->upper = ivf_memory(search->memory, IVF_UPPERS, want * sizeof(float));
	if (search->state->layout.scan_bias)
		search->bias = ivf_memory(search->memory, IVF_BIASES, want * sizeof(float));
	search->max_rows = (uint32) want;
}

static IvfSegment *
add_segment(IvfSearch *search, BlockNumber block, uint32 list, uint32 generation, int first_row,
			int rows)
{
	IvfSegment *segment;

	search->segments = ivf_memory(search->memory, IVF_SEGMENTS,
								  ((Size) search->nsegments + 1) * sizeof(IvfSegment));
	segment = &search->segments[search->nsegments++];
	segment->block = block;
	segment->list = list;
	segment->generation = generation;
	segment->start = search->nrows;
	segment->first_row = (uint16) first_row;
	segment->rows = (uint16) rows;
	segment->tail = false;
	return segment;
}

/* Find a place in top for an estimate that reaches its threshold. */
static void
push_top(IvfSearch *search, float value)
{
	if (search->ntop == search->max_top)
	{
		search->top_threshold = ivf_kth_largest(search->top, search->ntop, search->top_want);
		search->ntop = search->top_want;
		if (value < search->top_threshold)
			return;
	}
	search->top[search->ntop++] = value;
}

static void
push_rows(IvfSearch *search, uint32 start, uint32 rows)
{
	uint32 *found = ivf_memory(search->memory, IVF_FOUND, rows * sizeof(uint32));
	int n = ivf_kernels()->collect(search->similarity + start, (int) rows, search->top_threshold,
								   found);

	for (int i = 0; i < n; i++)
		push_top(search, search->similarity[start + found[i]]);
}

/*
 * Float32 may have overflowed: rows without a usable estimate rank last, but
 * are reranked, and so given out, like all others.  -infinity is the mark of
 * rows that were reranked.
 */
static void
tame_rows(IvfSearch *search, uint32 rows)
{
	for (uint32 i = search->nrows; i < search->nrows + rows; i++)
	{
		if (isfinite(search->similarity[i]) && isfinite(search->upper[i]))
			continue;
		search->similarity[i] = -FLT_MAX;
		search->upper[i] = FLT_MAX;
	}
}

/*
 * Count rows that have been read into the arrays' end; squares is what the codec
 * returned of them.  It overflows where an estimate does, but for what a bias a
 * row brings, or a row that is kept as it is.
 */
static void
count_rows(IvfSearch *search, uint32 rows, double squares)
{
	const IvfState *state = search->state;

	if (unlikely(search->overflow || !isfinite(squares)) || state->layout.scan_bias ||
		state->meta.code_bytes == 0)
		tame_rows(search, rows);
	if (search->exact)
	{
		for (uint32 i = search->nrows; i < search->nrows + rows; i++)
			search->upper[i] = INFINITY;
	}
	search->nrows += rows;
	search->unranked += rows;
	search->stats.scanned += rows;
	if (search->top_want > 0)
		push_rows(search, search->nrows - rows, rows);
}

/* Codes that are read next. */
typedef struct Ahead
{
	const char *codes; /* NULL: nobody knows where they are */
	Size bytes;
} Ahead;

/*
 * Where a list's codes go on: in its next page, if it has rows left, or with the
 * next list.  What else will be read of that page is fetched here, the codes
 * themselves at the pace in which those before them are read.
 */
static Ahead
look_ahead(const IvfSearch *search, BlockNumber next, uint32 left)
{
	const IvfState *state = search->state;
	const IvfMeta *meta = &state->meta;
	Ahead ahead = {NULL, 0};
	uint32 row = 0;
	const char *page;

	if (left == 0)
	{
		const IvfList *entry;

		if (search->probed + 1 >= search->nlists)
			return ahead;
		entry = &search->lists[search->order[search->probed + 1]];
		next = entry->first_block;
		row = entry->first_row;
		left = entry->packed;
	}
	page = ivf_prefetch_page(state, next);
	if (page == NULL || row >= meta->unit_rows)
		return ahead;
	left = Min(left, meta->unit_rows - row);
	page += IVF_CONTENT_START;
	__builtin_prefetch(page); /* IvfUnit */
	if (state->layout.scan_scale)
		ivf_prefetch_bytes(page + state->layout.scan_scale + row * sizeof(float),
						   left * sizeof(float));
	ahead.codes = page + sizeof(IvfUnit) + (Size) row * meta->scan_bytes;
	ahead.bytes = (Size) left * meta->scan_bytes;
	return ahead;
}

/* Estimate count rows of a scan page, and fetch as many of those that come next. */
static double
scan_rows(IvfSearch *search, const char *content, int first, int count, float base, Ahead ahead)
{
	const IvfState *state = search->state;
	Size stretch = SCAN_STRETCH * (Size) state->meta.scan_bytes;
	double squares = 0;

	for (int done = 0; done < count; done += SCAN_STRETCH)
	{
		uint32 at = search->nrows + (uint32) done;
		Size fetched = Min(stretch, ahead.bytes);

		ivf_prefetch_bytes(ahead.codes, fetched);
		ahead.codes += fetched;
		ahead.bytes -= fetched;
		squares += state->codec->scan(
			state, search->query, content, first + done, Min(SCAN_STRETCH, count - done), base,
			(float) search->options.error_bound, search->similarity + at, search->upper + at);
	}
	return squares;
}

static double
scan_packed(IvfSearch *search, uint32 list, const IvfList *entry)
{
	const IvfState *state = search->state;
	BlockNumber block = entry->first_block;
	uint32 row = entry->first_row;
	uint32 left = entry->packed;
	double squares = 0;

	while (left > 0)
	{
		Buffer buffer;
		Page page;
		const char *content;
		const IvfUnit *unit;
		uint32 rows;
		double found;
		IvfSegment *segment;
		Ahead ahead;

		CHECK_FOR_INTERRUPTS();
		buffer = ivf_read_hot(state, search->index, block, IVF_SCAN, list, entry->generation);
		page = BufferGetPage(buffer);
		content = IvfPageGetContent(page);
		unit = (const IvfUnit *) content;
		rows = Min(unit->rows, state->meta.unit_rows);
		/* Where a list goes on in another unit, this one is full: so a circle of units ends. */
		if (row >= rows || (left > rows - row && rows < state->meta.unit_rows))
		{
			UnlockReleaseBuffer(buffer);
			ivf_page_unexpected(search->index, block);
		}
		rows = Min(left, rows - row);
		ahead = look_ahead(search, IvfPageGetHead(page)->next, left - rows);
		reserve_rows(search, rows);
		segment = add_segment(search, block, list, entry->generation, (int) row, (int) rows);
		memcpy(segment->code, unit->code, sizeof(unit->code));
		memcpy(segment->refine, unit->refine, sizeof(unit->refine));
		found = scan_rows(search, content, (int) row, (int) rows, search->base[list], ahead);
		squares += found;
		if (state->layout.scan_bias)
			memcpy(search->bias + search->nrows,
				   (const float *) (content + state->layout.scan_bias) + row, rows * sizeof(float));
		block = IvfPageGetHead(page)->next;
		UnlockReleaseBuffer(buffer);
		count_rows(search, rows, found);
		left -= rows;
		row = 0;
	}
	return squares;
}

static double
scan_tail(IvfSearch *search, uint32 list, const IvfList *entry)
{
	const IvfState *state = search->state;
	BlockNumber block = entry->tail_first;
	BlockNumber last = block;
	uint32 seq = entry->tail_first_seq;
	double squares = 0;

	while (block != InvalidBlockNumber)
	{
		Buffer buffer;
		Page page;
		int rows;
		double found = 0;

		CHECK_FOR_INTERRUPTS();
		buffer = ivf_read_page(search->index, block, IVF_TAIL, list, seq);
		page = BufferGetPage(buffer);
		rows = ivf_tail_rows(state, page);
		reserve_rows(search, (uint32) rows);
		if (rows > 0)
			add_segment(search, block, list, seq, 0, rows)->tail = true;
		for (int i = 0; i < rows; i++)
		{
			const IvfRow *row = ivf_tail_row(state, page, i);
			uint32 at = search->nrows + (uint32) i;

			found += state->codec->scan_row(state, search->query, row, search->base[list],
											(float) search->options.error_bound,
											&search->similarity[at], &search->upper[at]);
			if (search->bias)
				search->bias[at] = row->bias;
		}
		last = block;
		block = IvfPageGetHead(page)->next;
		UnlockReleaseBuffer(buffer);
		count_rows(search, (uint32) rows, found);
		squares += found;
		seq++;
	}
	if (unlikely(ivf_chain_is_cut(entry, seq)))
		ivf_page_unexpected(search->index, last);
	return squares;
}

/*
 * Sum of squared differences between the estimates from a row on and a value.
 * Under L2 rows do not scatter around their centre's own similarity.
 */
static double
squares_around(const IvfSearch *search, uint32 from, float value)
{
	double sum = 0;

	for (uint32 i = from; i < search->nrows; i++)
	{
		double difference = search->similarity[i] - value;

		if (unlikely(search->similarity[i] == -FLT_MAX)) /* overflown */
			continue;
		sum += difference * difference;
	}
	return sum;
}

/* Read a list's scan codes. */
static void
probe_list(IvfSearch *search, uint32 list)
{
	const IvfList *entry = &search->lists[list];
	const IvfQuery *query = search->query;
	float spread = search->spread[list];
	uint32 before = search->nrows;
	float base = query->constant + ivf_centre_dot(search->state, query, list);
	double squares;
	double rows;

	if (query->metric == MM_L2_SQUARED)
		base -= search->state->centre_half[list];
	search->base[list] = base;
	/* Not even the square of what similarities are made of may overflow. */
	search->overflow = !(fabsf(base) < OVERFLOW_BOUND && spread < OVERFLOW_BOUND);
	squares = scan_packed(search, list, entry);
	squares += scan_tail(search, list, entry);
	rows = search->nrows - before;
	if (spread > 0 && rows > 0 && !search->overflow && isfinite(squares))
	{
		if (query->metric == MM_L2_SQUARED)
			squares = squares_around(search, before, search->centre[list]);
		search->squares += squares / ((double) spread * spread);
		search->squares_rows += rows;
	}
	search->stats.lists++;
}

void
ivf_probe(IvfSearch *search, uint32 upto)
{
	upto = Min(upto, search->nlists);
	for (; search->probed < upto; search->probed++)
	{
		CHECK_FOR_INTERRUPTS();
		if (search->options.max_rows > 0 && search->stats.scanned >= search->options.max_rows)
			break;
		probe_list(search, search->order[search->probed]);
	}
}

uint32
ivf_probes_needed(const IvfSearch *search, float worst, double k)
{
	double budget = MISSED_SHARE * k;
	double deviation =
		sqrt(search->squares / Max(search->squares_rows, 1)) * search->options.spread;
	double missed = 0;
	uint32 i = search->nlists;

	/* A flat distribution of what was read tells nothing: never divide by zero. */
	deviation = Max(deviation, 1e-6);
	while (i > search->probed)
	{
		uint32 list = search->order[i - 1];
		float scatter = (float) deviation * search->spread[list];
		float margin = worst - search->centre[list];

		if (unlikely(!isfinite(margin) || !isfinite(scatter)))
			missed += search->weight[list];
		else if (scatter > 0)
			missed += search->weight[list] * normal_tail(margin / scatter);
		else if (margin <= 0)
			missed += search->weight[list];
		if (missed > budget)
			break;
		i--;
	}
	return i;
}

float
ivf_kth_largest(float *values, int n, int k)
{
	int low = 0;
	int high = n - 1;

	k--;
	while (low < high)
	{
		float pivot = values[low + (high - low) / 2];
		int i = low - 1;
		int j = high + 1;

		for (;;)
		{
			float swapped;

			do
				i++;
			while (values[i] > pivot);
			do
				j--;
			while (values[j] < pivot);
			if (i >= j)
				break;
			swapped = values[i];
			values[i] = values[j];
			values[j] = swapped;
		}
		if (k <= j)
			high = j;
		else
			low = j + 1;
	}
	return values[k];
}

void
ivf_top_restart(IvfSearch *search, int want)
{
	/* No more than there are rows will ever be wanted. */
	int room = (int) Min(4 * (double) want + 64, want + search->total + 64);

	search->top = ivf_memory(search->memory, IVF_TOP, (Size) room * sizeof(float));
	search->max_top = room;
	search->top_want = want;
	search->ntop = 0;
	search->top_threshold = -FLT_MAX;
	for (uint32 i = 0; i < search->nhits; i++)
	{
		if (search->hits[i].similarity >= search->top_threshold)
			push_top(search, search->hits[i].similarity);
	}
	for (uint32 start = 0; start < search->nrows; start += 65536)
		push_rows(search, start, Min(search->nrows - start, 65536));
}

float
ivf_top_kth(IvfSearch *search, int k)
{
	if (search->ntop < k)
		return -INFINITY;
	return ivf_kth_largest(search->top, search->ntop, k);
}
