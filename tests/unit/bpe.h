/*-------------------------------------------------------------------------
 *
 * bpe.h
 *	  What the tests of CLIP's tokenizer share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TEST_BPE_H
#define TEST_BPE_H

#include "golden.h"

#include "clip_bpe.h"
#include "testing.h"

#define MAX_IDS 77
#define VOCAB_SIZE 49408

/* Encode a copy that ends where its block ends, for ASan and valgrind. */
static inline mm_status
encode_copy(const mm_bpe *bpe, const void *text, size_t len, int max_ids, int32_t *ids, int *n,
			mm_error *err)
{
	char *copy = malloc(len > 0 ? len : 1);
	mm_status status;

	assert_non_null(copy);
	memcpy(copy, text, len);
	status = mm_bpe_encode(bpe, (mm_slice){copy, len}, ids, max_ids, n, err);
	free(copy);
	return status;
}

/* What scripts/make-bpe made, or the test is skipped. */
static inline mm_slice
read_merges(void)
{
	const char *path = getenv("MMODAL_TEST_MERGES");
	size_t len;
	void *data;

	if (path == NULL || access(path, R_OK) != 0)
	{
		print_message("no merges in MMODAL_TEST_MERGES\n");
		skip();
	}
	data = test_read_file(path, &len);
	return (mm_slice){data, len};
}

#endif /* TEST_BPE_H */
