/*-------------------------------------------------------------------------
 *
 * test_ivf_rotation.c
 *	  faiss_ivf's rotation: that it is one, spreads what it rotates, and is the
 *	  same everywhere.
 *
 *-------------------------------------------------------------------------
 */
#include "ivf_testing.h"

static const int all_dims[] = {1, 2, 3, 5, 7, 8, 9, 64, 100, 384, 512, 768, 1000, 8128};

static IvfRotation *
make_rotation(int dims, uint64_t rotation_seed)
{
	IvfRotation *rotation = room(ivf_rotation_size(dims));

	ivf_rotation_init(rotation, dims, rotation_seed);
	assert_int_equal(rotation->dims, dims);
	assert_true(rotation->block <= dims && rotation->block > dims / 2);
	assert_int_equal(rotation->block & (rotation->block - 1), 0);
	return rotation;
}

static double
inner_product(const float *a, const float *b, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += (double) a[i] * b[i];
	return sum;
}

/* What the rotation is, by the plain transform. */
static void
plain_rotate(const IvfRotation *rotation, float *x)
{
	const float *sign = (const float *) (rotation + 1);

	for (int round = 0; round < rotation->rounds; round++)
	{
		int start = round % 2 == 0 ? 0 : rotation->dims - rotation->block;

		for (int i = 0; i < rotation->dims; i++)
			x[i] *= *sign++;
		for (int i = 0; i < rotation->block; i++)
		{
			volatile float scaled = x[start + i] * (float) (1 / sqrt(rotation->block));

			x[start + i] = scaled;
		}
		plain_hadamard(x + start, rotation->block);
	}
}

static void
rotate(void **state)
{
	kernels_of(state);
	for (int k = 0; k < COUNT(all_dims); k++)
	{
		int dims = all_dims[k];
		size_t size = (size_t) dims * sizeof(float);
		IvfRotation *rotation = make_rotation(dims, (uint64_t) k);
		float *a = values(dims), *b = values(dims);
		float *x = room(size), *y = room(size), *plain = room(size);
		double aa = inner_product(a, a, dims), bb = inner_product(b, b, dims);
		double tolerance = 1e-5 * sqrt(aa * bb);

		memcpy(x, a, size);
		memcpy(y, b, size);
		memcpy(plain, a, size);
		ivf_rotate(rotation, x);
		ivf_rotate(rotation, y);
		plain_rotate(rotation, plain);
		assert_memory_equal(x, plain, size);
		assert_true(fabs(inner_product(x, x, dims) - aa) <= 1e-5 * aa);
		assert_true(fabs(inner_product(y, y, dims) - bb) <= 1e-5 * bb);
		assert_true(fabs(inner_product(x, y, dims) - inner_product(a, b, dims)) <= tolerance);
		free(rotation), free(a), free(b), free(x), free(y), free(plain);
	}
}

/* A vector with one coordinate comes out with none that stands out. */
static void
check_spread(int dims, float limit)
{
	for (uint64_t k = 0; k < 5; k++)
	{
		IvfRotation *rotation = make_rotation(dims, k * UINT64_C(0x123456789abcdef));
		float *x = room((size_t) dims * sizeof(float));

		for (int hot = 0; hot < dims; hot++)
		{
			for (int i = 0; i < dims; i++)
				x[i] = i == hot ? 1.0f : 0.0f;
			ivf_rotate(rotation, x);
			for (int i = 0; i < dims; i++)
				if (!(fabsf(x[i]) < limit))
					fail_msg("%d dimensions, seed %d: [%d] of %d is %g", dims, (int) k, i, hot,
							 x[i]);
		}
		free(rotation), free(x);
	}
}

static void
spread(void **state)
{
	kernels_of(state);
	check_spread(512, 0.35f);
	check_spread(384, 0.35f);
	check_spread(768, 0.35f);
	check_spread(1000, 0.35f);
}

/* An index outlives the machine: the signs are those of the published generator. */
static void
signs(void **state)
{
	static const uint64_t numbers[] = {UINT64_C(0xe220a8397b1dcdaf), UINT64_C(0x6e789e6aa1b965f4),
									   UINT64_C(0x06c45d188009454f)};
	IvfRotation *rotation = make_rotation(64, 0), *again = make_rotation(64, 0);
	IvfRotation *other = make_rotation(64, 1);
	const float *sign = (const float *) (rotation + 1);

	(void) state;
	assert_int_equal(rotation->rounds, 3);
	assert_int_equal(ivf_rotation_size(64), sizeof(IvfRotation) + 3 * 64 * sizeof(float));
	for (int i = 0; i < 3 * 64; i++)
		assert_true(sign[i] == ((numbers[i / 64] >> (i % 64)) & 1 ? -1.0f : 1.0f));
	assert_memory_equal(rotation, again, ivf_rotation_size(64));
	assert_memory_not_equal(rotation, other, ivf_rotation_size(64));
	free(rotation), free(again), free(other);
}

int
main(void)
{
	static MmSimdLevel levels[] = {MM_SIMD_SCALAR, MM_SIMD_AVX2, MM_SIMD_AVX512};
	const struct CMUnitTest tests[] = {
		AT_EVERY_LEVEL(rotate),
		AT_EVERY_LEVEL(spread),
		cmocka_unit_test(signs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
