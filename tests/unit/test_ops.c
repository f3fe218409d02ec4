/*-------------------------------------------------------------------------
 *
 * test_ops.c
 *	  The operations at every level against plain loops in float64, at odd
 *	  sizes, and their promise that a row does not depend on the other rows.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include "layers.h"
#include "testing.h"

static float *
values(size_t n)
{
	float *x = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64 + 64);

	assert_non_null(x);
	for (size_t i = 0; i < n; i++)
		x[i] = layer_value();
	return x;
}

static const mm_ops *
ops_of(void **state)
{
	mm_isa isa = *(const mm_isa *) *state;

	test_need_isa(isa);
	layer_seed = 1;
	return mm_ops_for(isa);
}

static void
check_linear(const mm_ops *ops, int m, int n, int k, mm_activation act, bool with_residual)
{
	int lda = k + 3, ldc = mm_padded(n) + 16;
	float *a = values((size_t) m * lda), *w = values((size_t) n * k), *packed = layer_pack(n, k, w);
	float *bias = values(mm_padded(n)), *residual = values((size_t) m * ldc);
	float *c = values((size_t) m * ldc), *one = values(ldc);
	mm_linear_args args = {.m = m,
						   .n = n,
						   .k = k,
						   .a = a,
						   .lda = lda,
						   .w = packed,
						   .bias = bias,
						   .residual = with_residual ? residual : NULL,
						   .c = c,
						   .ldc = ldc,
						   .act = act};

	ops->linear(&args);
	for (int i = 0; i < m; i++)
	{
		for (int o = 0; o < n; o++)
		{
			double sum = bias[o], scale = 1;

			for (int j = 0; j < k; j++)
			{
				sum += (double) a[i * lda + j] * w[o * k + j];
				scale += fabs((double) a[i * lda + j] * w[o * k + j]);
			}
			sum = layer_activated(sum, act) + (with_residual ? residual[i * ldc + o] : 0);
			if (!(fabs(c[i * ldc + o] - sum) <= 1e-6 * scale))
				fail_msg("linear %d x %d x %d, act %d: [%d][%d] is %g, not %g", m, n, k, act, i, o,
						 c[i * ldc + o], sum);
		}
	}
	/* alone, a row has the same bits */
	for (int i = 0; i < m; i++)
	{
		mm_linear_args alone = args;

		alone.m = 1;
		alone.a = a + (size_t) i * lda;
		alone.residual = with_residual ? residual + (size_t) i * ldc : NULL;
		alone.c = one;
		ops->linear(&alone);
		assert_memory_equal(one, c + (size_t) i * ldc, n * sizeof(float));
	}
	/* residual and result in one place */
	if (with_residual)
	{
		args.c = residual;
		ops->linear(&args);
		for (int i = 0; i < m; i++)
			assert_memory_equal(residual + (size_t) i * ldc, c + (size_t) i * ldc,
								n * sizeof(float));
	}
	free(a), free(w), free(packed), free(bias), free(residual), free(c), free(one);
}

static void
linear(void **state)
{
	static const int rows[] = {1, 2, 3, 5, 6, 7, 8, 9, 13, 31};
	static const int outputs[] = {1, 15, 16, 17, 31, 32, 33, 48, 80, 97};
	static const int inputs[] = {1, 2, 15, 16, 27, 33, 100};
	const mm_ops *ops = ops_of(state);

	for (int i = 0; i < 10; i++)
	{
		for (int o = 0; o < 10; o++)
		{
			for (int k = 0; k < 7; k++)
				check_linear(ops, rows[i], outputs[o], inputs[k], (mm_activation) ((i + o + k) % 3),
							 (i + k) % 2);
		}
	}
	check_linear(ops, 49, 320, 1152, MM_ACT_NONE, true);
	check_linear(ops, 11, 1536, 384, MM_ACT_GELU, false);
}

static void
check_depthwise(const mm_ops *ops, int height, int width, int channels, int kernel, int stride)
{
	int out_h = (height + stride - 1) / stride, out_w = (width + stride - 1) / stride;
	int total_h = (out_h - 1) * stride + kernel - height;
	int total_w = (out_w - 1) * stride + kernel - width;
	float *in = values((size_t) height * width * channels);
	float *w = values((size_t) kernel * kernel * channels), *bias = values(channels);
	float *out = values((size_t) out_h * out_w * channels);
	mm_depthwise_args args = {.height = height,
							  .width = width,
							  .channels = channels,
							  .kernel = kernel,
							  .stride = stride,
							  .pad_top = total_h > 0 ? total_h / 2 : 0,
							  .pad_left = total_w > 0 ? total_w / 2 : 0,
							  .out_height = out_h,
							  .out_width = out_w,
							  .in = in,
							  .w = w,
							  .bias = bias,
							  .out = out};

	ops->depthwise(&args);
	for (int i = 0; i < out_h * out_w * channels; i++)
	{
		int c = i % channels, x = i / channels % out_w, y = i / channels / out_w;
		double sum = bias[c];

		for (int ky = 0; ky < kernel; ky++)
		{
			for (int kx = 0; kx < kernel; kx++)
			{
				int iy = y * stride + ky - args.pad_top, ix = x * stride + kx - args.pad_left;

				if (iy >= 0 && iy < height && ix >= 0 && ix < width)
					sum += (double) in[(iy * width + ix) * channels + c] *
						   w[(ky * kernel + kx) * channels + c];
			}
		}
		sum = layer_activated(sum, MM_ACT_RELU6);
		if (!(fabs(out[i] - sum) <= 1e-5))
			fail_msg("depthwise %d x %d x %d, k%d s%d: [%d][%d][%d] is %g, not %g", height, width,
					 channels, kernel, stride, y, x, c, out[i], sum);
	}
	free(in), free(w), free(bias), free(out);
}

static void
depthwise(void **state)
{
	static const int sides[] = {1, 2, 3, 4, 7, 14, 17};
	const mm_ops *ops = ops_of(state);

	for (int h = 0; h < 7; h++)
	{
		for (int w = 0; w < 7; w++)
		{
			for (int kernel = 3; kernel <= 5; kernel += 2)
			{
				for (int stride = 1; stride <= 2; stride++)
					check_depthwise(ops, sides[h], sides[w], 16 * (1 + (h + w) % 5), kernel,
									stride);
			}
		}
	}
}

static void
layer_norm(void **state)
{
	static const int widths[] = {1, 15, 16, 17, 33, 384, 385};
	const mm_ops *ops = ops_of(state);

	for (int k = 0; k < 7; k++)
	{
		int n = widths[k], rows = 3;
		float *x = values((size_t) rows * n), *gamma = values(n), *beta = values(n);
		float *y = values((size_t) rows * n);

		for (int i = 0; i < rows * n; i++)
			x[i] = 100 + x[i]; /* the mean is large beside the spread */
		ops->layer_norm(rows, n, x, gamma, beta, 1e-12f, y);
		for (int r = 0; r < rows && n > 1; r++)
		{
			double mean = 0, var = 0;

			for (int i = 0; i < n; i++)
				mean += x[r * n + i] / (double) n;
			for (int i = 0; i < n; i++)
				var += (x[r * n + i] - mean) * (x[r * n + i] - mean) / n;
			for (int i = 0; i < n; i++)
			{
				double want = (x[r * n + i] - mean) / sqrt(var + 1e-12) * gamma[i] + beta[i];

				if (!(fabs(y[r * n + i] - want) <= 1e-4))
					fail_msg("layer_norm of %d: %g, not %g", n, y[r * n + i], want);
			}
		}
		/* in place: the same bits */
		ops->layer_norm(rows, n, x, gamma, beta, 1e-12f, x);
		assert_memory_equal(x, y, rows * n * sizeof(float));
		free(x), free(gamma), free(beta), free(y);
	}
}

static void
softmax(void **state)
{
	static const int widths[] = {1, 2, 15, 16, 17, 31, 128, 1000};
	const mm_ops *ops = ops_of(state);

	for (int k = 0; k < 8; k++)
	{
		int n = widths[k], rows = 3, ld = n + 5;
		float *x = values((size_t) rows * ld), *y = values((size_t) rows * ld);

		for (int i = 0; i < rows * ld; i++)
			y[i] = x[i] = x[i] * (i < ld ? 1000 : 10); /* far beyond what exp can hold */
		ops->softmax(rows, n, 0.5f, y, ld);
		for (int r = 0; r < rows; r++)
		{
			double max = -INFINITY, sum = 0, total = 0;

			for (int i = 0; i < n; i++)
				max = fmax(max, 0.5 * x[r * ld + i]);
			for (int i = 0; i < n; i++)
				sum += exp(0.5 * x[r * ld + i] - max);
			for (int i = 0; i < n; i++)
			{
				double want = exp(0.5 * x[r * ld + i] - max) / sum;

				if (!(fabs(y[r * ld + i] - want) <= 1e-6))
					fail_msg("softmax of %d: %g, not %g", n, y[r * ld + i], want);
				total += y[r * ld + i];
			}
			assert_true(fabs(total - 1) < 1e-5);
			for (int i = n; i < ld; i++)
				assert_true(y[r * ld + i] == x[r * ld + i]);
		}
		free(x), free(y);
	}
}

/*---- without levels ----*/

static void
gemm(void **state)
{
	(void) state;
	layer_seed = 7;
	for (int m = 1; m < 20; m += 6)
	{
		for (int n = 1; n < 20; n += 5)
		{
			for (int k = 1; k < 40; k += 9)
			{
				int lda = k + 2, ldb = k + n + 1, ldc = n + 4;
				float *a = values((size_t) m * lda), *b = values((size_t) (n + k) * ldb);
				float *nt = values((size_t) m * ldc), *nn = values((size_t) m * ldc);

				mm_gemm_nt(m, n, k, a, lda, b, ldb, nt, ldc);
				mm_gemm_nn(m, n, k, a, lda, b, ldb, nn, ldc);
				for (int i = 0; i < m; i++)
				{
					for (int j = 0; j < n; j++)
					{
						double t = 0, u = 0;

						for (int p = 0; p < k; p++)
						{
							t += (double) a[i * lda + p] * b[j * ldb + p];
							u += (double) a[i * lda + p] * b[p * ldb + j];
						}
						assert_true(fabs(nt[i * ldc + j] - t) < 1e-5);
						assert_true(fabs(nn[i * ldc + j] - u) < 1e-5);
					}
				}
				free(a), free(b), free(nt), free(nn);
			}
		}
	}
}

static void
l2_normalize(void **state)
{
	float zero[5] = {0}, large[2] = {3e38f, 3e38f}, small[3] = {1e-38f, 0, 0};

	(void) state;
	mm_l2_normalize(5, zero);
	for (int i = 0; i < 5; i++)
		assert_true(zero[i] == 0);
	mm_l2_normalize(2, large);
	assert_true(fabs(large[0] - sqrt(0.5)) < 1e-6);
	mm_l2_normalize(3, small);
	assert_true(fabs(small[0] - 1) < 1e-6);
}

int
main(void)
{
	static mm_isa levels[] = {MM_ISA_SCALAR, MM_ISA_AVX2, MM_ISA_AVX512};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(linear, &levels[0]),
		cmocka_unit_test_prestate(linear, &levels[1]),
		cmocka_unit_test_prestate(linear, &levels[2]),
		cmocka_unit_test_prestate(depthwise, &levels[0]),
		cmocka_unit_test_prestate(depthwise, &levels[1]),
		cmocka_unit_test_prestate(depthwise, &levels[2]),
		cmocka_unit_test_prestate(layer_norm, &levels[0]),
		cmocka_unit_test_prestate(layer_norm, &levels[1]),
		cmocka_unit_test_prestate(layer_norm, &levels[2]),
		cmocka_unit_test_prestate(softmax, &levels[0]),
		cmocka_unit_test_prestate(softmax, &levels[1]),
		cmocka_unit_test_prestate(softmax, &levels[2]),
		cmocka_unit_test(gemm),
		cmocka_unit_test(l2_normalize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
