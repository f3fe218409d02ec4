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

/* What is painted on the square: a part of the resized picture, and where. */
typedef struct placement
{
	mm_resize resize;
	int left, top;   /* of the part, in the square */
	uint8_t outside; /* value around it */
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
	placement p = {.outside = 255};
	mm_resize *r = &p.resize;

	r->columns = round_half_even(img->width * scale);
	r->rows = round_half_even(img->height * scale);
	r->columns = r->columns < 1 ? 1 : r->columns > t->size ? t->size : r->columns;
	r->rows = r->rows < 1 ? 1 : r->rows > t->size ? t->size : r->rows;
	r->width = r->columns;
	r->height = r->rows;
	p.left = (t->size - r->columns) / 2;
	p.top = (t->size - r->rows) / 2;
	return p;
}

/*
 * The part of a side that a centred crop keeps, as torchvision cuts it: the
 * offset is round((length - size) / 2.0), halves to the even neighbour, and a
 * side that is too short is padded, by the smaller half before it.
 */
static void
crop_side(int64_t length, int size, int64_t *from, int *kept, int *before)
{
	int64_t excess = length - size;

	*from = excess <= 0 ? 0 : excess / 2 + (excess % 4 == 3);
	*kept = excess < 0 ? (int) length : size;
	*before = excess < 0 ? (int) (-excess / 2) : 0;
}

static placement
shortest_crop(const mm_transform *t, const mm_image *img)
{
	int64_t n = t->shortest;
	placement p = {.outside = 0};
	mm_resize *r = &p.resize;

	/* int(n * long / short): a quotient of integers this small, rounded to
	 * double, never reaches the next integer */
	if (img->width <= img->height)
	{
		r->width = n;
		r->height = n * img->height / img->width;
	}
	else
	{
		r->width = n * img->width / img->height;
		r->height = n;
	}
	crop_side(r->width, t->size, &r->left, &r->columns, &p.left);
	crop_side(r->height, t->size, &r->top, &r->rows, &p.top);
	return p;
}

/* The value of every byte in a channel, computed once. */
static void
normalize_table(const mm_transform *t, int channel, float table[256])
{
	for (int v = 0; v < 256; v++)
		table[v] = ((float) v / t->unit - t->mean[channel]) / t->std[channel];
}

/* The part of the resized picture in its surroundings, normalised. */
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
			bool inside = y >= p->top && y < p->top + img->height;
			const uint8_t *in = img->data + c;

			if (inside)
				in += (size_t) (y - p->top) * img->width * 3;

			for (int x = 0; x < t->size; x++, o += pixel)
			{
				if (inside && x >= p->left && x < p->left + img->width)
					*o = table[in[(size_t) (x - p->left) * 3]];
				else
					*o = table[p->outside];
			}
		}
	}
}

mm_status
mm_transform_apply(const mm_transform *t, const mm_image *img, mm_layout layout, float *out,
				   mm_error *err)
{
	placement p = t->kind == MM_TRANSFORM_LETTERBOX ? letterbox(t, img) : shortest_crop(t, img);
	mm_image resized;
	mm_status status;

	p.resize.order = t->order;
	status = mm_resize_bicubic(img, &p.resize, &resized, err);
	if (status != MM_OK)
		return status;
	paint(t, &resized, &p, layout, out);
	mm_image_free(&resized);
	return MM_OK;
}
