/*
 * ivf_kernels.c
 *		Which kernels of faiss_ivf are in use, and those in plain C.
 */
#include "ivf_kernels.h"
#include "ivf_kernels_x86.h"

/*
 * A product that is added to something is rounded first, at every level: fused
 * on one machine and not on the next, the sums would differ.
 */
#if defined(__clang__)
#define UNFUSED
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#define UNFUSED __attribute__((optimize("fp-contract=off")))
#else
#define UNFUSED
#endif

static void
scalar_dot_2bit(const uint8_t *codes, size_t stride, int rows, const int8_t *query, int pdims,
				int32_t *out)
{
	int plane = pdims / 4;

	for (int i = 0; i < rows; i++)
	{
		const uint8_t *row = codes + (size_t) i * stride;
		int32_t sum = 0;

		for (int j = 0; j < plane; j++)
		{
			sum += (row[j] & 3) * query[j];
			sum += ((row[j] >> 2) & 3) * query[plane + j];
			sum += ((row[j] >> 4) & 3) * query[2 * plane + j];
			sum += (row[j] >> 6) * query[3 * plane + j];
		}
		out[i] = sum;
	}
}

static int32_t
dot_int8(const int8_t *a, const int8_t *b, int n)
{
	int32_t sum = 0;

	for (int j = 0; j < n; j++)
		sum += a[j] * b[j];
	return sum;
}

static void
scalar_dot_8bit(const int8_t *codes, size_t stride, int rows, const int8_t *query, int pdims,
				int32_t *out)
{
	for (int i = 0; i < rows; i++)
		out[i] = dot_int8(codes + (size_t) i * stride, query, pdims);
}

static int64_t
scalar_dot_8bit_16(const int8_t *code, const int16_t *query, int pdims)
{
	int64_t sum = 0;

	for (int j = 0; j < pdims; j++)
		sum += code[j] * query[j];
	return sum;
}

static int32_t
scalar_dot_4bit(const uint8_t *code, const int8_t *query, int pdims)
{
	int plane = pdims / 2;
	int32_t sum = 0;

	for (int j = 0; j < plane; j++)
		sum += (code[j] & 15) * query[j] + (code[j] >> 4) * query[plane + j];
	return sum;
}

UNFUSED static double
scalar_estimate(const int32_t *dot, const float *scale, const float *bias, int rows, float base,
				float step, float offset, float slack, float *estimate, float *upper)
{
	double squares = 0;

	for (int i = 0; i < rows; i++)
	{
		float product = scale[i] * (step * (float) dot[i] + offset);

		estimate[i] = base + product + (bias != NULL ? bias[i] : 0.0f);
		upper[i] = estimate[i] + slack * scale[i];
		squares += (double) product * (double) product;
	}
	return squares;
}

static int
scalar_collect(const float *values, int n, float threshold, uint32_t *out)
{
	int count = 0;

	for (int i = 0; i < n; i++)
	{
		/* Without a branch: there is room, as count is at most i. */
		out[count] = (uint32_t) i;
		count += values[i] >= threshold;
	}
	return count;
}

static void
scalar_assign(const int8_t *rows, int n, const int8_t *centres, const float *half_norm,
			  int ncentres, int pdims, int32_t *nearest)
{
	for (int i = 0; i < n; i++)
	{
		const int8_t *row = rows + (size_t) i * pdims;
		float best = -INFINITY;

		nearest[i] = 0;
		for (int c = 0; c < ncentres; c++)
		{
			int32_t dot = dot_int8(row, centres + (size_t) c * pdims, pdims);
			float score = (float) dot - half_norm[c];

			if (score > best)
			{
				best = score;
				nearest[i] = c;
			}
		}
	}
}

static void
scalar_hadamard(float *x, int n)
{
	for (int h = 1; h < n; h *= 2)
		for (int i = 0; i < n; i += 2 * h)
			for (int j = i; j < i + h; j++)
			{
				float a = x[j];
				float b = x[j + h];

				x[j] = a + b;
				x[j + h] = a - b;
			}
}

const IvfKernels ivf_kernels_scalar = {.name = "scalar",
									   .dot_2bit = scalar_dot_2bit,
									   .dot_8bit = scalar_dot_8bit,
									   .dot_8bit_16 = scalar_dot_8bit_16,
									   .dot_4bit = scalar_dot_4bit,
									   .estimate = scalar_estimate,
									   .collect = scalar_collect,
									   .assign = scalar_assign,
									   .hadamard = scalar_hadamard};

const IvfKernels *
ivf_kernels(void)
{
	static const IvfKernels *const tables[MM_SIMD_COUNT] = {
		[MM_SIMD_SCALAR] = &ivf_kernels_scalar,
#ifdef MM_HAVE_X86
		[MM_SIMD_AVX2] = &ivf_kernels_avx2,
		[MM_SIMD_AVX512] = &ivf_kernels_avx512,
#endif
		/* what compilers make of plain C */
		[MM_SIMD_NEON] = &ivf_kernels_scalar,
	};

	return tables[mm_simd_get_level()];
}
