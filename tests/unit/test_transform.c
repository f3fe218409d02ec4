/*-------------------------------------------------------------------------
 *
 * test_transform.c
 *	  CLIP's transform against the tensors that Pillow and numpy make of the
 *	  same pictures (golden/clip_images.txt), to the bit, and proof that the
 *	  goldens notice the likely faults.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include "image.h"
#include "pattern.h"

#define GOLDENS TESTS_DIR "/golden"
#define PICTURES TESTS_DIR "/golden/pictures"
#define MAX_LINES 300

static const mm_transform clip = {.kind = MM_TRANSFORM_SHORTEST_CROP,
								  .unit = 255,
								  .mean = {0.48145466f, 0.4578275f, 0.40821073f},
								  .std = {0.26862954f, 0.26130258f, 0.27577711f}};

/* A line of the goldens. */
typedef struct golden
{
	char name[80]; /* of the test */
	char file[64]; /* empty: a pattern of this size */
	int width, height;
	int shortest, crop, order;
	uint64_t hash;
} golden;

static golden goldens[MAX_LINES];
static struct CMUnitTest tests[MAX_LINES + 16];
static int n_goldens, n_tests;

static mm_image
picture_of(const golden *g)
{
	mm_slice bytes;
	mm_image img;
	mm_error err = {0};

	if (g->file[0] == '\0')
		return pattern_picture(g->width, g->height);
	bytes = golden_read(PICTURES, g->file);
	if (mm_image_decode(bytes, NULL, &img, &err) != MM_OK)
		fail_msg("%s: %s (%s)", g->file, err.message, err.detail);
	free((void *) bytes.data);
	return img;
}

static mm_transform
transform_of(const golden *g)
{
	mm_transform t = clip;

	t.order = g->order == 12 ? MM_PASSES_PILLOW_12 : MM_PASSES_PILLOW_13;
	t.shortest = g->shortest;
	t.size = g->crop;
	return t;
}

/* malloc'd: 3 x size x size */
static float *
transformed(const mm_transform *t, const mm_image *img, mm_layout layout)
{
	float *tensor = malloc(sizeof(float) * 3 * t->size * t->size);
	mm_error err = {0};

	assert_non_null(tensor);
	assert_int_equal(mm_transform_apply(t, img, layout, tensor, &err), MM_OK);
	return tensor;
}

static uint64_t
hash_of(const float *tensor, int size)
{
	return golden_hash((const uint8_t *) tensor, sizeof(float) * 3 * size * size);
}

static void
test_golden(void **state)
{
	const golden *g = *state;
	mm_transform t = transform_of(g);
	mm_image img = picture_of(g);
	float *chw = transformed(&t, &img, MM_LAYOUT_CHW);
	float *hwc = transformed(&t, &img, MM_LAYOUT_HWC);
	int area = t.size * t.size;

	assert_int_equal(hash_of(chw, t.size), g->hash);
	for (int i = 0; i < 3 * area; i++)
		assert_true(hwc[i % area * 3 + i / area] == chw[i]);
	mm_image_free(&img);
	free(chw);
	free(hwc);
}

/* Whole tensors, for a readable difference. */
static void
test_values(void **state)
{
	FILE *f = fopen(GOLDENS "/clip_images.txt", "r");
	static char line[65536];
	int lines = 0;

	(void) state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
	{
		golden g = {0};
		mm_transform t;
		mm_image img;
		float *tensor;
		char *at;
		int used = 0;

		if (sscanf(line, "values %d %d %d %d %d%n", &g.width, &g.height, &g.shortest, &g.crop,
				   &g.order, &used) != 5)
			continue;
		t = transform_of(&g);
		img = picture_of(&g);
		tensor = transformed(&t, &img, MM_LAYOUT_CHW);
		at = line + used;
		for (int i = 0; i < 3 * t.size * t.size; i++)
		{
			float expected = (float) strtod(at, &at);

			if (tensor[i] != expected)
				fail_msg("%d x %d, value %d: %.9g, not %.9g", g.width, g.height, i, tensor[i],
						 expected);
		}
		mm_image_free(&img);
		free(tensor);
		lines++;
	}
	fclose(f);
	assert_in_range(lines, 2, 10);
}

/*---- the goldens are worth something ----*/

/* A fault that a transform might have. */
typedef struct fault
{
	const char *name;
	int64_t (*offset)(int64_t excess); /* of the crop */
	bool round_long_side;              /* not cut to an integer */
	bool horizontal_first;
	bool multiply; /* by 1 / 255, not divided */
	int least;     /* goldens, at least, that must show it */
} fault;

static int64_t
half_even(int64_t excess)
{
	int64_t half = excess / 2;

	return excess % 2 == 0 ? half : half + half % 2;
}

static int64_t
half_down(int64_t excess)
{
	return excess / 2;
}

static int64_t
half_up(int64_t excess)
{
	return (excess + 1) / 2;
}

/* The transform once more, step by step and with the fault; no padding. */
static uint64_t
faulty_hash(const fault *f, const golden *g, const mm_image *img)
{
	bool tall = img->width <= img->height;
	int64_t n = g->shortest, shorter = tall ? img->width : img->height;
	int64_t longer = tall ? img->height : img->width;
	int64_t length =
		f->round_long_side ? (2 * n * longer + shorter) / (2 * shorter) : n * longer / shorter;
	mm_resize to = {.width = tall ? n : length,
					.height = tall ? length : n,
					.columns = g->crop,
					.rows = g->crop,
					.order = f->horizontal_first || g->order == 12 ? MM_PASSES_PILLOW_12
																   : MM_PASSES_PILLOW_13};
	size_t area = (size_t) g->crop * g->crop;
	float *tensor = malloc(sizeof(float) * 3 * area);
	mm_image part;
	mm_error err = {0};
	uint64_t hash;

	assert_non_null(tensor);
	to.left = f->offset(to.width - g->crop);
	to.top = f->offset(to.height - g->crop);
	assert_int_equal(mm_resize_bicubic(img, &to, &part, &err), MM_OK);
	for (size_t i = 0; i < 3 * area; i++)
	{
		float v = part.data[i % area * 3 + i / area];

		v = f->multiply ? v * (float) (1.0 / 255) : v / 255;
		tensor[i] = (v - clip.mean[i / area]) / clip.std[i / area];
	}
	hash = hash_of(tensor, g->crop);
	mm_image_free(&part);
	free(tensor);
	return hash;
}

static void
test_fault(void **state)
{
	const fault *f = *state;
	int noticed = 0, taken = 0;

	for (int i = 0; i < n_goldens; i++)
	{
		mm_image img;

		if (goldens[i].crop > goldens[i].shortest)
			continue;
		img = picture_of(&goldens[i]);
		noticed += faulty_hash(f, &goldens[i], &img) != goldens[i].hash;
		taken++;
		mm_image_free(&img);
	}
	print_message("%s: noticed by %d of %d pictures\n", f->name, noticed, taken);
	assert_in_range(noticed, f->least, f->least == 0 ? 0 : taken);
}

static fault faults[] = {
	{"no fault", half_even, .least = 0},
	{"crop's offset rounded down", half_down, .least = 10},
	{"crop's offset rounded up", half_up, .least = 10},
	{"long side rounded", half_even, .round_long_side = true, .least = 4},
	{"horizontal pass always first", half_even, .horizontal_first = true, .least = 5},
	{"multiplied by 1/255", half_even, .multiply = true, .least = 50},
};

/*---- sizes that no golden has ----*/

/* A side of any length costs what the crop needs. */
static void
extreme_sides(void **state)
{
	static const int sizes[][2] = {{1, 1000000}, {1000000, 1}, {2, 3000001}, {3000001, 2}};

	(void) state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		golden g = {.shortest = 224, .crop = 224, .order = 13};
		mm_transform t = transform_of(&g);
		mm_image img = pattern_picture(sizes[i][0], sizes[i][1]);
		float *tensor = transformed(&t, &img, MM_LAYOUT_CHW);

		/* the centre, enlarged: within what a byte can be, overshoot clipped */
		for (int k = 0; k < 3 * 224 * 224; k++)
			assert_true(tensor[k] > -2 && tensor[k] < 2.3f);
		mm_image_free(&img);
		free(tensor);
	}
}

static bool
read_golden(const char *line, golden *g)
{
	char file[64];

	if (sscanf(line, "pattern %d %d %d %d %d %" SCNx64, &g->width, &g->height, &g->shortest,
			   &g->crop, &g->order, &g->hash) == 6)
	{
		snprintf(g->name, sizeof(g->name), "%d x %d to %d, crop %d, order %d", g->width, g->height,
				 g->shortest, g->crop, g->order);
		return true;
	}
	if (sscanf(line, "file %63s %d %d %d %" SCNx64, file, &g->shortest, &g->crop, &g->order,
			   &g->hash) == 5)
	{
		memcpy(g->file, file, sizeof(file));
		snprintf(g->name, sizeof(g->name), "%s, order %d", file, g->order);
		return true;
	}
	return false;
}

static void
add_test(const char *name, CMUnitTestFunction test, void *state)
{
	tests[n_tests++] = (struct CMUnitTest){.name = name, .test_func = test, .initial_state = state};
}

int
main(void)
{
	static char line[65536];
	FILE *f = fopen(GOLDENS "/clip_images.txt", "r");

	if (f == NULL)
	{
		fprintf(stderr, "no golden tensors\n");
		return 1;
	}
	while (fgets(line, sizeof(line), f) && n_goldens < MAX_LINES)
	{
		if (!read_golden(line, &goldens[n_goldens]))
			continue;
		add_test(goldens[n_goldens].name, test_golden, &goldens[n_goldens]);
		n_goldens++;
	}
	fclose(f);
	add_test("whole tensors", test_values, NULL);
	add_test("extreme sides", extreme_sides, NULL);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		add_test(faults[i].name, test_fault, &faults[i]);
	return _cmocka_run_group_tests("golden tensors", tests, n_tests, NULL, NULL);
}
