/*-------------------------------------------------------------------------
 *
 * levels.h
 *	  The library as fuzzers link it has the scalar kernels and those of AVX2:
 *	  the others take minutes to compile with checks, and AVX2's stand for all
 *	  that are vectors.  Included before ops.c, which asks for CPU features; some
 *	  of their names clang does not know.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_LEVELS_H
#define FUZZ_LEVELS_H

#if defined(__x86_64__)

#include <string.h>

static inline int
fuzz_cpu_supports(const char *feature)
{
	/* no CPU has AVX2 and FMA without F16C */
	if (strcmp(feature, "avx2") == 0 || strcmp(feature, "f16c") == 0)
		return __builtin_cpu_supports("avx2") != 0;
	return strcmp(feature, "fma") == 0 && __builtin_cpu_supports("fma");
}

#define __builtin_cpu_supports(feature) fuzz_cpu_supports(feature)

#endif

#endif /* FUZZ_LEVELS_H */
