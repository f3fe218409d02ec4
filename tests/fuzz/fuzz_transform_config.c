/*-------------------------------------------------------------------------
 *
 * fuzz_transform_config.c
 *	  preprocessor_config.json, and open_clip_config.json for its transform.
 *
 * What is accepted is applied to pictures of several shapes.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <math.h>
#include <string.h>

#include "image.h"

#define ALLOWED (1u << MM_ERR_BAD_MODEL | 1u << MM_ERR_UNSUPPORTED)
#define SIZE 16
#define PIXELS (1 << 14)

static fuzz_dir hf, open_clip;
static uint8_t pixels[3 * PIXELS];

void
fuzz_init(void)
{
	hf = fuzz_directory();
	open_clip = fuzz_directory();
	for (size_t i = 0; i < sizeof(pixels); i++)
		pixels[i] = (uint8_t) (i * i >> 3);
}

static void
apply(const mm_transform *t)
{
	static float out[3 * SIZE * SIZE];
	const int shapes[][2] = {{1, 1}, {20, 30}, {1, PIXELS}, {PIXELS, 1}};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
	{
		const mm_image img = {shapes[i][0], shapes[i][1], 3, pixels};
		mm_error err = fuzz_no_error();

		fuzz_status(mm_transform_apply(t, &img, MM_LAYOUT_CHW, out, &err), &err, 0);
		for (int k = 0; k < 3 * SIZE * SIZE; k++)
			FUZZ_CHECK(isfinite(out[k]), "value %d is not finite", k);
	}
}

static void
read_transform(const fuzz_dir *dir)
{
	mm_transform t;
	mm_error err = fuzz_no_error();

	if (!fuzz_status(mm_transform_read(dir->path, SIZE, true, &t, &err), &err, ALLOWED))
		return;
	FUZZ_CHECK(t.size == SIZE, "size %d", t.size);
	FUZZ_CHECK(t.kind == MM_TRANSFORM_LETTERBOX || t.shortest >= 1, "shortest side %d", t.shortest);
	apply(&t);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	fuzz_write(&hf, "preprocessor_config.json", data, size);
	read_transform(&hf);
	fuzz_write(&open_clip, "open_clip_config.json", data, size);
	read_transform(&open_clip);
}
