/*-------------------------------------------------------------------------
 *
 * transform.c
 *	  From the canonical RGB to a model's input tensor.
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <math.h>

#include "error.h"

/* Where the resized picture goes in the square, and how large it is. */
typedef struct placement
{
	int width, height;
	int left, top;
} placement;

/* Python's round(): halves go to the even neighbour. */
static int
round_half_even(double x)
{
	return (int) nearbyint(x);
}

static placement
letterbox(const mm_transform *t, const mm_image *img)
{
	double scale = (double) t->size / (img->width > img->height ? img->width : img->height);
	placement p;

	p.width = round_half_even(img->width * scale);
	p.height = round_half_even(img->height * scale);
	p.width = p.width < 1 ? 1 : p.width > t->size ? t->size : p.width;
	p.height = p.height < 1 ? 1 : p.height > t->size ? t->size : p.height;
	p.left = (t->size - p.width) / 2;
	p.top = (t->size - p.height) / 2;
	return p;
}

/* The value of every byte in a channel, computed once. */
static void
normalize_table(const mm_transform *t, int channel, float table[256])
{
	for (int v = 0; v < 256; v++)
		table[v] = ((float) v - t->mean[channel]) / t->std[channel];
}

/* The resized picture on white, normalised. */
static void
paint(const mm_transform *t, const mm_image *img, const placement *p, mm_layout layout, float *out)
{
	size_t area = (size_t) t->size * t->size;
	size_t pixel = layout == MM_LAYOUT_CHW ? 1 : 3;
	size_t plane = layout == MM_LAYOUT_CHW ? area : 1;

	for (int c = 0; c < 3; c++)
	{
		float table[256];
		float *o = out + c * plane;

		normalize_table(t, c, table);
		for (int y = 0; y < t->size; y++)
		{
			bool inside = y >= p->top && y < p->top + p->height;
			const uint8_t *in = img->data + c;

			if (inside)
				in += (size_t) (y - p->top) * p->width * 3;

			for (int x = 0; x < t->size; x++, o += pixel)
			{
				if (inside && x >= p->left && x < p->left + p->width)
					*o = table[in[(size_t) (x - p->left) * 3]];
				else
					*o = table[255];
			}
		}
	}
}

mm_status
mm_transform_apply(const mm_transform *t, const mm_image *img, mm_layout layout, float *out,
				   mm_error *err)
{
	placement p = letterbox(t, img);
	mm_image resized;
	mm_status status = mm_resize_bicubic(img, p.width, p.height, t->order, &resized, err);

	if (status != MM_OK)
		return status;
	paint(t, &resized, &p, layout, out);
	mm_image_free(&resized);
	return MM_OK;
}
