/*-------------------------------------------------------------------------
 *
 * emulate_x86.h
 *	  The instructions of AVX-512, its VNNI and BF16, and AVX-VNNI that the
 *	  kernels use, as plain C, so that their source runs on a CPU with AVX2.
 *
 * "make emulate" of encoders/ puts this before the kernels, with the macros that
 * tell a level (__AVX512F__ and so on) named by EMULATE_ ones.  Each is written
 * after the operation that Intel's Software Developer's Manual gives for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EMULATE_X86_H
#define EMULATE_X86_H

/* before the macros below: the compiler's header would take them for its flags */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#if defined(EMULATE_AVX512)
#define __AVX512F__ 1
#define __AVX512BW__ 1
#define __AVX512DQ__ 1
#define __AVX512VL__ 1
#endif
#if defined(EMULATE_VNNI512)
#define __AVX512VNNI__ 1
#endif
#if defined(EMULATE_BF16512)
#define __AVX512BF16__ 1
#endif
#if defined(EMULATE_AVXVNNI)
#define __AVXVNNI__ 1
#endif

/* unrolled and inlined as the real ones are, they take minutes to compile */
#define EMULATED static __attribute__((noinline, unused))

/* The 64 bytes of a register, and 32 of them, as numbers of each kind. */
typedef union emulated_register
{
	int8_t i8[64];
	uint8_t u8[64];
	int16_t i16[32];
	uint16_t u16[32];
	int32_t i32[16];
	uint32_t u32[16];
	int64_t i64[8];
	float f32[16];
	__m512i whole;
	__m512 floats;
	__m256i half;
} emulated_register;

EMULATED emulated_register
emulated(__m512i x)
{
	return (emulated_register){.whole = x};
}

/*---- moves ----*/

EMULATED __m512i
emulated_loadu_si512(const void *p)
{
	emulated_register r;

	memcpy(&r, p, sizeof(r));
	return r.whole;
}

EMULATED __m512i
emulated_setzero_si512(void)
{
	return (emulated_register){.i64 = {0}}.whole;
}

EMULATED __m512i
emulated_set1_epi32(int32_t x)
{
	emulated_register r;

	for (int i = 0; i < 16; i++)
		r.i32[i] = x;
	return r.whole;
}

EMULATED __m512i
emulated_set1_epi16(int16_t x)
{
	emulated_register r;

	for (int i = 0; i < 32; i++)
		r.i16[i] = x;
	return r.whole;
}

/* VPBROADCASTD */
EMULATED __m512i
emulated_broadcastd_epi32(__m128i x)
{
	int32_t lowest;

	memcpy(&lowest, &x, sizeof(lowest));
	return emulated_set1_epi32(lowest);
}

/* VMOVUPS with zeroing: elements without their bit are not touched in memory */
EMULATED __m512
emulated_maskz_loadu_ps(__mmask16 mask, const void *p)
{
	emulated_register r = {.i64 = {0}};

	for (int i = 0; i < 16; i++)
		if (mask >> i & 1)
			memcpy(&r.f32[i], (const char *) p + 4 * i, 4);
	return r.floats;
}

/* VMOVDQU16 with a mask */
EMULATED void
emulated_mask_storeu_epi16(void *p, __mmask16 mask, __m256i x)
{
	emulated_register r = {.half = x};

	for (int i = 0; i < 16; i++)
		if (mask >> i & 1)
			memcpy((char *) p + 2 * i, &r.u16[i], 2);
}

/*---- arithmetic ----*/

EMULATED __m512i
emulated_add_epi32(__m512i a, __m512i b)
{
	emulated_register x = emulated(a), y = emulated(b);

	for (int i = 0; i < 16; i++)
		x.u32[i] += y.u32[i];
	return x.whole;
}

/* VPMADDUBSW: sums of two products of an unsigned and a signed byte, with saturation */
EMULATED __m512i
emulated_maddubs_epi16(__m512i a, __m512i b)
{
	emulated_register x = emulated(a), y = emulated(b), r;

	for (int i = 0; i < 32; i++)
	{
		int sum = x.u8[2 * i] * y.i8[2 * i] + x.u8[2 * i + 1] * y.i8[2 * i + 1];

		r.i16[i] = (int16_t) (sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
	}
	return r.whole;
}

/* VPMADDWD: sums of two products of words */
EMULATED __m512i
emulated_madd_epi16(__m512i a, __m512i b)
{
	emulated_register x = emulated(a), y = emulated(b), r;

	for (int i = 0; i < 16; i++)
		r.u32[i] = (uint32_t) (x.i16[2 * i] * y.i16[2 * i]) +
				   (uint32_t) (x.i16[2 * i + 1] * y.i16[2 * i + 1]);
	return r.whole;
}

/* VPDPBUSD: four products of an unsigned and a signed byte, without saturation */
EMULATED uint32_t
emulated_dpbusd(uint32_t sum, const uint8_t *a, const int8_t *b)
{
	for (int i = 0; i < 4; i++)
		sum += (uint32_t) (a[i] * b[i]);
	return sum;
}

EMULATED __m512i
emulated_dpbusd_epi32(__m512i sum, __m512i a, __m512i b)
{
	emulated_register r = emulated(sum), x = emulated(a), y = emulated(b);

	for (int i = 0; i < 16; i++)
		r.u32[i] = emulated_dpbusd(r.u32[i], x.u8 + 4 * i, y.i8 + 4 * i);
	return r.whole;
}

EMULATED __m256i
emulated_dpbusd_avx_epi32(__m256i sum, __m256i a, __m256i b)
{
	emulated_register r = {.half = sum}, x = {.half = a}, y = {.half = b};

	for (int i = 0; i < 8; i++)
		r.u32[i] = emulated_dpbusd(r.u32[i], x.u8 + 4 * i, y.i8 + 4 * i);
	return r.half;
}

/*---- bfloat16: what is not normal is zero, in and out ----*/

EMULATED float
emulated_flushed(float x)
{
	return __builtin_fabsf(x) < 1.17549435e-38f ? __builtin_copysignf(0, x) : x;
}

EMULATED float
emulated_widened(uint16_t x)
{
	uint32_t bits = (uint32_t) x << 16;
	float f;

	memcpy(&f, &bits, sizeof(f));
	return emulated_flushed(f);
}

/* VCVTNEPS2BF16: to nearest, ties to even; NaN stays NaN */
EMULATED __m256i
emulated_cvtneps_pbh(__m512 a)
{
	emulated_register x = {.floats = a}, r = {.i64 = {0}};

	for (int i = 0; i < 16; i++)
	{
		float flushed = emulated_flushed(x.f32[i]);
		uint32_t bits;

		memcpy(&bits, &flushed, sizeof(bits));
		r.u16[i] = flushed != flushed ? (uint16_t) (bits >> 16 | 0x40)
									  : (uint16_t) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
	}
	return r.half;
}

/* VDPBF16PS: the upper product of a pair first */
EMULATED __m512
emulated_dpbf16_ps(__m512 sum, __m512bh a, __m512bh b)
{
	emulated_register r = {.floats = sum};
	emulated_register x = emulated((__m512i) a), y = emulated((__m512i) b);

	for (int i = 0; i < 16; i++)
		for (int k = 1; k >= 0; k--)
			r.f32[i] = emulated_flushed(__builtin_fmaf(emulated_widened(x.u16[2 * i + k]),
													   emulated_widened(y.u16[2 * i + k]),
													   emulated_flushed(r.f32[i])));
	return r.floats;
}

#define _mm512_loadu_si512 emulated_loadu_si512
#define _mm512_setzero_si512 emulated_setzero_si512
#define _mm512_set1_epi32 emulated_set1_epi32
#define _mm512_set1_epi16 emulated_set1_epi16
#define _mm512_broadcastd_epi32 emulated_broadcastd_epi32
#define _mm512_maskz_loadu_ps emulated_maskz_loadu_ps
#define _mm256_mask_storeu_epi16 emulated_mask_storeu_epi16
#define _mm512_add_epi32 emulated_add_epi32
#define _mm512_maddubs_epi16 emulated_maddubs_epi16
#define _mm512_madd_epi16 emulated_madd_epi16
#define _mm512_dpbusd_epi32 emulated_dpbusd_epi32
#define _mm256_dpbusd_avx_epi32 emulated_dpbusd_avx_epi32
#define _mm512_cvtneps_pbh emulated_cvtneps_pbh
#define _mm512_dpbf16_ps emulated_dpbf16_ps

#endif /* EMULATE_X86_H */
