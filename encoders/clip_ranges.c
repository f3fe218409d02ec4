/*-------------------------------------------------------------------------
 *
 * clip_ranges.c
 *	  What the layers of CLIP are given: tried with a few inputs, to find the
 *	  columns that dwarf the others.
 *
 * Such columns are a property of the weights, much the same whatever the input
 * (Dettmers et al. 2022), so made-up pictures do.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clip.h"
#include "error.h"
#include "quantize.h"

#define PICTURES 4

static const char *const texts[] = {
	"a photo of a dog",
	"a diagram",
	"two people riding bicycles along the beach at sunset, seen from a bridge",
	"spaghetti with tomato sauce, basil and grated cheese on a white plate",
	"1984",
	"the logo of a company in red and black letters",
	"a close-up photo of a small bird on a snowy branch",
	"Aerial view of fields & rivers, 4k; no clouds!",
};

#define TEXTS ((int) (sizeof(texts) / sizeof(texts[0])))

/* A value of -2 to 2 for a pixel: a ramp, stripes, blocks, or noise. */
static float
pixel(int picture, int x, int y, int channel, uint32_t *noise)
{
	switch (picture)
	{
		case 0:
			return (float) ((x + 2 * y) % 251) / 63 - 2;
		case 1:
			return sinf(0.07f * x * (1 + channel)) + cosf(0.05f * y);
		case 2:
			return (x / 24 + y / 24 + channel) % 3 - 1.0f;
		default:
			*noise = *noise * 1664525 + 1013904223;
			return (float) (*noise >> 8) / (1 << 22) - 2;
	}
}

static mm_status
try_pictures(const mm_clip *m, mm_clip_scratch *scratch, const mm_run *run, float *pixels,
			 float *out)
{
	int side = m->config.image_size;
	uint32_t noise = 1;

	for (int p = 0; p < PICTURES; p++)
	{
		float *to = pixels;
		mm_status status;

		for (int y = 0; y < side; y++)
			for (int x = 0; x < side; x++)
				for (int c = 0; c < 3; c++)
					*to++ = pixel(p, x, y, c, &noise);
		status = mm_clip_forward_images(m, scratch, run, pixels, 1, out);
		if (status != MM_OK)
			return status;
	}
	return MM_OK;
}

static mm_status
try_texts(const mm_clip *m, mm_clip_scratch *scratch, const mm_run *run, int32_t *ids, float *out,
		  mm_error *err)
{
	for (int i = 0; i < TEXTS; i++)
	{
		int starts[2] = {0};
		mm_status status = mm_bpe_encode(m->bpe, (mm_slice){texts[i], strlen(texts[i])}, ids,
										 m->config.context, &starts[1], err);

		if (status == MM_OK)
			status = mm_clip_forward_texts(m, scratch, run, &(mm_token_batch){1, ids, starts}, out);
		if (status != MM_OK)
			return status;
	}
	return MM_OK;
}

mm_status
mm_clip_find_ranges(const mm_clip *m, const mm_run *run, mm_ranges *ranges, mm_error *err)
{
	mm_run observed = *run;
	mm_arena arena = {0};
	mm_clip_scratch scratch;
	size_t area = (size_t) m->config.image_size * m->config.image_size;
	float *pixels = malloc(sizeof(float) * 3 * area);
	float *out = malloc(sizeof(float) * m->config.dims);
	int32_t *ids = malloc(sizeof(int32_t) * m->config.context);
	mm_status status = MM_ERR_NO_MEMORY;

	mm_clip_take_scratch(m, 1, &arena, &scratch);
	arena = (mm_arena){.base = mm_arena_block(arena.used)};
	if (arena.base != NULL && pixels != NULL && out != NULL && ids != NULL)
	{
		mm_clip_take_scratch(m, 1, &arena, &scratch);
		observed.observe = mm_ranges_observe;
		observed.observe_arg = ranges;
		status = try_pictures(m, &scratch, &observed, pixels, out);
		if (status == MM_OK)
			status = try_texts(m, &scratch, &observed, ids, out, err);
		if (status == MM_OK && ranges->failed)
			status = MM_ERR_NO_MEMORY;
	}
	if (status == MM_ERR_NO_MEMORY)
		mm_fail(err, status, "out of memory");
	if (status == MM_ERR_CANCELED)
		mm_fail(err, status, "canceled");
	free(arena.base);
	free(pixels);
	free(out);
	free(ids);
	return status;
}
