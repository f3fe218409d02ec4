/*-------------------------------------------------------------------------
 *
 * test_transform_config.c
 *	  Descriptions of transforms: the forms that are understood, and an error
 *	  that names the key for each that is not.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include <limits.h>

#include "image.h"
#include "testing.h"

#define HF "preprocessor_config.json"
#define OPEN_CLIP "open_clip_config.json"

static char directory[] = "/tmp/mm-transform.XXXXXX";
static const char *const files[] = {HF, OPEN_CLIP};

static const mm_transform openai = {.kind = MM_TRANSFORM_SHORTEST_CROP,
									.order = MM_PASSES_PILLOW_13,
									.size = 224,
									.shortest = 224,
									.unit = 255,
									.mean = {0.48145466f, 0.4578275f, 0.40821073f},
									.std = {0.26862954f, 0.26130258f, 0.27577711f}};

static const char *
path_of(const char *file)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	return path;
}

static void
remove_files(void)
{
	for (size_t i = 0; i < 2; i++)
		unlink(path_of(files[i]));
}

static void
write_file(const char *file, const char *text)
{
	FILE *f = fopen(path_of(file), "wb");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int
set_up(void **state)
{
	(void) state;
	return mkdtemp(directory) ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void) state;
	remove_files();
	return rmdir(directory);
}

static void
check_equal(const mm_transform *t, const mm_transform *wanted)
{
	assert_int_equal(t->kind, wanted->kind);
	assert_int_equal(t->order, wanted->order);
	assert_int_equal(t->size, wanted->size);
	if (t->kind == MM_TRANSFORM_SHORTEST_CROP)
		assert_int_equal(t->shortest, wanted->shortest);
	assert_true(t->unit == wanted->unit);
	for (int i = 0; i < 3; i++)
		assert_true(t->mean[i] == wanted->mean[i] && t->std[i] == wanted->std[i]);
}

/* The only file of the directory is this one. */
static void
expect(const char *file, const char *text, const mm_transform *wanted)
{
	mm_transform t;
	mm_error err = {0};

	remove_files();
	write_file(file, text);
	if (mm_transform_read(directory, wanted->size, false, &t, &err) != MM_OK)
		fail_msg("%s: %s (%s)", text, err.message, err.detail);
	check_equal(&t, wanted);
}

static void
expect_refusal(const char *file, const char *text, mm_status status, const char *key)
{
	mm_transform t;
	mm_error err = {0};

	remove_files();
	write_file(file, text);
	for (int defaults = 0; defaults < 2; defaults++)
	{
		if (mm_transform_read(directory, 224, defaults, &t, &err) != status)
			fail_msg("%s: status %d, not %d: %s", text, err.status, status, err.message);
		test_check_error(&err, status);
		if (strstr(err.message, key) == NULL)
			fail_msg("%s: \"%s\" does not name %s", text, err.message, key);
	}
}

#define NUMBERS                                                                                    \
	"\"image_mean\": [0.48145466, 0.4578275, 0.40821073], "                                        \
	"\"image_std\": [0.26862954, 0.26130258, 0.27577711], "

static void
hugging_face(void **state)
{
	mm_transform t = openai;

	(void) state;
	/* as old versions wrote it */
	expect(HF,
		   "{\"crop_size\": 224, \"do_center_crop\": true, \"do_normalize\": true, "
		   "\"do_resize\": true, \"feature_extractor_type\": \"CLIPFeatureExtractor\", " NUMBERS
		   "\"resample\": 3, \"size\": 224}",
		   &openai);
	/* and new ones */
	expect(HF,
		   "{\"crop_size\": {\"height\": 224, \"width\": 224}, \"do_center_crop\": true, "
		   "\"do_convert_rgb\": true, \"do_normalize\": true, \"do_rescale\": true, "
		   "\"do_resize\": true, \"image_processor_type\": \"CLIPImageProcessor\", " NUMBERS
		   "\"do_pad\": null, \"default_to_square\": false, "
		   "\"resample\": 3, \"rescale_factor\": 0.00392156862745098, "
		   "\"size\": {\"shortest_edge\": 224}}",
		   &openai);
	expect(HF, "{" NUMBERS "\"size\": null}", &openai);
	t.shortest = 256;
	t.size = 240;
	t.order = MM_PASSES_PILLOW_12;
	t.mean[1] = 0.5f;
	t.std[2] = 0.25f;
	expect(HF,
		   "{\"image_mean\": [0.48145466, 0.5, 0.40821073], "
		   "\"image_std\": [0.26862954, 0.26130258, 0.25], "
		   "\"size\": {\"shortest_edge\": 256}, \"crop_size\": 240, "
		   "\"resize_order\": \"pillow-12\"}",
		   &t);
	t.shortest = 200;
	expect(HF,
		   "{\"image_mean\": [0.48145466, 0.5, 0.40821073], "
		   "\"image_std\": [0.26862954, 0.26130258, 0.25], "
		   "\"size\": 200, \"crop_size\": 240, \"resize_order\": \"pillow-12\"}",
		   &t);
}

static void
open_clip(void **state)
{
	mm_transform t = openai;

	(void) state;
	expect(OPEN_CLIP, "{\"model_cfg\": {}}", &openai);
	expect(OPEN_CLIP, "{\"preprocess_cfg\": {}}", &openai);
	expect(OPEN_CLIP,
		   "{\"preprocess_cfg\": {\"mean\": [0.48145466, 0.4578275, 0.40821073], "
		   "\"std\": [0.26862954, 0.26130258, 0.27577711], \"interpolation\": \"bicubic\", "
		   "\"resize_mode\": \"shortest\", \"mode\": \"RGB\", \"size\": [224, 224]}}",
		   &openai);
	t.size = t.shortest = 336;
	t.mean[0] = t.std[0] = 0.5f;
	t.order = MM_PASSES_PILLOW_12;
	expect(OPEN_CLIP,
		   "{\"preprocess_cfg\": {\"mean\": [0.5, 0.4578275, 0.40821073], "
		   "\"std\": [0.5, 0.26130258, 0.27577711], \"size\": 336}, "
		   "\"resize_order\": \"pillow-12\"}",
		   &t);
}

static void
letterbox(void **state)
{
	const mm_transform mini = {.kind = MM_TRANSFORM_LETTERBOX,
							   .size = 224,
							   .unit = 1,
							   .mean = {127, 126, 125},
							   .std = {128, 127, 126}};

	(void) state;
	expect(HF,
		   "{\"transform\": \"letterbox\", \"mean\": [127, 126, 125], \"std\": [128, 127, 126]}",
		   &mini);
}

/* No file at all means OpenAI's transform, to those who allow it. */
static void
no_files(void **state)
{
	mm_transform t, t336 = openai;
	mm_error err = {0};

	(void) state;
	remove_files();
	assert_int_equal(mm_transform_read(directory, 224, false, &t, &err), MM_ERR_NOT_FOUND);
	test_check_error(&err, MM_ERR_NOT_FOUND);
	assert_non_null(strstr(err.message, HF));
	t336.size = t336.shortest = 336;
	assert_int_equal(mm_transform_read(directory, 336, true, &t, &err), MM_OK);
	check_equal(&t, &t336);
}

/* Where both files are there, Hugging Face's counts. */
static void
both_files(void **state)
{
	mm_transform t, wanted = openai;
	mm_error err;

	(void) state;
	remove_files();
	write_file(HF, "{\"size\": 300}");
	write_file(OPEN_CLIP, "{\"preprocess_cfg\": {\"resize_mode\": \"squash\"}}");
	assert_int_equal(mm_transform_read(directory, 224, false, &t, &err), MM_OK);
	wanted.shortest = 300;
	check_equal(&t, &wanted);
}

static void
refusals(void **state)
{
	static const struct
	{
		const char *text;
		mm_status status;
		const char *key;
	} hf[] = {
		{"", MM_ERR_BAD_MODEL, HF},
		{"[]", MM_ERR_BAD_MODEL, HF},
		{"{\"transform\": \"squash\"}", MM_ERR_UNSUPPORTED, "squash"},
		{"{\"transform\": 7}", MM_ERR_UNSUPPORTED, "transform"},
		{"{\"mean\": [1, 1, 1], \"std\": [1, 1, 1]}", MM_ERR_UNSUPPORTED, "transform"},
		{"{\"transform\": \"letterbox\", \"std\": [1, 1, 1]}", MM_ERR_BAD_MODEL, "\"mean\""},
		{"{\"transform\": \"letterbox\", \"mean\": [1, 1, 1]}", MM_ERR_BAD_MODEL, "\"std\""},
		{"{\"do_resize\": false}", MM_ERR_UNSUPPORTED, "do_resize"},
		{"{\"do_center_crop\": false}", MM_ERR_UNSUPPORTED, "do_center_crop"},
		{"{\"do_normalize\": false}", MM_ERR_UNSUPPORTED, "do_normalize"},
		{"{\"do_rescale\": false}", MM_ERR_UNSUPPORTED, "do_rescale"},
		{"{\"do_convert_rgb\": false}", MM_ERR_UNSUPPORTED, "do_convert_rgb"},
		{"{\"do_pad\": true}", MM_ERR_UNSUPPORTED, "do_pad"},
		{"{\"default_to_square\": true}", MM_ERR_UNSUPPORTED, "default_to_square"},
		{"{\"do_resize\": \"yes\"}", MM_ERR_BAD_MODEL, "do_resize"},
		{"{\"image_processor_type\": \"ViTImageProcessor\"}", MM_ERR_UNSUPPORTED,
		 "image_processor_type"},
		{"{\"feature_extractor_type\": 1}", MM_ERR_UNSUPPORTED, "feature_extractor_type"},
		{"{\"resample\": 2}", MM_ERR_UNSUPPORTED, "resample"},
		{"{\"resample\": \"bicubic\"}", MM_ERR_BAD_MODEL, "resample"},
		{"{\"rescale_factor\": 1}", MM_ERR_UNSUPPORTED, "rescale_factor"},
		{"{\"rescale_factor\": 1e999}", MM_ERR_UNSUPPORTED, "rescale_factor"},
		{"{\"rescale_factor\": []}", MM_ERR_BAD_MODEL, "rescale_factor"},
		{"{\"size\": 0}", MM_ERR_BAD_MODEL, "size"},
		{"{\"size\": 1e9}", MM_ERR_BAD_MODEL, "size"},
		{"{\"size\": \"224\"}", MM_ERR_BAD_MODEL, "size"},
		{"{\"size\": {}}", MM_ERR_BAD_MODEL, "shortest_edge"},
		{"{\"size\": {\"height\": 224, \"width\": 224}}", MM_ERR_UNSUPPORTED, "size"},
		{"{\"size\": {\"shortest_edge\": 224, \"longest_edge\": 999}}", MM_ERR_UNSUPPORTED, "size"},
		{"{\"size\": {\"shortest_edge\": -1}}", MM_ERR_BAD_MODEL, "shortest_edge"},
		{"{\"crop_size\": 225}", MM_ERR_BAD_MODEL, "crop_size"},
		{"{\"crop_size\": {\"height\": 224}}", MM_ERR_BAD_MODEL, "width"},
		{"{\"crop_size\": {\"height\": 224, \"width\": 225}}", MM_ERR_UNSUPPORTED, "crop_size"},
		{"{\"image_mean\": [1, 1]}", MM_ERR_BAD_MODEL, "image_mean"},
		{"{\"image_mean\": [1, 1, 1, 1]}", MM_ERR_BAD_MODEL, "image_mean"},
		{"{\"image_mean\": [1, 1, 1e99]}", MM_ERR_BAD_MODEL, "image_mean"},
		{"{\"image_mean\": 0.5}", MM_ERR_BAD_MODEL, "image_mean"},
		{"{\"image_std\": [1, 0, 1]}", MM_ERR_BAD_MODEL, "image_std"},
		{"{\"image_std\": [1, \"x\", 1]}", MM_ERR_BAD_MODEL, "image_std"},
		{"{\"resize_order\": \"pillow-11\"}", MM_ERR_BAD_MODEL, "resize_order"},
		{"{\"resize_order\": 13}", MM_ERR_BAD_MODEL, "resize_order"},
	};
	static const struct
	{
		const char *text;
		mm_status status;
		const char *key;
	} oc[] = {
		{"{\"preprocess_cfg\": []}", MM_ERR_BAD_MODEL, "preprocess_cfg"},
		{"{\"preprocess_cfg\": {\"mode\": \"L\"}}", MM_ERR_UNSUPPORTED, "mode"},
		{"{\"preprocess_cfg\": {\"interpolation\": \"bilinear\"}}", MM_ERR_UNSUPPORTED,
		 "interpolation"},
		{"{\"preprocess_cfg\": {\"interpolation\": 3}}", MM_ERR_UNSUPPORTED, "interpolation"},
		{"{\"preprocess_cfg\": {\"resize_mode\": \"longest\"}}", MM_ERR_UNSUPPORTED, "resize_mode"},
		{"{\"preprocess_cfg\": {\"size\": 256}}", MM_ERR_BAD_MODEL, "size"},
		{"{\"preprocess_cfg\": {\"size\": [224]}}", MM_ERR_BAD_MODEL, "size"},
		{"{\"preprocess_cfg\": {\"mean\": [1]}}", MM_ERR_BAD_MODEL, "mean"},
		{"{\"preprocess_cfg\": {\"std\": [1, 1, -1]}}", MM_ERR_BAD_MODEL, "std"},
		{"{\"resize_order\": \"\"}", MM_ERR_BAD_MODEL, "resize_order"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(hf) / sizeof(hf[0]); i++)
		expect_refusal(HF, hf[i].text, hf[i].status, hf[i].key);
	for (size_t i = 0; i < sizeof(oc) / sizeof(oc[0]); i++)
		expect_refusal(OPEN_CLIP, oc[i].text, oc[i].status, oc[i].key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hugging_face), cmocka_unit_test(open_clip),  cmocka_unit_test(letterbox),
		cmocka_unit_test(no_files),     cmocka_unit_test(both_files), cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
