/*-------------------------------------------------------------------------
 *
 * pictures.h
 *	  Synthetic pictures for parity tests: draw() of make_tower_goldens.py in
 *	  C, to the pixel.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TEST_PICTURES_H
#define TEST_PICTURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICTURE_SIDE 224
#define PICTURE_BYTES ((size_t) PICTURE_SIDE * PICTURE_SIDE * 3)

static inline uint32_t
picture_random(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 8) % below;
}

/* 0 to 255, a hash of the place */
static inline int
picture_noise(uint32_t x, uint32_t y, uint32_t seed)
{
	uint32_t h = x * 374761393u + y * 668265263u + seed * 2246822519u;

	h = (h ^ h >> 13) * 1274126177u;
	return (int) (h >> 24);
}

/* A gradient between the colours of four corners. */
static inline void
picture_background(uint32_t *random, int *rgb)
{
	const int last = PICTURE_SIDE - 1;
	int corner[4][3];

	for (int i = 0; i < 12; i++)
		corner[i / 3][i % 3] = (int) picture_random(random, 256);
	for (int y = 0; y <= last; y++)
		for (int x = 0; x <= last; x++)
			for (int c = 0; c < 3; c++)
				*rgb++ = ((corner[0][c] * (last - x) + corner[1][c] * x) * (last - y) +
						  (corner[2][c] * (last - x) + corner[3][c] * x) * y) /
						 (last * last);
}

/* A striped ellipse, rectangle or ring. */
static inline void
picture_shape(uint32_t *random, int *rgb)
{
	int kind = (int) picture_random(random, 3);
	int64_t cx = picture_random(random, PICTURE_SIDE);
	int64_t cy = picture_random(random, PICTURE_SIDE);
	int64_t rx = 6 + (int64_t) picture_random(random, 90);
	int64_t ry = 6 + (int64_t) picture_random(random, 90);
	int colour[2][3];
	int period, slope;

	for (int i = 0; i < 6; i++)
		colour[i / 3][i % 3] = (int) picture_random(random, 256);
	period = 2 + (int) picture_random(random, 30);
	slope = (int) picture_random(random, 5);
	for (int y = 0; y < PICTURE_SIDE; y++)
		for (int x = 0; x < PICTURE_SIDE; x++, rgb += 3)
		{
			int64_t dx = x - cx, dy = y - cy, d2 = dx * dx + dy * dy;
			bool inside;

			if (kind == 0)
				inside = dx * dx * ry * ry + dy * dy * rx * rx <= rx * rx * ry * ry;
			else if (kind == 1)
				inside = dx >= -rx && dx <= rx && dy >= -ry && dy <= ry;
			else
				inside = d2 <= rx * rx && 4 * d2 >= rx * rx;
			for (int c = 0; c < 3 && inside; c++)
				rgb[c] = colour[(x + slope * y) / period % 2][c];
		}
}

/* out: 224 x 224 x 3; work has as many ints. */
static inline void
picture_draw(int index, int *work, uint8_t *out)
{
	uint32_t random = (uint32_t) index * 7919u + 17u;
	int shapes, grain;

	picture_background(&random, work);
	shapes = 2 + (int) picture_random(&random, 9);
	for (int i = 0; i < shapes; i++)
		picture_shape(&random, work);
	grain = (int) picture_random(&random, 40);
	for (size_t i = 0; i < PICTURE_BYTES; i++)
	{
		uint32_t c = (uint32_t) (i % 3), x = (uint32_t) (i / 3 % PICTURE_SIDE);
		int noise = picture_noise(x, (uint32_t) (i / 3 / PICTURE_SIDE), (uint32_t) index * 3 + c);
		int v = work[i] + noise * (2 * grain + 1) / 256 - grain;

		out[i] = (uint8_t) (v < 0 ? 0 : v > 255 ? 255 : v);
	}
}

static inline uint32_t
picture_adler32(const uint8_t *data, size_t n)
{
	uint32_t a = 1, b = 0;

	for (size_t i = 0; i < n; i++)
	{
		a = (a + data[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

#endif /* TEST_PICTURES_H */
