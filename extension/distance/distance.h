/*
 * distance.h
 *		Metrics and the kernels that compute them, on raw pointers.
 *
 * Plain C: knows nothing of PostgreSQL.  A vector is a pointer to dims
 * elements of one element type at any address (no alignment is assumed).
 * Kernels exist for several instruction sets; the best one that the CPU has
 * is chosen at run time, the library itself is built for the base set.
 *
 * Accuracy, at any level and up to 16,000 dimensions: for inner product the
 * error is within 1e-6 of sum |a_i b_i|, for L2 and L1 within 1e-6 of the
 * result.  Float32 partial sums are short (8 terms) and then go into float64
 * ones, so the bound holds for any data, not only on average.  Intermediate
 * products are float32: what exceeds 3.4e38 gives infinity.
 */
#ifndef MM_DISTANCE_H
#define MM_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "half.h"

/* Element types.  The values are stored on disk. */
typedef enum MmElem
{
	MM_FLOAT32 = 0,
	MM_FLOAT16 = 1
} MmElem;

typedef enum MmMetric
{
	MM_L2_SQUARED,    /* sum (a_i - b_i)^2 */
	MM_INNER_PRODUCT, /* sum a_i b_i */
	MM_L1,            /* sum |a_i - b_i| */
	MM_COSINE,        /* 1 - a.b / (|a| |b|) within [0, 2], NaN for a zero vector */
	MM_METRIC_COUNT
} MmMetric;

/* Instruction sets; those of one architecture each hold the ones before. */
typedef enum MmSimdLevel
{
	MM_SIMD_AUTO = -1, /* the best that the CPU has */
	MM_SIMD_SCALAR = 0,
	MM_SIMD_AVX2,   /* AVX2, FMA and F16C */
	MM_SIMD_AVX512, /* AVX-512 F, BW, DQ and VL */
	MM_SIMD_NEON,   /* 64-bit ARM */
	MM_SIMD_COUNT
} MmSimdLevel;

/*
 * The element types of the two sides.  All metrics are symmetric, so one
 * mixed kernel serves both orders: its first argument is the float16 side.
 */
typedef enum MmPair
{
	MM_PAIR_F32_F32,
	MM_PAIR_F16_F32,
	MM_PAIR_F16_F16,
	MM_PAIR_COUNT
} MmPair;

typedef double (*MmKernel)(int dims, const void *a, const void *b);

/* The kernels of one level. */
typedef struct MmKernelSet
{
	const char *name;
	MmKernel kernel[MM_METRIC_COUNT][MM_PAIR_COUNT];
} MmKernelSet;

/* The kernels in use; scalar until mm_simd_set_level is called. */
extern const MmKernelSet *mm_kernels;

/* Whether the CPU and this build have a level.  AUTO and SCALAR always. */
extern bool mm_simd_level_available(MmSimdLevel level);

/*
 * Use a level from now on.  Returns false, changing nothing, if it is not
 * available.  Not thread-safe: set it before threads use the kernels.
 */
extern bool mm_simd_set_level(MmSimdLevel level);

/* The level in use, never AUTO; its name is mm_kernels->name. */
extern MmSimdLevel mm_simd_get_level(void);

/* Bytes of one element. */
static inline size_t
mm_elem_size(MmElem elem)
{
	return elem == MM_FLOAT32 ? sizeof(float) : sizeof(uint16_t);
}

/* Element i of a vector, as float32. */
static inline float
mm_elem_get(MmElem elem, const void *vector, int i)
{
	const char *p = (const char *) vector + (size_t) i * mm_elem_size(elem);

	if (elem == MM_FLOAT32)
	{
		float value;

		memcpy(&value, p, sizeof(value));
		return value;
	}
	else
	{
		uint16_t half;

		memcpy(&half, p, sizeof(half));
		return mm_half_to_float(half);
	}
}

/*
 * The metric between two vectors of dims elements (dims >= 1).  The result is
 * symmetric to the last bit.
 */
static inline double
mm_distance(MmMetric metric, int dims, MmElem elem_a, const void *a, MmElem elem_b, const void *b)
{
	MmPair pair = (MmPair) (elem_a + elem_b);

	/* Only the mixed kernel cares which side comes first. */
	if (elem_a < elem_b)
		return mm_kernels->kernel[metric][pair](dims, b, a);
	return mm_kernels->kernel[metric][pair](dims, a, b);
}

#endif /* MM_DISTANCE_H */
