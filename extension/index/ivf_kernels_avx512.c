/*
 * ivf_kernels_avx512.c
 *		Kernels of faiss_ivf for CPUs with AVX-512 F, BW, DQ and VL.
 *
 * Those where most of the time goes; the others are the ones of AVX2.  They
 * follow their siblings in ivf_kernels_avx2.c, which tell why.
 */
#include "ivf_kernels.h"
#include "ivf_kernels_x86.h"

#ifdef MM_HAVE_X86

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))

#define STEP 64 /* bytes in a register */

/* The two halves, added. */
TARGET MM_INLINE __m256i
fold(__m512i sums)
{
	return _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
}

/* The sums of the elements of a, b, c and d. */
TARGET MM_INLINE __m128i
sum_each(__m512i a, __m512i b, __m512i c, __m512i d)
{
	return ivf_sum_each(fold(a), fold(b), fold(c), fold(d));
}

/* Sums of neighbours, as int32. */
TARGET MM_INLINE __m512i
widen(__m512i sums)
{
	return _mm512_madd_epi16(sums, _mm512_set1_epi16(1));
}

/* Add four times the products of one step of 2-bit codes, 64 bytes or what mask leaves. */
TARGET MM_INLINE __m512i
add_2bit(__m512i total, const uint8_t *codes, __mmask64 mask, const __m512i query[4])
{
	const __m512i low = _mm512_set1_epi8(0x03);
	const __m512i next = _mm512_set1_epi8(0x0c);
	__m512i bytes = _mm512_maskz_loadu_epi8(mask, codes);
	__m512i high = _mm512_srli_epi16(bytes, 4);
	__m512i plane0 = _mm512_maddubs_epi16(_mm512_and_si512(bytes, low), query[0]);
	__m512i plane1 = _mm512_maddubs_epi16(_mm512_and_si512(bytes, next), query[1]);
	__m512i plane2 = _mm512_maddubs_epi16(_mm512_and_si512(high, low), query[2]);
	__m512i plane3 = _mm512_maddubs_epi16(_mm512_and_si512(high, next), query[3]);
	__m512i once = _mm512_add_epi16(plane0, plane2);
	__m512i fourfold = _mm512_add_epi16(plane1, plane3);

	total = _mm512_add_epi32(total, _mm512_madd_epi16(once, _mm512_set1_epi16(4)));
	return _mm512_add_epi32(total, widen(fourfold));
}

TARGET static void
dot_2bit(const uint8_t *codes, size_t stride, int rows, const int8_t *query, int pdims,
		 int32_t *out)
{
	int plane = pdims / 4;

	for (int i = 0; i < rows; i += IVF_GROUP)
	{
		const IvfGroup group = ivf_group(codes, stride, i, rows);
		const uint8_t *row0 = group.row[0];
		const uint8_t *row1 = group.row[1];
		const uint8_t *row2 = group.row[2];
		const uint8_t *row3 = group.row[3];
		__m512i total0 = _mm512_setzero_si512();
		__m512i total1 = _mm512_setzero_si512();
		__m512i total2 = _mm512_setzero_si512();
		__m512i total3 = _mm512_setzero_si512();

		for (int j = 0; j < plane; j += STEP)
		{
			int left = plane - j;
			__mmask64 mask = left >= STEP ? ~UINT64_C(0) : (UINT64_C(1) << left) - 1;
			const __m512i q[4] = {_mm512_maskz_loadu_epi8(mask, query + j),
								  _mm512_maskz_loadu_epi8(mask, query + plane + j),
								  _mm512_maskz_loadu_epi8(mask, query + 2 * plane + j),
								  _mm512_maskz_loadu_epi8(mask, query + 3 * plane + j)};

			total0 = add_2bit(total0, row0 + j, mask, q);
			total1 = add_2bit(total1, row1 + j, mask, q);
			total2 = add_2bit(total2, row2 + j, mask, q);
			total3 = add_2bit(total3, row3 + j, mask, q);
		}
		ivf_store_group(out, i, rows, _mm_srai_epi32(sum_each(total0, total1, total2, total3), 2));
	}
}

/* Add the products of one step of 8-bit codes; negative tells the signs of the query. */
TARGET MM_INLINE __m512i
add_8bit(__m512i total, const int8_t *codes, __mmask64 negative, __m512i magnitude)
{
	__m512i bytes = _mm512_loadu_si512(codes);

	/* AVX-512 has no sign instruction. */
	bytes = _mm512_mask_sub_epi8(bytes, negative, _mm512_setzero_si512(), bytes);
	return _mm512_add_epi32(total, widen(_mm512_maddubs_epi16(magnitude, bytes)));
}

TARGET static void
dot_8bit(const int8_t *codes, size_t stride, int rows, const int8_t *query, int pdims, int32_t *out)
{
	for (int i = 0; i < rows; i += IVF_GROUP)
	{
		const IvfGroup group = ivf_group(codes, stride, i, rows);
		const int8_t *row0 = group.row[0];
		const int8_t *row1 = group.row[1];
		const int8_t *row2 = group.row[2];
		const int8_t *row3 = group.row[3];
		__m512i total0 = _mm512_setzero_si512();
		__m512i total1 = _mm512_setzero_si512();
		__m512i total2 = _mm512_setzero_si512();
		__m512i total3 = _mm512_setzero_si512();

		for (int j = 0; j < pdims; j += STEP)
		{
			__m512i q = _mm512_loadu_si512(query + j);
			__mmask64 negative = _mm512_movepi8_mask(q);
			__m512i magnitude = _mm512_abs_epi8(q);

			total0 = add_8bit(total0, row0 + j, negative, magnitude);
			total1 = add_8bit(total1, row1 + j, negative, magnitude);
			total2 = add_8bit(total2, row2 + j, negative, magnitude);
			total3 = add_8bit(total3, row3 + j, negative, magnitude);
		}
		ivf_store_group(out, i, rows, sum_each(total0, total1, total2, total3));
	}
}

/* Dot products of one centre with a group of rows, in parts. */
typedef struct Dots
{
	__m512i row[IVF_GROUP];
} Dots;

/* Thirty-two 8-bit codes as int16. */
TARGET MM_INLINE __m512i
load_int8(const int8_t *p)
{
	return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *) p));
}

TARGET MM_INLINE void
add_centre(Dots *dots, __m512i centre, __m512i y0, __m512i y1, __m512i y2, __m512i y3)
{
	dots->row[0] = _mm512_add_epi32(dots->row[0], _mm512_madd_epi16(centre, y0));
	dots->row[1] = _mm512_add_epi32(dots->row[1], _mm512_madd_epi16(centre, y1));
	dots->row[2] = _mm512_add_epi32(dots->row[2], _mm512_madd_epi16(centre, y2));
	dots->row[3] = _mm512_add_epi32(dots->row[3], _mm512_madd_epi16(centre, y3));
}

TARGET MM_INLINE void
take_centre(const Dots *dots, int c, float half_norm, __m128 *score, __m128i *nearest)
{
	ivf_take_centre(sum_each(dots->row[0], dots->row[1], dots->row[2], dots->row[3]), c, half_norm,
					score, nearest);
}

/*
 * Four rows and four centres at once.  Without a sign instruction int16 is the
 * better way: its products need no care for signs.
 */
TARGET static void
assign_group(IvfGroup group, const int8_t *centres, const float *half_norm, int first, int end,
			 int pdims, float *score, int32_t *nearest)
{
	const int8_t *row0 = group.row[0];
	const int8_t *row1 = group.row[1];
	const int8_t *row2 = group.row[2];
	const int8_t *row3 = group.row[3];
	__m128 best = _mm_loadu_ps(score);
	__m128i at = _mm_loadu_si128((const __m128i *) nearest);

	for (int c = first; c < end; c += 4)
	{
		/* The last one again where there are fewer: it cannot beat itself. */
		int c1 = c + 1 < end ? c + 1 : end - 1;
		int c2 = c + 2 < end ? c + 2 : end - 1;
		int c3 = c + 3 < end ? c + 3 : end - 1;
		const int8_t *centre0 = centres + (size_t) c * pdims;
		const int8_t *centre1 = centres + (size_t) c1 * pdims;
		const int8_t *centre2 = centres + (size_t) c2 * pdims;
		const int8_t *centre3 = centres + (size_t) c3 * pdims;
		const __m512i zero = _mm512_setzero_si512();
		Dots dots0 = {{zero, zero, zero, zero}};
		Dots dots1 = dots0;
		Dots dots2 = dots0;
		Dots dots3 = dots0;

		for (int j = 0; j < pdims; j += 32)
		{
			__m512i y0 = load_int8(row0 + j);
			__m512i y1 = load_int8(row1 + j);
			__m512i y2 = load_int8(row2 + j);
			__m512i y3 = load_int8(row3 + j);

			add_centre(&dots0, load_int8(centre0 + j), y0, y1, y2, y3);
			add_centre(&dots1, load_int8(centre1 + j), y0, y1, y2, y3);
			add_centre(&dots2, load_int8(centre2 + j), y0, y1, y2, y3);
			add_centre(&dots3, load_int8(centre3 + j), y0, y1, y2, y3);
		}
		take_centre(&dots0, c, half_norm[c], &best, &at);
		take_centre(&dots1, c1, half_norm[c1], &best, &at);
		take_centre(&dots2, c2, half_norm[c2], &best, &at);
		take_centre(&dots3, c3, half_norm[c3], &best, &at);
	}
	_mm_storeu_ps(score, best);
	_mm_storeu_si128((__m128i *) nearest, at);
}

TARGET static void
assign(const int8_t *rows, int n, const int8_t *centres, const float *half_norm, int ncentres,
	   int pdims, int32_t *nearest)
{
	ivf_assign_blocked(rows, n, centres, half_norm, ncentres, pdims, nearest, assign_group);
}

const IvfKernels ivf_kernels_avx512 = {.name = "avx512",
									   .dot_2bit = dot_2bit,
									   .dot_8bit = dot_8bit,
									   .dot_8bit_16 = ivf_dot_8bit_16_avx2,
									   .dot_4bit = ivf_dot_4bit_avx2,
									   .estimate = ivf_estimate_avx2,
									   .collect = ivf_collect_avx2,
									   .assign = assign,
									   .hadamard = ivf_hadamard_avx2};

#endif /* MM_HAVE_X86 */
