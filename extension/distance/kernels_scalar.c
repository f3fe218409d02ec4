/*
 * kernels_scalar.c
 *		Kernels in plain C, for any CPU.
 *
 * Sixteen partial sums side by side: short enough chains for the promised
 * accuracy, and a shape that compilers turn into vector instructions of the
 * base set (SSE2, NEON).
 */
#include "kernels.h"

#define LANES 16

/*
 * Add the terms of LANES elements to the partial sums.
 */
MM_INLINE void
add_terms(MmMetric metric, float sums[MM_MAX_SUMS][LANES], const float *x, const float *y)
{
	for (int i = 0; i < LANES; i++)
	{
		float difference = x[i] - y[i];

		switch (metric)
		{
			case MM_L2_SQUARED:
				sums[0][i] += difference * difference;
				break;
			case MM_L1:
				sums[0][i] += fabsf(difference);
				break;
			case MM_COSINE:
				sums[1][i] += x[i] * x[i];
				sums[2][i] += y[i] * y[i];
				/* fall through */
			default:
				sums[0][i] += x[i] * y[i];
				break;
		}
	}
}

/* LANES elements as float32. */
MM_INLINE void
load(MmElem elem, const void *vector, int start, float *out)
{
	/* As one copy, compilers see the vector in it. */
	if (elem == MM_FLOAT32)
		memcpy(out, (const char *) vector + (size_t) start * sizeof(float), LANES * sizeof(float));
	else
		for (int i = 0; i < LANES; i++)
			out[i] = mm_elem_get(elem, vector, start + i);
}

/* The last count (1 to LANES - 1) elements, zeros after them. */
MM_INLINE void
load_tail(MmElem elem, const void *vector, int start, int count, float *out)
{
	char buffer[LANES * sizeof(float)] = {0};

	memcpy(buffer, (const char *) vector + (size_t) start * mm_elem_size(elem),
		   (size_t) count * mm_elem_size(elem));
	load(elem, buffer, 0, out);
}

/* Move the float32 partial sums of a metric into the float64 totals. */
MM_INLINE void
flush(MmMetric metric, float sums[MM_MAX_SUMS][LANES], double totals[MM_MAX_SUMS])
{
	int sum_count = metric == MM_COSINE ? 3 : 1;

	for (int s = 0; s < sum_count; s++)
		for (int i = 0; i < LANES; i++)
		{
			totals[s] += (double) sums[s][i];
			sums[s][i] = 0;
		}
}

MM_INLINE double
generic(MmMetric metric, MmElem elem_a, MmElem elem_b, int dims, const void *a, const void *b)
{
	float sums[MM_MAX_SUMS][LANES] = {{0}};
	double totals[MM_MAX_SUMS] = {0};
	float x[LANES];
	float y[LANES];
	int start = 0;

	while (dims - start >= LANES)
	{
		int steps = (dims - start) / LANES;
		int end = start + (steps < MM_TERMS_PER_BLOCK ? steps : MM_TERMS_PER_BLOCK) * LANES;

		for (; start < end; start += LANES)
		{
			load(elem_a, a, start, x);
			load(elem_b, b, start, y);
			add_terms(metric, sums, x, y);
		}
		flush(metric, sums, totals);
	}
	if (start < dims)
	{
		load_tail(elem_a, a, start, dims - start, x);
		load_tail(elem_b, b, start, dims - start, y);
		add_terms(metric, sums, x, y);
		flush(metric, sums, totals);
	}
	return metric == MM_COSINE ? mm_cosine(totals[0], totals[1], totals[2]) : totals[0];
}

MM_DEFINE_KERNEL_SET(scalar, , generic);
