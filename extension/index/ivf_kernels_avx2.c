/*
 * ivf_kernels_avx2.c
 *		Kernels of faiss_ivf for CPUs with AVX2, FMA and F16C.
 *
 * The target is set function by function, so that the file compiles for the
 * base instruction set; ivf_kernels() tells of these only where the CPU can.
 */
#include "ivf_kernels.h"
#include "ivf_kernels_x86.h"

#ifdef MM_HAVE_X86

#define TARGET IVF_TARGET_AVX2

#define STEP 32 /* bytes in a register */

TARGET MM_INLINE __m256i
load(const void *p)
{
	return _mm256_loadu_si256((const __m256i *) p);
}

/* Sixteen bytes, zeros after them. */
TARGET MM_INLINE __m256i
load_half(const void *p)
{
	return _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *) p));
}

/* Sums of neighbours, as int32. */
TARGET MM_INLINE __m256i
widen(__m256i sums)
{
	return _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
}

/*
 * 2-bit codes.  Only one shift is needed for four planes: the second and the
 * fourth are left where they are, as codes times four, and summed apart.
 *
 * A step adds to once at most 2 products of two planes, 3 * 127 each, and to
 * fourfold four times that, 6096: four steps stay below 2^15.
 */
#define STEPS_2BIT 4

/* Sums of one row's products, as int16. */
typedef struct Sums2bit
{
	__m256i once;
	__m256i fourfold;
} Sums2bit;

typedef struct Query2bit
{
	__m256i plane[4];
} Query2bit;

TARGET MM_INLINE void
add_2bit(Sums2bit *sums, __m256i codes, const Query2bit *query)
{
	const __m256i low = _mm256_set1_epi8(0x03);
	const __m256i next = _mm256_set1_epi8(0x0c);
	__m256i high = _mm256_srli_epi16(codes, 4);
	__m256i plane0 = _mm256_maddubs_epi16(_mm256_and_si256(codes, low), query->plane[0]);
	__m256i plane1 = _mm256_maddubs_epi16(_mm256_and_si256(codes, next), query->plane[1]);
	__m256i plane2 = _mm256_maddubs_epi16(_mm256_and_si256(high, low), query->plane[2]);
	__m256i plane3 = _mm256_maddubs_epi16(_mm256_and_si256(high, next), query->plane[3]);

	sums->once = _mm256_add_epi16(sums->once, _mm256_add_epi16(plane0, plane2));
	sums->fourfold = _mm256_add_epi16(sums->fourfold, _mm256_add_epi16(plane1, plane3));
}

/* Four times the sum of the products so far, in parts, as int32. */
TARGET MM_INLINE __m256i
widen_2bit(const Sums2bit *sums)
{
	return _mm256_add_epi32(_mm256_madd_epi16(sums->once, _mm256_set1_epi16(4)),
							widen(sums->fourfold));
}

TARGET static void
dot_2bit(const uint8_t *codes, size_t stride, int rows, const int8_t *query, int pdims,
		 int32_t *out)
{
	int plane = pdims / 4;

	for (int i = 0; i < rows; i += IVF_GROUP)
	{
		const IvfGroup group = ivf_group(codes, stride, i, rows);
		const uint8_t *row0 = group.row[0];
		const uint8_t *row1 = group.row[1];
		const uint8_t *row2 = group.row[2];
		const uint8_t *row3 = group.row[3];
		__m256i total0 = _mm256_setzero_si256();
		__m256i total1 = total0;
		__m256i total2 = total0;
		__m256i total3 = total0;

		for (int j = 0; j < plane;)
		{
			int end = plane - j < STEPS_2BIT * STEP ? plane : j + STEPS_2BIT * STEP;
			const Sums2bit zero = {_mm256_setzero_si256(), _mm256_setzero_si256()};
			Sums2bit sums0 = zero;
			Sums2bit sums1 = zero;
			Sums2bit sums2 = zero;
			Sums2bit sums3 = zero;

			for (; end - j >= STEP; j += STEP)
			{
				const Query2bit q = {{load(query + j), load(query + plane + j),
									  load(query + 2 * plane + j), load(query + 3 * plane + j)}};

				add_2bit(&sums0, load(row0 + j), &q);
				add_2bit(&sums1, load(row1 + j), &q);
				add_2bit(&sums2, load(row2 + j), &q);
				add_2bit(&sums3, load(row3 + j), &q);
			}
			/* Planes are multiples of 16 bytes, so what is left is half a step. */
			if (j < end)
			{
				const Query2bit q = {{load_half(query + j), load_half(query + plane + j),
									  load_half(query + 2 * plane + j),
									  load_half(query + 3 * plane + j)}};

				add_2bit(&sums0, load_half(row0 + j), &q);
				add_2bit(&sums1, load_half(row1 + j), &q);
				add_2bit(&sums2, load_half(row2 + j), &q);
				add_2bit(&sums3, load_half(row3 + j), &q);
				j = end;
			}
			total0 = _mm256_add_epi32(total0, widen_2bit(&sums0));
			total1 = _mm256_add_epi32(total1, widen_2bit(&sums1));
			total2 = _mm256_add_epi32(total2, widen_2bit(&sums2));
			total3 = _mm256_add_epi32(total3, widen_2bit(&sums3));
		}
		ivf_store_group(out, i, rows,
						_mm_srai_epi32(ivf_sum_each(total0, total1, total2, total3), 2));
	}
}

/*
 * Add the products of one step of 8-bit codes.  The instruction wants one side
 * unsigned: the query gives its signs to the codes.  Two products of 127 * 127
 * are below 2^15.
 */
TARGET MM_INLINE __m256i
add_8bit(__m256i total, __m256i codes, __m256i query, __m256i magnitude)
{
	__m256i products = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(codes, query));

	return _mm256_add_epi32(total, widen(products));
}

TARGET static void
dot_8bit(const int8_t *codes, size_t stride, int rows, const int8_t *query, int pdims, int32_t *out)
{
	for (int i = 0; i < rows; i += IVF_GROUP)
	{
		const IvfGroup group = ivf_group(codes, stride, i, rows);
		const int8_t *row0 = group.row[0];
		const int8_t *row1 = group.row[1];
		const int8_t *row2 = group.row[2];
		const int8_t *row3 = group.row[3];
		__m256i total0 = _mm256_setzero_si256();
		__m256i total1 = total0;
		__m256i total2 = total0;
		__m256i total3 = total0;

		for (int j = 0; j < pdims; j += STEP)
		{
			__m256i q = load(query + j);
			__m256i magnitude = _mm256_abs_epi8(q);

			total0 = add_8bit(total0, load(row0 + j), q, magnitude);
			total1 = add_8bit(total1, load(row1 + j), q, magnitude);
			total2 = add_8bit(total2, load(row2 + j), q, magnitude);
			total3 = add_8bit(total3, load(row3 + j), q, magnitude);
		}
		ivf_store_group(out, i, rows, ivf_sum_each(total0, total1, total2, total3));
	}
}

/* Sixteen 8-bit codes as int16. */
TARGET MM_INLINE __m256i
load_int8(const int8_t *p)
{
	return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *) p));
}

/*
 * Dimensions whose products an int32 sum takes: 1024 / 8 products, 2^22 each,
 * even for codes of -128.
 */
#define DIMS_16 1024

int64_t TARGET
ivf_dot_8bit_16_avx2(const int8_t *code, const int16_t *query, int pdims)
{
	__m256i totals = _mm256_setzero_si256();
	int64_t total[4];

	for (int j = 0; j < pdims;)
	{
		int end = pdims - j < DIMS_16 ? pdims : j + DIMS_16;
		__m256i even = _mm256_setzero_si256();
		__m256i odd = _mm256_setzero_si256();

		for (; j < end; j += 32)
		{
			even = _mm256_add_epi32(even, _mm256_madd_epi16(load_int8(code + j), load(query + j)));
			odd = _mm256_add_epi32(
				odd, _mm256_madd_epi16(load_int8(code + j + 16), load(query + j + 16)));
		}
		even = _mm256_add_epi32(even, odd);
		totals = _mm256_add_epi64(totals, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(even)));
		totals = _mm256_add_epi64(totals, _mm256_cvtepi32_epi64(_mm256_extracti128_si256(even, 1)));
	}
	_mm256_storeu_si256((__m256i *) total, totals);
	return total[0] + total[1] + total[2] + total[3];
}

/* Steps that an int16 sum takes: 2 * 15 * 127 each. */
#define STEPS_4BIT 8

int32_t TARGET
ivf_dot_4bit_avx2(const uint8_t *code, const int8_t *query, int pdims)
{
	const __m256i mask = _mm256_set1_epi8(15);
	__m256i total = _mm256_setzero_si256();
	__m128i sum;
	int plane = pdims / 2;

	for (int j = 0; j < plane;)
	{
		int end = plane - j < STEPS_4BIT * STEP ? plane : j + STEPS_4BIT * STEP;
		__m256i low = _mm256_setzero_si256();
		__m256i high = _mm256_setzero_si256();

		for (; j < end; j += STEP)
		{
			__m256i codes = load(code + j);
			__m256i codes_high = _mm256_and_si256(_mm256_srli_epi16(codes, 4), mask);

			low = _mm256_add_epi16(
				low, _mm256_maddubs_epi16(_mm256_and_si256(codes, mask), load(query + j)));
			high =
				_mm256_add_epi16(high, _mm256_maddubs_epi16(codes_high, load(query + plane + j)));
		}
		total = _mm256_add_epi32(total, _mm256_add_epi32(widen(low), widen(high)));
	}
	sum = ivf_sum_each(total, total, total, total);
	return _mm_cvtsi128_si32(sum);
}

/*
 * A product that is rounded before it is added to something: compilers may fuse
 * even what intrinsics spell out, and other levels do not.
 */
TARGET MM_INLINE __m256
multiply(__m256 a, __m256 b)
{
	__m256 product = _mm256_mul_ps(a, b);

	__asm__("" : "+x"(product));
	return product;
}

/* The scalars of an estimate, in every lane. */
typedef struct Line
{
	__m256 base;
	__m256 step;
	__m256 offset;
	__m256 slack;
} Line;

/* Estimate eight rows, and add the squares to the sum. */
TARGET MM_INLINE void
estimate_8(const Line *line, __m256i dot, __m256 scale, __m256 bias, float *estimate, float *upper,
		   __m256d *squares)
{
	__m256 product =
		multiply(scale, _mm256_add_ps(multiply(line->step, _mm256_cvtepi32_ps(dot)), line->offset));
	__m256 sum = _mm256_add_ps(_mm256_add_ps(line->base, product), bias);
	__m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(product));
	__m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(product, 1));

	_mm256_storeu_ps(estimate, sum);
	_mm256_storeu_ps(upper, _mm256_add_ps(sum, multiply(line->slack, scale)));
	*squares = _mm256_fmadd_pd(low, low, *squares);
	*squares = _mm256_fmadd_pd(high, high, *squares);
}

double TARGET
ivf_estimate_avx2(const int32_t *dot, const float *scale, const float *bias, int rows, float base,
				  float step, float offset, float slack, float *estimate, float *upper)
{
	const Line line = {_mm256_set1_ps(base), _mm256_set1_ps(step), _mm256_set1_ps(offset),
					   _mm256_set1_ps(slack)};
	__m256d squares = _mm256_setzero_pd();
	__m128d pair;
	int i = 0;

	for (; rows - i >= 8; i += 8)
	{
		__m256 b = bias != NULL ? _mm256_loadu_ps(bias + i) : _mm256_setzero_ps();

		estimate_8(&line, load(dot + i), _mm256_loadu_ps(scale + i), b, estimate + i, upper + i,
				   &squares);
	}
	if (i < rows)
	{
		/* Rows that are not there have a scale of 0, and so a square of 0. */
		size_t size = (size_t) (rows - i) * sizeof(float);
		int32_t d[8] = {0};
		float s[8] = {0};
		float b[8] = {0};
		float e[8];
		float u[8];

		memcpy(d, dot + i, size);
		memcpy(s, scale + i, size);
		if (bias != NULL)
			memcpy(b, bias + i, size);
		estimate_8(&line, load(d), _mm256_loadu_ps(s), _mm256_loadu_ps(b), e, u, &squares);
		memcpy(estimate + i, e, size);
		memcpy(upper + i, u, size);
	}
	pair = _mm_add_pd(_mm256_castpd256_pd128(squares), _mm256_extractf128_pd(squares, 1));
	return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
}

int TARGET
ivf_collect_avx2(const float *values, int n, float threshold, uint32_t *out)
{
	const __m256 limit = _mm256_set1_ps(threshold);
	int count = 0;
	int i = 0;

	for (; n - i >= 8; i += 8)
	{
		__m256 reached = _mm256_cmp_ps(_mm256_loadu_ps(values + i), limit, _CMP_GE_OQ);

		for (unsigned int left = (unsigned int) _mm256_movemask_ps(reached); left != 0;
			 left &= left - 1)
			out[count++] = (uint32_t) (i + __builtin_ctz(left));
	}
	for (; i < n; i++)
		if (values[i] >= threshold)
			out[count++] = (uint32_t) i;
	return count;
}

/* Rows and bytes of centres that are compared before going on: these stay in the caches. */
#define ASSIGN_ROWS 64
#define ASSIGN_CENTRE_BYTES 16384

void
ivf_assign_blocked(const int8_t *rows, int n, const int8_t *centres, const float *half_norm,
				   int ncentres, int pdims, int32_t *nearest, IvfAssignGroup assign_group)
{
	/* A multiple of the centres that a level takes at once, 2 or 4. */
	int block = (ASSIGN_CENTRE_BYTES / pdims + 3) / 4 * 4;

	for (int first = 0; first < n; first += ASSIGN_ROWS)
	{
		int count = n - first < ASSIGN_ROWS ? n - first : ASSIGN_ROWS;
		float score[ASSIGN_ROWS];
		int32_t found[ASSIGN_ROWS];

		/* The last group may be larger than what is left of it. */
		for (int i = 0; i < ASSIGN_ROWS; i++)
		{
			score[i] = -INFINITY;
			found[i] = 0;
		}
		for (int c = 0; c < ncentres; c += block)
		{
			int end = ncentres - c < block ? ncentres : c + block;

			for (int i = 0; i < count; i += IVF_GROUP)
				assign_group(ivf_group(rows, (size_t) pdims, first + i, n), centres, half_norm, c,
							 end, pdims, score + i, found + i);
		}
		memcpy(nearest + first, found, (size_t) count * sizeof(int32_t));
	}
}

/* Four rows and two centres at once. */
TARGET static void
assign_group(IvfGroup group, const int8_t *centres, const float *half_norm, int first, int end,
			 int pdims, float *score, int32_t *nearest)
{
	const int8_t *row0 = group.row[0];
	const int8_t *row1 = group.row[1];
	const int8_t *row2 = group.row[2];
	const int8_t *row3 = group.row[3];
	__m128 best = _mm_loadu_ps(score);
	__m128i at = _mm_loadu_si128((const __m128i *) nearest);

	for (int c = first; c < end; c += 2)
	{
		/* The last one again where there is no other: it cannot beat itself. */
		int d = c + 1 < end ? c + 1 : c;
		const int8_t *centre_c = centres + (size_t) c * pdims;
		const int8_t *centre_d = centres + (size_t) d * pdims;
		__m256i c0 = _mm256_setzero_si256();
		__m256i c1 = c0;
		__m256i c2 = c0;
		__m256i c3 = c0;
		__m256i d0 = c0;
		__m256i d1 = c0;
		__m256i d2 = c0;
		__m256i d3 = c0;

		for (int j = 0; j < pdims; j += STEP)
		{
			__m256i part_c = load(centre_c + j);
			__m256i part_d = load(centre_d + j);
			__m256i magnitude_c = _mm256_abs_epi8(part_c);
			__m256i magnitude_d = _mm256_abs_epi8(part_d);
			__m256i part = load(row0 + j);

			c0 = add_8bit(c0, part, part_c, magnitude_c);
			d0 = add_8bit(d0, part, part_d, magnitude_d);
			part = load(row1 + j);
			c1 = add_8bit(c1, part, part_c, magnitude_c);
			d1 = add_8bit(d1, part, part_d, magnitude_d);
			part = load(row2 + j);
			c2 = add_8bit(c2, part, part_c, magnitude_c);
			d2 = add_8bit(d2, part, part_d, magnitude_d);
			part = load(row3 + j);
			c3 = add_8bit(c3, part, part_c, magnitude_c);
			d3 = add_8bit(d3, part, part_d, magnitude_d);
		}
		ivf_take_centre(ivf_sum_each(c0, c1, c2, c3), c, half_norm[c], &best, &at);
		ivf_take_centre(ivf_sum_each(d0, d1, d2, d3), d, half_norm[d], &best, &at);
	}
	_mm_storeu_ps(score, best);
	_mm_storeu_si128((__m128i *) nearest, at);
}

TARGET static void
assign(const int8_t *rows, int n, const int8_t *centres, const float *half_norm, int ncentres,
	   int pdims, int32_t *nearest)
{
	ivf_assign_blocked(rows, n, centres, half_norm, ncentres, pdims, nearest, assign_group);
}

/* The stages 1, 2 and 4 of a transform, within a register. */
TARGET MM_INLINE __m256
transform_lanes(__m256 x)
{
	/* a - b is b's negative plus a, to the bit. */
	const __m256 sign1 = _mm256_setr_ps(0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f);
	const __m256 sign2 = _mm256_setr_ps(0.0f, 0.0f, -0.0f, -0.0f, 0.0f, 0.0f, -0.0f, -0.0f);
	const __m256 sign4 = _mm256_setr_ps(0.0f, 0.0f, 0.0f, 0.0f, -0.0f, -0.0f, -0.0f, -0.0f);

	x = _mm256_add_ps(_mm256_xor_ps(x, sign1), _mm256_permute_ps(x, 0xb1));
	x = _mm256_add_ps(_mm256_xor_ps(x, sign2), _mm256_permute_ps(x, 0x4e));
	return _mm256_add_ps(_mm256_xor_ps(x, sign4), _mm256_permute2f128_ps(x, x, 0x01));
}

TARGET MM_INLINE void
butterfly(__m256 *a, __m256 *b)
{
	__m256 sum = _mm256_add_ps(*a, *b);

	*b = _mm256_sub_ps(*a, *b);
	*a = sum;
}

/*
 * Up to three stages at a time, h, 2 h and 4 h, on registers that lie h floats
 * apart: what a stage leaves needs not go through memory.
 */
TARGET MM_INLINE void
transform_2(float *x, int h)
{
	__m256 r0 = _mm256_loadu_ps(x);
	__m256 r1 = _mm256_loadu_ps(x + h);

	butterfly(&r0, &r1);
	_mm256_storeu_ps(x, r0);
	_mm256_storeu_ps(x + h, r1);
}

TARGET MM_INLINE void
transform_4(float *x, int h)
{
	__m256 r0 = _mm256_loadu_ps(x);
	__m256 r1 = _mm256_loadu_ps(x + h);
	__m256 r2 = _mm256_loadu_ps(x + 2 * h);
	__m256 r3 = _mm256_loadu_ps(x + 3 * h);

	butterfly(&r0, &r1);
	butterfly(&r2, &r3);
	butterfly(&r0, &r2);
	butterfly(&r1, &r3);
	_mm256_storeu_ps(x, r0);
	_mm256_storeu_ps(x + h, r1);
	_mm256_storeu_ps(x + 2 * h, r2);
	_mm256_storeu_ps(x + 3 * h, r3);
}

/* With lanes, the stages 1, 2 and 4 come before those. */
TARGET MM_INLINE void
transform_8(float *x, int h, bool lanes)
{
	__m256 r0 = _mm256_loadu_ps(x);
	__m256 r1 = _mm256_loadu_ps(x + h);
	__m256 r2 = _mm256_loadu_ps(x + 2 * h);
	__m256 r3 = _mm256_loadu_ps(x + 3 * h);
	__m256 r4 = _mm256_loadu_ps(x + 4 * h);
	__m256 r5 = _mm256_loadu_ps(x + 5 * h);
	__m256 r6 = _mm256_loadu_ps(x + 6 * h);
	__m256 r7 = _mm256_loadu_ps(x + 7 * h);

	if (lanes)
	{
		r0 = transform_lanes(r0);
		r1 = transform_lanes(r1);
		r2 = transform_lanes(r2);
		r3 = transform_lanes(r3);
		r4 = transform_lanes(r4);
		r5 = transform_lanes(r5);
		r6 = transform_lanes(r6);
		r7 = transform_lanes(r7);
	}
	butterfly(&r0, &r1);
	butterfly(&r2, &r3);
	butterfly(&r4, &r5);
	butterfly(&r6, &r7);
	butterfly(&r0, &r2);
	butterfly(&r1, &r3);
	butterfly(&r4, &r6);
	butterfly(&r5, &r7);
	butterfly(&r0, &r4);
	butterfly(&r1, &r5);
	butterfly(&r2, &r6);
	butterfly(&r3, &r7);
	_mm256_storeu_ps(x, r0);
	_mm256_storeu_ps(x + h, r1);
	_mm256_storeu_ps(x + 2 * h, r2);
	_mm256_storeu_ps(x + 3 * h, r3);
	_mm256_storeu_ps(x + 4 * h, r4);
	_mm256_storeu_ps(x + 5 * h, r5);
	_mm256_storeu_ps(x + 6 * h, r6);
	_mm256_storeu_ps(x + 7 * h, r7);
}

void TARGET
ivf_hadamard_avx2(float *x, int n)
{
	int h;

	if (n < 8)
	{
		ivf_kernels_scalar.hadamard(x, n);
		return;
	}
	if (n >= 64)
	{
		for (int i = 0; i < n; i += 64)
			transform_8(x + i, 8, true);
		h = 64;
	}
	else
	{
		for (int i = 0; i < n; i += 8)
			_mm256_storeu_ps(x + i, transform_lanes(_mm256_loadu_ps(x + i)));
		h = 8;
	}
	while (h < n)
	{
		int radix = n / h >= 8 ? 8 : n / h;

		for (int i = 0; i < n; i += radix * h)
			for (int j = i; j < i + h; j += 8)
			{
				if (radix == 8)
					transform_8(x + j, h, false);
				else if (radix == 4)
					transform_4(x + j, h);
				else
					transform_2(x + j, h);
			}
		h *= radix;
	}
}

const IvfKernels ivf_kernels_avx2 = {.name = "avx2",
									 .dot_2bit = dot_2bit,
									 .dot_8bit = dot_8bit,
									 .dot_8bit_16 = ivf_dot_8bit_16_avx2,
									 .dot_4bit = ivf_dot_4bit_avx2,
									 .estimate = ivf_estimate_avx2,
									 .collect = ivf_collect_avx2,
									 .assign = assign,
									 .hadamard = ivf_hadamard_avx2};

#endif /* MM_HAVE_X86 */
