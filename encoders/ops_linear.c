/*-------------------------------------------------------------------------
 *
 * ops_linear.c
 *	  Linear layers in float32 and bf16, compiled for every level.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>

#include "ops_level.h"
#include "vec.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

INLINE void
block_f32(const mm_linear_args *g, const place *at, const int rows, const int panels)
{
	const int vectors = panels * PANEL_VECTORS;
	const size_t panel_size = (size_t) g->k * MM_PANEL;
	const float *a = g->a + (size_t) at->row * g->lda;
	const float *w = (const float *) g->w + at->panel * panel_size;
	const ahead next = fetch_ahead(w, panel_size * sizeof(float), panels, at);
	vec acc[ROWS][PANELS * PANEL_VECTORS];

	begin_block(acc, at, rows, vectors);
	for (int k = at->begin; k < at->end; k++)
	{
		vec b[PANELS * PANEL_VECTORS];

		__builtin_prefetch(next.at + (size_t) k * next.step);
#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
			b[v] = load(w + (v / PANEL_VECTORS) * panel_size + (size_t) k * MM_PANEL +
						(v % PANEL_VECTORS) * LANES);
#pragma GCC unroll 8
		for (int r = 0; r < rows; r++)
		{
			vec x = splat(a[(size_t) r * g->lda + k]);

#pragma GCC unroll 4
			for (int v = 0; v < vectors; v++)
				acc[r][v] += x * b[v];
		}
	}
	end_block(g, acc, at, rows, vectors);
}

LINEAR_FUNCTION(linear_f32, block_f32, SPAN)

void
LEVEL(mm_linear_f32)(const mm_linear_args *g)
{
	linear_f32(g);
}

#if defined(__AVX512BF16__)

INLINE void
block_bf16(const mm_linear_args *g, const place *at, const int rows, const int panels)
{
	const size_t panel_size = (size_t) ((g->k + 1) / 2) * MM_PANEL * 2;
	const uint16_t *a = (const uint16_t *) g->rows->q + (size_t) at->row * g->rows->ld;
	const uint16_t *w = (const uint16_t *) g->w + at->panel * panel_size;
	const ahead next = fetch_ahead(w, panel_size * sizeof(uint16_t), panels, at);
	vec acc[ROWS][PANELS * PANEL_VECTORS];

	begin_block(acc, at, rows, panels);
	for (int k = at->begin / 2; k < (at->end + 1) / 2; k++)
	{
		__m512i b[PANELS];

		__builtin_prefetch(next.at + (size_t) k * next.step);
#pragma GCC unroll 4
		for (int v = 0; v < panels; v++)
			b[v] = _mm512_loadu_si512(w + v * panel_size + (size_t) k * MM_PANEL * 2);
#pragma GCC unroll 8
		for (int r = 0; r < rows; r++)
		{
			int32_t pair;
			__m512i x;

			memcpy(&pair, a + (size_t) r * g->rows->ld + 2 * k, sizeof(pair));
			x = _mm512_set1_epi32(pair);
#pragma GCC unroll 4
			for (int v = 0; v < panels; v++)
				acc[r][v] =
					(vec) _mm512_dpbf16_ps((__m512) acc[r][v], (__m512bh) x, (__m512bh) b[v]);
		}
	}
	end_block(g, acc, at, rows, panels);
}

#else

/*
 * Without instructions for it, weights are widened as they are read: the time
 * of float32, from half the memory.
 */
INLINE void
block_bf16(const mm_linear_args *g, const place *at, const int rows, const int panels)
{
	const int vectors = panels * PANEL_VECTORS;
	const size_t panel_size = (size_t) ((g->k + 1) / 2) * MM_PANEL * 2;
	const float *a = g->a + (size_t) at->row * g->lda;
	const uint16_t *w = (const uint16_t *) g->w + at->panel * panel_size;
	const ahead next = fetch_ahead(w, panel_size * sizeof(uint16_t), panels, at);
	vec acc[ROWS][PANELS * PANEL_VECTORS];

	begin_block(acc, at, rows, vectors);
	for (int k = at->begin / 2; k < (at->end + 1) / 2; k++)
	{
		/* of an odd number of inputs the last has a weight of 0 beside it */
		const int second = 2 * k + 1 < g->k ? 1 : 0;
		ivec both[PANELS * PANEL_VECTORS];

		__builtin_prefetch(next.at + (size_t) k * next.step);
#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
			memcpy(&both[v],
				   w + (v / PANEL_VECTORS) * panel_size + (size_t) k * MM_PANEL * 2 +
					   (v % PANEL_VECTORS) * LANES * 2,
				   sizeof(ivec));
#pragma GCC unroll 8
		for (int r = 0; r < rows; r++)
		{
			vec x = splat(a[(size_t) r * g->lda + 2 * k]);

#pragma GCC unroll 4
			for (int v = 0; v < vectors; v++)
				acc[r][v] += x * (vec) (both[v] << 16);
		}
#pragma GCC unroll 8
		for (int r = 0; r < rows; r++)
		{
			vec x = splat(a[(size_t) r * g->lda + 2 * k + second]);

#pragma GCC unroll 4
			for (int v = 0; v < vectors; v++)
				acc[r][v] += x * (vec) (both[v] & (int32_t) 0xffff0000);
		}
	}
	end_block(g, acc, at, rows, vectors);
}

#endif

LINEAR_FUNCTION(linear_bf16, block_bf16, SPAN)

void
LEVEL(mm_linear_bf16)(const mm_linear_args *g)
{
	linear_bf16(g);
}
