/*
 * half.h
 *		float16 (IEEE 754 binary16) to and from float32, in portable C.
 *
 * Knows nothing of PostgreSQL.  float16 values are carried as their bits in
 * a uint16_t.
 */
#ifndef MM_HALF_H
#define MM_HALF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The largest finite float16. */
#define MM_HALF_MAX 65504.0f

static inline float
mm_bits_to_float(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline uint32_t
mm_float_to_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/*
 * Exact.  Subnormals become normal, infinities and NaN keep their kind.
 */
static inline float
mm_half_to_float(uint16_t half)
{
	uint32_t sign = (uint32_t) (half & 0x8000) << 16;
	uint32_t magnitude = half & 0x7fff;
	uint32_t bits = 0x7f800000 | (magnitude & 0x3ff) << 13;

	/* 2^112 moves the exponent's bias from 15 to 127; for subnormals too. */
	if (magnitude < 0x7c00)
		bits = mm_float_to_bits(mm_bits_to_float(magnitude << 13) * 0x1p112f);
	return mm_bits_to_float(sign | bits);
}

/*
 * Round to nearest, ties to even, as hardware does.  What rounds to 65520 or
 * more becomes infinity, what is below half the smallest subnormal zero, NaN
 * stays NaN.
 */
static inline uint16_t
mm_float_to_half(float value)
{
	uint32_t bits = mm_float_to_bits(value);
	uint16_t sign = (uint16_t) (bits >> 16 & 0x8000);
	uint32_t magnitude = bits & 0x7fffffff;

	if (magnitude > 0x7f800000)
		return sign | 0x7e00;
	if (magnitude >= 0x477ff000) /* 65520 */
		return sign | 0x7c00;
	if (magnitude < 0x38800000) /* 2^-14, the smallest normal float16 */
	{
		/*
		 * A subnormal counts units of 2^-24.  Adding 0.5 makes the float's
		 * own last bit that unit, so the addition does the rounding.
		 */
		float shifted = mm_bits_to_float(magnitude) + 0.5f;

		return sign | (uint16_t) (mm_float_to_bits(shifted) - mm_float_to_bits(0.5f));
	}
	/* Rebias the exponent, then round the 13 bits that go, ties to even. */
	magnitude -= (uint32_t) (127 - 15) << 23;
	magnitude += 0xfff + (magnitude >> 13 & 1);
	return sign | (uint16_t) (magnitude >> 13);
}

/*
 * Whether a finite value is within the range of float16, once rounded.
 */
static inline bool
mm_half_fits(float value)
{
	return (mm_float_to_half(value) & 0x7fff) < 0x7c00;
}

#endif /* MM_HALF_H */
