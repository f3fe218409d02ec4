/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Configuration files.
 *
 *-------------------------------------------------------------------------
 */
#include "json.h"

#include <math.h>

#include "error.h"
#include "file.h"

mm_status
mm_json_load(const char *dir, const char *name, cJSON **json, mm_error *err)
{
	mm_file file;
	mm_status status = mm_file_open(dir, name, false, 1000 * 1000, &file, err);

	*json = NULL;
	if (status != MM_OK)
		return status;
	if (file.size > 0)
		*json = cJSON_ParseWithLength(file.data, file.size);
	mm_file_close(&file);
	if (!cJSON_IsObject(*json))
	{
		cJSON_Delete(*json);
		*json = NULL;
		return mm_fail(err, MM_ERR_BAD_MODEL, "model file \"%s\" is no JSON object", name);
	}
	return MM_OK;
}

mm_status
mm_json_int(const cJSON *object, const char *key, int min, int max, int fallback, int *value,
			mm_error *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	*value = fallback;
	if (item == NULL && fallback >= min)
		return MM_OK;
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= min && item->valuedouble <= max) ||
		item->valuedouble != floor(item->valuedouble))
		return mm_fail(err, MM_ERR_BAD_MODEL,
					   "model configuration: \"%s\" must be a whole number from %d to %d", key, min,
					   max);
	*value = (int) item->valuedouble;
	return MM_OK;
}

mm_status
mm_json_double(const cJSON *object, const char *key, double fallback, double *value, mm_error *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	*value = fallback;
	if (item == NULL)
		return MM_OK;
	if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
		return mm_fail(err, MM_ERR_BAD_MODEL, "model configuration: \"%s\" must be a number", key);
	*value = item->valuedouble;
	return MM_OK;
}

const char *
mm_json_string(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(item) ? item->valuestring : NULL;
}

mm_status
mm_json_text(const cJSON *object, const char *key, const char **value, mm_error *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	*value = cJSON_IsString(item) ? item->valuestring : NULL;
	if (item == NULL || cJSON_IsNull(item) || *value != NULL)
		return MM_OK;
	return mm_fail(err, MM_ERR_BAD_MODEL, "model configuration: \"%s\" must be a string", key);
}
