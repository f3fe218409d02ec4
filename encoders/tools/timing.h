/*
 * timing.h: what the tools that measure share.
 */
#ifndef MM_TIMING_H
#define MM_TIMING_H

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mm_encoders.h"

static inline double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static inline int
compare_times(const void *a, const void *b)
{
	double x = *(const double *) a, y = *(const double *) b;

	return (x > y) - (x < y);
}

/* The least first, for medians. */
static inline void
sort_times(double *ms, int n)
{
	qsort(ms, n, sizeof(ms[0]), compare_times);
}

/* A level by its name; the best there is for any other. */
static inline mm_isa
isa_named(const char *name)
{
	for (int isa = MM_ISA_AUTO; isa <= MM_ISA_AVX512; isa++)
	{
		if (strcmp(mm_isa_name((mm_isa) isa), name) == 0)
			return (mm_isa) isa;
	}
	return MM_ISA_AUTO;
}

#endif /* MM_TIMING_H */
