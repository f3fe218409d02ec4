/*-------------------------------------------------------------------------
 *
 * ops_int8.c
 *	  Linear layers with 8-bit weights and inputs, compiled for every level.
 *
 * Inputs are quantised a row at a time as they come (dynamic quantisation),
 * weights an output at a time when a model is packed.  A few columns whose
 * inputs dwarf the others' stay float32 (Dettmers et al. 2022, LLM.int8()):
 * else their range would leave the others two or three levels.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <math.h>

#include "ops_level.h"
#include "vec.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* sums of groups of four products of an unsigned and a signed byte, added to acc */
#if defined(__AVX512BW__)
typedef __m512i qvec;
#define QLOAD(p) _mm512_loadu_si512(p)
#define QSPLAT(x) _mm512_set1_epi32(x)
#define QZERO _mm512_setzero_si512()

INLINE qvec
dot(qvec acc, qvec a, qvec w)
{
#if defined(__AVX512VNNI__)
	return _mm512_dpbusd_epi32(acc, a, w);
#else
	return _mm512_add_epi32(acc,
							_mm512_madd_epi16(_mm512_maddubs_epi16(a, w), _mm512_set1_epi16(1)));
#endif
}

#elif defined(__AVX2__)
typedef __m256i qvec;
#define QLOAD(p) _mm256_loadu_si256((const __m256i *) (p))
#define QSPLAT(x) _mm256_set1_epi32(x)
#define QZERO _mm256_setzero_si256()

INLINE qvec
dot(qvec acc, qvec a, qvec w)
{
#if defined(__AVXVNNI__)
	return _mm256_dpbusd_avx_epi32(acc, a, w);
#else
	return _mm256_add_epi32(acc,
							_mm256_madd_epi16(_mm256_maddubs_epi16(a, w), _mm256_set1_epi16(1)));
#endif
}

#else
typedef ivec qvec;
#define QLOAD(p) load_bytes(p)
#define QSPLAT(x) ((x) - (ivec){0})
#define QZERO ((ivec){0})

INLINE qvec
load_bytes(const void *p)
{
	qvec v;

	memcpy(&v, p, sizeof(v));
	return v;
}

INLINE qvec
dot(qvec acc, qvec a, qvec w)
{
	typedef uint8_t bytes __attribute__((vector_size(LANES * 4)));
	typedef int8_t sbytes __attribute__((vector_size(LANES * 4)));
	bytes x = (bytes) a;
	sbytes y = (sbytes) w;

	for (int lane = 0; lane < LANES; lane++)
		for (int b = 0; b < 4; b++)
			acc[lane] += x[4 * lane + b] * y[4 * lane + b];
	return acc;
}
#endif

INLINE void
block_int8(const mm_linear_args *g, const place *at, const int rows, const int panels)
{
	const int vectors = panels * PANEL_VECTORS;
	const int groups = (g->k + 3) / 4;
	const size_t panel_size = (size_t) groups * MM_PANEL * 4;
	const mm_packed_rows *in = g->rows;
	const uint8_t *a = (const uint8_t *) in->q + (size_t) at->row * in->ld;
	const int8_t *w = (const int8_t *) g->w + at->panel * panel_size;
	const int8_t *ahead = w + panels * panel_size * (at->pieces + at->piece) / at->pieces;
	const int step = panels * 64 / at->pieces + 1;
	qvec acc[ROWS][PANELS * PANEL_VECTORS];

#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
			acc[r][v] = QZERO;

	for (int k = 0; k < groups; k++)
	{
		qvec b[PANELS * PANEL_VECTORS];

		__builtin_prefetch(ahead + (size_t) k * step);
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
				acc[r][v] = dot(acc[r][v], x, b[v]);
		}
	}

#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
	{
		const float *outlier = in->outlier + (size_t) (at->row + r) * MM_OUTLIERS;

#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
		{
			int n = at->panel * MM_PANEL + v * LANES;
			ivec sum;
			vec y;

			memcpy(&sum, g->sum + n, sizeof(sum));
			y = __builtin_convertvector((ivec) acc[r][v] - in->zero[at->row + r] * sum, vec) *
				(in->scale[at->row + r] * load(g->scale + n));
			for (int o = 0; o < g->outliers; o++)
				y += outlier[o] *
					 load(g->outlier_w + ((size_t) (n / MM_PANEL) * MM_OUTLIERS + o) * MM_PANEL +
						  n % MM_PANEL);
			finish(g, at->row + r, n, y);
		}
	}
}

/* no tile: sums of 8-bit products are whole numbers, and a panel is small */
LINEAR_FUNCTION(linear_int8, block_int8, INT_MAX)

void
LEVEL(mm_linear_int8)(const mm_linear_args *g)
{
	linear_int8(g);
}

/* The range of a row, zero included; what lies beyond whole vectors is padded by zeros. */
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

/* q = x / scale + zero, rounded to nearest even; the row has its outliers set to 0. */
INLINE void
quantize(const float *x, int k, float inverse, int32_t zero, uint8_t *q)
{
	const float magic = 12582912.0f; /* 1.5 * 2^23: rounds to integer */
	int i = 0;

	typedef uint8_t bytes __attribute__((vector_size(LANES)));

	for (; i + LANES <= k; i += LANES)
	{
		vec n = (load(x + i) * inverse + magic) - magic;
		ivec v = __builtin_convertvector(n, ivec) + zero;
		bytes b;

		v &= ~(v < 0);
		v = (v & (v <= 255)) | (255 & (v > 255));
		b = __builtin_convertvector(v, bytes);
		memcpy(q + i, &b, sizeof(b));
	}
	for (; i < k; i++)
	{
		int v = (int) nearbyintf(x[i] * inverse) + zero;

		q[i] = v < 0 ? 0 : v > 255 ? 255 : v;
	}
}

void
LEVEL(mm_pack_rows_int8)(int m, int k, const float *a, int lda, int outliers,
						 const int32_t *columns, mm_packed_rows *rows)
{
	for (int r = 0; r < m; r++)
	{
		/* the row is the layer's to change: outliers are put back below */
		float *x = (float *) a + (size_t) r * lda;
		float *outlier = rows->outlier + (size_t) r * MM_OUTLIERS;
		uint8_t *q = (uint8_t *) rows->q + (size_t) r * rows->ld;
		float low, high, scale;

		for (int o = 0; o < outliers; o++)
		{
			outlier[o] = x[columns[o]];
			x[columns[o]] = 0;
		}
		range_of(x, k, &low, &high);
		scale = (high - low) / 255;
		rows->scale[r] = scale;
		rows->zero[r] = scale > 0 ? (int32_t) nearbyintf(-low / scale) : 0;
		quantize(x, k, scale > 0 ? 1 / scale : 0, rows->zero[r], q);
		for (int i = k; i < rows->ld; i++)
			q[i] = 0;
		for (int o = 0; o < outliers; o++)
			x[columns[o]] = outlier[o];
	}
}

#if defined(__AVX512BF16__)
void
LEVEL(mm_pack_rows_bf16)(int m, int k, const float *a, int lda, mm_packed_rows *rows)
{
	for (int r = 0; r < m; r++)
	{
		const float *x = a + (size_t) r * lda;
		uint16_t *q = (uint16_t *) rows->q + (size_t) r * rows->ld;
		int i = 0;

		for (; i + 16 <= k; i += 16)
			_mm256_storeu_si256((__m256i *) (q + i),
								(__m256i) _mm512_cvtneps_pbh(_mm512_loadu_ps(x + i)));
		if (i < k)
		{
			__mmask16 rest = (__mmask16) ((1u << (k - i)) - 1);
			uint16_t last[16];

			_mm256_storeu_si256((__m256i *) last,
								(__m256i) _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(rest, x + i)));
			memcpy(q + i, last, sizeof(uint16_t) * (k - i));
		}
		for (i = k; i < rows->ld; i++)
			q[i] = 0;
	}
}
#endif
