/*-------------------------------------------------------------------------
 *
 * test_bpe.c
 *	  Token ids against those of CLIP's reference (golden/bpe.json, written by
 *	  make_bpe_goldens.py): one test a group of texts, every name of HTML, and
 *	  every code point in several contexts.
 *
 *-------------------------------------------------------------------------
 */
#include "bpe.h"

#include <cjson/cJSON.h>

#include "utf8.h"

#define BLOCK 4096
#define MAX_TESTS 64
#define MAX_TEXT 256

static cJSON *goldens;

static mm_bpe *
create_bpe(int vocab_size)
{
	mm_slice merges = read_merges();
	mm_error err;
	mm_bpe *bpe = mm_bpe_create(merges, vocab_size, &err);

	if (bpe == NULL)
		fail_msg("%s (%s)", err.message, err.detail);
	free((void *) merges.data);
	return bpe;
}

static bool
same_ids(const int32_t *ids, int n, const cJSON *want)
{
	const cJSON *id;
	int i = 0;

	if (n != cJSON_GetArraySize(want))
		return false;
	cJSON_ArrayForEach(id, want)
	{
		if (ids[i++] != id->valueint)
			return false;
	}
	return true;
}

static void
check_text(const mm_bpe *bpe, const char *group, const char *text, const cJSON *want)
{
	int32_t ids[MAX_IDS];
	mm_error err;
	int n;

	if (encode_copy(bpe, text, strlen(text), MAX_IDS, ids, &n, &err) != MM_OK)
		fail_msg("%s: \"%s\": %s (%s)", group, text, err.message, err.detail);
	if (same_ids(ids, n, want))
		return;
	for (int i = 0; i < n; i++)
		print_message("%d ", ids[i]);
	fail_msg("%s: \"%s\": not the ids %s", group, text, cJSON_PrintUnformatted(want));
}

static void
group_test(void **state)
{
	const cJSON *group = *state;
	mm_bpe *bpe = create_bpe(VOCAB_SIZE);
	const cJSON *pair;

	cJSON_ArrayForEach(pair, group)
		check_text(bpe, group->string, pair->child->valuestring, cJSON_GetArrayItem(pair, 1));
	mm_bpe_free(bpe);
}

/* What ftfy repairs and we do not: the ids are those without the repair. */
static void
mojibake_stays(void **state)
{
	mm_bpe *bpe = create_bpe(VOCAB_SIZE);
	const cJSON *row;

	(void) state;
	cJSON_ArrayForEach(row, cJSON_GetObjectItem(goldens, "mojibake"))
		check_text(bpe, "mojibake", row->child->valuestring, cJSON_GetArrayItem(row, 1));
	mm_bpe_free(bpe);
}

/* The goldens can tell: a tokenizer without a step has other ids. */
static void
broken_variants_show(void **state)
{
	mm_bpe *bpe = create_bpe(VOCAB_SIZE);
	const cJSON *variant, *pair;
	int variants = 0;

	(void) state;
	cJSON_ArrayForEach(variant, cJSON_GetObjectItem(goldens, "broken"))
	{
		assert_true(cJSON_GetArraySize(variant) > 0);
		cJSON_ArrayForEach(pair, variant)
		{
			const char *text = pair->child->valuestring;
			int32_t ids[MAX_IDS];
			int n;

			assert_int_equal(encode_copy(bpe, text, strlen(text), MAX_IDS, ids, &n, NULL), MM_OK);
			if (same_ids(ids, n, cJSON_GetArrayItem(pair, 1)))
				fail_msg("\"%s\" is %s", text, variant->string);
		}
		variants++;
	}
	assert_true(variants >= 5);
	mm_bpe_free(bpe);
}

/* Vocabularies that have the first merges alone. */
static void
small_vocabularies(void **state)
{
	const cJSON *small, *pair;

	(void) state;
	cJSON_ArrayForEach(small, cJSON_GetObjectItem(goldens, "small"))
	{
		mm_bpe *bpe = create_bpe(atoi(small->string));

		assert_int_equal(mm_bpe_vocab_size(bpe), atoi(small->string));
		cJSON_ArrayForEach(pair, small)
			check_text(bpe, small->string, pair->child->valuestring, cJSON_GetArrayItem(pair, 1));
		mm_bpe_free(bpe);
	}
}

/* OpenAI's file is longer than the vocabulary, and its header differs. */
static void
the_other_form_of_the_file(void **state)
{
	static const char header[] = "\"bpe_simple_vocab_16e6.txt#version: 0.2";
	static const char more[] = "not a merge\n\n\xff\n";
	mm_slice merges = read_merges();
	const char *body = memchr(merges.data, '\n', merges.len);
	size_t body_len = merges.len - (size_t) (body - (const char *) merges.data);
	size_t len = strlen(header) + body_len + strlen(more);
	char *file = malloc(len);
	mm_error err;
	mm_bpe *bpe;
	const cJSON *pair;

	(void) state;
	memcpy(file, header, strlen(header));
	memcpy(file + strlen(header), body, body_len);
	memcpy(file + strlen(header) + body_len, more, strlen(more));
	bpe = mm_bpe_create((mm_slice){file, len}, VOCAB_SIZE, NULL);
	assert_non_null(bpe);
	cJSON_ArrayForEach(pair, cJSON_GetObjectItem(cJSON_GetObjectItem(goldens, "groups"), "scripts"))
		check_text(bpe, "scripts", pair->child->valuestring, cJSON_GetArrayItem(pair, 1));
	mm_bpe_free(bpe);

	assert_null(mm_bpe_create((mm_slice){file, len}, VOCAB_SIZE + 1, &err));
	test_check_error(&err, MM_ERR_BAD_MODEL);
	assert_non_null(strstr(err.detail, "line 48896"));
	free(file);
	assert_null(mm_bpe_create(merges, VOCAB_SIZE + 1, &err));
	assert_non_null(strstr(err.message, "too few"));
	assert_non_null(strstr(err.detail, "48894 of 48895"));
	free((void *) merges.data);
}

/* Shorter rows are beginnings of longer ones, and end with the end too. */
static void
cut_rows_are_beginnings(void **state)
{
	mm_bpe *bpe = create_bpe(VOCAB_SIZE);
	const cJSON *group, *pair;

	(void) state;
	cJSON_ArrayForEach(group, cJSON_GetObjectItem(goldens, "groups"))
	{
		cJSON_ArrayForEach(pair, group)
		{
			const char *text = pair->child->valuestring;
			int32_t all[MAX_IDS], ids[MAX_IDS];
			int n_all, n;

			assert_int_equal(encode_copy(bpe, text, strlen(text), MAX_IDS, all, &n_all, NULL),
							 MM_OK);
			for (int max = 2; max < MAX_IDS; max = max * 2 + 1)
			{
				assert_int_equal(encode_copy(bpe, text, strlen(text), max, ids, &n, NULL), MM_OK);
				assert_int_equal(n, n_all < max ? n_all : max);
				assert_memory_equal(ids, all, sizeof(ids[0]) * (n - 1));
				assert_int_equal(ids[n - 1], VOCAB_SIZE - 1);
			}
		}
	}
	mm_bpe_free(bpe);
}

static uint64_t
hash_text(const mm_bpe *bpe, uint64_t h, const char *text, size_t len)
{
	int32_t ids[MAX_IDS];
	int n;

	if (mm_bpe_encode(bpe, (mm_slice){text, len}, ids, MAX_IDS, &n, NULL) != MM_OK)
		fail_msg("\"%s\" is refused", text);
	return golden_hash_ids(h, ids, n);
}

/* As the script's names_of has them. */
static uint64_t
hash_name(const mm_bpe *bpe, uint64_t h, const char *name)
{
	static const struct
	{
		const char *before, *after;
		char change;
	} forms[] = {{"a&", "", 0}, {"&", "b", 'A'}, {"&", " c", 'a'}, {"<&", "x", 0}, {"&", "", ';'}};

	for (size_t form = 0; form < sizeof(forms) / sizeof(forms[0]); form++)
	{
		char spelt[64];
		char text[MAX_TEXT];

		snprintf(spelt, sizeof(spelt), "%s", name);
		for (char *s = spelt; *s != '\0'; s++)
		{
			if (forms[form].change == 'A' && *s >= 'a' && *s <= 'z')
				*s = (char) (*s - 'a' + 'A');
			else if (forms[form].change == 'a' && *s >= 'A' && *s <= 'Z')
				*s = (char) (*s - 'A' + 'a');
			else if (forms[form].change == ';' && *s == ';')
				*s = '\0';
		}
		snprintf(text, sizeof(text), "%s%s%s", forms[form].before, spelt, forms[form].after);
		h = hash_text(bpe, h, text, strlen(text));
	}
	return h;
}

static void
every_name_of_html(void **state)
{
	mm_bpe *bpe = create_bpe(VOCAB_SIZE);
	uint64_t h = 14695981039346656037u;
	const cJSON *name;
	int n = 0;

	(void) state;
	cJSON_ArrayForEach(name, cJSON_GetObjectItem(goldens, "names"))
	{
		h = hash_name(bpe, h, name->valuestring);
		n++;
	}
	assert_int_equal(n, 2231);
	if (h != strtoull(cJSON_GetObjectItem(goldens, "names_hash")->valuestring, NULL, 16))
		fail_msg("ids of a name of HTML differ");
	mm_bpe_free(bpe);
}

/*---- every code point ----*/

/* The context with a code point put in for each %c, its number for each %x. */
static size_t
put_in_context(const char *context, uint32_t c, char *text)
{
	size_t len = 0;

	for (const char *s = context; *s != '\0'; s++)
	{
		if (s[0] == '%' && s[1] == 'c')
		{
			len += put_utf8(c, (uint8_t *) text + len);
			s++;
		}
		else if (s[0] == '%' && s[1] == 'x')
		{
			len += (size_t) snprintf(text + len, MAX_TEXT - len, "%x", c);
			s++;
		}
		else
			text[len++] = *s;
	}
	text[len] = '\0';
	return len;
}

static bool
is_left_out(const cJSON *ranges, uint32_t c)
{
	for (const cJSON *first = ranges->child; first != NULL; first = first->next->next)
	{
		if (c >= (uint32_t) first->valueint && c <= (uint32_t) first->next->valueint)
			return true;
	}
	return false;
}

/* By context.  Names are told apart by their case, which cJSON else ignores. */
static cJSON *
blocks(void)
{
	return cJSON_GetObjectItem(goldens, "blocks");
}

/* The first context has all; the others have planes 0 and 1, and the tags. */
static bool
is_skipped(const cJSON *context, uint32_t c)
{
	if (c >= 0xd800 && c <= 0xdfff)
		return true;
	return context != blocks()->child && c >= 0x20000 && !(c >= 0xe0000 && c < 0xe1000);
}

static void
every_code_point(void **state)
{
	const cJSON *context = *state;
	const cJSON *out =
		cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItem(goldens, "left_out"), context->string);
	mm_bpe *bpe = create_bpe(VOCAB_SIZE);
	const cJSON *block;
	uint32_t c = 0;
	int seen = 0;

	cJSON_ArrayForEach(block, context)
	{
		uint64_t h = 14695981039346656037u;

		for (uint32_t end = c + BLOCK; c < end; c++)
		{
			char text[MAX_TEXT];

			if (is_skipped(context, c) || is_left_out(out, c))
				continue;
			h = hash_text(bpe, h, text, put_in_context(context->string, c, text));
			seen++;
		}
		if (h != strtoull(block->valuestring, NULL, 16))
			fail_msg("ids of a code point from U+%04X to U+%04X differ", c - BLOCK, c - 1);
	}
	assert_int_equal(c, 0x110000);
	assert_true(seen > 130000);
	mm_bpe_free(bpe);
}

static int
add_tests(struct CMUnitTest *tests, int n, cJSON *items, CMUnitTestFunction function)
{
	cJSON *item;

	cJSON_ArrayForEach(item, items)
	{
		if (n < MAX_TESTS)
			tests[n++] = (struct CMUnitTest){item->string, function, NULL, NULL, item};
	}
	return n;
}

int
main(void)
{
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(mojibake_stays),          cmocka_unit_test(broken_variants_show),
		cmocka_unit_test(small_vocabularies),      cmocka_unit_test(the_other_form_of_the_file),
		cmocka_unit_test(cut_rows_are_beginnings), cmocka_unit_test(every_name_of_html),
	};
	struct CMUnitTest tests[MAX_TESTS + sizeof(fixed) / sizeof(fixed[0])];
	mm_slice json = golden_read(TESTS_DIR "/golden", "bpe.json");
	int n = 0;
	int failed;

	goldens = cJSON_ParseWithLength(json.data, json.len);
	free((void *) json.data);
	if (goldens == NULL)
		return 1;
	n = add_tests(tests, n, cJSON_GetObjectItem(goldens, "groups"), group_test);
	n = add_tests(tests, n, blocks(), every_code_point);
	memcpy(tests + n, fixed, sizeof(fixed));
	n += (int) (sizeof(fixed) / sizeof(fixed[0]));
	failed = _cmocka_run_group_tests("bpe", tests, (size_t) n, NULL, NULL);
	cJSON_Delete(goldens);
	return failed;
}
