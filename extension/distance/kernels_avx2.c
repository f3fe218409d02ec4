/*
 * kernels_avx2.c
 *		Kernels for CPUs with AVX2, FMA and F16C.
 *
 * The target is set function by function, so that the file compiles for the
 * base instruction set; dispatch.c calls in here only where the CPU can.
 */
#include "kernels.h"

#ifdef MM_HAVE_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))

#define LANES 8  /* floats in a register */
#define CHAINS 4 /* independent partial sums, to hide the latency of FMA */
#define STEP (LANES * CHAINS)

/* Eight elements as float32; float16 is widened exactly. */
TARGET MM_INLINE __m256
load(MmElem elem, const void *vector, int start)
{
	const char *p = (const char *) vector + (size_t) start * mm_elem_size(elem);

	if (elem == MM_FLOAT32)
		return _mm256_loadu_ps((const float *) p);
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) p));
}

/* The last count (1 to 7) elements, zeros after them. */
TARGET MM_INLINE __m256
load_tail(MmElem elem, const void *vector, int start, int count)
{
	char buffer[LANES * sizeof(float)] = {0};

	memcpy(buffer, (const char *) vector + (size_t) start * mm_elem_size(elem),
		   (size_t) count * mm_elem_size(elem));
	return load(elem, buffer, 0);
}

/* The partial sums of one sum.  Indexes are constants: these are registers. */
typedef struct Chains
{
	__m256 chain[CHAINS];
} Chains;

TARGET MM_INLINE Chains
zero_chains(void)
{
	return (Chains){
		{_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()}};
}

/* Add the terms of eight elements to the partial sums of one chain. */
TARGET MM_INLINE void
add_terms(MmMetric metric, Chains sums[MM_MAX_SUMS], int chain, __m256 x, __m256 y)
{
	__m256 difference;

	switch (metric)
	{
		case MM_L2_SQUARED:
			difference = _mm256_sub_ps(x, y);
			sums[0].chain[chain] = _mm256_fmadd_ps(difference, difference, sums[0].chain[chain]);
			break;
		case MM_L1:
			difference = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_sub_ps(x, y));
			sums[0].chain[chain] = _mm256_add_ps(sums[0].chain[chain], difference);
			break;
		case MM_COSINE:
			sums[1].chain[chain] = _mm256_fmadd_ps(x, x, sums[1].chain[chain]);
			sums[2].chain[chain] = _mm256_fmadd_ps(y, y, sums[2].chain[chain]);
			/* fall through */
		default:
			sums[0].chain[chain] = _mm256_fmadd_ps(x, y, sums[0].chain[chain]);
			break;
	}
}

/* Move the float32 partial sums of one sum into its float64 total. */
TARGET MM_INLINE __m256d
flush(__m256d total, Chains *sum)
{
	__m256 chains = _mm256_add_ps(_mm256_add_ps(sum->chain[0], sum->chain[1]),
								  _mm256_add_ps(sum->chain[2], sum->chain[3]));
	__m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(chains));
	__m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(chains, 1));

	*sum = zero_chains();
	return _mm256_add_pd(total, _mm256_add_pd(low, high));
}

TARGET MM_INLINE double
horizontal_sum(__m256d v)
{
	__m128d pair = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));

	return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
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
flush_all(MmMetric metric, __m256d totals[MM_MAX_SUMS], Chains sums[MM_MAX_SUMS])
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
	__m256d totals[MM_MAX_SUMS] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
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
			add_terms(metric, sums, 0, load_tail(elem_a, a, start, dims - start),
					  load_tail(elem_b, b, start, dims - start));
		flush_all(metric, totals, sums);
	}
	if (metric != MM_COSINE)
		return horizontal_sum(totals[0]);
	return mm_cosine(horizontal_sum(totals[0]), horizontal_sum(totals[1]),
					 horizontal_sum(totals[2]));
}

MM_DEFINE_KERNEL_SET(avx2, TARGET, generic);

#endif /* MM_HAVE_X86 */
