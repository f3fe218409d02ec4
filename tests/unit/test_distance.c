/*-------------------------------------------------------------------------
 *
 * test_distance.c
 *	  Distances at every level against sums in float64, within the bounds that
 *	  distance.h promises, and symmetric to the bit.
 *
 *-------------------------------------------------------------------------
 */
#include "ivf_testing.h"

static const int all_dims[] = {1,  2,  3,  7,   8,   9,   15,  16,   17,   31,   32,   33,
							   63, 64, 65, 127, 255, 384, 512, 1000, 1536, 4099, 16000};

static const MmSimdLevel levels[] = {MM_SIMD_SCALAR, MM_SIMD_AVX2, MM_SIMD_AVX512, MM_SIMD_NEON};

static void
need_level(void **state)
{
	if (!mm_simd_set_level(*(const MmSimdLevel *) *state))
		skip();
	seed = 1;
}

/* A vector that ends where its room does, so that reading beyond is caught. */
static void *
vector(MmElem elem, int dims)
{
	float *x = values(dims);
	uint16_t *half;

	if (elem == MM_FLOAT32)
		return x;
	half = room((size_t) dims * sizeof(uint16_t));
	for (int i = 0; i < dims; i++)
		half[i] = mm_float_to_half(x[i]);
	free(x);
	return half;
}

/* The metric in float64, and what its error is measured by. */
static double
reference(MmMetric metric, MmElem elem_a, const void *a, MmElem elem_b, const void *b, int dims,
		  double *scale)
{
	double dot = 0, dots = 0, aa = 0, bb = 0, l2 = 0, l1 = 0;

	for (int i = 0; i < dims; i++)
	{
		double x = mm_elem_get(elem_a, a, i);
		double y = mm_elem_get(elem_b, b, i);

		dot += x * y, dots += fabs(x * y);
		aa += x * x, bb += y * y;
		l2 += (x - y) * (x - y), l1 += fabs(x - y);
	}
	switch (metric)
	{
		case MM_L2_SQUARED:
			*scale = l2;
			return l2;
		case MM_L1:
			*scale = l1;
			return l1;
		case MM_COSINE:
			*scale = 3;
			return 1 - dot / sqrt(aa * bb);
		default:
			*scale = dots;
			return dot;
	}
}

static void
check_pair(MmElem elem_a, MmElem elem_b, int dims)
{
	void *a = vector(elem_a, dims);
	void *b = vector(elem_b, dims);

	for (int metric = 0; metric < MM_METRIC_COUNT; metric++)
	{
		double scale;
		double want = reference((MmMetric) metric, elem_a, a, elem_b, b, dims, &scale);
		double got = mm_distance((MmMetric) metric, dims, elem_a, a, elem_b, b);
		double turned = mm_distance((MmMetric) metric, dims, elem_b, b, elem_a, a);

		if (!(fabs(got - want) <= 1e-6 * scale + 1e-30))
			fail_msg("metric %d of %d dims, elems %d and %d: %.17g, not %.17g", metric, dims,
					 elem_a, elem_b, got, want);
		if (got != turned)
			fail_msg("metric %d of %d dims is not symmetric", metric, dims);
	}
	free(a), free(b);
}

static void
distances(void **state)
{
	need_level(state);
	for (int d = 0; d < COUNT(all_dims); d++)
		for (int pair = 0; pair < 4; pair++)
			check_pair((MmElem) (pair / 2), (MmElem) (pair % 2), all_dims[d]);
}

/* All float16 values, the subnormal ones too, are widened exactly. */
static void
halves(void **state)
{
	uint16_t all[64];
	float one[64];

	need_level(state);
	for (int i = 0; i < 64; i++)
		one[i] = 0;
	for (uint32_t start = 0; start < 0x10000; start += 64)
		for (int i = 0; i < 64; i++)
		{
			double got;

			for (int j = 0; j < 64; j++)
				all[j] = (start + j) % 0x8000 < 0x7c00 ? (uint16_t) (start + j) : 0;
			one[i] = 1;
			got = mm_distance(MM_INNER_PRODUCT, 64, MM_FLOAT16, all, MM_FLOAT32, one);
			one[i] = 0;
			if (got != mm_half_to_float(all[i]))
				fail_msg("float16 %04x is %g", all[i], got);
		}
}

/* A zero vector has no cosine, and equal vectors are at no distance. */
static void
edges(void **state)
{
	float zeros[40] = {0};
	float *x = values(40);

	need_level(state);
	assert_true(isnan(mm_distance(MM_COSINE, 40, MM_FLOAT32, zeros, MM_FLOAT32, x)));
	assert_true(mm_distance(MM_L2_SQUARED, 40, MM_FLOAT32, x, MM_FLOAT32, x) == 0);
	assert_true(mm_distance(MM_L1, 40, MM_FLOAT32, x, MM_FLOAT32, x) == 0);
	assert_true(fabs(mm_distance(MM_COSINE, 40, MM_FLOAT32, x, MM_FLOAT32, x)) < 1e-12);
	free(x);
}

#define AT_LEVELS(test)                                                                            \
	cmocka_unit_test_prestate(test, (void *) &levels[0]),                                          \
		cmocka_unit_test_prestate(test, (void *) &levels[1]),                                      \
		cmocka_unit_test_prestate(test, (void *) &levels[2]),                                      \
		cmocka_unit_test_prestate(test, (void *) &levels[3])

int
main(void)
{
	const struct CMUnitTest tests[] = {AT_LEVELS(distances), AT_LEVELS(halves), AT_LEVELS(edges)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
