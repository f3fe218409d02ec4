/*-------------------------------------------------------------------------
 *
 * vec.h
 *	  Lanes and blocks for the kernels that are compiled once a level.
 *
 * GCC's vector extensions give the lanes: 4 for the base instruction set
 * (SSE2, NEON), 8, or 16.  Everything here is static: each level has its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_VEC_H
#define MM_VEC_H

#include <string.h>

#include "ops.h"

#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_(a, b)

/*
 * Lanes of a vector, and the block of a linear layer that fills the registers:
 * ROWS x PANELS x (16 / LANES) accumulators out of 16 registers, or 32.
 */
#if defined(__AVX512F__)
#define LANES 16
#define ROWS 8
#define PANELS 3
#elif defined(__AVX2__)
#define LANES 8
#if defined(FEW_ROWS)
#define ROWS 5
#else
#define ROWS 6
#endif
#define PANELS 1
#else
#define LANES 4
#define ROWS 2
#define PANELS 1
#endif

#define PANEL_VECTORS (MM_PANEL / LANES)

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ivec __attribute__((vector_size(LANES * sizeof(int32_t))));

#define INLINE static inline __attribute__((always_inline))

INLINE vec
load(const float *p)
{
	vec v;

	memcpy(&v, p, sizeof(v));
	return v;
}

INLINE void
store(float *p, vec v)
{
	memcpy(p, &v, sizeof(v));
}

INLINE vec
splat(float x)
{
	return x - (vec){0};
}

INLINE vec
select_vec(ivec mask, vec a, vec b)
{
	return (vec) ((mask & (ivec) a) | (~mask & (ivec) b));
}

INLINE vec
min_vec(vec a, vec b)
{
	return select_vec(a < b, a, b);
}

INLINE vec
max_vec(vec a, vec b)
{
	return select_vec(a > b, a, b);
}

INLINE float
sum_lanes(vec v)
{
	float sum = 0;

	for (int i = 0; i < LANES; i++)
		sum += v[i];
	return sum;
}

/*
 * exp(x) to about 2 units in the last place: x = n ln 2 + r, the series of
 * exp(r) for |r| <= ln 2 / 2, and 2^n by its exponent bits.
 */
INLINE vec
exp_vec(vec x)
{
	const vec magic = splat(12582912.0f); /* 1.5 * 2^23: rounds to integer */
	vec n, r, p;

	x = min_vec(max_vec(x, splat(-87.0f)), splat(88.0f));
	n = (x * 1.44269504088896341f + magic) - magic;
	/* ln 2 in two parts, the first of few bits so that n * part is exact */
	r = x - n * 0.693359375f;
	r = r + n * 2.12194440e-4f;
	p = splat(1.0f / 5040);
	p = p * r + 1.0f / 720;
	p = p * r + 1.0f / 120;
	p = p * r + 1.0f / 24;
	p = p * r + 1.0f / 6;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	return p * (vec) ((__builtin_convertvector(n, ivec) + 127) << 23);
}

/*
 * x Phi(x), with erf by Abramowitz & Stegun 7.1.26 (absolute error 1.5e-7).
 */
INLINE vec
gelu_vec(vec x)
{
	vec z = x * 0.70710678118654752f;
	ivec negative = z < 0;
	vec a = select_vec(negative, -z, z);
	vec t = 1.0f / (1.0f + 0.3275911f * a);
	vec p = splat(1.061405429f);
	vec erf;

	p = p * t - 1.453152027f;
	p = p * t + 1.421413741f;
	p = p * t - 0.284496736f;
	p = p * t + 0.254829592f;
	erf = 1.0f - p * t * exp_vec(-a * a);
	erf = select_vec(negative, -erf, erf);
	return 0.5f * x * (1.0f + erf);
}

/* x / (1 + exp(-1.702 x)), OpenAI's approximation */
INLINE vec
quick_gelu_vec(vec x)
{
	return x / (1.0f + exp_vec(-1.702f * x));
}

INLINE vec
activate(vec x, mm_activation act)
{
	switch (act)
	{
		case MM_ACT_RELU6:
			return min_vec(max_vec(x, splat(0.0f)), splat(6.0f));
		case MM_ACT_GELU:
			return gelu_vec(x);
		case MM_ACT_QUICK_GELU:
			return quick_gelu_vec(x);
		default:
			return x;
	}
}

/*
 * What becomes of an output vector on its way from the accumulators to c: r is
 * its row, n its first output.
 */
INLINE void
finish(const mm_linear_args *g, int r, int n, vec x)
{
	size_t at = (size_t) r * g->ldc + n;

	if (g->bias)
		x += load(g->bias + n);
	x = activate(x, g->act);
	if (g->residual)
		x += load(g->residual + at);
	store(g->c + at, x);
}

/* What the outlier columns of row r add to the outputs from n on. */
INLINE vec
add_outliers(const mm_linear_args *g, int r, int n, vec x)
{
	const float *outlier, *w;

	if (g->outliers == 0)
		return x;
	outlier = g->rows->outlier + (size_t) r * MM_OUTLIERS;
	w = g->outlier_w + (size_t) (n / MM_PANEL) * MM_OUTLIERS * MM_PANEL + n % MM_PANEL;

	for (int o = 0; o < g->outliers; o++)
		x += outlier[o] * load(w + o * MM_PANEL);
	return x;
}

/*
 * Rows that pass by a group of panels before the next group: their inputs stay
 * in the second-level cache, and weights are read from memory once for all of
 * them.
 */
#define CHUNK 192

/*
 * Inputs that are multiplied before the next ones, of a layer with more: that
 * much of a panel and of a block's rows stays in the first-level cache.  Sums
 * wait in a tile meanwhile, so their order is that of K all the same.
 */
#define SPAN 1024

/* A block of outputs, and what else a kernel needs to know of its place. */
typedef struct place
{
	int row, panel;    /* the first of each */
	int begin, end;    /* inputs */
	int piece, pieces; /* blocks that read the same weights; which one this is */
	float *tile;       /* rows x panels x MM_PANEL: sums of inputs before begin */
} place;

INLINE int
panels_end(const mm_linear_args *g)
{
	return g->panels ? g->first_panel + g->panels : (g->n + MM_PANEL - 1) / MM_PANEL;
}

/*
 * Where a block fetches ahead: its share of the panels that come next, which
 * follow in memory, so that the first block over those does not wait for them.
 */
typedef struct ahead
{
	const char *at;
	int step; /* bytes an input, or a group of inputs */
} ahead;

INLINE ahead
fetch_ahead(const void *w, size_t panel_bytes, int panels, const place *at)
{
	const size_t bytes = panels * panel_bytes;

	/* "at" may lie beyond the weights: fetching never faults */
	return (ahead){(const char *) w + bytes + bytes * at->piece / at->pieces,
				   panels * 64 / at->pieces + 1};
}

/* Sums so far: none at the first input, else what the tile kept. */
INLINE void
begin_block(vec acc[ROWS][PANELS * PANEL_VECTORS], const place *at, const int rows,
			const int vectors)
{
#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
			acc[r][v] = at->begin == 0 ? splat(0.0f) : load(at->tile + (r * vectors + v) * LANES);
}

INLINE void
end_block(const mm_linear_args *g, vec acc[ROWS][PANELS * PANEL_VECTORS], const place *at,
		  const int rows, const int vectors)
{
	bool last = at->end == g->k;

#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
		{
			int n = at->panel * MM_PANEL + v * LANES;

			if (last)
				finish(g, at->row + r, n, add_outliers(g, at->row + r, n, acc[r][v]));
			else
				store(at->tile + (r * vectors + v) * LANES, acc[r][v]);
		}
}

/*
 * A kernel is a block function of (g, place, rows, panels), inlined for every
 * count of rows so that accumulators live in registers.  This makes the loops
 * around it: rows are dealt evenly to blocks of at most ROWS.
 */
#define ROW_CASE(block, rows, panels)                                                              \
	case rows:                                                                                     \
		block(g, &at, rows, panels);                                                               \
		break;

/* each has those of fewer rows; 1 is the default */
#define ROW_CASES_2(block, panels) ROW_CASE(block, 2, panels)
#define ROW_CASES_5(block, panels)                                                                 \
	ROW_CASE(block, 5, panels)                                                                     \
	ROW_CASE(block, 4, panels)                                                                     \
	ROW_CASE(block, 3, panels)                                                                     \
	ROW_CASES_2(block, panels)
#define ROW_CASES_6(block, panels)                                                                 \
	ROW_CASE(block, 6, panels)                                                                     \
	ROW_CASES_5(block, panels)
#define ROW_CASES_8(block, panels)                                                                 \
	ROW_CASE(block, 8, panels)                                                                     \
	ROW_CASE(block, 7, panels)                                                                     \
	ROW_CASES_6(block, panels)
#define ROW_CASES CONCAT(ROW_CASES_, ROWS)

#define ROWS_FUNCTION(name, block, panels, span)                                                   \
	static void name(const mm_linear_args *g, int first, int m, int panel)                         \
	{                                                                                              \
		float tile[CHUNK * PANELS * MM_PANEL];                                                     \
		place at = {.panel = panel, .pieces = (m + ROWS - 1) / ROWS};                              \
                                                                                                   \
		for (at.begin = 0; at.begin < g->k; at.begin = at.end)                                     \
		{                                                                                          \
			at.end = g->k - at.begin > span ? at.begin + span : g->k;                              \
			at.row = first;                                                                        \
			at.tile = tile;                                                                        \
			for (at.piece = 0; at.piece < at.pieces; at.piece++)                                   \
			{                                                                                      \
				int rows = m / at.pieces + (at.piece < m % at.pieces);                             \
                                                                                                   \
				switch (rows)                                                                      \
				{                                                                                  \
					ROW_CASES(block, panels)                                                       \
					default:                                                                       \
						block(g, &at, 1, panels);                                                  \
						break;                                                                     \
				}                                                                                  \
				at.row += rows;                                                                    \
				at.tile += rows * panels * MM_PANEL;                                               \
			}                                                                                      \
		}                                                                                          \
	}

#if PANELS == 3
#define PANEL_FUNCTIONS(name, block, span)                                                         \
	ROWS_FUNCTION(name##_3, block, 3, span)                                                        \
	ROWS_FUNCTION(name##_2, block, 2, span)                                                        \
	ROWS_FUNCTION(name##_1, block, 1, span)
#define PANELS_STEP(name, left)                                                                    \
	(left) >= 3   ? (name##_3(g, i, m, j), 3)                                                      \
	: (left) == 2 ? (name##_2(g, i, m, j), 2)                                                      \
				  : (name##_1(g, i, m, j), 1)
#else
#define PANEL_FUNCTIONS(name, block, span) ROWS_FUNCTION(name##_1, block, 1, span)
#define PANELS_STEP(name, left) ((void) (left), name##_1(g, i, m, j), 1)
#endif

#define LINEAR_FUNCTION(name, block, span)                                                         \
	PANEL_FUNCTIONS(name, block, span)                                                             \
	static void name(const mm_linear_args *g)                                                      \
	{                                                                                              \
		int end = panels_end(g);                                                                   \
                                                                                                   \
		for (int i = 0; i < g->m; i += CHUNK)                                                      \
		{                                                                                          \
			int m = g->m - i < CHUNK ? g->m - i : CHUNK;                                           \
			int j = g->first_panel;                                                                \
                                                                                                   \
			while (j < end)                                                                        \
				j += PANELS_STEP(name, end - j);                                                   \
		}                                                                                          \
	}

#endif /* MM_VEC_H */
