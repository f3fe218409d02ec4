/*-------------------------------------------------------------------------
 *
 * transform_config.c
 *	  A model directory's description of its transform.
 *
 * Four forms are understood: our letterbox; CLIP's processor as Hugging Face
 * writes it; open_clip's; and nothing at all, which means OpenAI's.  What we do
 * not do is refused by the name of the key that asks for it: a wrong transform
 * gives embeddings that look fine and are not.
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <math.h>
#include <string.h>

#include "error.h"
#include "json.h"

#define HF_FILE "preprocessor_config.json"
#define OPEN_CLIP_FILE "open_clip_config.json"
#define MAX_SIDE 8192
#define HF_BICUBIC 3 /* Pillow's number of the filter */

static const mm_transform openai = {
	.kind = MM_TRANSFORM_SHORTEST_CROP,
	.order = MM_PASSES_PILLOW_13,
	.unit = 255,
	.mean = {0.48145466f, 0.4578275f, 0.40821073f},
	.std = {0.26862954f, 0.26130258f, 0.27577711f},
};

/* The value of a key; null is the same as no such key. */
static const cJSON *
get(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNull(item) ? NULL : item;
}

static mm_status
malformed(mm_error *err, const char *key, const char *wanted)
{
	return mm_fail(err, MM_ERR_BAD_MODEL, "preprocessor configuration: \"%s\" must be %s", key,
				   wanted);
}

static mm_status
unsupported(mm_error *err, const char *key, const char *supported)
{
	mm_fail(err, MM_ERR_UNSUPPORTED, "preprocessor configuration: unsupported \"%s\"", key);
	mm_fail_detail(err, "only %s is supported", supported);
	return MM_ERR_UNSUPPORTED;
}

/* Three numbers, one a channel.  Where they are absent, out keeps its own. */
static mm_status
read_channels(const cJSON *json, const char *key, float out[3], mm_error *err)
{
	const cJSON *array = get(json, key);

	if (array == NULL)
		return MM_OK;
	if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) != 3)
		return malformed(err, key, "three numbers");
	for (int i = 0; i < 3; i++)
	{
		const cJSON *item = cJSON_GetArrayItem(array, i);

		if (!cJSON_IsNumber(item) || !isfinite((float) item->valuedouble))
			return malformed(err, key, "three numbers");
		out[i] = (float) item->valuedouble;
	}
	return MM_OK;
}

/* Whether all that a byte can become is a number. */
static bool
is_finite(const mm_transform *t, int channel)
{
	return isfinite((0 - t->mean[channel]) / t->std[channel]) &&
		   isfinite((255 / t->unit - t->mean[channel]) / t->std[channel]);
}

static mm_status
read_mean_std(const cJSON *json, const char *mean, const char *std, mm_transform *t, mm_error *err)
{
	mm_status status = read_channels(json, mean, t->mean, err);

	if (status == MM_OK)
		status = read_channels(json, std, t->std, err);
	for (int i = 0; i < 3 && status == MM_OK; i++)
	{
		if (!(t->std[i] > 0))
			status = malformed(err, std, "positive");
		else if (!is_finite(t, i))
			status = malformed(err, std, "large enough for the mean");
	}
	return status;
}

/* Ours: which Pillow's order of passes the model was made with. */
static mm_status
read_order(const cJSON *json, mm_transform *t, mm_error *err)
{
	const cJSON *item = get(json, "resize_order");
	const char *order = mm_json_string(json, "resize_order");

	if (item == NULL)
		return MM_OK;
	if (order != NULL && strcmp(order, "pillow-12") == 0)
		t->order = MM_PASSES_PILLOW_12;
	else if (order != NULL && strcmp(order, "pillow-13") == 0)
		t->order = MM_PASSES_PILLOW_13;
	else
		return malformed(err, "resize_order", "\"pillow-12\" or \"pillow-13\"");
	return MM_OK;
}

static mm_status
read_letterbox(const cJSON *json, mm_transform *t, mm_error *err)
{
	const char *kind = mm_json_string(json, "transform");

	if (kind == NULL || strcmp(kind, "letterbox") != 0)
		return mm_fail(err, MM_ERR_UNSUPPORTED, "unsupported image transform \"%.80s\"",
					   kind ? kind : "");
	t->kind = MM_TRANSFORM_LETTERBOX;
	t->unit = 1;
	if (get(json, "mean") == NULL)
		return malformed(err, "mean", "three numbers");
	if (get(json, "std") == NULL)
		return malformed(err, "std", "three numbers");
	return read_mean_std(json, "mean", "std", t, err);
}

/*---- Hugging Face ----*/

/* Switches that must stand as our transform does it, which is their default. */
static mm_status
check_switches(const cJSON *json, mm_error *err)
{
	static const struct
	{
		const char *key;
		bool wanted;
	} switches[] = {
		{"do_convert_rgb", true},     {"do_resize", true},    {"do_center_crop", true},
		{"do_rescale", true},         {"do_normalize", true}, {"do_pad", false},
		{"default_to_square", false},
	};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
	{
		const cJSON *item = get(json, switches[i].key);

		if (item == NULL)
			continue;
		if (!cJSON_IsBool(item))
			return malformed(err, switches[i].key, "true or false");
		if (cJSON_IsTrue(item) != switches[i].wanted)
			return unsupported(err, switches[i].key, switches[i].wanted ? "true" : "false");
	}
	return MM_OK;
}

/* The class that the file was written by: others read the same keys otherwise. */
static mm_status
check_processor(const cJSON *json, mm_error *err)
{
	static const char *const keys[] = {"image_processor_type", "feature_extractor_type"};
	static const char *const classes[] = {"CLIPImageProcessor", "CLIPImageProcessorFast",
										  "CLIPImageProcessorPil", "CLIPFeatureExtractor"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
	{
		const char *name = mm_json_string(json, keys[i]);
		bool known = false;

		if (get(json, keys[i]) == NULL)
			continue;
		for (size_t k = 0; k < sizeof(classes) / sizeof(classes[0]); k++)
			known = known || (name != NULL && strcmp(name, classes[k]) == 0);
		if (!known)
			return unsupported(err, keys[i], "CLIP's image processor");
	}
	return MM_OK;
}

static mm_status
check_arithmetic(const cJSON *json, mm_error *err)
{
	const cJSON *resample = get(json, "resample");
	const cJSON *factor = get(json, "rescale_factor");

	if (resample != NULL && !cJSON_IsNumber(resample))
		return malformed(err, "resample", "a number");
	if (resample != NULL && resample->valuedouble != HF_BICUBIC)
		return unsupported(err, "resample", "3 (bicubic)");
	if (factor != NULL && !cJSON_IsNumber(factor))
		return malformed(err, "rescale_factor", "a number");
	if (factor != NULL && !(fabs(factor->valuedouble * 255 - 1) < 1e-6))
		return unsupported(err, "rescale_factor", "1/255");
	return MM_OK;
}

/* "size": 224, or {"shortest_edge": 224} and nothing else. */
static mm_status
read_size(const cJSON *json, int *shortest, mm_error *err)
{
	const cJSON *size = get(json, "size");

	if (size == NULL)
		return MM_OK;
	if (!cJSON_IsObject(size))
		return mm_json_int(json, "size", 1, MAX_SIDE, 0, shortest, err);
	for (const cJSON *item = size->child; item != NULL; item = item->next)
	{
		if (!cJSON_IsNull(item) && strcmp(item->string, "shortest_edge") != 0)
			return unsupported(err, "size", "\"shortest_edge\"");
	}
	return mm_json_int(size, "shortest_edge", 1, MAX_SIDE, 0, shortest, err);
}

/* "crop_size": 224, or {"height": 224, "width": 224}. */
static mm_status
read_crop(const cJSON *json, int *crop, mm_error *err)
{
	const cJSON *size = get(json, "crop_size");
	int width;
	mm_status status;

	if (size == NULL)
		return MM_OK;
	if (!cJSON_IsObject(size))
		return mm_json_int(json, "crop_size", 1, MAX_SIDE, 0, crop, err);
	status = mm_json_int(size, "height", 1, MAX_SIDE, 0, crop, err);
	if (status == MM_OK)
		status = mm_json_int(size, "width", 1, MAX_SIDE, 0, &width, err);
	if (status == MM_OK && *crop != width)
		status = unsupported(err, "crop_size", "a square");
	return status;
}

static mm_status
read_hugging_face(const cJSON *json, mm_transform *t, mm_error *err)
{
	int crop = 224; /* what the class takes where the file says nothing */
	mm_status status = check_processor(json, err);

	t->shortest = 224;
	if (status == MM_OK)
		status = check_switches(json, err);
	if (status == MM_OK)
		status = check_arithmetic(json, err);
	if (status == MM_OK)
		status = read_size(json, &t->shortest, err);
	if (status == MM_OK)
		status = read_crop(json, &crop, err);
	if (status == MM_OK && crop != t->size)
	{
		status = malformed(err, "crop_size", "the image size of the model");
		mm_fail_detail(err, "the crop is %d pixels square, the image tower's input %d", crop,
					   t->size);
	}
	if (status == MM_OK)
		status = read_mean_std(json, "image_mean", "image_std", t, err);
	return status;
}

/*---- open_clip ----*/

/* A string that must be what we do, or absent. */
static mm_status
check_string(const cJSON *json, const char *key, const char *wanted, mm_error *err)
{
	const char *value = mm_json_string(json, key);

	if (get(json, key) == NULL || (value != NULL && strcmp(value, wanted) == 0))
		return MM_OK;
	return unsupported(err, key, wanted);
}

/* "size": 224 or [224, 224]; open_clip itself goes by the tower's size. */
static mm_status
check_open_clip_size(const cJSON *json, const mm_transform *t, mm_error *err)
{
	const cJSON *size = get(json, "size");
	const cJSON *sides[2] = {size, size};

	if (size == NULL)
		return MM_OK;
	for (int i = 0; i < 2; i++)
	{
		if (cJSON_IsArray(size))
			sides[i] = cJSON_GetArrayItem(size, i);
		if (!cJSON_IsNumber(sides[i]) || sides[i]->valuedouble != t->size)
			return malformed(err, "size", "the image size of the model");
	}
	return MM_OK;
}

static mm_status
read_open_clip(const cJSON *json, mm_transform *t, mm_error *err)
{
	const cJSON *cfg = get(json, "preprocess_cfg");
	mm_status status;

	if (cfg == NULL)
		return MM_OK;
	if (!cJSON_IsObject(cfg))
		return malformed(err, "preprocess_cfg", "an object");
	status = check_string(cfg, "mode", "RGB", err);
	if (status == MM_OK)
		status = check_string(cfg, "interpolation", "bicubic", err);
	if (status == MM_OK)
		status = check_string(cfg, "resize_mode", "shortest", err);
	if (status == MM_OK)
		status = check_open_clip_size(cfg, t, err);
	if (status == MM_OK)
		status = read_mean_std(cfg, "mean", "std", t, err);
	return status;
}

static mm_status
read_preprocessor(const cJSON *json, mm_transform *t, mm_error *err)
{
	/* a letterbox that lost its name is none of CLIP's */
	bool ours = get(json, "transform") || get(json, "mean") || get(json, "std");

	return ours ? read_letterbox(json, t, err) : read_hugging_face(json, t, err);
}

mm_status
mm_transform_read(const char *dir, int image_size, bool clip_defaults, mm_transform *t,
				  mm_error *err)
{
	static const struct
	{
		const char *file;
		mm_status (*read)(const cJSON *json, mm_transform *t, mm_error *err);
	} forms[] = {{HF_FILE, read_preprocessor}, {OPEN_CLIP_FILE, read_open_clip}};

	*t = openai;
	t->size = t->shortest = image_size;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
	{
		cJSON *json;
		mm_status status = mm_json_load(dir, forms[i].file, &json, err);

		if (status == MM_ERR_NOT_FOUND)
			continue;
		if (status != MM_OK)
			return status;
		status = forms[i].read(json, t, err);
		if (status == MM_OK)
			status = read_order(json, t, err);
		cJSON_Delete(json);
		return status;
	}
	if (clip_defaults)
		return MM_OK;
	return mm_fail(err, MM_ERR_NOT_FOUND, "model has no \"%s\"", HF_FILE);
}
