/*
 * kernels_neon.c
 *		Kernels for 64-bit ARM, all of which have NEON, FMA and float16 conversion.
 */
#include "kernels.h"

#ifdef MM_HAVE_NEON
#include <arm_neon.h>

#define LANES 4  /* floats in a register */
#define CHAINS 4 /* independent partial sums, to hide the latency of FMA */
#define STEP (LANES * CHAINS)

/* Four elements as float32, from any address; float16 is widened exactly. */
MM_INLINE float32x4_t
load(MmElem elem, const void *vector, int start)
{
	const uint8_t *p = (const uint8_t *) vector + (size_t) start * mm_elem_size(elem);

	if (elem == MM_FLOAT32)
		return vreinterpretq_f32_u8(vld1q_u8(p));
	return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

/* The last count (1 to 3) elements, zeros after them. */
MM_INLINE float32x4_t
load_tail(MmElem elem, const void *vector, int start, int count)
{
	char buffer[LANES * sizeof(float)] = {0};

	memcpy(buffer, (const char *) vector + (size_t) start * mm_elem_size(elem),
		   (size_t) count * mm_elem_size(elem));
	return load(elem, buffer, 0);
}

/* The partial sums of one sum.  Indexes are constants: these are registers. */
typedef struct Chains
{
	float32x4_t chain[CHAINS];
} Chains;

MM_INLINE Chains
zero_chains(void)
{
	float32x4_t zero = vdupq_n_f32(0);

	return (Chains){{zero, zero, zero, zero}};
}

/* Add the terms of four elements to the partial sums of one chain. */
MM_INLINE void
add_terms(MmMetric metric, Chains sums[MM_MAX_SUMS], int chain, float32x4_t x, float32x4_t y)
{
	float32x4_t difference;

	switch (metric)
	{
		case MM_L2_SQUARED:
			difference = vsubq_f32(x, y);
			sums[0].chain[chain] = vfmaq_f32(sums[0].chain[chain], difference, difference);
			break;
		case MM_L1:
			sums[0].chain[chain] = vaddq_f32(sums[0].chain[chain], vabdq_f32(x, y));
			break;
		case MM_COSINE:
			sums[1].chain[chain] = vfmaq_f32(sums[1].chain[chain], x, x);
			sums[2].chain[chain] = vfmaq_f32(sums[2].chain[chain], y, y);
			/* fall through */
		default:
			sums[0].chain[chain] = vfmaq_f32(sums[0].chain[chain], x, y);
			break;
	}
}

/* Move the float32 partial sums of one sum into its float64 total. */
MM_INLINE float64x2_t
flush(float64x2_t total, Chains *sum)
{
	float32x4_t chains =
		vaddq_f32(vaddq_f32(sum->chain[0], sum->chain[1]), vaddq_f32(sum->chain[2], sum->chain[3]));
	float64x2_t low = vcvt_f64_f32(vget_low_f32(chains));
	float64x2_t high = vcvt_high_f64_f32(chains);

	*sum = zero_chains();
	return vaddq_f64(total, vaddq_f64(low, high));
}

/* Add the terms of one step, every chain taking one. */
MM_INLINE void
add_step(MmMetric metric, Chains sums[MM_MAX_SUMS], MmElem elem_a, const void *a, MmElem elem_b,
		 const void *b, int start)
{
	/* Spelled out: in a loop, compilers would keep the sums in memory. */
	add_terms(metric, sums, 0, load(elem_a, a, start), load(elem_b, b, start));
	start += LANES;
	add_terms(metric, sums, 1, load(elem_a, a, start), load(elem_b, b, start));
	start += LANES;
	add_terms(metric, sums, 2, load(elem_a, a, start), load(elem_b, b, start));
	start += LANES;
	add_terms(metric, sums, 3, load(elem_a, a, start), load(elem_b, b, start));
}

/* Move all partial sums of a metric into the totals. */
MM_INLINE void
flush_all(MmMetric metric, float64x2_t totals[MM_MAX_SUMS], Chains sums[MM_MAX_SUMS])
{
	totals[0] = flush(totals[0], &sums[0]);
	if (metric == MM_COSINE)
	{
		totals[1] = flush(totals[1], &sums[1]);
		totals[2] = flush(totals[2], &sums[2]);
	}
}

MM_INLINE double
generic(MmMetric metric, MmElem elem_a, MmElem elem_b, int dims, const void *a, const void *b)
{
	Chains sums[MM_MAX_SUMS] = {zero_chains(), zero_chains(), zero_chains()};
	float64x2_t zero = vdupq_n_f64(0);
	float64x2_t totals[MM_MAX_SUMS] = {zero, zero, zero};
	int start = 0;

	while (dims - start >= STEP)
	{
		int steps = (dims - start) / STEP;
		int end = start + (steps < MM_TERMS_PER_BLOCK ? steps : MM_TERMS_PER_BLOCK) * STEP;

		for (; start < end; start += STEP)
			add_step(metric, sums, elem_a, a, elem_b, b, start);
		flush_all(metric, totals, sums);
	}
	if (start < dims)
	{
		/* Fewer than STEP elements: one chain takes the at most four terms. */
		for (; dims - start >= LANES; start += LANES)
			add_terms(metric, sums, 0, load(elem_a, a, start), load(elem_b, b, start));
		if (start < dims)
			add_terms(metric, sums, 0, load_tail(elem_a, a, start, dims - start),
					  load_tail(elem_b, b, start, dims - start));
		flush_all(metric, totals, sums);
	}
	if (metric != MM_COSINE)
		return vaddvq_f64(totals[0]);
	return mm_cosine(vaddvq_f64(totals[0]), vaddvq_f64(totals[1]), vaddvq_f64(totals[2]));
}

MM_DEFINE_KERNEL_SET(neon, , generic);

#endif /* MM_HAVE_NEON */
