/*-------------------------------------------------------------------------
 *
 * test_picture_stop.c
 *	  Decoding that is given up, at every moment at which it asks; with
 *	  SANITIZE=1 nothing of it is left in memory.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include <limits.h>

#include "image.h"
#include "testing.h"

#define PICTURES TESTS_DIR "/data"
#define MOST 400 /* moments of a file that are tried */

static char *files[] = {
	"orange.jpg", "orange_progressive.jpg", "orange_gray.jpg",    "orange_turned.jpg",
	"orange.png", "orange_alpha.png",       "orange_palette.png", "orange.webp",
};

#define FILES (sizeof(files) / sizeof(files[0]))

static bool
count_down(void *arg)
{
	return --*(int *) arg == 0;
}

/* Give up at the moment of that number; false where decoding was over before. */
static bool
stop_at(mm_slice bytes, int moment, mm_image *img)
{
	int left = moment;
	mm_stop stop = {count_down, &left};
	mm_error err = {0};
	mm_status status = mm_image_decode_until(bytes, NULL, &stop, img, &err);

	if (left > 0)
	{
		assert_int_equal(status, MM_OK);
		return false;
	}
	assert_int_equal(status, MM_ERR_CANCELED);
	assert_null(img->data);
	return true;
}

static void
stopped(void **state)
{
	mm_slice bytes = golden_read(PICTURES, *state);
	mm_image whole, img;
	mm_error err = {0};
	int left = INT_MAX;
	mm_stop stop = {count_down, NULL};
	int moments;

	assert_int_equal(mm_image_decode(bytes, NULL, &whole, &err), MM_OK);
	stop.arg = &left;
	assert_int_equal(mm_image_decode_until(bytes, NULL, &stop, &img, &err), MM_OK);
	mm_image_free(&img);
	moments = INT_MAX - left;
	/* one for every few rows, at least */
	assert_true(moments >= whole.height / 64);
	for (int moment = 1; moment <= moments; moment += moments / MOST + 1)
		assert_true(stop_at(bytes, moment, &img));
	assert_false(stop_at(bytes, moments + 1, &img));
	mm_image_free(&img);

	/* and what comes after one that was given up is what it would have been */
	assert_int_equal(mm_image_decode(bytes, NULL, &img, &err), MM_OK);
	assert_int_equal(img.width, whole.width);
	assert_memory_equal(img.data, whole.data, (size_t) img.width * img.height * 3);
	mm_image_free(&img);
	mm_image_free(&whole);
	free((void *) bytes.data);
}

int
main(void)
{
	static struct CMUnitTest tests[FILES];

	for (size_t i = 0; i < FILES; i++)
		tests[i] =
			(struct CMUnitTest){.name = files[i], .test_func = stopped, .initial_state = files[i]};
	return _cmocka_run_group_tests("pictures given up", tests, FILES, NULL, NULL);
}
