/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  Golden embeddings beside a model, computed anew.
 *
 * golden.json, which scripts/make-golden writes by the model's own library in
 * Python, has texts with the ids of their tokens, pictures, and the embeddings
 * of both as base64 of little-endian float32.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "json.h"
#include "model.h"

#define GOLDEN_FILE "golden.json"

static int
base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int) (at - digits) : -1;
}

/* The bytes of a base64 string, malloc'd; NULL where it is none. */
static uint8_t *
decode_base64(const char *text, size_t *size)
{
	size_t len = text ? strlen(text) : 0;
	uint8_t *out;

	*size = 0;
	if (len == 0 || len % 4 != 0)
		return NULL;
	while (len > 0 && text[len - 1] == '=')
		len--;
	out = malloc(len * 3 / 4 + 1);
	for (size_t i = 0, bits = 0, have = 0; i < len && out != NULL; i++)
	{
		int digit = base64_digit(text[i]);

		if (digit < 0)
		{
			free(out);
			return NULL;
		}
		bits = (bits << 6 | (size_t) digit) & 0xffffff;
		have += 6;
		if (have >= 8)
		{
			have -= 8;
			out[(*size)++] = (uint8_t) (bits >> have);
		}
	}
	return out;
}

static float
little_endian_float(const uint8_t *p)
{
	uint32_t bits = p[0] | p[1] << 8 | p[2] << 16 | (uint32_t) p[3] << 24;
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

static mm_status
bad_entry(mm_error *err, const char *kind, int i, const char *what)
{
	return mm_fail(err, MM_ERR_BAD_MODEL, "%s: %s %d has no %s", GOLDEN_FILE, kind, i, what);
}

/* Once one of them is NaN it stays: the worst that there is. */
static void
keep_worst(double *worst, double x, double sign)
{
	if (isnan(x) || sign * x > sign * *worst)
		*worst = x;
}

/* Compare an embedding with what an entry says of it. */
static mm_status
compare(const cJSON *entry, const char *kind, int i, const float *got, int dims, mm_verification *v,
		mm_error *err)
{
	size_t size;
	uint8_t *bytes = decode_base64(mm_json_string(entry, "embedding"), &size);
	double dot = 0, length = 0;

	if (bytes == NULL || size != sizeof(float) * (size_t) dims)
	{
		free(bytes);
		return bad_entry(err, kind, i, "embedding of the model's dimensions");
	}
	for (int d = 0; d < dims; d++)
	{
		double wanted = little_endian_float(bytes + sizeof(float) * d);
		dot += wanted * got[d];
		length += wanted * wanted;
		keep_worst(&v->max_abs_diff, fabs(wanted - got[d]), 1);
	}
	free(bytes);
	keep_worst(&v->min_cosine, dot / sqrt(length), -1);
	return MM_OK;
}

static bool
same_ids(const cJSON *ids, const int32_t *got, int n)
{
	const cJSON *item;
	int i = 0;

	cJSON_ArrayForEach(item, ids)
	{
		if (i >= n || !cJSON_IsNumber(item) || item->valuedouble != got[i])
			return false;
		i++;
	}
	return i == n;
}

typedef struct room
{
	float *embedding;
	int32_t *ids;
} room;

static mm_status
verify_text(mm_session *session, const cJSON *entry, int i, const room *room, int dims,
			mm_verification *v, mm_error *err)
{
	const char *text = mm_json_string(entry, "text");
	mm_slice slice = {text, text ? strlen(text) : 0};
	int n;
	mm_status status;

	if (text == NULL)
		return bad_entry(err, "text", i, "text");
	status = mm_tokenize(session, slice, room->ids, &n, err);
	if (status == MM_OK && !same_ids(cJSON_GetObjectItemCaseSensitive(entry, "ids"), room->ids, n))
		v->ids_differ++;
	if (status == MM_OK)
		status = mm_encode_texts(session, &slice, 1, room->embedding, NULL, err);
	return status == MM_OK ? compare(entry, "text", i, room->embedding, dims, v, err) : status;
}

static mm_status
verify_image(mm_session *session, const cJSON *entry, int i, const room *room, int dims,
			 mm_verification *v, mm_error *err)
{
	size_t size;
	uint8_t *bytes = decode_base64(mm_json_string(entry, "data"), &size);
	mm_status status;

	if (bytes == NULL)
		return bad_entry(err, "image", i, "data");
	status = mm_encode_images(session, &(mm_slice){bytes, size}, 1, room->embedding, NULL, err);
	free(bytes);
	return status == MM_OK ? compare(entry, "image", i, room->embedding, dims, v, err) : status;
}

static mm_status
verify_all(mm_session *session, const mm_model *model, const cJSON *golden, const room *room,
		   mm_verification *v, mm_error *err)
{
	const cJSON *entry;
	mm_status status = MM_OK;

	cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(golden, "texts"))
	{
		if (status == MM_OK)
			status = verify_text(session, entry, v->texts++, room, model->info.dims, v, err);
	}
	cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(golden, "images"))
	{
		if (status == MM_OK)
			status = verify_image(session, entry, v->images++, room, model->info.dims, v, err);
	}
	if (status == MM_OK && v->texts + v->images == 0)
		status = mm_fail(err, MM_ERR_BAD_MODEL, "%s has neither texts nor images", GOLDEN_FILE);
	return status;
}

/* float32 must be the reference's but for the order of sums. */
static bool
passes(mm_precision precision, const mm_verification *v)
{
	if (v->ids_differ > 0)
		return false;
	if (precision == MM_PRECISION_FLOAT32)
		return v->min_cosine >= 0.999999 && v->max_abs_diff <= 2e-5;
	return v->min_cosine >= 0.9995;
}

mm_status
mm_verify(mm_session *session, const mm_model *model, mm_verification *v, mm_error *err)
{
	cJSON *golden;
	room room;
	mm_status status = mm_json_load(model->info.path, GOLDEN_FILE, &golden, err);

	*v = (mm_verification){.min_cosine = 1};
	if (status == MM_ERR_NOT_FOUND)
	{
		status = MM_ERR_NO_GOLDEN;
		if (err)
			err->status = status;
	}
	if (status != MM_OK)
		return status;
	room.embedding = malloc(sizeof(float) * model->info.dims);
	room.ids = malloc(sizeof(int32_t) * (model->info.context_length + 1));
	if (room.embedding == NULL || room.ids == NULL)
		status = mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	if (status == MM_OK && model->architecture->check_weights)
		status = model->architecture->check_weights(model, err);
	if (status == MM_OK)
		status = verify_all(session, model, golden, &room, v, err);
	v->ok = status == MM_OK && passes(model->info.precision, v);
	free(room.embedding);
	free(room.ids);
	cJSON_Delete(golden);
	return status;
}
