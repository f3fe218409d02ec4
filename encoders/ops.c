/*-------------------------------------------------------------------------
 *
 * ops.c
 *	  Choice of kernels, and the operations that BLAS does.
 *
 *-------------------------------------------------------------------------
 */
#include "ops.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>

static const char *const isa_names[] = {
	[MM_ISA_AUTO] = "auto",
	[MM_ISA_SCALAR] = "scalar",
	[MM_ISA_AVX2] = "avx2",
	[MM_ISA_AVX512] = "avx512",
};

bool
mm_isa_available(mm_isa isa)
{
	switch (isa)
	{
		case MM_ISA_AUTO:
		case MM_ISA_SCALAR:
			return true;
#if defined(__x86_64__)
		case MM_ISA_AVX2:
			return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
				   __builtin_cpu_supports("f16c");
		case MM_ISA_AVX512:
			return mm_isa_available(MM_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
				   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
				   __builtin_cpu_supports("avx512vl");
#endif
		default:
			return false;
	}
}

mm_isa
mm_isa_best(void)
{
	for (mm_isa isa = MM_ISA_AVX512; isa > MM_ISA_SCALAR; isa--)
	{
		if (mm_isa_available(isa))
			return isa;
	}
	return MM_ISA_SCALAR;
}

const char *
mm_isa_name(mm_isa isa)
{
	return (unsigned) isa <= MM_ISA_AVX512 ? isa_names[isa] : "unknown";
}

#if defined(__x86_64__)
static bool
has_avxvnni(void)
{
	return mm_isa_available(MM_ISA_AVX2) && __builtin_cpu_supports("avxvnni");
}

static bool
has_vnni512(void)
{
	return mm_isa_available(MM_ISA_AVX512) && __builtin_cpu_supports("avx512vnni");
}

static bool
has_bf16512(void)
{
	return has_vnni512() && __builtin_cpu_supports("avx512bf16");
}

static bool
has_avx2(void)
{
	return mm_isa_available(MM_ISA_AVX2);
}

static bool
has_avx512(void)
{
	return mm_isa_available(MM_ISA_AVX512);
}
#endif

static bool
always(void)
{
	return true;
}

/* The best first; a level stands for the first row of it that the CPU has. */
static const struct
{
	const mm_ops *ops;
	mm_isa isa;
	bool (*available)(void);
} tables[] = {
#if defined(__x86_64__)
	{&mm_ops_bf16512, MM_ISA_AVX512, has_bf16512}, {&mm_ops_vnni512, MM_ISA_AVX512, has_vnni512},
	{&mm_ops_avx512, MM_ISA_AVX512, has_avx512},   {&mm_ops_avxvnni, MM_ISA_AVX2, has_avxvnni},
	{&mm_ops_avx2, MM_ISA_AVX2, has_avx2},
#endif
	{&mm_ops_scalar, MM_ISA_SCALAR, always},
};

#define TABLES ((int) (sizeof(tables) / sizeof(tables[0])))

const mm_ops *
mm_ops_for(mm_isa isa)
{
	if (isa == MM_ISA_AUTO)
		isa = mm_isa_best();
	for (int i = 0; i < TABLES; i++)
	{
		if (tables[i].isa == isa && tables[i].available())
			return tables[i].ops;
	}
	return &mm_ops_scalar;
}

const mm_ops *
mm_ops_nth(int n)
{
	for (int i = 0; i < TABLES; i++)
	{
		if (tables[i].available() && n-- == 0)
			return tables[i].ops;
	}
	return NULL;
}

const char *
mm_blas_description(void)
{
	/* OpenBLAS keeps this string itself; it names the version and the kernel */
	return openblas_get_config();
}

void
mm_gemm_nt(int m, int n, int k, const float *a, int lda, const float *b, int ldb, float *c, int ldc)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0f, a, lda, b, ldb, 0.0f, c,
				ldc);
}

void
mm_gemm_nn(int m, int n, int k, const float *a, int lda, const float *b, int ldb, float *c, int ldc)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0f, a, lda, b, ldb, 0.0f, c,
				ldc);
}

void
mm_l2_normalize(int n, float *x)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += (double) x[i] * x[i];
	if (sum == 0)
		return;
	sum = 1 / sqrt(sum);
	for (int i = 0; i < n; i++)
		x[i] = (float) (x[i] * sum);
}
