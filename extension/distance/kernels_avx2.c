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

/* Add the terms of eight elements to the partial sums of one chain. */
TARGET MM_INLINE void
add_terms(MmMetric metric, __m256 sums[MM_MAX_SUMS][CHAINS], int chain, __m256 x, __m256 y)
{
	__m256 difference;

	switch (metric)
	{
		case MM_L2_SQUARED:
			difference = _mm256_sub_ps(x, y);
			sums[0][chain] = _mm256_fmadd_ps(difference, difference, sums[0][chain]);
			break;
		case MM_L1:
			difference = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_sub_ps(x, y));
			sums[0][chain] = _mm256_add_ps(sums[0][chain], difference);
			break;
		case MM_COSINE:
			sums[1][chain] = _mm256_fmadd_ps(x, x, sums[1][chain]);
			sums[2][chain] = _mm256_fmadd_ps(y, y, sums[2][chain]);
			/* fall through */
		default:
			sums[0][chain] = _mm256_fmadd_ps(x, y, sums[0][chain]);
			break;
	}
}

/* Move the float32 partial sums of all chains into the float64 totals. */
TARGET MM_INLINE void
flush(int sum_count, __m256 sums[MM_MAX_SUMS][CHAINS], __m256d totals[MM_MAX_SUMS])
{
	for (int s = 0; s < sum_count; s++)
	{
		__m256 sum = _mm256_add_ps(_mm256_add_ps(sums[s][0], sums[s][1]),
								   _mm256_add_ps(sums[s][2], sums[s][3]));
		__m256d wide = _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(sum)),
									 _mm256_cvtps_pd(_mm256_extractf128_ps(sum, 1)));

		totals[s] = _mm256_add_pd(totals[s], wide);
		for (int chain = 0; chain < CHAINS; chain++)
			sums[s][chain] = _mm256_setzero_ps();
	}
}

TARGET MM_INLINE double
horizontal_sum(__m256d v)
{
	__m128d pair = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));

	return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
}

TARGET MM_INLINE double
generic(MmMetric metric, MmElem elem_a, MmElem elem_b, int dims, const void *a, const void *b)
{
	int sum_count = mm_sum_count(metric);
	__m256 sums[MM_MAX_SUMS][CHAINS];
	__m256d totals[MM_MAX_SUMS];
	double result[MM_MAX_SUMS];
	int start = 0;

	for (int s = 0; s < sum_count; s++)
	{
		totals[s] = _mm256_setzero_pd();
		for (int chain = 0; chain < CHAINS; chain++)
			sums[s][chain] = _mm256_setzero_ps();
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
	/* Fewer than STEP elements: one chain takes the at most four terms. */
	for (; dims - start >= LANES; start += LANES)
		add_terms(metric, sums, 0, load(elem_a, a, start), load(elem_b, b, start));
	if (start < dims)
		add_terms(metric, sums, 0, load_tail(elem_a, a, start, dims - start),
				  load_tail(elem_b, b, start, dims - start));
	flush(sum_count, sums, totals);

	for (int s = 0; s < sum_count; s++)
		result[s] = horizontal_sum(totals[s]);
	return mm_finish(metric, result);
}

MM_DEFINE_KERNEL_SET(avx2, TARGET, generic);

#endif /* MM_HAVE_X86 */
