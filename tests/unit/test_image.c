/*-------------------------------------------------------------------------
 *
 * test_image.c
 *	  Decoding and transforms against what Pillow makes of the same files:
 *	  golden/pictures, one test a line of its manifest.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include <math.h>

#include "image.h"

#define PICTURES TESTS_DIR "/golden/pictures"
#define SIZE 224
#define MAX_LINES 400

static const mm_transform mini = {.kind = MM_TRANSFORM_LETTERBOX,
								  .order = MM_PASSES_PILLOW_13,
								  .size = SIZE,
								  .unit = 1,
								  .mean = {127, 127, 127},
								  .std = {128, 128, 128}};

/* A line of the manifest. */
typedef struct golden
{
	char file[64];
	char second[64]; /* picture: status; small: file with the pixels */
	long a, b;       /* picture: width and height; prefix: length */
	uint64_t hash;
	uint64_t hash224;
} golden;

static golden goldens[MAX_LINES];
static struct CMUnitTest tests[MAX_LINES + 8];
static int n_tests;

static mm_status
status_of(const char *name)
{
	if (strcmp(name, "ok") == 0)
		return MM_OK;
	if (strcmp(name, "bad") == 0)
		return MM_ERR_BAD_IMAGE;
	if (strcmp(name, "limit") == 0)
		return MM_ERR_LIMIT;
	if (strcmp(name, "unsupported") == 0)
		return MM_ERR_UNSUPPORTED;
	fail_msg("no status %s", name);
	return MM_OK;
}

/* The bytes that a tensor was made of; fails where it was made of none. */
static void
bytes_of_tensor(const mm_transform *t, const float *tensor, uint8_t *bytes)
{
	for (int i = 0; i < 3 * t->size * t->size; i++)
	{
		float v = tensor[i] * t->std[i % 3] + t->mean[i % 3];

		assert_true(v == rintf(v) && v >= 0 && v <= 255);
		bytes[i] = (uint8_t) v;
	}
}

static void
letterboxed(const mm_image *img, int size, uint8_t *bytes)
{
	mm_transform t = mini;
	float *tensor = malloc(sizeof(float) * 3 * size * size);
	mm_error err = {0};

	t.size = size;
	assert_non_null(tensor);
	assert_int_equal(mm_transform_apply(&t, img, MM_LAYOUT_HWC, tensor, &err), MM_OK);
	bytes_of_tensor(&t, tensor, bytes);
	free(tensor);
}

static void
test_picture(void **state)
{
	const golden *g = *state;
	mm_slice bytes = golden_read(PICTURES, g->file);
	mm_status expected = status_of(g->second);
	static uint8_t square[3 * SIZE * SIZE];
	mm_image img;
	mm_error err = {0};
	mm_status status = mm_image_decode(bytes, NULL, &img, &err);

	if (status != expected)
		fail_msg("%s: status %d, %s (%s)", g->file, status, err.message, err.detail);
	if (status == MM_OK)
	{
		assert_int_equal(img.width, g->a);
		assert_int_equal(img.height, g->b);
		assert_int_equal(img.channels, 3);
		if (golden_hash(img.data, (size_t) img.width * img.height * 3) != g->hash)
			fail_msg("%s: decoded pixels differ", g->file);
		letterboxed(&img, SIZE, square);
		if (golden_hash(square, sizeof(square)) != g->hash224)
			fail_msg("%s: letterboxed pixels differ", g->file);
	}
	else
	{
		assert_int_equal(err.status, status);
		assert_true(err.message[0] != '\0');
		assert_null(img.data);
	}
	mm_image_free(&img);
	free((void *) bytes.data);
}

/* A whole small result, for a readable difference. */
static void
test_small(void **state)
{
	const golden *g = *state;
	mm_slice bytes = golden_read(PICTURES, g->file);
	mm_slice expected = golden_read(PICTURES, g->second);
	uint8_t square[3 * 16 * 16];
	mm_image img;
	mm_error err = {0};

	assert_int_equal(expected.len, sizeof(square));
	assert_int_equal(mm_image_decode(bytes, NULL, &img, &err), MM_OK);
	letterboxed(&img, 16, square);
	assert_memory_equal(square, expected.data, sizeof(square));
	mm_image_free(&img);
	free((void *) bytes.data);
	free((void *) expected.data);
}

static mm_status
decode_prefix(mm_slice bytes, size_t len)
{
	uint8_t *copy = malloc(len + 1);
	mm_image img;
	mm_error err = {0};
	mm_status status;

	assert_non_null(copy);
	memcpy(copy + 1, bytes.data, len); /* ends where the block ends */
	status = mm_image_decode((mm_slice){copy + 1, len}, NULL, &img, &err);
	mm_image_free(&img);
	free(copy);
	return status;
}

/* Pillow takes a file cut at this length, and none that is shorter. */
static void
test_prefix(void **state)
{
	const golden *g = *state;
	mm_slice bytes = golden_read(PICTURES, g->file);

	assert_int_equal(decode_prefix(bytes, g->a), MM_OK);
	for (size_t len = 0; len < (size_t) g->a; len++)
	{
		if (decode_prefix(bytes, len) != MM_ERR_BAD_IMAGE)
			fail_msg("%s is taken when cut to %zu bytes", g->file, len);
	}
	free((void *) bytes.data);
}

/*---- the goldens are worth something ----*/

/* A fault that a transform might have; the tensor is read back as if it had none. */
typedef struct fault
{
	const char *name;
	bool swap_channels;
	mm_transform transform;
	int least; /* pictures, at least, that must show it */
} fault;

static bool
is_noticed(const golden *g, const fault *f)
{
	static float tensor[3 * SIZE * SIZE];
	static uint8_t square[3 * SIZE * SIZE];
	mm_slice bytes = golden_read(PICTURES, g->file);
	mm_image img;
	mm_error err = {0};

	assert_int_equal(mm_image_decode(bytes, NULL, &img, &err), MM_OK);
	for (size_t i = 0; f->swap_channels && i < (size_t) img.width * img.height; i++)
	{
		uint8_t red = img.data[3 * i];

		img.data[3 * i] = img.data[3 * i + 2];
		img.data[3 * i + 2] = red;
	}
	assert_int_equal(mm_transform_apply(&f->transform, &img, MM_LAYOUT_HWC, tensor, &err), MM_OK);
	for (int i = 0; i < 3 * SIZE * SIZE; i++)
		square[i] =
			(uint8_t) fmaxf(0, fminf(255, rintf(tensor[i] * mini.std[i % 3] + mini.mean[i % 3])));
	mm_image_free(&img);
	free((void *) bytes.data);
	return golden_hash(square, sizeof(square)) != g->hash224;
}

static void
test_fault(void **state)
{
	const fault *f = *state;
	int noticed = 0, taken = 0;

	for (int i = 0; i < n_tests; i++)
	{
		if (tests[i].test_func != test_picture || strcmp(goldens[i].second, "ok") != 0)
			continue;
		noticed += is_noticed(&goldens[i], f);
		taken++;
	}
	print_message("%s: noticed by %d of %d pictures\n", f->name, noticed, taken);
	assert_in_range(noticed, f->least, f->least == 0 ? 0 : taken);
}

#define TRANSFORM(pass_order, ...)                                                                 \
	{                                                                                              \
		.kind = MM_TRANSFORM_LETTERBOX, .order = pass_order, .size = SIZE, .unit = 1, __VA_ARGS__  \
	}
#define MINI .mean = {127, 127, 127}, .std = {128, 128, 128}

static fault faults[] = {
	{"no fault", .transform = TRANSFORM(MM_PASSES_PILLOW_13, MINI), .least = 0},
	{"BGR", .swap_channels = true, .transform = TRANSFORM(MM_PASSES_PILLOW_13, MINI), .least = 60},
	{"torchvision's mean",
	 .transform = TRANSFORM(MM_PASSES_PILLOW_13, .mean = {123.675f, 116.28f, 103.53f},
							.std = {58.395f, 57.12f, 57.375f}),
	 .least = 90},
	{"horizontal pass always first", .transform = TRANSFORM(MM_PASSES_PILLOW_12, MINI), .least = 1},
};

/* One reading of the manifest: lines of a kind become tests. */
static void
add_line(const char *line)
{
	golden *g = &goldens[n_tests];
	struct CMUnitTest *t = &tests[n_tests];

	if (n_tests == MAX_LINES)
		return;
	if (sscanf(line, "picture %63s %63s %ld %ld %" SCNx64 " %" SCNx64, g->file, g->second, &g->a,
			   &g->b, &g->hash, &g->hash224) == 6)
		t->test_func = test_picture;
	else if (sscanf(line, "small %63s %63s", g->file, g->second) == 2)
		t->test_func = test_small;
	else if (sscanf(line, "prefix %63s %ld", g->file, &g->a) == 2)
		t->test_func = test_prefix;
	else
		return;
	t->name = g->file;
	t->initial_state = g;
	n_tests++;
}

int
main(void)
{
	char line[512];
	FILE *f = fopen(PICTURES "/manifest.txt", "r");

	if (f == NULL)
	{
		fprintf(stderr, "no manifest of the golden pictures\n");
		return 1;
	}
	while (fgets(line, sizeof(line), f))
		add_line(line);
	fclose(f);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		tests[n_tests + i] = (struct CMUnitTest){
			.name = faults[i].name, .test_func = test_fault, .initial_state = &faults[i]};
	return _cmocka_run_group_tests("golden pictures", tests,
								   n_tests + sizeof(faults) / sizeof(faults[0]), NULL, NULL);
}
