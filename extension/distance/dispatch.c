/*
 * dispatch.c
 *		Which kernels the CPU can run, and which are in use.
 */
#include "distance.h"
#include "kernels.h"

#ifdef MM_HAVE_X86
#include <cpuid.h>
#endif

const MmKernelSet *mm_kernels = &mm_kernels_scalar;

static MmSimdLevel current_level = MM_SIMD_SCALAR;

static const MmKernelSet *const kernel_sets[MM_SIMD_COUNT] = {
	[MM_SIMD_SCALAR] = &mm_kernels_scalar,
#ifdef MM_HAVE_X86
	[MM_SIMD_AVX2] = &mm_kernels_avx2,
	[MM_SIMD_AVX512] = &mm_kernels_avx512,
#endif
#ifdef MM_HAVE_NEON
	[MM_SIMD_NEON] = &mm_kernels_neon,
#endif
};

#ifdef MM_HAVE_X86
/* AVX2, FMA and F16C, and an operating system that saves the registers. */
static bool
cpu_has_avx2(void)
{
	unsigned int eax;
	unsigned int ebx;
	unsigned int ecx;
	unsigned int edx;

	/* __builtin_cpu_supports does not know F16C in every compiler. */
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_F16C))
		return false;
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool
cpu_has_avx512(void)
{
	return cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
		   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
		   __builtin_cpu_supports("avx512vl");
}
#endif

bool
mm_simd_level_available(MmSimdLevel level)
{
	switch (level)
	{
		case MM_SIMD_AUTO:
		case MM_SIMD_SCALAR:
			return true;
#ifdef MM_HAVE_X86
		case MM_SIMD_AVX2:
			return cpu_has_avx2();
		case MM_SIMD_AVX512:
			return cpu_has_avx512();
#endif
#ifdef MM_HAVE_NEON
		case MM_SIMD_NEON:
			return true;
#endif
		default:
			return false;
	}
}

bool
mm_simd_set_level(MmSimdLevel level)
{
	if (!mm_simd_level_available(level))
		return false;
	if (level == MM_SIMD_AUTO)
	{
		level = (MmSimdLevel) (MM_SIMD_COUNT - 1);
		while (!mm_simd_level_available(level))
			level = (MmSimdLevel) (level - 1);
	}
	mm_kernels = kernel_sets[level];
	current_level = level;
	return true;
}

MmSimdLevel
mm_simd_get_level(void)
{
	return current_level;
}
