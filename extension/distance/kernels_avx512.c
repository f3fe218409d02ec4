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

/* The partial sums of one sum.  Indexes are constants: these are registers. */
typedef struct Chains
{
	__m512 chain[CHAINS];
} Chains;

TARGET MM_INLINE Chains
zero_chains(void)
{
	return (Chains){
		{_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()}};
}

/* Add the terms of sixteen elements to the partial sums of one chain. */
TARGET MM_INLINE void
add_terms(MmMetric metric, Chains sums[MM_MAX_SUMS], int chain, __m512 x, __m512 y)
{
	__m512 difference;

	switch (metric)
	{
		case MM_L2_SQUARED:
			difference = _mm512_sub_ps(x, y);
			sums[0].chain[chain] = _mm512_fmadd_ps(difference, difference, sums[0].chain[chain]);
			break;
		case MM_L1:
			difference = _mm512_abs_ps(_mm512_sub_ps(x, y));
			sums[0].chain[chain] = _mm512_add_ps(sums[0].chain[chain], difference);
			break;
		case MM_COSINE:
			sums[1].chain[chain] = _mm512_fmadd_ps(x, x, sums[1].chain[chain]);
			sums[2].chain[chain] = _mm512_fmadd_ps(y, y, sums[2].chain[chain]);
			/* fall through */
		default:
			sums[0].chain[chain] = _mm512_fmadd_ps(x, y, sums[0].chain[chain]);
			break;
	}
}

/* Move the float32 partial sums of one sum into its float64 total. */
TARGET MM_INLINE __m512d
flush(__m512d total, Chains *sum)
{
	__m512 chains = _mm512_add_ps(_mm512_add_ps(sum->chain[0], sum->chain[1]),
								  _mm512_add_ps(sum->chain[2], sum->chain[3]));
	__m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(chains));
	__m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(chains, 1));

	*sum = zero_chains();
	return _mm512_add_pd(total, _mm512_add_pd(low, high));
}

/* Add the terms of one step, every chain taking one. */
TARGET MM_INLINE void
add_step(MmMetric metric, Chains sums[MM_MAX_SUMS], MmElem elem_a, const void *a, MmElem elem_b,
		 const void *b, int start)
{
	/* Spelled out: in a loop, compilers would keep the sums in memory. */
	add_terms(metric, sums, 0, load(elem_a, a, start), load(elem_b, b, start));
	start += LANES;
	add_terms(metric, sums, 1, load(elem_a, a, start), load(elem_b, b, start));
	start += LANES;
	add_terms(metric, sums, 2, load(elem_a, a, start), load(elem_b, b, start));
	start += LANES;
	add_terms(metric, sums, 3, load(elem_a, a, start), load(elem_b, b, start));
}

/* Move all partial sums of a metric into the totals. */
TARGET MM_INLINE void
flush_all(MmMetric metric, __m512d totals[MM_MAX_SUMS], Chains sums[MM_MAX_SUMS])
{
	totals[0] = flush(totals[0], &sums[0]);
	if (metric == MM_COSINE)
	{
		totals[1] = flush(totals[1], &sums[1]);
		totals[2] = flush(totals[2], &sums[2]);
	}
}

TARGET MM_INLINE double
generic(MmMetric metric, MmElem elem_a, MmElem elem_b, int dims, const void *a, const void *b)
{
	Chains sums[MM_MAX_SUMS] = {zero_chains(), zero_chains(), zero_chains()};
	__m512d totals[MM_MAX_SUMS] = {_mm512_setzero_pd(), _mm512_setzero_pd(), _mm512_setzero_pd()};
	int start = 0;

	while (dims - start >= STEP)
	{
		int steps = (dims - start) / STEP;
		int end = start + (steps < MM_TERMS_PER_BLOCK ? steps : MM_TERMS_PER_BLOCK) * STEP;

		for (; start < end; start += STEP)
			add_step(metric, sums, elem_a, a, elem_b, b, start);
		flush_all(metric, totals, sums);
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
		flush_all(metric, totals, sums);
	}
	if (metric != MM_COSINE)
		return _mm512_reduce_add_pd(totals[0]);
	return mm_cosine(_mm512_reduce_add_pd(totals[0]), _mm512_reduce_add_pd(totals[1]),
					 _mm512_reduce_add_pd(totals[2]));
}

MM_DEFINE_KERNEL_SET(avx512, TARGET, generic);

#endif /* MM_HAVE_X86 */
