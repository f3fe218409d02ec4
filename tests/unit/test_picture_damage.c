/*-------------------------------------------------------------------------
 *
 * test_picture_damage.c
 *	  Damaged pictures: every beginning of small files, and bytes changed at
 *	  random.  They decode, or fail with a message; with SANITIZE=1 nothing
 *	  outside of the file and the picture is touched.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include "image.h"
#include "testing.h"

#define PICTURES TESTS_DIR "/golden/pictures"
#define CHANGES 10000 /* files made of one by changing bytes */
#define MOST_BYTES 6  /* changed in one of them */

/* A limit that damaged sizes run into, so that memory stays small. */
static const mm_limits limits = {.max_image_pixels = 1000 * 1000};

static char *files[] = {
	"webp_lossy.webp",
	"webp_lossy_alpha.webp",
	"webp_lossless_palette.webp",
	"webp_lossless_17x15.webp",
	"webp_lossless_1x200.webp",
	"webp_exif_twice.webp",
	"webp_exif_6.webp",
	"webp_profile.webp",
	"unsupported_animation.webp",
	"jpeg_cmyk_noise.jpg",
	"jpeg_cmyk_1x1.jpg",
	"jpeg_ycck_420.jpg",
	"jpeg_cmyk_420_progressive.jpg",
	"jpeg_ycck_coarse.jpg",
};

#define FILES (sizeof(files) / sizeof(files[0]))

static uint32_t seed;

static uint32_t
below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* Bytes in a block of their own; true where they make a picture. */
static bool
decode(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	mm_image img;
	mm_error err = {0};
	mm_status status;
	unsigned sum = 0;

	assert_non_null(copy);
	memcpy(copy, data, len);
	status = mm_image_decode((mm_slice){copy, len}, &limits, &img, &err);
	free(copy);
	if (status != MM_OK)
	{
		assert_null(img.data);
		test_check_error(&err, status);
		assert_true(status == MM_ERR_BAD_IMAGE || status == MM_ERR_UNSUPPORTED ||
					status == MM_ERR_LIMIT);
		return false;
	}
	assert_int_equal(img.channels, 3);
	assert_true(img.width >= 1 && img.height >= 1);
	/* all of it is there */
	for (size_t i = 0; i < (size_t) img.width * img.height * 3; i++)
		sum += img.data[i];
	assert_true(sum <= 255u * 3u * 1000u * 1000u);
	mm_image_free(&img);
	return true;
}

static void
truncated(void **state)
{
	const char *name = *state;
	mm_slice bytes = golden_read(PICTURES, name);
	size_t taken = 0;

	for (size_t len = 0; len < bytes.len; len++)
		taken += decode(bytes.data, len);
	/* libjpeg needs not every byte of the end marker */
	assert_in_range(taken, 0, strstr(name, ".webp") ? 0 : 2);
	free((void *) bytes.data);
}

static void
changed(void **state)
{
	const char *name = *state;
	mm_slice bytes = golden_read(PICTURES, name);
	uint8_t *copy = malloc(bytes.len);
	int taken = 0;

	assert_non_null(copy);
	seed = 1;
	for (int i = 0; i < CHANGES; i++)
	{
		/* headers are short: every other change is near the beginning */
		uint32_t within = i % 2 && bytes.len > 64 ? 64 : (uint32_t) bytes.len;
		uint32_t changes = 1 + below(MOST_BYTES);

		memcpy(copy, bytes.data, bytes.len);
		for (uint32_t k = 0; k < changes; k++)
			copy[below(within)] ^= (uint8_t) (1 + below(255));
		taken += decode(copy, bytes.len);
	}
	print_message("%s: %d of %d changed files decode\n", name, taken, CHANGES);
	free(copy);
	free((void *) bytes.data);
}

int
main(void)
{
	static struct CMUnitTest tests[2 * FILES];

	for (size_t i = 0; i < FILES; i++)
	{
		tests[i] = (struct CMUnitTest){
			.name = files[i], .test_func = truncated, .initial_state = files[i]};
		tests[FILES + i] =
			(struct CMUnitTest){.name = files[i], .test_func = changed, .initial_state = files[i]};
	}
	return _cmocka_run_group_tests("damaged pictures", tests, 2 * FILES, NULL, NULL);
}
