/*
 * ivf_kernels_x86.h
 *		What the x86 kernels of faiss_ivf share; private to ivf_kernels*.c.
 */
#ifndef MM_IVF_KERNELS_X86_H
#define MM_IVF_KERNELS_X86_H

#include "../distance/kernels.h"
#include "ivf_kernels.h"

extern const IvfKernels ivf_kernels_scalar;

#ifdef MM_HAVE_X86
#include <immintrin.h>

#define IVF_TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))

extern const IvfKernels ivf_kernels_avx2;
extern const IvfKernels ivf_kernels_avx512;

/* Rows that a kernel takes at once, so that one load of the query serves all. */
#define IVF_GROUP 4

/* Pointers to the rows of a group. */
typedef struct IvfGroup
{
	const void *row[IVF_GROUP];
} IvfGroup;

/*
 * The group that begins at row first.  Behind the last row it repeats that, so
 * that nothing beyond the rows is read.
 */
MM_INLINE IvfGroup
ivf_group(const void *rows, size_t stride, int first, int count)
{
	const char *row = (const char *) rows + (size_t) first * stride;
	IvfGroup group;

	/* Spelled out: in a loop, compilers would keep the group in memory. */
	group.row[0] = row;
	group.row[1] = row += first + 1 < count ? stride : 0;
	group.row[2] = row += first + 2 < count ? stride : 0;
	group.row[3] = row += first + 3 < count ? stride : 0;
	return group;
}

/*
 * Compare a group of rows with the centres first .. end - 1, in ascending
 * order: where score[i] is less than that of row i and a centre, it and
 * nearest[i] become that centre's.
 */
typedef void (*IvfAssignGroup)(IvfGroup group, const int8_t *centres, const float *half_norm,
							   int first, int end, int pdims, float *score, int32_t *nearest);

/* IvfKernels.assign, by groups of rows and blocks of centres that fit the caches. */
extern void ivf_assign_blocked(const int8_t *rows, int n, const int8_t *centres,
							   const float *half_norm, int ncentres, int pdims, int32_t *nearest,
							   IvfAssignGroup assign_group);

/* Kernels of AVX2 that the table of AVX-512 takes as they are. */
extern int64_t ivf_dot_8bit_16_avx2(const int8_t *code, const int16_t *query, int pdims);
extern int32_t ivf_dot_4bit_avx2(const uint8_t *code, const int8_t *query, int pdims);
extern double ivf_estimate_avx2(const int32_t *dot, const float *scale, const float *bias, int rows,
								float base, float step, float offset, float slack, float *estimate,
								float *upper);
extern int ivf_collect_avx2(const float *values, int n, float threshold, uint32_t *out);
extern void ivf_hadamard_avx2(float *x, int n);

/* The sums of the elements of a, b, c and d. */
IVF_TARGET_AVX2 MM_INLINE __m128i
ivf_sum_each(__m256i a, __m256i b, __m256i c, __m256i d)
{
	__m256i sums = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));

	return _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

/* Store the results of the group that begins at row first. */
IVF_TARGET_AVX2 MM_INLINE void
ivf_store_group(int32_t *out, int first, int count, __m128i sums)
{
	if (count - first >= IVF_GROUP)
		_mm_storeu_si128((__m128i *) (out + first), sums);
	else
	{
		int32_t buffer[IVF_GROUP];

		_mm_storeu_si128((__m128i *) buffer, sums);
		memcpy(out + first, buffer, (size_t) (count - first) * sizeof(int32_t));
	}
}

/* Take centre c for those rows of a group where it scores higher than so far. */
IVF_TARGET_AVX2 MM_INLINE void
ivf_take_centre(__m128i dots, int c, float half_norm, __m128 *score, __m128i *nearest)
{
	__m128 candidate = _mm_sub_ps(_mm_cvtepi32_ps(dots), _mm_set1_ps(half_norm));
	__m128 higher = _mm_cmpgt_ps(candidate, *score);

	*score = _mm_blendv_ps(*score, candidate, higher);
	*nearest = _mm_blendv_epi8(*nearest, _mm_set1_epi32(c), _mm_castps_si128(higher));
}

#endif /* MM_HAVE_X86 */

#endif /* MM_IVF_KERNELS_X86_H */
