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
 * Inputs are bytes without sign, as the dot products of VNNI take them.  Before
 * VNNI two products were added in 16 bits with saturation, which twice 255 * 127
 * would reach.  So there an input q becomes |q - 128| and, where q < 128, a mask
 * that turns its weight w into ~w, that is -w - 1:
 *
 *	sum of (q - 128) w = sum of |q - 128| (w or ~w) + sum of 128 - q where q < 128
 *
 * Two products are now within -2 * 128 * 128 and 2 * 128 * 127, and the second sum
 * is the same for all outputs: what they begin with.
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>

#if defined(__AVX2__) && !defined(__AVX512VNNI__) && !defined(__AVXVNNI__)
#define SPLIT_INPUTS
#define FEW_ROWS      /* of 256 bits: masks and products want registers too */
#define INPUT_BYTES 2 /* absolute values, then masks, by fours */
#define MIDDLE 128
#else
#define INPUT_BYTES 1
#define MIDDLE 0
#endif

#include "ops_level.h"
#include "vec.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

/*
 * dot(): acc plus the sums of four products of an input and a weight, in every
 * lane.  FOUR(): four inputs, the same for all lanes.
 */
#if defined(__AVX512BW__)
typedef __m512i qvec;
#define QLOAD(p) _mm512_loadu_si512(p)
#define FOUR(p) _mm512_broadcastd_epi32(_mm_loadu_si32(p))
#define QSPLAT(x) _mm512_set1_epi32(x)

#if defined(__AVX512VNNI__)
INLINE qvec
dot(qvec acc, qvec a, qvec w)
{
	return _mm512_dpbusd_epi32(acc, a, w);
}
#else
INLINE qvec
dot(qvec acc, qvec a, qvec w)
{
	return _mm512_add_epi32(acc,
							_mm512_madd_epi16(_mm512_maddubs_epi16(a, w), _mm512_set1_epi16(1)));
}
#endif

#elif defined(__AVX2__)
typedef __m256i qvec;
#define QLOAD(p) _mm256_loadu_si256((const __m256i *) (p))
#define FOUR(p) _mm256_broadcastd_epi32(_mm_loadu_si32(p))
#define QSPLAT(x) _mm256_set1_epi32(x)

#if defined(__AVXVNNI__)
INLINE qvec
dot(qvec acc, qvec a, qvec w)
{
	return _mm256_dpbusd_avx_epi32(acc, a, w);
}
#else
INLINE qvec
dot(qvec acc, qvec a, qvec w)
{
	return _mm256_add_epi32(acc,
							_mm256_madd_epi16(_mm256_maddubs_epi16(a, w), _mm256_set1_epi16(1)));
}
#endif

#else
typedef ivec qvec;
#define QLOAD(p) load_bytes(p)
#define FOUR(p) splat_four(p)
#define QSPLAT(x) ((x) - (ivec){0})

INLINE qvec
load_bytes(const void *p)
{
	qvec v;

	memcpy(&v, p, sizeof(v));
	return v;
}

INLINE qvec
splat_four(const void *p)
{
	int32_t four;

	memcpy(&four, p, sizeof(four));
	return QSPLAT(four);
}

INLINE qvec
dot(qvec acc, qvec a, qvec w)
{
	typedef uint8_t bytes __attribute__((vector_size(LANES * 4)));
	typedef int8_t signed_bytes __attribute__((vector_size(LANES * 4)));
	bytes x = (bytes) a;
	signed_bytes y = (signed_bytes) w;

	for (int lane = 0; lane < LANES; lane++)
		for (int b = 0; b < 4; b++)
			acc[lane] += x[4 * lane + b] * y[4 * lane + b];
	return acc;
}
#endif

/*
 * One product after another: a compiler that reads the inputs of all rows
 * first has no registers left for the sums.
 */
#if defined(SPLIT_INPUTS) && LANES == 8
#define KEEP_ORDER(sum) __asm__ __volatile__("" : "+v"(sum)::"memory")
#else
#define KEEP_ORDER(sum)
#endif

INLINE void
block_int8(const mm_linear_args *g, const place *at, const int rows, const int panels)
{
	const int vectors = panels * PANEL_VECTORS;
	const int group = at->begin / MM_GROUP, groups = mm_groups(g->k);
	const size_t panel_size = (size_t) ((g->k + 3) / 4) * MM_PANEL * 4;
	const mm_packed_rows *in = g->rows;
	const size_t row_bytes = (size_t) in->ld * INPUT_BYTES; /* read once: see KEEP_ORDER */
	const uint8_t *a = (const uint8_t *) in->q + at->row * row_bytes;
	const int8_t *w = (const int8_t *) g->w + at->panel * panel_size;
	const ahead next = fetch_ahead(w, panel_size, panels, at);
	qvec acc[ROWS][PANELS * PANEL_VECTORS];
	vec sums[ROWS][PANELS * PANEL_VECTORS];

#pragma GCC unroll 8
	for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
			acc[r][v] = QSPLAT(in->start[(size_t) (at->row + r) * groups + group]);

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
			const uint8_t *at_k = a + r * row_bytes + (size_t) k * 4 * INPUT_BYTES;
			const qvec x = FOUR(at_k);
#if defined(SPLIT_INPUTS)
			const qvec mask = FOUR(at_k + 4);
#endif

#pragma GCC unroll 4
			for (int v = 0; v < vectors; v++)
			{
#if defined(SPLIT_INPUTS)
				acc[r][v] = dot(acc[r][v], x, b[v] ^ mask);
#else
				acc[r][v] = dot(acc[r][v], x, b[v]);
#endif
				KEEP_ORDER(acc[r][v]);
			}
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

/* q = x inverse + zero, rounded to nearest even and held within 0 and 255 */
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
		bytes packed;

		v &= ~(v < 0);
		v = (v & (v <= 255)) | (255 & (v > 255));
		packed = __builtin_convertvector(v, bytes);
		memcpy(q + i, &packed, sizeof(packed));
	}
	for (; i < k; i++)
	{
		int32_t v = (int32_t) nearbyintf(x[i] * inverse) + zero;

		q[i] = (uint8_t) (v < 0 ? 0 : v > 255 ? 255 : v);
	}
}

/* 1 / scale; 0, and so is the scale, where what it is for is next to nothing. */
INLINE float
inverse_of(float *scale)
{
	if (*scale < FLT_MIN)
		*scale = 0;
	return *scale > 0 ? 1 / *scale : 0;
}

#if defined(SPLIT_INPUTS)
/* The sum of 128 - q where q < 128. */
INLINE int32_t
below_middle(const uint8_t *q, int n)
{
	const __m128i middle = _mm_set1_epi8(-128), zero = _mm_setzero_si128();
	__m128i sums = zero;
	int32_t sum;
	int i = 0;

	for (; i + 16 <= n; i += 16)
	{
		__m128i x = _mm_loadu_si128((const __m128i *) (q + i));

		sums = _mm_add_epi32(sums, _mm_sad_epu8(_mm_subs_epu8(middle, x), zero));
	}
	sum = _mm_extract_epi32(sums, 0) + _mm_extract_epi32(sums, 2);
	for (; i < n; i++)
		sum += q[i] < MIDDLE ? MIDDLE - q[i] : 0;
	return sum;
}

/*
 * n bytes, a multiple of 4, to 2n in their place, hence from the end: absolute
 * values of four less 128, then their masks.
 */
INLINE void
split_inputs(uint8_t *q, int n)
{
	const __m128i middle = _mm_set1_epi8(-128), zero = _mm_setzero_si128();
	int i = n;

	for (; i % 16 > 0; i -= 4)
	{
		__m128i x = _mm_xor_si128(_mm_loadu_si32(q + i - 4), middle);

		_mm_storel_epi64((__m128i *) (q + 2 * i - 8),
						 _mm_unpacklo_epi32(_mm_abs_epi8(x), _mm_cmpgt_epi8(zero, x)));
	}
	for (; i > 0; i -= 16)
	{
		__m128i x = _mm_xor_si128(_mm_loadu_si128((const __m128i *) (q + i - 16)), middle);
		__m128i absolute = _mm_abs_epi8(x), mask = _mm_cmpgt_epi8(zero, x);

		_mm_storeu_si128((__m128i *) (q + 2 * i - 32), _mm_unpacklo_epi32(absolute, mask));
		_mm_storeu_si128((__m128i *) (q + 2 * i - 16), _mm_unpackhi_epi32(absolute, mask));
	}
}
#endif

/* One group of a row: its inputs, what sums begin with, and what brings them back. */
INLINE void
quantize_group(const float *x, int k, uint8_t *q, int32_t *start, float *scale, float *offset)
{
	float low, high, inverse;
	int32_t zero;

	range_of(x, k, &low, &high);
	*scale = high / 255 - low / 255;
	inverse = inverse_of(scale);
	zero = (int32_t) nearbyintf(-low * inverse);
	*offset = *scale * (float) (zero - MIDDLE);
	quantize(x, k, inverse, zero, q);
#if defined(SPLIT_INPUTS)
	*start = below_middle(q, k);
#else
	*start = 0;
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
		uint8_t *q = (uint8_t *) rows->q + (size_t) r * rows->ld * INPUT_BYTES;

		for (int o = 0; o < outliers; o++)
		{
			outlier[o] = x[columns[o]];
			x[columns[o]] = 0;
		}
		for (int g = 0; g < groups; g++)
		{
			int first = g * MM_GROUP;
			size_t at = (size_t) r * groups + g;

			quantize_group(x + first, k - first < MM_GROUP ? k - first : MM_GROUP, q + first,
						   rows->start + at, rows->scale + at, rows->offset + at);
		}
		for (int i = k; i < rows->ld; i++)
			q[i] = MIDDLE;
#if defined(SPLIT_INPUTS)
		split_inputs(q, rows->ld);
#endif
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
