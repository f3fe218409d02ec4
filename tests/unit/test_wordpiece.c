/*-------------------------------------------------------------------------
 *
 * test_wordpiece.c
 *	  Token ids against the reference's (golden/wordpiece.json, written by
 *	  make_wordpiece_goldens.py): one test a group of texts, and every code
 *	  point.
 *
 *-------------------------------------------------------------------------
 */
#include "tokenize.h"

#include "testing.h"
#include "utf8.h"

#define BLOCK 4096
#define MAX_GROUPS 32

static cJSON *goldens;

/* The tokenizer of the model that the goldens were made for. */
static mm_wordpiece *
create_reference(void)
{
	mm_slice vocab = golden_read(test_model_dir(), "vocab.txt");
	mm_error err;
	mm_wordpiece *wp = mm_wordpiece_create(vocab, &err);

	if (wp == NULL)
		fail_msg("%s (%s)", err.message, err.detail);
	free((void *) vocab.data);
	return wp;
}

/*---- the goldens ----*/

static void
check_text(const mm_wordpiece *wp, const char *group, const char *text, const cJSON *want)
{
	int32_t ids[MAX_IDS];
	mm_error err;
	int n;
	int i = 0;
	const cJSON *id;

	if (encode_copy(wp, text, strlen(text), MAX_IDS, ids, &n, &err) != MM_OK)
		fail_msg("%s: \"%s\": %s (%s)", group, text, err.message, err.detail);
	if (n != cJSON_GetArraySize(want))
		fail_msg("%s: \"%s\": %d ids, not %d", group, text, n, cJSON_GetArraySize(want));
	cJSON_ArrayForEach(id, want)
	{
		if (ids[i] != id->valueint)
			fail_msg("%s: \"%s\": id %d is %d, not %d", group, text, i, ids[i], id->valueint);
		i++;
	}
}

static void
group_test(void **state)
{
	const cJSON *group = *state;
	mm_wordpiece *wp = create_reference();
	const cJSON *pair;

	cJSON_ArrayForEach(pair, group)
		check_text(wp, group->string, pair->child->valuestring, cJSON_GetArrayItem(pair, 1));
	mm_wordpiece_free(wp);
}

/* Shorter rows are beginnings of longer ones, and end with [SEP] too. */
static void
cut_rows_are_beginnings(void **state)
{
	mm_wordpiece *wp = create_reference();
	const cJSON *group, *pair;

	(void) state;
	cJSON_ArrayForEach(group, cJSON_GetObjectItem(goldens, "groups"))
	{
		cJSON_ArrayForEach(pair, group)
		{
			const char *text = pair->child->valuestring;
			int32_t all[MAX_IDS], ids[MAX_IDS];
			int n_all, n;

			assert_int_equal(encode_copy(wp, text, strlen(text), MAX_IDS, all, &n_all, NULL),
							 MM_OK);
			for (int max = 2; max < MAX_IDS; max = max * 2 + 1)
			{
				assert_int_equal(encode_copy(wp, text, strlen(text), max, ids, &n, NULL), MM_OK);
				assert_int_equal(n, n_all < max ? n_all : max);
				assert_memory_equal(ids, all, sizeof(ids[0]) * (n - 1));
				assert_int_equal(ids[n - 1], all[n_all - 1]);
			}
		}
	}
	mm_wordpiece_free(wp);
}

/* "a<c>b" for every code point c but those left out. */
static void
every_code_point(void **state)
{
	mm_wordpiece *wp = create_reference();
	const cJSON *out = cJSON_GetObjectItem(goldens, "left_out")->child;
	const cJSON *block;
	uint32_t c = 0;
	int seen = 0;

	(void) state;
	cJSON_ArrayForEach(block, cJSON_GetObjectItem(goldens, "blocks"))
	{
		uint64_t h = 14695981039346656037u;

		for (uint32_t end = c + BLOCK; c < end; c++)
		{
			uint8_t text[6] = {'a'};
			size_t len;
			int32_t ids[MAX_IDS];
			int n;

			while (out != NULL && c > (uint32_t) out->next->valueint)
				out = out->next->next;
			if (c == 0 || (c >= 0xd800 && c <= 0xdfff) ||
				(out != NULL && c >= (uint32_t) out->valueint))
				continue;
			len = 1 + put_utf8(c, text + 1);
			text[len++] = 'b';
			if (mm_wordpiece_encode(wp, (mm_slice){text, len}, ids, MAX_IDS, &n, NULL) != MM_OK)
				fail_msg("U+%04X is refused", c);
			h = golden_hash_ids(h, ids, n);
			seen++;
		}
		if (h != strtoull(block->valuestring, NULL, 16))
			fail_msg("ids of a code point from U+%04X to U+%04X differ", c - BLOCK, c - 1);
	}
	assert_int_equal(c, 0x110000);
	assert_true(seen > 280000);
	mm_wordpiece_free(wp);
}

int
main(void)
{
	const struct CMUnitTest fixed[] = {
		cmocka_unit_test(cut_rows_are_beginnings),
		cmocka_unit_test(every_code_point),
	};
	const int n_fixed = (int) (sizeof(fixed) / sizeof(fixed[0]));
	struct CMUnitTest tests[MAX_GROUPS + sizeof(fixed) / sizeof(fixed[0])];
	cJSON *group;
	int n = 0;
	int failed;

	goldens = read_wordpiece_goldens();
	if (goldens == NULL)
		return 1;
	cJSON_ArrayForEach(group, cJSON_GetObjectItem(goldens, "groups"))
	{
		if (n < MAX_GROUPS)
			tests[n++] = (struct CMUnitTest){group->string, group_test, NULL, NULL, group};
	}
	memcpy(tests + n, fixed, sizeof(fixed));
	failed = _cmocka_run_group_tests("wordpiece", tests, (size_t) (n + n_fixed), NULL, NULL);
	cJSON_Delete(goldens);
	return failed;
}
