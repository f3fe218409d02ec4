/*-------------------------------------------------------------------------
 *
 * test_resize.c
 *	  Pillow's bicubic resize: the goldens of golden/pictures at every level,
 *	  levels against each other, parts of results against the whole.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include "image.h"
#include "pattern.h"
#include "testing.h"

#define PICTURES TESTS_DIR "/golden/pictures"

static mm_resize
whole(int width, int height)
{
	return (mm_resize){.width = width, .height = height, .columns = width, .rows = height};
}

static mm_isa isas[] = {MM_ISA_SCALAR, MM_ISA_AVX2, MM_ISA_AVX512};

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
	mm_isa isa = *(const mm_isa *) *state;
	FILE *f;
	char line[512];
	int lines = 0;

	test_need_isa(isa);
	f = fopen(PICTURES "/manifest.txt", "r");
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
		to.isa = isa;
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

/* Noise and edges; or white; or black and white at random: the largest sums. */
static mm_image
random_picture(int round, int width, int height)
{
	mm_image img = pattern_picture(width, height);
	size_t n = (size_t) width * height * 3;

	for (size_t i = 0; round % 3 != 0 && i < n; i++)
		img.data[i] = round % 3 == 1 || below(2) ? 255 : 0;
	return img;
}

/* A side for a round: most are small, some are one, some large. */
static int
side_of(int round)
{
	switch (round % 8)
	{
		case 0:
			return 1;
		case 1:
			return 1 + below(5);
		case 2:
			return 500 + below(2500);
		default:
			return random_side();
	}
}

/* Enlargements, reductions, single pixels: the same bytes as the plain kernels. */
static void
levels_agree(void **state)
{
	mm_isa isa = *(const mm_isa *) *state;

	test_need_isa(isa);
	seed = 2;
	for (int round = 0; round < 1500; round++)
	{
		mm_image img = random_picture(round, side_of(below(8)), side_of(below(8)));
		mm_resize to = whole(side_of(below(8)), side_of(below(8)));
		mm_image plain, fast;

		to.order = round % 2 ? MM_PASSES_PILLOW_12 : MM_PASSES_PILLOW_13;
		if (round % 4 == 0)
		{
			to.left = below(to.columns);
			to.columns -= (int) to.left;
			to.rows = 1 + below(to.rows);
		}
		to.isa = MM_ISA_SCALAR;
		plain = resized(&img, &to);
		to.isa = isa;
		fast = resized(&img, &to);
		if (memcmp(plain.data, fast.data, (size_t) to.columns * to.rows * 3) != 0)
			fail_msg("%d x %d to %d x %d differs", img.width, img.height, (int) to.width,
					 (int) to.height);
		mm_image_free(&img);
		mm_image_free(&plain);
		mm_image_free(&fast);
	}
}

/* Tens of thousands of taps, more than a filter keeps at a time. */
static void
huge_reductions(void **state)
{
	static const int sizes[][4] = {{300000, 2, 7, 2}, {2, 300000, 2, 7}, {1, 400000, 3, 12},
								   {900001, 1, 5, 1}, {1, 900001, 1, 1}, {30000, 30, 40, 1}};
	mm_isa isa = *(const mm_isa *) *state;

	test_need_isa(isa);
	seed = 3;
	for (int i = 0; i < 18; i++)
	{
		const int *size = sizes[i % 6];
		mm_image img = random_picture(i, size[0], size[1]);
		mm_resize to = whole(size[2], size[3]);
		mm_image plain, fast;

		to.isa = MM_ISA_SCALAR;
		plain = resized(&img, &to);
		to.isa = isa;
		fast = resized(&img, &to);
		assert_memory_equal(plain.data, fast.data, (size_t) to.columns * to.rows * 3);
		/* white stays white, however many small weights it is made of */
		for (int k = 0; i % 3 == 1 && k < to.columns * to.rows * 3; k++)
			assert_in_range(plain.data[k], 250, 255);
		mm_image_free(&img);
		mm_image_free(&plain);
		mm_image_free(&fast);
	}
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
		cmocka_unit_test_prestate(pillow_goldens, &isas[0]),
		cmocka_unit_test_prestate(pillow_goldens, &isas[1]),
		cmocka_unit_test_prestate(pillow_goldens, &isas[2]),
		cmocka_unit_test_prestate(levels_agree, &isas[1]),
		cmocka_unit_test_prestate(levels_agree, &isas[2]),
		cmocka_unit_test_prestate(huge_reductions, &isas[1]),
		cmocka_unit_test_prestate(huge_reductions, &isas[2]),
		cmocka_unit_test(parts_of_results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
