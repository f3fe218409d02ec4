/*-------------------------------------------------------------------------
 *
 * half.h
 *	  16-bit floating point numbers of files and packs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_HALF_H
#define MM_HALF_H

#include <stdint.h>
#include <string.h>

static inline float
mm_bits_to_float(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static inline float
mm_bf16_to_float(uint16_t x)
{
	return mm_bits_to_float((uint32_t) x << 16);
}

/* Round to nearest even; x is finite. */
static inline uint16_t
mm_float_to_bf16(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return (uint16_t) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* IEEE 754 binary16. */
static inline float
mm_f16_to_float(uint16_t x)
{
	uint32_t sign = (uint32_t) (x & 0x8000) << 16;
	uint32_t exponent = x >> 10 & 31;
	uint32_t fraction = x & 1023;

	if (exponent == 31)
		return mm_bits_to_float(sign | 0x7f800000 | fraction << 13);
	if (exponent == 0) /* zero or subnormal: fraction x 2^-24 */
	{
		float f = (float) fraction * 5.9604644775390625e-8f;

		return sign ? -f : f;
	}
	return mm_bits_to_float(sign | (exponent + 112) << 23 | fraction << 13);
}

#endif /* MM_HALF_H */
