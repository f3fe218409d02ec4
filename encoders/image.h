/*-------------------------------------------------------------------------
 *
 * image.h
 *	  Pictures inside the encoders: decoding to the canonical RGB and the
 *	  transforms that models apply to it.
 *
 * Canonical RGB, for every model: EXIF orientation applied, palette and gray
 * to RGB, 16 bits to 8 (the high byte), alpha composed over white, all before
 * any resize.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_IMAGE_H
#define MM_IMAGE_H

#include "mm_encoders.h"

/* 8 bits a channel, interleaved, rows without padding. */
typedef struct mm_image
{
	int width;
	int height;
	int channels;  /* 3: RGB; 4, between decoder and canonical form: RGBA */
	uint8_t *data; /* malloc'd, height x width x channels */
} mm_image;

/*
 * Asked every few milliseconds of a decoding whether to give it up, with
 * MM_ERR_CANCELED.
 */
typedef struct mm_stop
{
	bool (*asked)(void *arg);
	void *arg;
} mm_stop;

/* stop may be NULL: never */
static inline bool
mm_stop_asked(const mm_stop *stop)
{
	return stop != NULL && stop->asked(stop->arg);
}

/*
 * Decode JPEG, PNG, WebP or BMP bytes to the canonical RGB.  The header's size is
 * held against the limits before any pixel memory is taken.  On success the
 * caller frees img with mm_image_free; on failure img is zeroed.
 */
extern mm_status mm_image_decode(mm_slice bytes, const mm_limits *limits, mm_image *img,
								 mm_error *err);
extern mm_status mm_image_decode_until(mm_slice bytes, const mm_limits *limits, const mm_stop *stop,
									   mm_image *img, mm_error *err);
extern void mm_image_free(mm_image *img);

/* limits with every 0 replaced by its default */
extern mm_limits mm_limits_resolve(const mm_limits *limits);

/*---- decoders: one file a format ----*/

/* What a picture's header says, before any pixel is decoded. */
typedef struct mm_image_header
{
	int64_t width;
	int64_t height;
	int orientation;      /* EXIF: 1 to 8 */
	int64_t decode_bytes; /* memory that decoding takes at most, with the pixels that it leaves */
	const mm_stop *stop;  /* for those who decode it; may be NULL */
} mm_image_header;

/* Longest side of a picture: that of a JPEG. */
#define MM_MAX_SIDE 65535

/*
 * A format has two functions.  The first reads the size, for the limits, and
 * takes no memory for pixels; the second gets what it found.  The memory is a
 * bound for whatever the file holds behind its header; it need not be right
 * where a side is over MM_MAX_SIDE.  Both are given
 * bytes with the signature of their format.  The second leaves RGB or RGBA in
 * img, not yet turned; what it leaves there on failure is freed by the caller.
 */
extern mm_status mm_jpeg_header(mm_slice bytes, mm_image_header *header, mm_error *err);
extern mm_status mm_jpeg_decode(mm_slice bytes, const mm_image_header *header, mm_image *img,
								mm_error *err);
extern mm_status mm_png_header(mm_slice bytes, mm_image_header *header, mm_error *err);
extern mm_status mm_png_decode(mm_slice bytes, const mm_image_header *header, mm_image *img,
							   mm_error *err);
extern mm_status mm_webp_header(mm_slice bytes, mm_image_header *header, mm_error *err);
extern mm_status mm_webp_decode(mm_slice bytes, const mm_image_header *header, mm_image *img,
								mm_error *err);
extern mm_status mm_bmp_header(mm_slice bytes, mm_image_header *header, mm_error *err);
extern mm_status mm_bmp_decode(mm_slice bytes, const mm_image_header *header, mm_image *img,
							   mm_error *err);

/* Orientation of a TIFF block ("II*\0" or "MM\0*"), 1 where it has none. */
extern int mm_exif_orientation(const uint8_t *tiff, size_t len);

/*---- canonical.c ----*/

/*
 * Compose RGBA over white, in place: c a + 255 (255 - a), divided by 255 and
 * rounded to nearest, as Pillow's paste with a mask does.
 */
extern void mm_image_flatten(mm_image *img);

/* Apply an EXIF orientation, 1 to 8. */
extern mm_status mm_image_orient(mm_image *img, int orientation, const mm_stop *stop,
								 mm_error *err);

/*---- resize.c ----*/

/* Which pass of a resize comes first; it changes pixels, by rounding. */
typedef enum mm_pass_order
{
	MM_PASSES_PILLOW_13, /* vertical first for much taller than wide reductions */
	MM_PASSES_PILLOW_12  /* horizontal first, always */
} mm_pass_order;

/* A resize, and the part of its result that is wanted. */
typedef struct mm_resize
{
	int64_t width, height; /* of the whole result */
	int64_t left, top;     /* where in it the part begins */
	int columns, rows;     /* size of the part: that of the picture made */
	mm_pass_order order;
	mm_isa isa; /* of the kernels; the result is the same */
} mm_resize;

/*
 * Pillow's Image.resize(..., BICUBIC) on 8-bit RGB, bit for bit: antialiased,
 * a = -0.5, coefficients of 22 fractional bits, the picture between the passes
 * rounded to 8 bits.  What the wanted part does not need is not computed, so a
 * whole result of any size costs no more than its part.
 */
extern mm_status mm_resize_bicubic(const mm_image *src, const mm_resize *to, mm_image *dst,
								   mm_error *err);

/*---- transform.c ----*/

/* How a model turns the canonical RGB into its input tensor. */
typedef enum mm_transform_kind
{
	MM_TRANSFORM_LETTERBOX,    /* the whole picture, centred on a white square */
	MM_TRANSFORM_SHORTEST_CROP /* CLIP's: the short side resized, the centre cut out */
} mm_transform_kind;

typedef struct mm_transform
{
	mm_transform_kind kind;
	mm_pass_order order;
	int size;     /* side of the square input, pixels */
	int shortest; /* MM_TRANSFORM_SHORTEST_CROP: the short side before the crop */
	float unit;   /* the value of a byte that counts as 1: (v / unit - mean) / std */
	float mean[3];
	float std[3];
} mm_transform;

typedef enum mm_layout
{
	MM_LAYOUT_CHW, /* planes: what mm_preprocess returns */
	MM_LAYOUT_HWC  /* interleaved: what the convolutions read */
} mm_layout;

/* out: 3 * size * size floats, (v / unit - mean) / std in float32, in the wanted layout. */
extern mm_status mm_transform_apply(const mm_transform *t, const mm_image *img, mm_layout layout,
									float *out, mm_error *err);

/*---- transform_config.c ----*/

/*
 * The transform of the model in a directory, for an image tower whose input is
 * image_size pixels square.  Read from preprocessor_config.json (our letterbox,
 * or CLIP's as Hugging Face writes it) or open_clip_config.json; where neither
 * is there OpenAI's transform is taken if clip_defaults allows it.
 */
extern mm_status mm_transform_read(const char *dir, int image_size, bool clip_defaults,
								   mm_transform *t, mm_error *err);

#endif /* MM_IMAGE_H */
