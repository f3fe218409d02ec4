/*-------------------------------------------------------------------------
 *
 * test_resize.c
 *	  Pillow's bicubic resize: the goldens of golden/pictures, parts of results
 *	  against the whole.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include "image.h"
#include "pattern.h"

#define PICTURES TESTS_DIR "/golden/pictures"

static mm_resize
whole(int width, int height)
{
	return (mm_resize){.width = width, .height = height, .columns = width, .rows = height};
}

static mm_image
resized(const mm_image *img, const mm_resize *to)
{
	mm_image out;
	mm_error err = {0};

	assert_int_equal(mm_resize_bicubic(img, to, &out, &err), MM_OK);
	assert_int_equal(out.width, to->columns);
	assert_int_equal(out.height, to->rows);
	assert_int_equal(out.channels, 3);
	return out;
}

static void
pillow_goldens(void **state)
{
	FILE *f = fopen(PICTURES "/manifest.txt", "r");
	char line[512];
	int lines = 0;

	(void) state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
	{
		int w, h, w2, h2;
		uint64_t hash;
		mm_image img, out;
		mm_resize to;

		if (sscanf(line, "resize %d %d %d %d %" SCNx64, &w, &h, &w2, &h2, &hash) != 5)
			continue;
		img = pattern_picture(w, h);
		to = whole(w2, h2);
		out = resized(&img, &to);
		if (golden_hash(out.data, (size_t) w2 * h2 * 3) != hash)
			fail_msg("%d x %d to %d x %d differs", w, h, w2, h2);
		mm_image_free(&img);
		mm_image_free(&out);
		lines++;
	}
	fclose(f);
	assert_in_range(lines, 20, 1000);
}

/* Reproducible sizes. */
static uint32_t seed;

static int
below(int n)
{
	seed = seed * 1664525 + 1013904223;
	return (int) ((seed >> 8) % (uint32_t) n);
}

static int
random_side(void)
{
	return 1 + below(1 << (1 + below(9)));
}

/* Any part of a result is that part of the whole result. */
static void
parts_of_results(void **state)
{
	(void) state;
	seed = 1;
	for (int round = 0; round < 400; round++)
	{
		mm_image img = pattern_picture(random_side(), random_side());
		mm_resize to = whole(round % 7 == 0 ? img.width : random_side(),
							 round % 5 == 0 ? img.height : random_side());
		mm_image all, part;

		to.order = round % 2 ? MM_PASSES_PILLOW_12 : MM_PASSES_PILLOW_13;
		all = resized(&img, &to);
		to.left = below(to.columns);
		to.top = below(to.rows);
		to.columns = 1 + below(to.columns - (int) to.left);
		to.rows = 1 + below(to.rows - (int) to.top);
		part = resized(&img, &to);
		for (int y = 0; y < to.rows; y++)
			assert_memory_equal(part.data + (size_t) y * part.width * 3,
								all.data + ((to.top + y) * all.width + to.left) * 3,
								(size_t) part.width * 3);
		mm_image_free(&img);
		mm_image_free(&all);
		mm_image_free(&part);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pillow_goldens),
		cmocka_unit_test(parts_of_results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
