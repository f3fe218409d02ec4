/*-------------------------------------------------------------------------
 *
 * image.h
 *	  Pictures inside the encoders: decoding to the canonical RGB and the
 *	  transforms that models apply to it.
 *
 * Canonical RGB, for every model: EXIF orientation applied, palette and gray
 * to RGB, 16 bits to 8, alpha composed over white, before any resize.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_IMAGE_H
#define MM_IMAGE_H

#include "mm_encoders.h"

/* 8-bit RGB, interleaved, rows of 3 * width bytes without padding. */
typedef struct mm_image
{
	int width;
	int height;
	uint8_t *rgb; /* malloc'd, height x width x 3 */
} mm_image;

/*
 * Decode JPEG, PNG or BMP bytes to the canonical RGB.  The header's size is
 * held against the limits before any pixel memory is taken.  On success the
 * caller frees img with mm_image_free; on failure img is zeroed.
 */
extern mm_status mm_image_decode(mm_slice bytes, const mm_limits *limits, mm_image *img,
								 mm_error *err);
extern void mm_image_free(mm_image *img);

/*
 * Pillow's Image.resize(..., BICUBIC) on 8-bit RGB, bit for bit: antialiased,
 * 22-bit fixed-point coefficients, horizontal pass first, both passes rounded
 * to 8 bits.
 */
extern mm_status mm_resize_bicubic(const mm_image *src, int width, int height, mm_image *dst,
								   mm_error *err);

/* How a model turns the canonical RGB into its input tensor. */
typedef enum mm_transform_kind
{
	MM_TRANSFORM_LETTERBOX /* whole picture centred on a white square */
} mm_transform_kind;

typedef struct mm_transform
{
	mm_transform_kind kind;
	int size;      /* side of the square input, pixels */
	float mean[3]; /* on the 0..255 scale */
	float std[3];
} mm_transform;

typedef enum mm_layout
{
	MM_LAYOUT_CHW, /* planes: what mm_preprocess returns */
	MM_LAYOUT_HWC  /* interleaved: what the convolutions read */
} mm_layout;

/* out: 3 * size * size floats, (value - mean) / std, in the wanted layout. */
extern mm_status mm_transform_apply(const mm_transform *t, const mm_image *img, mm_layout layout,
									float *out, mm_error *err);

#endif /* MM_IMAGE_H */
