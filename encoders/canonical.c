/*-------------------------------------------------------------------------
 *
 * canonical.c
 *	  The last steps to the canonical RGB: alpha over white, orientation.
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

void
mm_image_flatten(mm_image *img)
{
	size_t n = (size_t) img->width * img->height;
	const uint8_t *in = img->data;
	uint8_t *out = img->data;

	for (size_t i = 0; i < n; i++, in += 4)
	{
		uint32_t alpha = in[3];

		for (int c = 0; c < 3; c++)
		{
			/* x / 255 rounded to nearest, for x up to 255 * 255 */
			uint32_t x = in[c] * alpha + 255 * (255 - alpha) + 128;

			*out++ = (uint8_t) ((x + (x >> 8)) >> 8);
		}
	}
	img->channels = 3;
}

/*
 * Where the pixel at (x, y) of the upright picture is found in the stored one:
 * start + x * dx + y * dy, in pixels.
 */
typedef struct walk
{
	ptrdiff_t start, dx, dy;
} walk;

static walk
walk_of(int orientation, ptrdiff_t w, ptrdiff_t h)
{
	ptrdiff_t last = w * h - 1;

	switch (orientation)
	{
		case 2:
			return (walk){w - 1, -1, w}; /* mirrored */
		case 3:
			return (walk){last, -1, -w}; /* upside down */
		case 4:
			return (walk){w * (h - 1), 1, -w}; /* mirrored upside down */
		case 5:
			return (walk){0, w, 1}; /* transposed */
		case 6:
			return (walk){w * (h - 1), -w, 1}; /* to be turned clockwise */
		case 7:
			return (walk){last, -w, -1}; /* transposed the other way */
		case 8:
			return (walk){w - 1, w, -1}; /* to be turned anticlockwise */
		default:
			return (walk){0, 1, w};
	}
}

/* Turning goes across the rows of one picture: by squares that stay in the cache. */
#define SQUARE 32

mm_status
mm_image_orient(mm_image *img, int orientation, const mm_stop *stop, mm_error *err)
{
	bool turned = orientation >= 5;
	int width = turned ? img->height : img->width;
	int height = turned ? img->width : img->height;
	walk step = walk_of(orientation, img->width, img->height);
	uint8_t *upright;

	if (orientation <= 1 || orientation > 8)
		return MM_OK;
	upright = malloc((size_t) width * height * 3);
	if (upright == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	for (int top = 0; top < height; top += SQUARE)
	{
		int bottom = height - top < SQUARE ? height : top + SQUARE;

		if (mm_stop_asked(stop))
		{
			free(upright);
			return mm_fail(err, MM_ERR_CANCELED, "canceled");
		}
		for (int left = 0; left < width; left += SQUARE)
		{
			int right = width - left < SQUARE ? width : left + SQUARE;

			for (int y = top; y < bottom; y++)
			{
				const uint8_t *in = img->data + 3 * (step.start + y * step.dy + left * step.dx);
				uint8_t *out = upright + 3 * ((size_t) y * width + left);

				for (int x = left; x < right; x++, in += 3 * step.dx, out += 3)
					memcpy(out, in, 3);
			}
		}
	}
	free(img->data);
	img->data = upright;
	img->width = width;
	img->height = height;
	return MM_OK;
}
