/*
 * kernels.h
 *		What the files of kernels share; private to extension/distance.
 */
#ifndef MM_KERNELS_H
#define MM_KERNELS_H

#include <math.h>

#include "distance.h"

/* Whether x86 kernels can be compiled; the CPU is asked at run time. */
#if (defined(__x86_64__) || defined(__i386__)) && (defined(__GNUC__) || defined(__clang__))
#define MM_HAVE_X86 1
#endif

/* 64-bit ARM always has NEON. */
#if defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
#define MM_HAVE_NEON 1
#endif

#define MM_INLINE static inline __attribute__((always_inline))

/*
 * Terms that a float32 partial sum takes before it goes into a float64 one.
 * With eight, its error is at most 8 roundings of 2^-24, and with those of the
 * terms themselves well within the 1e-6 that distance.h promises.
 */
#define MM_TERMS_PER_BLOCK 8

/* What each metric accumulates: cosine needs a.b, a.a and b.b, others one sum. */
#define MM_MAX_SUMS 3

extern const MmKernelSet mm_kernels_scalar;
#ifdef MM_HAVE_X86
extern const MmKernelSet mm_kernels_avx2;
extern const MmKernelSet mm_kernels_avx512;
#endif
#ifdef MM_HAVE_NEON
extern const MmKernelSet mm_kernels_neon;
#endif

/*
 * Cosine distance from its three sums: a.b, a.a and b.b.
 */
MM_INLINE double
mm_cosine(double dot, double norm_a, double norm_b)
{
	double similarity = dot / sqrt(norm_a * norm_b);

	/* Rounding may lead out of the range; NaN passes both tests. */
	if (similarity > 1)
		similarity = 1;
	else if (similarity < -1)
		similarity = -1;
	return 1 - similarity;
}

/*
 * Define the kernels of one level, and the table of them, out of
 * GENERIC(metric, elem_a, elem_b, dims, a, b), an always-inline function that
 * the compiler specialises: metric and elem are constants here.
 */
#define MM_DEFINE_KERNEL(LEVEL, TARGET, GENERIC, METRIC, PAIR, ELEM_A, ELEM_B)                     \
	TARGET static double LEVEL##_##METRIC##_##PAIR(int dims, const void *a, const void *b)         \
	{                                                                                              \
		return GENERIC(METRIC, ELEM_A, ELEM_B, dims, a, b);                                        \
	}
#define MM_DEFINE_METRIC(LEVEL, TARGET, GENERIC, METRIC)                                           \
	MM_DEFINE_KERNEL(LEVEL, TARGET, GENERIC, METRIC, f32_f32, MM_FLOAT32, MM_FLOAT32)              \
	MM_DEFINE_KERNEL(LEVEL, TARGET, GENERIC, METRIC, f16_f32, MM_FLOAT16, MM_FLOAT32)              \
	MM_DEFINE_KERNEL(LEVEL, TARGET, GENERIC, METRIC, f16_f16, MM_FLOAT16, MM_FLOAT16)
#define MM_METRIC_ROW(LEVEL, METRIC)                                                               \
	[METRIC] = {[MM_PAIR_F32_F32] = LEVEL##_##METRIC##_f32_f32,                                    \
				[MM_PAIR_F16_F32] = LEVEL##_##METRIC##_f16_f32,                                    \
				[MM_PAIR_F16_F16] = LEVEL##_##METRIC##_f16_f16}
#define MM_DEFINE_KERNEL_SET(LEVEL, TARGET, GENERIC)                                               \
	MM_DEFINE_METRIC(LEVEL, TARGET, GENERIC, MM_L2_SQUARED)                                        \
	MM_DEFINE_METRIC(LEVEL, TARGET, GENERIC, MM_INNER_PRODUCT)                                     \
	MM_DEFINE_METRIC(LEVEL, TARGET, GENERIC, MM_L1)                                                \
	MM_DEFINE_METRIC(LEVEL, TARGET, GENERIC, MM_COSINE)                                            \
	const MmKernelSet mm_kernels_##LEVEL = {                                                       \
		.name = #LEVEL,                                                                            \
		.kernel = {MM_METRIC_ROW(LEVEL, MM_L2_SQUARED), MM_METRIC_ROW(LEVEL, MM_INNER_PRODUCT),    \
				   MM_METRIC_ROW(LEVEL, MM_L1), MM_METRIC_ROW(LEVEL, MM_COSINE)}}

#endif /* MM_KERNELS_H */
