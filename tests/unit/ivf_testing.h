/*-------------------------------------------------------------------------
 *
 * ivf_testing.h
 *	  What the tests of faiss_ivf's kernels share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TEST_IVF_TESTING_H
#define TEST_IVF_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "distance/distance.h"
#include "index/ivf_kernels.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof((array)[0])))

/* Reproducible values. */
static uint32_t seed;

static inline uint32_t
number(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* Within [-1, 1). */
static inline float
value(void)
{
	return (float) ((int32_t) number() - (1 << 23)) / (1 << 23);
}

static inline void *
room(size_t size)
{
	void *p = malloc(size > 0 ? size : 1);

	assert_non_null(p);
	return p;
}

static inline float *
values(int n)
{
	float *x = room((size_t) n * sizeof(float));

	for (int i = 0; i < n; i++)
		x[i] = value();
	return x;
}

/* The kernels of the level that a test has for its state. */
static inline const IvfKernels *
kernels_of(void **state)
{
	static const char *const names[MM_SIMD_COUNT] = {"scalar", "avx2", "avx512"};
	MmSimdLevel level = *(const MmSimdLevel *) *state;

	if (!mm_simd_set_level(level))
	{
		print_message("%s is not available here\n", names[level]);
		skip();
	}
	assert_string_equal(ivf_kernels()->name, names[level]);
	seed = 1;
	return ivf_kernels();
}

/* The sums in the order that every level keeps: neighbours first. */
static inline void
plain_hadamard(float *x, int n)
{
	for (int h = 1; h < n; h *= 2)
		for (int i = 0; i < n; i++)
			if ((i & h) == 0)
			{
				volatile float sum = x[i] + x[i + h];
				volatile float difference = x[i] - x[i + h];

				x[i] = sum;
				x[i + h] = difference;
			}
}

/* For main, where levels are those of MmSimdLevel in order. */
#define AT_EVERY_LEVEL(test)                                                                       \
	cmocka_unit_test_prestate(test, &levels[0]), cmocka_unit_test_prestate(test, &levels[1]),      \
		cmocka_unit_test_prestate(test, &levels[2])

#endif /* TEST_IVF_TESTING_H */
