/*-------------------------------------------------------------------------
 *
 * picture.c
 *	  Decoding, resize and transforms, from the bytes of a file on.
 *
 * Beyond memory: sizes are within the limits, a second decoding gives the same
 * pixels, all levels of the resize do, both layouts hold the same tensor, and
 * its values are finite.
 *
 *-------------------------------------------------------------------------
 */
#include "picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

/* Small, so that executions are quick; hostile sizes run into it all the same. */
#define MAX_PIXELS (1 << 12)

#define SIZE 24

/* As the model "mini" has it, and as CLIP, but smaller. */
static const mm_transform transforms[] = {
	{MM_TRANSFORM_LETTERBOX, MM_PASSES_PILLOW_12, SIZE, 0, 1, {127, 127, 127}, {128, 128, 128}},
	{MM_TRANSFORM_SHORTEST_CROP,
	 MM_PASSES_PILLOW_13,
	 SIZE,
	 SIZE,
	 255,
	 {0.48f, 0.46f, 0.41f},
	 {0.27f, 0.26f, 0.28f}},
	{MM_TRANSFORM_SHORTEST_CROP, MM_PASSES_PILLOW_13, SIZE, 37, 255, {0, 0, 0}, {1, 1, 1}},
};

#define TRANSFORMS ((int) (sizeof(transforms) / sizeof(transforms[0])))

static size_t
bytes_of(const mm_image *img)
{
	return (size_t) img->width * (size_t) img->height * 3;
}

static void
check_transform(const mm_transform *t, const mm_image *img)
{
	static float planes[3 * SIZE * SIZE], interleaved[3 * SIZE * SIZE];
	mm_error err = fuzz_no_error();

	fuzz_status(mm_transform_apply(t, img, MM_LAYOUT_CHW, planes, &err), &err, 0);
	fuzz_status(mm_transform_apply(t, img, MM_LAYOUT_HWC, interleaved, &err), &err, 0);
	for (int c = 0; c < 3; c++)
	{
		for (int i = 0; i < SIZE * SIZE; i++)
		{
			float v = planes[c * SIZE * SIZE + i];

			FUZZ_CHECK(isfinite(v), "value %d of channel %d is not finite", i, c);
			FUZZ_CHECK(v == interleaved[i * 3 + c], "layouts differ in pixel %d", i);
		}
	}
}

/* A part of a resize that is in no simple proportion to the picture. */
static void
check_levels(const mm_image *img, mm_pass_order order)
{
	mm_resize to = {.width = 31 + img->height % 7,
					.height = 29 + img->width % 5,
					.left = img->width % 3,
					.top = img->height % 4,
					.columns = 26,
					.rows = 21,
					.order = order,
					.isa = MM_ISA_SCALAR};
	mm_error err = fuzz_no_error();
	mm_image scalar, level;

	fuzz_status(mm_resize_bicubic(img, &to, &scalar, &err), &err, 0);
	for (to.isa = MM_ISA_AVX2; to.isa <= MM_ISA_AVX512; to.isa++)
	{
		if (!mm_isa_available(to.isa))
			continue;
		fuzz_status(mm_resize_bicubic(img, &to, &level, &err), &err, 0);
		FUZZ_CHECK(memcmp(scalar.data, level.data, bytes_of(&scalar)) == 0,
				   "levels of the resize differ");
		mm_image_free(&level);
	}
	mm_image_free(&scalar);
}

static bool
decode(mm_slice bytes, mm_image *img)
{
	const mm_limits limits = {.max_image_pixels = MAX_PIXELS, .max_image_bytes = 1 << 20};
	const unsigned allowed = 1u << MM_ERR_BAD_IMAGE | 1u << MM_ERR_UNSUPPORTED | 1u << MM_ERR_LIMIT;
	mm_error err = fuzz_no_error();

	if (!fuzz_status(mm_image_decode(bytes, &limits, img, &err), &err, allowed))
	{
		FUZZ_CHECK(img->data == NULL, "a picture is left behind a failure");
		return false;
	}
	FUZZ_CHECK(img->width >= 1 && img->height >= 1 && img->channels == 3 &&
				   (int64_t) img->width * img->height <= MAX_PIXELS,
			   "a picture of %d x %d pixels and %d channels", img->width, img->height,
			   img->channels);
	return true;
}

void
fuzz_picture(const char *signature, size_t len, const uint8_t *data, size_t size)
{
	int orientation = mm_exif_orientation(data, size);
	uint8_t *copy;
	mm_image img, again;

	FUZZ_CHECK(orientation >= 1 && orientation <= 8, "orientation %d", orientation);
	if (size < len)
		return;
	copy = malloc(size);
	FUZZ_CHECK(copy != NULL, "out of memory");
	memcpy(copy, data, size);
	for (size_t i = 0; i < len; i++)
	{
		if (signature[i] != '?')
			copy[i] = (uint8_t) signature[i];
	}
	if (decode((mm_slice){copy, size}, &img))
	{
		FUZZ_CHECK(decode((mm_slice){copy, size}, &again), "decodes only once");
		FUZZ_CHECK(img.width == again.width && img.height == again.height &&
					   memcmp(img.data, again.data, bytes_of(&img)) == 0,
				   "decodes to other pixels the second time");
		/* one of each, by the picture: executions are to be many */
		check_transform(&transforms[(img.width + img.height) % TRANSFORMS], &img);
		check_levels(&img, img.width % 2 ? MM_PASSES_PILLOW_12 : MM_PASSES_PILLOW_13);
		mm_image_free(&img);
		mm_image_free(&again);
	}
	free(copy);
}

void
fuzz_init(void)
{
}
