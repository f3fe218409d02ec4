/*-------------------------------------------------------------------------
 *
 * ops_int8.c
 *	  Linear layers with 8-bit weights, compiled for every level.
 *
 * Weights are quantised when a model is packed, inputs a row at a time as they
 * come (dynamic quantisation), both with a scale for every group of MM_GROUP
 * inputs.  A few columns whose inputs dwarf the others' stay float32 (Dettmers
 * et al. 2022, LLM.int8()): else their range would leave the others two or
 * three levels.
 *
 * Inputs have 8 bits where the CPU multiplies bytes (VNNI), and 16 elsewhere:
 * AVX2's product of bytes loses bits unless the weights give up one, and is
 * hardly faster than its product of words.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>

#include "ops_level.h"
#include "vec.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#define BYTES
#endif

#if defined(BYTES)

typedef uint8_t input;

/* acc plus the sums of groups of four products of an unsigned and a signed byte */
#if defined(__AVX512VNNI__)
#define DOT(acc, a, w) _mm512_dpbusd_epi32(acc, a, w)
#define QLOAD(p) _mm512_loadu_si512(p)
#define QSPLAT(x) _mm512_set1_epi32(x)
#define QZERO _mm512_setzero_si512()
typedef __m512i qvec;
#else
#define DOT(acc, a, w) _mm256_dpbusd_avx_epi32(acc, a, w)
#define QLOAD(p) _mm256_loadu_si256((const __m256i *) (p))
#define QSPLAT(x) _mm256_set1_epi32(x)
#define QZERO _mm256_setzero_si256()
typedef __m256i qvec;
#endif

INLINE void
block_int8(const mm_linear_args *g, const place *at, const int rows, const int panels)
{
	const int vectors = panels * PANEL_VECTORS;
	const int group = at->begin / MM_GROUP, groups = mm_groups(g->k);
	const size_t panel_size = (size_t) ((g->k + 3) / 4) * MM_PANEL * 4;
	const mm_packed_rows *in = g->rows;
	const input *a = (const input *) in->q + (size_t) at->row * in->ld;
	const int8_t *w = (const int8_t *) g->w + at->panel * panel_size;
	const ahead next = fetch_ahead(w, panel_size, panels, at);
	qvec acc[ROWS][PANELS * PANEL_VECTORS];
	vec sums[ROWS][PANELS * PANEL_VECTORS];

#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
			acc[r][v] = QZERO;

	for (int k = at->begin / 4; k < (at->end + 3) / 4; k++)
	{
		qvec b[PANELS * PANEL_VECTORS];

		__builtin_prefetch(next.at + (size_t) k * next.step);
#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
			b[v] = QLOAD(w + (v / PANEL_VECTORS) * panel_size + (size_t) k * MM_PANEL * 4 +
						 (v % PANEL_VECTORS) * LANES * 4);
#pragma GCC unroll 8
		for (int r = 0; r < rows; r++)
		{
			int32_t four;
			qvec x;

			memcpy(&four, a + (size_t) r * in->ld + 4 * k, sizeof(four));
			x = QSPLAT(four);
#pragma GCC unroll 4
			for (int v = 0; v < vectors; v++)
				acc[r][v] = DOT(acc[r][v], x, b[v]);
		}
	}

	begin_block(sums, at, rows, vectors);
#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
	{
		size_t row = (size_t) (at->row + r) * groups + group;

#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
		{
			size_t n = (size_t) group * mm_padded(g->n) + at->panel * MM_PANEL + v * LANES;

			sums[r][v] += __builtin_convertvector((ivec) acc[r][v], vec) *
							  (in->scale[row] * load(g->scale + n)) -
						  in->offset[row] * load(g->sum + n);
		}
	}
	end_block(g, sums, at, rows, vectors);
}

#elif defined(__AVX2__)

typedef int16_t input;

/*
 * A vector has four inputs each of some outputs, widened to words; a product
 * leaves two sums an output, which are added at the end.
 */
#if defined(__AVX512BW__)
typedef __m512i qvec;
#define OUTPUTS 8
#define WIDEN(p) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *) (p)))
#define DOT(acc, a, w) _mm512_add_epi32(acc, _mm512_madd_epi16(a, w))
#define QSPLAT(x) _mm512_set1_epi64(x)
#define QZERO _mm512_setzero_si512()

/* outputs 0-7 in pairs, and 8-15: 16 sums in their order */
INLINE vec
join(qvec low, qvec high)
{
	const __m512i even =
		_mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
	const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);

	return (vec) _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_permutex2var_epi32(low, even, high),
													 _mm512_permutex2var_epi32(low, odd, high)));
}
#else
typedef __m256i qvec;
#define OUTPUTS 4
#define WIDEN(p) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *) (p)))
#define DOT(acc, a, w) _mm256_add_epi32(acc, _mm256_madd_epi16(a, w))
#define QSPLAT(x) _mm256_set1_epi64x(x)
#define QZERO _mm256_setzero_si256()

INLINE vec
join(qvec low, qvec high)
{
	__m256i both = _mm256_hadd_epi32(low, high); /* 0 1 4 5 2 3 6 7 */

	return (vec) _mm256_cvtepi32_ps(_mm256_permute4x64_epi64(both, 0xd8));
}
#endif

#define QVECTORS (MM_PANEL / OUTPUTS)

/* Rows that go through together: their accumulators and a group's weights. */
#define QROWS (ROWS / 2)

/* Some of the rows of a block; each has QVECTORS accumulators a panel. */
INLINE void
rows_int8(const mm_linear_args *g, const place *at, const int rows, int panel, float *tile,
		  int stride)
{
	const int group = at->begin / MM_GROUP, groups = mm_groups(g->k);
	const size_t panel_size = (size_t) ((g->k + 3) / 4) * MM_PANEL * 4;
	const mm_packed_rows *in = g->rows;
	const input *a = (const input *) in->q + (size_t) at->row * in->ld;
	const int8_t *w = (const int8_t *) g->w + panel * panel_size;
	const ahead next = fetch_ahead(w, panel_size, 1, at);
	qvec acc[QROWS][QVECTORS];

#pragma GCC unroll 4
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
		for (int v = 0; v < QVECTORS; v++)
			acc[r][v] = QZERO;

	for (int k = at->begin / 4; k < (at->end + 3) / 4; k++)
	{
		qvec x[QROWS];

		__builtin_prefetch(next.at + (size_t) k * next.step);
#pragma GCC unroll 4
		for (int r = 0; r < rows; r++)
		{
			int64_t four;

			memcpy(&four, a + (size_t) r * in->ld + 4 * k, sizeof(four));
			x[r] = QSPLAT(four);
		}
#pragma GCC unroll 4
		for (int v = 0; v < QVECTORS; v++)
		{
			qvec b = WIDEN(w + (size_t) k * MM_PANEL * 4 + v * OUTPUTS * 4);

#pragma GCC unroll 4
			for (int r = 0; r < rows; r++)
				acc[r][v] = DOT(acc[r][v], x[r], b);
		}
	}

#pragma GCC unroll 4
	for (int r = 0; r < rows; r++)
	{
		float scale = in->scale[(size_t) (at->row + r) * groups + group];

#pragma GCC unroll 4
		for (int v = 0; v < PANEL_VECTORS; v++)
		{
			int n = panel * MM_PANEL + v * LANES;
			float *sum = tile + r * stride + v * LANES;
			vec x = join(acc[r][2 * v], acc[r][2 * v + 1]) *
					(scale * load(g->scale + (size_t) group * mm_padded(g->n) + n));

			if (at->begin > 0)
				x += load(sum);
			if (at->end == g->k)
				finish(g, at->row + r, n, add_outliers(g, at->row + r, n, x));
			else
				store(sum, x);
		}
	}
}

INLINE void
block_int8(const mm_linear_args *g, const place *at, const int rows, const int panels)
{
	for (int p = 0; p < panels; p++)
	{
		float *tile = at->tile + p * MM_PANEL;
		place second = *at;

		/* the second half has as many rows as the first, or one less */
		second.row += (rows + 1) / 2;
		rows_int8(g, at, (rows + 1) / 2, at->panel + p, tile, panels * MM_PANEL);
		if (rows > 1)
			rows_int8(g, &second, rows / 2, at->panel + p,
					  tile + (rows + 1) / 2 * panels * MM_PANEL, panels * MM_PANEL);
	}
}

#else

typedef int16_t input;

INLINE void
block_int8(const mm_linear_args *g, const place *at, const int rows, const int panels)
{
	const int group = at->begin / MM_GROUP, groups = mm_groups(g->k);
	const size_t panel_size = (size_t) ((g->k + 3) / 4) * MM_PANEL * 4;
	const mm_packed_rows *in = g->rows;
	vec sums[ROWS][PANELS * PANEL_VECTORS];

	begin_block(sums, at, rows, panels * PANEL_VECTORS);
	for (int r = 0; r < rows; r++)
	{
		const input *a = (const input *) in->q + (size_t) (at->row + r) * in->ld;
		float scale = in->scale[(size_t) (at->row + r) * groups + group];

		for (int n = 0; n < MM_PANEL; n++)
		{
			const int8_t *w = (const int8_t *) g->w + at->panel * panel_size + n * 4;
			int32_t sum = 0;

			for (int k = at->begin; k < at->end; k++)
				sum += a[k] * w[(size_t) (k / 4) * MM_PANEL * 4 + k % 4];
			sums[r][n / LANES][n % LANES] +=
				(float) sum *
				(scale * g->scale[(size_t) group * mm_padded(g->n) + at->panel * MM_PANEL + n]);
		}
	}
	end_block(g, sums, at, rows, panels * PANEL_VECTORS);
}

#endif

LINEAR_FUNCTION(linear_int8, block_int8, MM_GROUP)

void
LEVEL(mm_linear_int8)(const mm_linear_args *g)
{
	linear_int8(g);
}

/* The range of inputs, zero included. */
INLINE void
range_of(const float *x, int k, float *low, float *high)
{
	vec lo = splat(0.0f), hi = splat(0.0f);
	int i;

	for (i = 0; i + LANES <= k; i += LANES)
	{
		vec v = load(x + i);

		lo = min_vec(v, lo);
		hi = max_vec(v, hi);
	}
	*low = *high = 0;
	for (int lane = 0; lane < LANES; lane++)
	{
		*low = lo[lane] < *low ? lo[lane] : *low;
		*high = hi[lane] > *high ? hi[lane] : *high;
	}
	for (; i < k; i++)
	{
		*low = x[i] < *low ? x[i] : *low;
		*high = x[i] > *high ? x[i] : *high;
	}
}

/* q = x inverse + zero, rounded to nearest even and held within least and most */
INLINE void
quantize(const float *x, int k, float inverse, int32_t zero, int32_t least, int32_t most, input *q)
{
	const float magic = 12582912.0f; /* 1.5 * 2^23: rounds to integer */
	int i = 0;

	typedef input inputs __attribute__((vector_size(LANES * sizeof(input))));

	for (; i + LANES <= k; i += LANES)
	{
		vec n = (load(x + i) * inverse + magic) - magic;
		ivec v = __builtin_convertvector(n, ivec) + zero;
		inputs packed;

		v = (v & (v >= least)) | (least & (v < least));
		v = (v & (v <= most)) | (most & (v > most));
		packed = __builtin_convertvector(v, inputs);
		memcpy(q + i, &packed, sizeof(packed));
	}
	for (; i < k; i++)
	{
		int32_t v = (int32_t) nearbyintf(x[i] * inverse) + zero;

		q[i] = (input) (v < least ? least : v > most ? most : v);
	}
}

/* One group of a row: its inputs, and what brings them back. */
INLINE void
quantize_group(const float *x, int k, input *q, float *scale, float *offset)
{
	float low, high, inverse;

	range_of(x, k, &low, &high);
#if defined(BYTES)
	{
		int32_t zero;

		*scale = (high - low) / 255;
		inverse = *scale > 0 ? 1 / *scale : 0;
		zero = (int32_t) nearbyintf(-low * inverse);
		*offset = *scale * (float) zero;
		quantize(x, k, inverse, zero, 0, 255, q);
	}
#else
	*scale = (high > -low ? high : -low) / 32767;
	inverse = *scale > 0 ? 1 / *scale : 0;
	*offset = 0;
	quantize(x, k, inverse, 0, -32767, 32767, q);
#endif
}

void
LEVEL(mm_pack_rows_int8)(int m, int k, const float *a, int lda, int outliers,
						 const int32_t *columns, mm_packed_rows *rows)
{
	int groups = mm_groups(k);

	for (int r = 0; r < m; r++)
	{
		/* the row is ours to change: outliers are put back below */
		float *x = (float *) a + (size_t) r * lda;
		float *outlier = rows->outlier + (size_t) r * MM_OUTLIERS;
		input *q = (input *) rows->q + (size_t) r * rows->ld;

		for (int o = 0; o < outliers; o++)
		{
			outlier[o] = x[columns[o]];
			x[columns[o]] = 0;
		}
		for (int g = 0; g < groups; g++)
		{
			int first = g * MM_GROUP;

			quantize_group(x + first, k - first < MM_GROUP ? k - first : MM_GROUP, q + first,
						   rows->scale + (size_t) r * groups + g,
						   rows->offset + (size_t) r * groups + g);
		}
		for (int i = k; i < rows->ld; i++)
			q[i] = 0;
		for (int o = 0; o < outliers; o++)
			x[columns[o]] = outlier[o];
	}
}

void
LEVEL(mm_pack_rows_bf16)(int m, int k, const float *a, int lda, int outliers,
						 const int32_t *columns, mm_packed_rows *rows)
{
	for (int r = 0; r < m; r++)
	{
		const float *x = a + (size_t) r * lda;

		for (int o = 0; o < outliers; o++)
			rows->outlier[(size_t) r * MM_OUTLIERS + o] = x[columns[o]];
#if defined(__AVX512BF16__)
		{
			uint16_t *q = (uint16_t *) rows->q + (size_t) r * rows->ld;
			int i = 0;

			for (; i < k; i += 16)
			{
				__mmask16 some = k - i < 16 ? (__mmask16) ((1u << (k - i)) - 1) : 0xffff;

				_mm256_mask_storeu_epi16(
					q + i, some, (__m256i) _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, x + i)));
			}
			for (i = k; i < rows->ld; i++)
				q[i] = 0;
		}
#else
		(void) k;
#endif
	}
}
