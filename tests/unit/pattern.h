/*-------------------------------------------------------------------------
 *
 * pattern.h
 *	  A picture of noise, gradients and hard edges, of any size: pattern() of
 *	  the golden scripts in C, to the pixel.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TEST_PATTERN_H
#define TEST_PATTERN_H

#include <stdlib.h>

#include "image.h"

static inline uint8_t
pattern_value(uint32_t x, uint32_t y, uint32_t i)
{
	uint32_t h = i * 2654435761u + 12345u;

	switch (y / 16 % 3)
	{
		case 0:
			h ^= h >> 15;
			h *= 2246822519u;
			h ^= h >> 13;
			return (uint8_t) (h >> 24);
		case 1:
			return (x / 5 + y / 3) % 2 ? 255 : 0;
		default:
			return (uint8_t) (x * 7 + y * 3);
	}
}

/* The caller frees it with mm_image_free. */
static inline mm_image
pattern_picture(int width, int height)
{
	mm_image img = {.width = width, .height = height, .channels = 3};
	uint8_t *out = img.data = malloc((size_t) width * height * 3);
	uint32_t i = 0;

	assert_non_null(out);
	for (uint32_t y = 0; y < (uint32_t) height; y++)
		for (uint32_t x = 0; x < (uint32_t) width; x++)
			for (int c = 0; c < 3; c++)
				*out++ = pattern_value(x, y, i++);
	return img;
}

#endif /* TEST_PATTERN_H */
