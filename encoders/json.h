/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Configuration files, with the errors that belong to them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_JSON_H
#define MM_JSON_H

#include <cjson/cJSON.h>

#include "mm_encoders.h"

/* Parse dir/name, at most 1 MB; the caller frees with cJSON_Delete. */
extern mm_status mm_json_load(const char *dir, const char *name, cJSON **json, mm_error *err);

/*
 * A whole number of an object, min to max.  Where the key is absent: the
 * default, or MM_ERR_BAD_MODEL for a default below min.
 */
extern mm_status mm_json_int(const cJSON *object, const char *key, int min, int max, int fallback,
							 int *value, mm_error *err);

/* A finite number; absent: the fallback. */
extern mm_status mm_json_double(const cJSON *object, const char *key, double fallback,
								double *value, mm_error *err);

/* A string, or NULL where there is none. */
extern const char *mm_json_string(const cJSON *object, const char *key);

/* The same where the key must not have anything but a string, or null. */
extern mm_status mm_json_text(const cJSON *object, const char *key, const char **value,
							  mm_error *err);

#endif /* MM_JSON_H */
