/*
 * kernels_avx512.c
 *		Kernels for CPUs with AVX-512 F, BW, DQ and VL.
 *
 * The target is set function by function, so that the file compiles for the
 * base instruction set; dispatch.c calls in here only where the CPU can.
 */
#include "kernels.h"

#ifdef MM_HAVE_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")))

#define LANES 16 /* floats in a register */
#define CHAINS 4 /* independent partial sums, to hide the latency of FMA */
#define STEP (LANES * CHAINS)

/* Sixteen elements as float32; float16 is widened exactly. */
TARGET MM_INLINE __m512
load(MmElem elem, const void *vector, int start)
{
	const char *p = (const char *) vector + (size_t) start * mm_elem_size(elem);

	if (elem == MM_FLOAT32)
		return _mm512_loadu_ps(p);
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) p));
}

/* The last elements, as mask says, zeros after them; reads nothing beyond. */
TARGET MM_INLINE __m512
load_tail(MmElem elem, const void *vector, int start, __mmask16 mask)
{
	const char *p = (const char *) vector + (size_t) start * mm_elem_size(elem);

	if (elem == MM_FLOAT32)
		return _mm512_maskz_loadu_ps(mask, p);
	return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p));
}

/* Add the terms of sixteen elements to the partial sums of one chain. */
TARGET MM_INLINE void
add_terms(MmMetric metric, __m512 sums[MM_MAX_SUMS][CHAINS], int chain, __m512 x, __m512 y)
{
	__m512 difference;

	switch (metric)
	{
		case MM_L2_SQUARED:
			difference = _mm512_sub_ps(x, y);
			sums[0][chain] = _mm512_fmadd_ps(difference, difference, sums[0][chain]);
			break;
		case MM_L1:
			difference = _mm512_abs_ps(_mm512_sub_ps(x, y));
			sums[0][chain] = _mm512_add_ps(sums[0][chain], difference);
			break;
		case MM_COSINE:
			sums[1][chain] = _mm512_fmadd_ps(x, x, sums[1][chain]);
			sums[2][chain] = _mm512_fmadd_ps(y, y, sums[2][chain]);
			/* fall through */
		default:
			sums[0][chain] = _mm512_fmadd_ps(x, y, sums[0][chain]);
			break;
	}
}

/* Move the float32 partial sums of all chains into the float64 totals. */
TARGET MM_INLINE void
flush(int sum_count, __m512 sums[MM_MAX_SUMS][CHAINS], __m512d totals[MM_MAX_SUMS])
{
	for (int s = 0; s < sum_count; s++)
	{
		__m512 sum = _mm512_add_ps(_mm512_add_ps(sums[s][0], sums[s][1]),
								   _mm512_add_ps(sums[s][2], sums[s][3]));
		__m512d wide = _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(sum)),
									 _mm512_cvtps_pd(_mm512_extractf32x8_ps(sum, 1)));

		totals[s] = _mm512_add_pd(totals[s], wide);
		for (int chain = 0; chain < CHAINS; chain++)
			sums[s][chain] = _mm512_setzero_ps();
	}
}

TARGET MM_INLINE double
generic(MmMetric metric, MmElem elem_a, MmElem elem_b, int dims, const void *a, const void *b)
{
	int sum_count = mm_sum_count(metric);
	__m512 sums[MM_MAX_SUMS][CHAINS];
	__m512d totals[MM_MAX_SUMS];
	double result[MM_MAX_SUMS];
	int start = 0;

	for (int s = 0; s < sum_count; s++)
	{
		totals[s] = _mm512_setzero_pd();
		for (int chain = 0; chain < CHAINS; chain++)
			sums[s][chain] = _mm512_setzero_ps();
	}
	while (dims - start >= STEP)
	{
		int steps = (dims - start) / STEP;
		int end = start + (steps < MM_TERMS_PER_BLOCK ? steps : MM_TERMS_PER_BLOCK) * STEP;

		for (; start < end; start += STEP)
			for (int chain = 0; chain < CHAINS; chain++)
				add_terms(metric, sums, chain, load(elem_a, a, start + chain * LANES),
						  load(elem_b, b, start + chain * LANES));
		flush(sum_count, sums, totals);
	}
	if (start < dims)
	{
		/* Fewer than STEP elements: one chain takes the at most four terms. */
		for (; dims - start >= LANES; start += LANES)
			add_terms(metric, sums, 0, load(elem_a, a, start), load(elem_b, b, start));
		if (start < dims)
		{
			__mmask16 mask = (__mmask16) ((1u << (dims - start)) - 1);

			add_terms(metric, sums, 0, load_tail(elem_a, a, start, mask),
					  load_tail(elem_b, b, start, mask));
		}
		flush(sum_count, sums, totals);
	}
	for (int s = 0; s < sum_count; s++)
		result[s] = _mm512_reduce_add_pd(totals[s]);
	return mm_finish(metric, result);
}

MM_DEFINE_KERNEL_SET(avx512, TARGET, generic);

#endif /* MM_HAVE_X86 */
