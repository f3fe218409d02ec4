/*-------------------------------------------------------------------------
 *
 * tokenize.h
 *	  What the tests of the tokenizer share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TEST_TOKENIZE_H
#define TEST_TOKENIZE_H

#include "golden.h"

#include <cjson/cJSON.h>

#include "wordpiece.h"

#define MAX_IDS 128

/* golden/wordpiece.json; the caller frees with cJSON_Delete. */
static inline cJSON *
read_wordpiece_goldens(void)
{
	mm_slice json = golden_read(TESTS_DIR "/golden", "wordpiece.json");
	cJSON *goldens = cJSON_ParseWithLength(json.data, json.len);

	free((void *) json.data);
	return goldens;
}

/* Encode a copy that ends where its block ends, for ASan and valgrind. */
static inline mm_status
encode_copy(const mm_wordpiece *wp, const void *text, size_t len, int max_ids, int32_t *ids, int *n,
			mm_error *err)
{
	char *copy = malloc(len > 0 ? len : 1);
	mm_status status;

	assert_non_null(copy);
	memcpy(copy, text, len);
	status = mm_wordpiece_encode(wp, (mm_slice){copy, len}, ids, max_ids, n, err);
	free(copy);
	return status;
}

#endif /* TEST_TOKENIZE_H */
