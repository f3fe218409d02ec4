/*-------------------------------------------------------------------------
 *
 * test_quantize.c
 *	  Weights of lower precision: how they are rounded, and which columns stay
 *	  as they were.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include "layers.h"
#include "testing.h"

static float
float_of(uint32_t bits)
{
	return mm_bits_to_float(bits);
}

static void
bf16_rounding(void **state)
{
	static const struct
	{
		uint32_t bits;
		uint16_t want;
	} cases[] = {
		{0x3f800000, 0x3f80}, /* 1 */
		{0x3f808000, 0x3f80}, /* half way, to even: down */
		{0x3f818000, 0x3f82}, /* half way, to even: up */
		{0x3f808001, 0x3f81}, /* just over half */
		{0x3f817fff, 0x3f81}, /* just under */
		{0xbf808000, 0xbf80}, {0xbf818000, 0xbf82},
		{0x3fffffff, 0x4000}, /* into the next power of two */
		{0x00000000, 0x0000}, {0x80000000, 0x8000},
		{0x00008001, 0x0001}, /* subnormal */
		{0x007fffff, 0x0080}, /* subnormal, into normal */
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint16_t got = mm_float_to_bf16(float_of(cases[i].bits));

		if (got != cases[i].want)
			fail_msg("%08x is rounded to %04x, not %04x", cases[i].bits, got, cases[i].want);
	}
	/* what bf16 can hold comes back, every value of it */
	for (uint32_t x = 0; x < 0x10000; x++)
		if ((x & 0x7f80) != 0x7f80)
			assert_int_equal(mm_float_to_bf16(mm_bf16_to_float((uint16_t) x)), x);
}

/* Every float16, against its definition. */
static void
f16(void **state)
{
	(void) state;
	for (uint32_t x = 0; x < 0x10000; x++)
	{
		int exponent = x >> 10 & 31, fraction = x & 1023;
		double want = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
		float got = mm_f16_to_float((uint16_t) x);

		if (exponent == 31)
			assert_true(fraction ? isnan(got) : isinf(got));
		else
			assert_true(got == (x & 0x8000 ? -want : want));
		if (!isnan(got))
			assert_true(!signbit(got) == !(x & 0x8000));
	}
}

static void
bf16_weights(void **state)
{
	(void) state;
	layer_seed = 1;
	for (int k = 1; k < 40; k += 3)
		for (int n = 1; n < 50; n += 12)
		{
			float *w = layer_values((size_t) n * k), *packed = layer_pack(n, k, w);
			mm_quantized q;

			assert_true(mm_quantize(MM_PRECISION_BF16, n, k, packed, NULL, &q));
			for (int o = 0; o < n; o++)
				for (int i = 0; i < k; i++)
					assert_true(layer_weight(&q, MM_PRECISION_BF16, n, k, o, i) ==
								mm_bf16_to_float(mm_float_to_bf16(w[(size_t) o * k + i])));
			mm_quantized_free(&q);
			free(w), free(packed);
		}
}

/* Within half a level of 127 a group; and the sums are those of the levels. */
static void
int8_weights(void **state)
{
	static const int inputs[] = {1, 3, 4, 127, 128, 129, 600};

	(void) state;
	layer_seed = 2;
	for (int c = 0; c < 7; c++)
	{
		int n = 19, k = inputs[c];
		float *w = layer_values((size_t) n * k), *packed = layer_pack(n, k, w);
		mm_quantized q;

		assert_true(mm_quantize(MM_PRECISION_INT8, n, k, packed, NULL, &q));
		for (int o = 0; o < mm_padded(n); o++)
			for (int g = 0; g < mm_groups(k); g++)
			{
				size_t at = (size_t) g * mm_padded(n) + o;
				int end = (g + 1) * MM_GROUP < k ? (g + 1) * MM_GROUP : k;
				double widest = 0, sum = 0;

				for (int i = g * MM_GROUP; i < end && o < n; i++)
				{
					double got = layer_weight(&q, MM_PRECISION_INT8, n, k, o, i);

					widest = fmax(widest, fabs(w[(size_t) o * k + i]));
					sum += got;
					assert_true(fabs(got - w[(size_t) o * k + i]) <= 0.5001 * q.scale[at]);
				}
				assert_true(fabs(q.scale[at] - widest / 127) <= 1e-7 * widest);
				assert_true(fabs(q.sum[at] - sum) <= 1e-5 * (fabs(sum) + widest));
			}
		mm_quantized_free(&q);
		free(w), free(packed);
	}
}

/* Scales that would be no normal numbers are 0, and so is all that they are for. */
static void
tiny_weights(void **state)
{
	static const float sizes[] = {1e-44f, 1e-40f, 1e-37f};
	const int n = 3, k = 5;

	(void) state;
	for (int s = 0; s < 3; s++)
	{
		float w[15], *packed;
		mm_quantized q;

		for (int i = 0; i < n * k; i++)
			w[i] = (i % 2 ? -1 : 1) * sizes[s];
		packed = layer_pack(n, k, w);
		assert_true(mm_quantize(MM_PRECISION_INT8, n, k, packed, NULL, &q));
		for (int o = 0; o < n; o++)
			for (int i = 0; i < k; i++)
				assert_true(layer_weight(&q, MM_PRECISION_INT8, n, k, o, i) == 0);
		mm_quantized_free(&q);
		free(packed);
	}
}

/* Columns that stay, of ranges; as many as wanted, or the test fails. */
static void
expect_columns(int k, const float *ranges, int wanted, const int *columns, const char *what)
{
	float *w, *packed;
	mm_quantized q;

	w = layer_values(k);
	packed = layer_pack(1, k, w);
	assert_true(mm_quantize(MM_PRECISION_INT8, 1, k, packed, ranges, &q));
	if (q.outliers != wanted)
		fail_msg("%s: %d columns, not %d", what, q.outliers, wanted);
	for (int i = 0; i < wanted; i++)
	{
		if (q.columns[i] != columns[i])
			fail_msg("%s: column %d where %d is wanted", what, q.columns[i], columns[i]);
		assert_true(q.outlier_w[i * MM_PANEL] == w[columns[i]]);
		/* and nothing of it is left among the others */
		assert_int_equal(((int8_t *) q.w)[columns[i] / 4 * MM_PANEL * 4 + columns[i] % 4], 0);
	}
	mm_quantized_free(&q);
	free(w), free(packed);
}

static void
outlier_columns(void **state)
{
	enum
	{
		K = 100
	};
	float ranges[K];
	int columns[K];

	(void) state;
	layer_seed = 3;
	for (int i = 0; i < K; i++)
		ranges[i] = 1;
	expect_columns(K, ranges, 0, NULL, "all alike");
	expect_columns(K, NULL, 0, NULL, "nothing seen");
	ranges[0] = ranges[1] = ranges[16] = ranges[99] = 4;
	expect_columns(K, ranges, 0, NULL, "just four times the median");
	ranges[0] = ranges[1] = ranges[16] = ranges[99] = 4.01f;
	expect_columns(K, ranges, 4, (int[]){0, 1, 16, 99}, "more than four times");

	/* 20 of them, wider to the right: the 16 widest */
	for (int i = 0; i < 20; i++)
	{
		ranges[5 * i] = 10 + i;
		columns[i] = 5 * (i + 4);
	}
	ranges[1] = ranges[16] = ranges[99] = 1;
	expect_columns(K, ranges, MM_OUTLIERS, columns, "twenty");

	/* 30 that are as wide as the 16th: those beyond it come before them */
	for (int i = 0; i < K; i++)
		ranges[i] = i < 30 ? 10 : 1;
	for (int i = 0; i < 6; i++)
		ranges[90 + i] = 20;
	for (int i = 0; i < MM_OUTLIERS; i++)
		columns[i] = i < 10 ? i : 80 + i;
	expect_columns(K, ranges, MM_OUTLIERS, columns, "ties");

	/* most see nothing at all */
	for (int i = 0; i < K; i++)
		ranges[i] = i % 10 == 3 ? 1 : 0;
	for (int i = 0; i < 10; i++)
		columns[i] = 10 * i + 3;
	expect_columns(K, ranges, 10, columns, "a median of zero");
	memset(ranges, 0, sizeof(ranges));
	expect_columns(K, ranges, 0, NULL, "nothing but zeros");

	/* no more columns than may stay */
	for (int k = 1; k <= MM_OUTLIERS; k++)
	{
		for (int i = 0; i < k; i++)
			ranges[i] = i == k / 2 ? 100 : 1;
		expect_columns(k, ranges, k > 2 ? 1 : 0, (int[]){k / 2}, "a narrow layer");
	}
}

/* What is seen of the inputs: the widest of any row of any pass. */
static void
observed_ranges(void **state)
{
	mm_weight weights[100] = {{.n = 1, .k = 3}};
	const float a[] = {1, -2, 0, 9, 0.5f, 3, -0.25f, 9};
	mm_ranges ranges = {0};
	const float *max;

	(void) state;
	mm_ranges_observe(&ranges, &weights[0], &(mm_linear_io){.m = 2, .a = a, .lda = 4});
	max = mm_ranges_of(&ranges, &weights[0]);
	assert_non_null(max);
	assert_true(max[0] == 1 && max[1] == 3 && max[2] == 0.25f);
	mm_ranges_observe(&ranges, &weights[0],
					  &(mm_linear_io){.m = 1, .a = (float[]){-7, 0, 0}, .lda = 3});
	max = mm_ranges_of(&ranges, &weights[0]);
	assert_true(max[0] == 7 && max[1] == 3 && max[2] == 0.25f);
	assert_null(mm_ranges_of(&ranges, &weights[1]));

	/* more layers than there is room for at first */
	for (int i = 1; i < 100; i++)
	{
		weights[i] = (mm_weight){.n = 1, .k = 1};
		mm_ranges_observe(&ranges, &weights[i], &(mm_linear_io){.m = 1, .a = a + 1, .lda = 1});
	}
	assert_false(ranges.failed);
	for (int i = 1; i < 100; i++)
		assert_true(mm_ranges_of(&ranges, &weights[i])[0] == 2);
	mm_ranges_free(&ranges);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bf16_rounding),   cmocka_unit_test(f16),
		cmocka_unit_test(bf16_weights),    cmocka_unit_test(int8_weights),
		cmocka_unit_test(tiny_weights),    cmocka_unit_test(outlier_columns),
		cmocka_unit_test(observed_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
