/*-------------------------------------------------------------------------
 *
 * test_ivf_kernels.c
 *	  The kernels of faiss_ivf at every level against plain loops over the
 *	  layouts that ivf_kernels.h tells.
 *
 * Every buffer ends where its data ends, so that under SANITIZE=1 a kernel that
 * reads beyond is caught.
 *
 *-------------------------------------------------------------------------
 */
#include "ivf_testing.h"

static const int all_pdims[] = {64, 128, 192, 320, 384, 512, 768, 1024, 2048, 8128, IVF_MAX_PDIMS};
static const int all_rows[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 60};

/*---- integer kernels ----*/

/* What codes and queries hold. */
typedef enum Fill
{
	RANDOM,
	HIGHEST,     /* all codes and the query at their highest */
	LOWEST,      /* the query at its lowest */
	LOW_CODES,   /* 8-bit codes at their lowest too */
	ALTERNATING, /* neighbours of opposite signs */
	PADDED,      /* the query ends in zeros, where any byte is a code */
	FILLS
} Fill;

static int
signed_of(Fill fill, int j, bool is_query)
{
	switch (fill)
	{
		case HIGHEST:
			return 127;
		case LOWEST:
			return is_query ? -127 : 127;
		case LOW_CODES:
			return -127;
		case ALTERNATING:
			return (j % 2 == 0) == is_query ? 127 : -127;
		default:
			return (int) (number() % 255) - 127;
	}
}

static int
padding_of(Fill fill)
{
	return fill == PADDED ? 1 + (int) (number() % (IVF_DIM_STEP - 1)) : 0;
}

static int8_t *
make_query(Fill fill, int pdims, int padding)
{
	int8_t *query = room((size_t) pdims);

	for (int j = 0; j < pdims; j++)
		query[j] = j < pdims - padding ? (int8_t) signed_of(fill, j, true) : 0;
	return query;
}

/* Rows of bytes, stride apart; any byte is two or four codes. */
static uint8_t *
make_packed(Fill fill, int rows, size_t bytes, size_t stride)
{
	size_t size = rows > 0 ? (size_t) (rows - 1) * stride + bytes : 0;
	uint8_t *codes = room(size);

	for (size_t i = 0; i < size; i++)
		codes[i] = fill == RANDOM || fill == PADDED ? (uint8_t) number() : 255;
	return codes;
}

static int8_t *
make_signed(Fill fill, int rows, int pdims, size_t stride, int padding)
{
	size_t size = rows > 0 ? (size_t) (rows - 1) * stride + (size_t) pdims : 0;
	int8_t *codes = room(size);

	for (size_t i = 0; i < size; i++)
	{
		int j = (int) (i % stride);

		codes[i] = j < pdims - padding ? (int8_t) signed_of(fill, j, false) : (int8_t) -128;
	}
	return codes;
}

static int
code_2bit(const uint8_t *row, int pdims, int d)
{
	int plane = pdims / 4;

	return row[d % plane] / (1 << (2 * (d / plane))) % 4;
}

static int
code_4bit(const uint8_t *row, int pdims, int d)
{
	int plane = pdims / 2;

	return d < plane ? row[d] % 16 : row[d - plane] / 16;
}

/* Results with a word behind them that no kernel may touch. */
#define GUARD 0x5a5a5a5a

static void
check_dots(const char *what, const int32_t *out, const int64_t *want, int rows, int pdims,
		   size_t stride, Fill fill)
{
	for (int i = 0; i < rows; i++)
		if (out[i] != want[i])
			fail_msg("%s, %d dimensions, %d rows, stride %zu, fill %d: [%d] is %d, not %lld", what,
					 pdims, rows, stride, fill, i, out[i], (long long) want[i]);
	assert_int_equal(out[rows], GUARD);
}

static void
check_dot_2bit(const IvfKernels *kernels, int rows, int pdims, size_t more, Fill fill)
{
	size_t stride = (size_t) pdims / 4 + more;
	int8_t *query = make_query(fill, pdims, padding_of(fill));
	uint8_t *codes = make_packed(fill, rows, (size_t) pdims / 4, stride);
	int64_t want[64] = {0};
	int32_t out[65];

	out[rows] = GUARD;
	kernels->dot_2bit(codes, stride, rows, query, pdims, out);
	for (int i = 0; i < rows; i++)
		for (int d = 0; d < pdims; d++)
			want[i] += code_2bit(codes + (size_t) i * stride, pdims, d) * query[d];
	check_dots("dot_2bit", out, want, rows, pdims, stride, fill);
	free(query), free(codes);
}

static void
check_dot_8bit(const IvfKernels *kernels, int rows, int pdims, size_t more, Fill fill)
{
	size_t stride = (size_t) pdims + more;
	int padding = padding_of(fill);
	int8_t *query = make_query(fill, pdims, padding);
	int8_t *codes = make_signed(fill, rows, pdims, stride, padding);
	int64_t want[64] = {0};
	int32_t out[65];

	out[rows] = GUARD;
	kernels->dot_8bit(codes, stride, rows, query, pdims, out);
	for (int i = 0; i < rows; i++)
		for (int d = 0; d < pdims; d++)
			want[i] += codes[(size_t) i * stride + (size_t) d] * query[d];
	check_dots("dot_8bit", out, want, rows, pdims, stride, fill);
	free(query), free(codes);
}

typedef void (*CheckDots)(const IvfKernels *kernels, int rows, int pdims, size_t more, Fill fill);

static void
check_all(const IvfKernels *kernels, CheckDots check)
{
	static const size_t more[] = {0, 16, 100};

	for (int p = 0; p < COUNT(all_pdims); p++)
		for (int r = 0; r < COUNT(all_rows); r++)
		{
			for (int fill = 0; fill < FILLS; fill++)
				check(kernels, all_rows[r], all_pdims[p], more[(r + fill) % COUNT(more)],
					  (Fill) fill);
			for (int m = 0; m < COUNT(more); m++)
				check(kernels, all_rows[r], all_pdims[p], more[m], RANDOM);
		}
}

static void
dot_2bit(void **state)
{
	check_all(kernels_of(state), check_dot_2bit);
}

static void
dot_8bit(void **state)
{
	check_all(kernels_of(state), check_dot_8bit);
}

static void
dot_8bit_16(void **state)
{
	const IvfKernels *kernels = kernels_of(state);

	for (int p = 0; p < COUNT(all_pdims); p++)
		for (int k = 0; k < 10 * FILLS; k++)
		{
			Fill fill = (Fill) (k % FILLS);
			int pdims = all_pdims[p], padding = padding_of(fill);
			int8_t *high = make_query(fill, pdims, padding);
			int8_t *code = make_signed(fill, 1, pdims, (size_t) pdims, padding);
			int16_t *query = room((size_t) pdims * sizeof(int16_t));
			int64_t want = 0;

			for (int d = 0; d < pdims; d++)
			{
				/* -127 .. 127 of the whole range */
				query[d] = (int16_t) (high[d] * 32767 / 127);
				if (high[d] == -127)
					query[d] = INT16_MIN;
				want += (int64_t) code[d] * query[d];
			}
			if (kernels->dot_8bit_16(code, query, pdims) != want)
				fail_msg("dot_8bit_16, %d dimensions, fill %d: %lld, not %lld", pdims, fill,
						 (long long) kernels->dot_8bit_16(code, query, pdims), (long long) want);
			free(high), free(code), free(query);
		}
}

static void
dot_4bit(void **state)
{
	const IvfKernels *kernels = kernels_of(state);

	for (int p = 0; p < COUNT(all_pdims); p++)
		for (int k = 0; k < 10 * FILLS; k++)
		{
			Fill fill = (Fill) (k % FILLS);
			int pdims = all_pdims[p];
			int8_t *query = make_query(fill, pdims, padding_of(fill));
			uint8_t *code = make_packed(fill, 1, (size_t) pdims / 2, (size_t) pdims / 2);
			int32_t want = 0;

			for (int d = 0; d < pdims; d++)
				want += code_4bit(code, pdims, d) * query[d];
			if (kernels->dot_4bit(code, query, pdims) != want)
				fail_msg("dot_4bit, %d dimensions, fill %d: %d, not %d", pdims, fill,
						 kernels->dot_4bit(code, query, pdims), want);
			free(query), free(code);
		}
}

/* ties: 0 none, 1 each centre twice, 2 all centres the same */
static void
check_assign(const IvfKernels *kernels, int n, int ncentres, int pdims, Fill fill, int ties)
{
	int8_t *rows = make_signed(fill, n, pdims, (size_t) pdims, 0);
	int8_t *centres = make_signed(fill, ncentres, pdims, (size_t) pdims, 0);
	float *half_norm = values(ncentres);
	int32_t *nearest = room(((size_t) n + 1) * sizeof(int32_t));

	for (int c = 0; c < ncentres; c++)
	{
		half_norm[c] *= 100 * sqrtf((float) pdims);
		if (ties > 0)
		{
			int same = ties == 1 ? ncentres - 1 - c : 0;

			memcpy(centres + (size_t) c * pdims, centres + (size_t) same * pdims, (size_t) pdims);
			half_norm[c] = half_norm[same];
		}
	}
	nearest[n] = GUARD;
	kernels->assign(rows, n, centres, half_norm, ncentres, pdims, nearest);
	for (int i = 0; i < n; i++)
	{
		int want = -1;
		float best = 0;

		for (int c = 0; c < ncentres; c++)
		{
			int64_t dot = 0;
			float score;

			for (int d = 0; d < pdims; d++)
				dot += rows[(size_t) i * pdims + d] * centres[(size_t) c * pdims + d];
			score = (float) dot - half_norm[c];
			if (want < 0 || score > best)
			{
				want = c;
				best = score;
			}
		}
		if (nearest[i] != want)
			fail_msg("assign of %d rows to %d centres, %d dimensions, fill %d: [%d] is %d, not %d",
					 n, ncentres, pdims, fill, i, nearest[i], want);
	}
	assert_int_equal(nearest[n], GUARD);
	free(rows), free(centres), free(half_norm), free(nearest);
}

static void
assign(void **state)
{
	static const int rows[] = {0, 1, 2, 3, 4, 5, 63, 64, 65, 131};
	static const int centres[] = {1, 2, 3, 4, 5, 7, 8, 50};
	static const int pdims[] = {64, 192, 512};
	const IvfKernels *kernels = kernels_of(state);

	for (int p = 0; p < COUNT(pdims); p++)
		for (int r = 0; r < COUNT(rows); r++)
			for (int c = 0; c < COUNT(centres); c++)
				check_assign(kernels, rows[r], centres[c], pdims[p], RANDOM, (r + c) % 3);
	for (int fill = 0; fill < FILLS; fill++)
	{
		check_assign(kernels, 9, 11, 8128, (Fill) fill, 0);
		check_assign(kernels, 5, 23, IVF_MAX_PDIMS, (Fill) fill, 1);
	}
	check_assign(kernels, 70, 632, 64, RANDOM, 0);
}

/*---- float kernels ----*/

static void
check_estimate(const IvfKernels *kernels, int rows, bool with_bias)
{
	float *scale = values(rows), *bias = with_bias ? values(rows) : NULL;
	float *estimate = values(rows + 1), *upper = values(rows + 1);
	float base = value(), step = value() / 100, offset = value() * 10, slack = value();
	float after_estimate = estimate[rows], after_upper = upper[rows];
	int32_t *dot = room((size_t) rows * sizeof(int32_t));
	double squares, want_squares = 0;

	for (int i = 0; i < rows; i++)
		dot[i] = ((int32_t) number() - (1 << 23)) * (i % 5 == 0 ? 16 : 1);
	squares = kernels->estimate(dot, scale, bias, rows, base, step, offset, slack, estimate, upper);
	for (int i = 0; i < rows; i++)
	{
		/* volatile: rounded after every operation */
		volatile float t = (float) dot[i];
		volatile float product, want;

		t = step * t;
		t = t + offset;
		product = scale[i] * t;
		want = base + product;
		want = want + (with_bias ? bias[i] : 0);
		if (estimate[i] != want)
			fail_msg("estimate of %d rows: [%d] is %a, not %a", rows, i, estimate[i], want);
		t = slack * scale[i];
		want = want + t;
		if (upper[i] != want)
			fail_msg("estimate of %d rows: upper[%d] is %a, not %a", rows, i, upper[i], want);
		want_squares += (double) product * product;
	}
	assert_true(fabs(squares - want_squares) <= 1e-12 * want_squares);
	assert_true(estimate[rows] == after_estimate && upper[rows] == after_upper);
	free(scale), free(bias), free(estimate), free(upper), free(dot);
}

static void
estimate(void **state)
{
	const IvfKernels *kernels = kernels_of(state);

	for (int k = 0; k < 100; k++)
		for (int r = 0; r < COUNT(all_rows); r++)
			check_estimate(kernels, all_rows[r], k % 2 == 0);
}

static void
collect(void **state)
{
	const IvfKernels *kernels = kernels_of(state);
	const float thresholds[] = {-INFINITY, INFINITY, -1, -0.5f, -0.0f, 0, 0.25f, 1, 2};

	for (int n = 0; n <= 80; n++)
		for (int t = 0; t < COUNT(thresholds); t++)
		{
			/* few values, so that many equal the threshold */
			float *x = room((size_t) n * sizeof(float));
			uint32_t *out = room((size_t) n * sizeof(uint32_t));
			int count, want = 0;

			for (int i = 0; i < n; i++)
				x[i] = number() % 10 == 0 ? INFINITY : (float) ((int) (number() % 9) - 4) / 4;
			if (n > 0)
				x[number() % (uint32_t) n] = -INFINITY;
			count = kernels->collect(x, n, thresholds[t], out);
			for (int i = 0; i < n; i++)
			{
				if (!(x[i] >= thresholds[t]))
					continue;
				if (want >= count || out[want] != (uint32_t) i)
					fail_msg("collect of %d values: %d is not [%d]", n, i, want);
				want++;
			}
			assert_int_equal(count, want);
			free(x), free(out);
		}
}

static int
parity(int bits)
{
	return bits == 0 ? 0 : (bits & 1) ^ parity(bits >> 1);
}

static void
hadamard(void **state)
{
	const IvfKernels *kernels = kernels_of(state);

	for (int n = 1; n <= 16384; n *= 2)
	{
		float *x = values(n), *y = room((size_t) n * sizeof(float));
		float *plain = room((size_t) n * sizeof(float));

		/* both zeros, whose signs are bits too */
		for (int i = 0; i < n; i += 5)
			x[i] = i % 2 == 0 ? 0.0f : -0.0f;
		memcpy(y, x, (size_t) n * sizeof(float));
		memcpy(plain, x, (size_t) n * sizeof(float));
		kernels->hadamard(y, n);
		plain_hadamard(plain, n);
		assert_memory_equal(y, plain, (size_t) n * sizeof(float));
		for (int i = 0; i < n && n <= 1024; i++)
		{
			double sum = 0;

			for (int j = 0; j < n; j++)
				sum += parity(i & j) ? -x[j] : x[j];
			if (!(fabs(y[i] - sum) <= 1e-6 * n))
				fail_msg("hadamard of %d: [%d] is %g, not %g", n, i, y[i], sum);
		}
		free(x), free(y), free(plain);
	}
}

int
main(void)
{
	static MmSimdLevel levels[] = {MM_SIMD_SCALAR, MM_SIMD_AVX2, MM_SIMD_AVX512};
	const struct CMUnitTest tests[] = {
		AT_EVERY_LEVEL(dot_2bit), AT_EVERY_LEVEL(dot_8bit), AT_EVERY_LEVEL(dot_8bit_16),
		AT_EVERY_LEVEL(dot_4bit), AT_EVERY_LEVEL(assign),   AT_EVERY_LEVEL(estimate),
		AT_EVERY_LEVEL(collect),  AT_EVERY_LEVEL(hadamard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
