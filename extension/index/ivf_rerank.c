/*
 * ivf_rerank.c
 *		From scan codes to better estimates: 8-bit codes, then refinements.
 *
 * Rows are visited in the order in which they lie, so that a page is read once
 * for all of its rows.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"

#include "ivf.h"
#include "ivf_search.h"

/* A uniform rounding error's deviation, in steps, and how many of these are allowed for. */
#define ROUNDING_DEVIATION 0.29f
#define ROUNDING_BOUND 4.0f

/* Allowance for float32 arithmetic in proven bounds, relative to the vectors' lengths. */
#define ARITHMETIC_ERROR 2e-5f

/* Squares of vectors' lengths beyond which the operators' float32 products may overflow. */
#define OPERATOR_OVERFLOW 1e30f

/* What their products lose at the other end. */
#define OPERATOR_UNDERFLOW 1e-35f

/* Rows that are refined between looks at interrupts. */
#define REFINES_AT_ONCE 1024

/* Rows whose codes are fetched ahead. */
#define PREFETCH_ROWS 6

/* The page that was read last, kept locked for the rows that follow. */
typedef struct PageCursor
{
	Relation index;
	const IvfState *state;
	Buffer buffer;
	BlockNumber block;
} PageCursor;

static void
cursor_close(PageCursor *cursor)
{
	if (BufferIsValid(cursor->buffer))
		UnlockReleaseBuffer(cursor->buffer);
	cursor->buffer = InvalidBuffer;
}

static Page
cursor_page(PageCursor *cursor, BlockNumber block, IvfPageKind kind, uint32 list, uint32 generation)
{
	if (!BufferIsValid(cursor->buffer) || cursor->block != block)
	{
		cursor_close(cursor);
		cursor->buffer = ivf_read_hot(cursor->state, cursor->index, block, kind, list, generation);
		cursor->block = block;
	}
	return BufferGetPage(cursor->buffer);
}

static IvfHit *
add_hit(IvfSearch *search)
{
	search->hits =
		ivf_memory(search->memory, IVF_HITS, ((Size) search->nhits + 1) * sizeof(IvfHit));
	return &search->hits[search->nhits++];
}

/*
 * How far the similarity of a row may be from the truth.  In an exact search
 * that is a bound, by Cauchy and Schwarz: the codes err by at most half a step
 * in each coordinate (refined: a 32nd), the 16-bit query by half of its own.
 */
static float
hit_slack(const IvfSearch *search, float scale, bool refined)
{
	const IvfQuery *query = search->query;
	float n = (float) query->pdims;
	float codes = refined ? scale / 32 : scale / 2;
	float bound;

	if (!search->exact)
		return refined ? 0 : ROUNDING_BOUND * ROUNDING_DEVIATION * scale * query->norm;
	bound = codes * sqrtf(n) * query->norm;
	/* |code * scale| <= 127 scale, and centres are of the mean's order. */
	bound += query->step16 / 2 * sqrtf(n) * (128 * scale * sqrtf(n));
	if (refined)
		bound += 128 * query->step16 * n * scale / 2;
	return bound;
}

/*
 * What float32 arithmetic, ours and the operator's, adds to the slack of an
 * exact search.  Infinite where the operator may overflow.
 */
static float
arithmetic_slack(const IvfSearch *search, uint32 list, float scale, float similarity)
{
	const IvfState *state = search->state;
	const IvfQuery *query = search->query;
	float centre = sqrtf(2 * state->centre_half[list]);
	float row = centre + 128 * scale * sqrtf((float) query->pdims);
	float magnitude;

	if (!search->exact)
		return 0;
	/* A flat row has no scale: what its vector is like, its similarity tells. */
	magnitude = fabsf(similarity) + fabsf(query->constant) + query->norm * row + row * row +
				query->norm * query->norm;
	if (!(magnitude < OPERATOR_OVERFLOW))
		return INFINITY;
	return ARITHMETIC_ERROR * magnitude + OPERATOR_UNDERFLOW +
		   query->step16 * sqrtf((float) query->pdims) * centre;
}

/* A hit that has overflowed comes last, or where bounds count, anywhere. */
static inline void
tame_hit(const IvfSearch *search, IvfHit *hit)
{
	if (likely(isfinite(hit->similarity) && isfinite(hit->slack)))
		return;
	hit->similarity = search->exact ? FLT_MAX : -FLT_MAX;
	hit->slack = 0;
	hit->final = true;
}

/* Make a hit of one row, unless it is dead. */
static void
rerank_row(IvfSearch *search, uint32 segment_number, uint32 at, PageCursor *cursor)
{
	const IvfState *state = search->state;
	const IvfMeta *meta = &state->meta;
	const IvfSegment *segment = &search->segments[segment_number];
	int row = segment->first_row + (int) (at - segment->start);
	float similarity = search->similarity[at];
	const int8 *code = NULL;
	float scale = 0;
	ItemPointerData tid;
	IvfHit *hit;
	Page page;

	if (segment->tail)
	{
		const IvfRow *stored;

		page = cursor_page(cursor, segment->block, IVF_TAIL, segment->list, segment->generation);
		stored = ivf_tail_row(state, page, row);
		tid = stored->tid;
		scale = stored->code_scale;
		code = (const int8 *) stored + state->layout.row_code;
	}
	else if (meta->code_bytes == 0)
	{
		page = cursor_page(cursor, segment->block, IVF_SCAN, segment->list, segment->generation);
		tid = ((const IvfSide *) (IvfPageGetContent(page) + state->layout.scan_tid))[row].tid;
	}
	else
	{
		const IvfCode *stored;

		page = cursor_page(cursor, segment->code[row / meta->unit_code_rows], IVF_CODE,
						   segment->list, segment->generation);
		stored = (const IvfCode *) (IvfPageGetContent(page) +
									(Size) (row % meta->unit_code_rows) * meta->code_bytes);
		tid = stored->tid;
		scale = stored->scale;
		code = (const int8 *) (stored + 1);
	}
	if (!ItemPointerIsValid(&tid))
		return;

	hit = add_hit(search);
	hit->tid = tid;
	hit->segment = segment_number;
	hit->row = (uint16) row;
	hit->out = false;
	hit->scale = scale;
	if (search->query == NULL)
		similarity = 0;
	else if (meta->code_bytes)
	{
		similarity = search->base[segment->list] + ivf_code_dot(search->query, scale, code);
		if (state->layout.scan_bias)
			similarity += search->bias[at];
	}
	hit->similarity = similarity;
	hit->slack = 0;
	if (search->query)
		hit->slack = hit_slack(search, scale, false) +
					 arithmetic_slack(search, segment->list, scale, hit->similarity);
	hit->final = meta->refine_bytes == 0;
	tame_hit(search, hit);
	search->stats.reranked++;
}

/* Have the 8-bit code of a row fetched; returns its segment, which is not before the given one. */
static uint32
prefetch_code(const IvfSearch *search, uint32 segment_number, uint32 at)
{
	const IvfMeta *meta = &search->state->meta;
	const IvfSegment *segment;
	uint32 row;

	while (at >= search->segments[segment_number].start + search->segments[segment_number].rows)
		segment_number++;
	segment = &search->segments[segment_number];
	row = segment->first_row + (at - segment->start);
	if (!segment->tail && meta->code_bytes)
	{
		const char *page =
			ivf_prefetch_page(search->state, segment->code[row / meta->unit_code_rows]);

		if (page)
			ivf_prefetch_bytes(page + IVF_CONTENT_START +
								   (Size) (row % meta->unit_code_rows) * meta->code_bytes,
							   meta->code_bytes);
	}
	return segment_number;
}

void
ivf_rerank(IvfSearch *search, float threshold, bool by_upper)
{
	PageCursor cursor = {.index = search->index, .state = search->state, .buffer = InvalidBuffer};
	const float *values = by_upper ? search->upper : search->similarity;
	uint32 segment = 0;
	uint32 ahead = 0;

	for (uint32 start = 0; start < search->nrows; start += 2048)
	{
		uint32 found[2048];
		int n = ivf_kernels()->collect(values + start, (int) Min(search->nrows - start, 2048),
									   Max(threshold, -FLT_MAX), found);

		for (int i = 0; i < Min(n, PREFETCH_ROWS); i++)
			ahead = prefetch_code(search, ahead, start + found[i]);
		for (int i = 0; i < n; i++)
		{
			uint32 at = start + found[i];

			if (i + PREFETCH_ROWS < n)
				ahead = prefetch_code(search, ahead, start + found[i + PREFETCH_ROWS]);
			while (at >= search->segments[segment].start + search->segments[segment].rows)
				segment++;
			rerank_row(search, segment, at, &cursor);
			search->similarity[at] = -INFINITY;
			search->upper[at] = -INFINITY;
			search->unranked--;
		}
		if (n > 0)
		{
			cursor_close(&cursor);
			CHECK_FOR_INTERRUPTS();
		}
	}
	cursor_close(&cursor);
}

static void
refine_hit(IvfSearch *search, IvfHit *hit, PageCursor *cursor)
{
	const IvfState *state = search->state;
	const IvfMeta *meta = &state->meta;
	const IvfSegment *segment = &search->segments[hit->segment];
	const uint8 *refine;
	Page page;

	if (segment->tail)
	{
		page = cursor_page(cursor, segment->block, IVF_TAIL, segment->list, segment->generation);
		refine = (const uint8 *) ivf_tail_row(state, page, hit->row) + state->layout.row_refine;
	}
	else
	{
		page = cursor_page(cursor, segment->refine[hit->row / meta->unit_refine_rows], IVF_REFINE,
						   segment->list, segment->generation);
		refine = (const uint8 *) IvfPageGetContent(page) +
				 (Size) (hit->row % meta->unit_refine_rows) * meta->refine_bytes;
	}
	hit->similarity += ivf_refine_dot(search->query, hit->scale, refine);
	hit->slack = hit_slack(search, hit->scale, true) +
				 arithmetic_slack(search, segment->list, hit->scale, hit->similarity);
	hit->final = true;
	tame_hit(search, hit);
	search->stats.refined++;
}

void
ivf_refine_hit(IvfSearch *search, IvfHit *hit)
{
	PageCursor cursor = {.index = search->index, .state = search->state, .buffer = InvalidBuffer};

	refine_hit(search, hit, &cursor);
	cursor_close(&cursor);
}

void
ivf_refine(IvfSearch *search, float threshold)
{
	PageCursor cursor = {.index = search->index, .state = search->state, .buffer = InvalidBuffer};

	for (uint32 i = 0; i < search->nhits; i++)
	{
		IvfHit *hit = &search->hits[i];

		if (hit->final || hit->similarity + hit->slack < threshold)
			continue;
		refine_hit(search, hit, &cursor);
		if (search->stats.refined % REFINES_AT_ONCE == 0)
		{
			cursor_close(&cursor);
			CHECK_FOR_INTERRUPTS();
		}
	}
	cursor_close(&cursor);
}
