/*-------------------------------------------------------------------------
 *
 * resize_kernels.c
 *	  The two passes of a resize, compiled for every level.
 *
 * The Makefile builds this file three times with MM_LEVEL set to scalar, avx2
 * or avx512 and the compiler's flags to match.  The vector kernels rest on one
 * instruction, pmaddwd: products of 16-bit numbers, neighbours added to 32
 * bits.  Neighbours are two taps of one sum, and a weight has two such halves
 * (resize.h), so two of them do the work of eight or more 32-bit products.
 *
 *-------------------------------------------------------------------------
 */
#include "resize.h"

#include <string.h>

#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_(a, b)

static inline uint8_t
to_byte(uint32_t sum)
{
	int32_t value = (int32_t) sum >> MM_WEIGHT_BITS;

	return (uint8_t) (value < 0 ? 0 : value > 255 ? 255 : value);
}

#define BLOCK 128 /* bytes of an output row that are summed at a time */

/* Bytes from to to - 1 of output row y; the inner loop is for the compiler to vectorise. */
static void
plain_row(const mm_pass *p, int y, size_t from, size_t to)
{
	const mm_filter *f = p->filter;
	const int32_t *w = f->weights + (size_t) y * f->width;
	uint8_t *out = p->out + y * p->out_stride;

	for (size_t at = from; at < to; at += BLOCK)
	{
		const uint8_t *in = p->in + f->first[y] * p->in_stride + at;
		size_t n = to - at < BLOCK ? to - at : BLOCK;
		uint32_t sums[BLOCK];

		for (size_t i = 0; i < n; i++)
			sums[i] = MM_SUM_START;
		for (int k = 0; k < f->count[y]; k++, in += p->in_stride)
			for (size_t i = 0; i < n; i++)
				sums[i] += in[i] * (uint32_t) w[k];
		for (size_t i = 0; i < n; i++)
			out[at + i] = to_byte(sums[i]);
	}
}

#if !defined(__AVX2__)

static void
horizontal(const mm_pass *p)
{
	const mm_filter *f = p->filter;

	for (int y = 0; y < p->in_height; y++)
	{
		const uint8_t *row = p->in + y * p->in_stride;
		uint8_t *out = p->out + y * p->out_stride;

		for (int x = 0; x < f->n; x++, out += 3)
		{
			const uint8_t *in = row + (size_t) f->first[x] * 3;
			const int32_t *w = f->weights + (size_t) x * f->width;
			uint32_t r = MM_SUM_START, g = r, b = r;

			for (int k = 0; k < f->count[x]; k++, in += 3)
			{
				r += in[0] * (uint32_t) w[k];
				g += in[1] * (uint32_t) w[k];
				b += in[2] * (uint32_t) w[k];
			}
			out[0] = to_byte(r);
			out[1] = to_byte(g);
			out[2] = to_byte(b);
		}
	}
}

static void
vertical(const mm_pass *p)
{
	for (int y = 0; y < p->filter->n; y++)
		plain_row(p, y, 0, (size_t) p->in_width * 3);
}

#else

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/*
 * A vector is one row's four pixels, twice, in two lanes of 16 bytes; with
 * AVX-512 it is two rows' next to each other.
 */
#if defined(__AVX512BW__)
typedef __m512i vec;
#define ROWS_A_VECTOR 2
#define OP(name) _mm512_##name
#else
typedef __m256i vec;
#define ROWS_A_VECTOR 1
#define OP(name) _mm256_##name
#endif

#define VECTORS 4 /* that fill the registers with sums */
#define ROWS (VECTORS * ROWS_A_VECTOR)

_Static_assert(ROWS <= MM_MAX_ROWS, "spare rows");

INLINE __m128i
load16(const void *p)
{
	return _mm_loadu_si128(p);
}

INLINE vec
load(const uint8_t *p)
{
	vec v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The same 16 bytes in every lane. */
INLINE vec
spread(__m128i x)
{
#if ROWS_A_VECTOR == 2
	return _mm512_broadcast_i32x4(x);
#else
	return _mm256_broadcastsi128_si256(x);
#endif
}

/* Even lanes a, odd lanes b. */
INLINE vec
alternate(__m128i a, __m128i b)
{
	__m256i pair = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);

#if ROWS_A_VECTOR == 2
	return _mm512_broadcast_i64x4(pair);
#else
	return pair;
#endif
}

/* Sixteen bytes at an offset of the rows of a vector, in both lanes of each. */
INLINE vec
load_rows(const uint8_t *const *row, size_t offset)
{
#if ROWS_A_VECTOR == 2
	__m256i a = _mm256_broadcastsi128_si256(load16(row[0] + offset));
	__m256i b = _mm256_broadcastsi128_si256(load16(row[1] + offset));

	return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
#else
	return spread(load16(row[0] + offset));
#endif
}

/* Both halves of the products in one. */
INLINE vec
join(vec high, vec low)
{
	return OP(add_epi32)(OP(slli_epi32)(high, MM_LOW_BITS), low);
}

/* The sums of a row are in two lanes, of different taps: add those. */
INLINE __m128i
fold(__m256i sums)
{
	return _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

INLINE void
fold_rows(vec sums, __m128i *out)
{
#if ROWS_A_VECTOR == 2
	out[0] = fold(_mm512_castsi512_si256(sums));
	out[1] = fold(_mm512_extracti64x4_epi64(sums, 1));
#else
	out[0] = fold(sums);
#endif
}

INLINE __m128i
round16(__m128i sums)
{
	return _mm_srai_epi32(_mm_add_epi32(sums, _mm_set1_epi32(MM_SUM_START)), MM_WEIGHT_BITS);
}

/* Four rows' sums (R, G, B and nothing) to a pixel each; packing clips. */
INLINE void
store_pixels(const __m128i *sums, uint8_t *const *out, size_t offset)
{
	__m128i a = _mm_packs_epi32(round16(sums[0]), round16(sums[1]));
	__m128i b = _mm_packs_epi32(round16(sums[2]), round16(sums[3]));
	uint8_t pixels[16];

	_mm_storeu_si128((__m128i *) pixels, _mm_packus_epi16(a, b));
	for (int r = 0; r < 4; r++)
		memcpy(out[r] + offset, pixels + 4 * r, 3);
}

/*
 * The pixels of ROWS rows.  Of four neighbours in 16 bytes, the first lane of a
 * row takes the first two, the second the others, as pairs of R, of G, of B.
 */
static void
horizontal_rows(const mm_filter *f, const uint8_t *const row[ROWS], uint8_t *const out[ROWS])
{
	const vec pairs =
		alternate(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1),
				  _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
	const vec highs = alternate(_mm_set1_epi32(0x03020100), _mm_set1_epi32(0x07060504));
	const vec lows = alternate(_mm_set1_epi32(0x0b0a0908), _mm_set1_epi32(0x0f0e0d0c));

	for (int x = 0; x < f->n; x++)
	{
		const int16_t *split = f->split + (size_t) x * f->width * 2;
		size_t offset = (size_t) f->first[x] * 3;
		vec high[VECTORS], low[VECTORS];
		__m128i sums[ROWS];

#pragma GCC unroll 4
		for (int v = 0; v < VECTORS; v++)
			high[v] = low[v] = OP(set1_epi32)(0);
		for (int k = 0; k < f->count[x]; k += MM_TAPS, split += 2 * MM_TAPS, offset += 3 * MM_TAPS)
		{
			vec weights = spread(load16(split));
			vec weights_high = OP(shuffle_epi8)(weights, highs);
			vec weights_low = OP(shuffle_epi8)(weights, lows);

#pragma GCC unroll 4
			for (int v = 0; v < VECTORS; v++)
			{
				vec in = OP(shuffle_epi8)(load_rows(row + v * ROWS_A_VECTOR, offset), pairs);

				high[v] = OP(add_epi32)(high[v], OP(madd_epi16)(in, weights_high));
				low[v] = OP(add_epi32)(low[v], OP(madd_epi16)(in, weights_low));
			}
		}
#pragma GCC unroll 4
		for (int v = 0; v < VECTORS; v++)
			fold_rows(join(high[v], low[v]), sums + v * ROWS_A_VECTOR);
		for (int r = 0; r < ROWS; r += 4)
			store_pixels(sums + r, out + r, (size_t) x * 3);
	}
}

/*
 * Row y, or a copy of it where the kernel would read behind the end of all: it
 * reads whole groups of MM_TAPS pixels, and 16 bytes for 12.
 */
static const uint8_t *
readable_row(const mm_pass *p, int y, int slot)
{
	const uint8_t *row = p->in + y * p->in_stride;
	size_t len = (size_t) p->in_width * 3;
	uint8_t *spare = p->spare + slot * (len + MM_ROW_SLACK);

	if ((size_t) (p->in_end - row) >= len + MM_ROW_SLACK)
		return row;
	memcpy(spare, row, len);
	memset(spare + len, 0, MM_ROW_SLACK);
	return spare;
}

static void
horizontal(const mm_pass *p)
{
	for (int y = 0; y < p->in_height; y += ROWS)
	{
		const uint8_t *row[ROWS];
		uint8_t *out[ROWS];

		/* of the last rows some are done twice */
		for (int r = 0; r < ROWS; r++)
		{
			int this = y + r < p->in_height ? y + r : p->in_height - 1;

			row[r] = readable_row(p, this, r);
			out[r] = p->out + this * p->out_stride;
		}
		horizontal_rows(p->filter, row, out);
	}
}

/* Two weights, for every pair of 16-bit numbers. */
INLINE vec
spread_pair(const int16_t *weights)
{
	int32_t pair;

	memcpy(&pair, weights, sizeof(pair));
	return OP(set1_epi32)(pair);
}

INLINE vec
round_sums(vec high, vec low)
{
	vec sum = OP(add_epi32)(join(high, low), OP(set1_epi32)(MM_SUM_START));

	return OP(srai_epi32)(sum, MM_WEIGHT_BITS);
}

/* As many bytes of an output row as a vector has; rows of the input in pairs. */
INLINE void
vertical_block(const mm_pass *p, int y, size_t at)
{
	const mm_filter *f = p->filter;
	const int16_t *split = f->split + (size_t) y * f->width * 2;
	const uint8_t *in = p->in + f->first[y] * p->in_stride + at;
	const vec zero = OP(set1_epi32)(0);
	int count = f->count[y];
	vec high[4], low[4], result;

#pragma GCC unroll 4
	for (int i = 0; i < 4; i++)
		high[i] = low[i] = zero;
	for (int k = 0; k < count; k += 2, in += 2 * p->in_stride)
	{
		/* the partner of the last of an odd number has weight 0 */
		vec a = load(in), b = load(k + 1 < count ? in + p->in_stride : in);
		vec left = OP(unpacklo_epi8)(a, b), right = OP(unpackhi_epi8)(a, b);
		vec pairs[4] = {OP(unpacklo_epi8)(left, zero), OP(unpackhi_epi8)(left, zero),
						OP(unpacklo_epi8)(right, zero), OP(unpackhi_epi8)(right, zero)};
		const int16_t *group = split + k / MM_TAPS * (2 * MM_TAPS) + k % MM_TAPS;
		vec weights_high = spread_pair(group);
		vec weights_low = spread_pair(group + MM_TAPS);

#pragma GCC unroll 4
		for (int i = 0; i < 4; i++)
		{
			high[i] = OP(add_epi32)(high[i], OP(madd_epi16)(pairs[i], weights_high));
			low[i] = OP(add_epi32)(low[i], OP(madd_epi16)(pairs[i], weights_low));
		}
	}
	/* unpacking and packing both stay within lanes, so the order is kept */
	result =
		OP(packus_epi16)(OP(packs_epi32)(round_sums(high[0], low[0]), round_sums(high[1], low[1])),
						 OP(packs_epi32)(round_sums(high[2], low[2]), round_sums(high[3], low[3])));
	memcpy(p->out + y * p->out_stride + at, &result, sizeof(result));
}

static void
vertical(const mm_pass *p)
{
	size_t n = (size_t) p->in_width * 3;

	for (int y = 0; y < p->filter->n; y++)
	{
		if (n < sizeof(vec))
		{
			plain_row(p, y, 0, n);
			continue;
		}
		for (size_t at = 0; at + sizeof(vec) <= n; at += sizeof(vec))
			vertical_block(p, y, at);
		/* the end, with some of what was done already */
		if (n % sizeof(vec) != 0)
			vertical_block(p, y, n - sizeof(vec));
	}
}

#endif /* __AVX2__ */

const mm_resize_kernels CONCAT(mm_resize_, MM_LEVEL) = {
	.horizontal = horizontal,
	.vertical = vertical,
};
