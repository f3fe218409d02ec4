/*-------------------------------------------------------------------------
 *
 * test_wordpiece_input.c
 *	  The tokenizer on what no golden can hold: broken UTF-8, odd vocabularies,
 *	  limits.  Needs no model.
 *
 *-------------------------------------------------------------------------
 */
#include "tokenize.h"

#include "testing.h"
#include "utf8.h"

/* [CLS] 3, [SEP] 4, words from 5 */
static const char tiny_vocab[] =
	"[PAD]\n[unused]\n[UNK]\n[CLS]\n[SEP]\nberry\nstraw\n##berry\n##s\n.\n\xe6\x9d\xb1\ncafe\n";

static mm_wordpiece *
create_tiny(void)
{
	mm_wordpiece *wp = mm_wordpiece_create((mm_slice){tiny_vocab, strlen(tiny_vocab)}, NULL);

	assert_non_null(wp);
	return wp;
}

/*---- broken UTF-8 ----*/

static void
check_bytes(const mm_wordpiece *wp, const uint8_t *s, size_t len)
{
	int32_t ids[MAX_IDS];
	mm_error err = {0};
	int n;
	mm_status status = encode_copy(wp, s, len, MAX_IDS, ids, &n, &err);

	if (status != (is_utf8(s, len) ? MM_OK : MM_ERR_BAD_TEXT))
		fail_msg("status %d for the %zu bytes %02x %02x %02x %02x...", status, len, s[0],
				 len > 1 ? s[1] : 0, len > 2 ? s[2] : 0, len > 3 ? s[3] : 0);
	if (status != MM_OK)
		test_check_error(&err, MM_ERR_BAD_TEXT);
}

static void
invalid_utf8_is_refused(void **state)
{
	static const struct
	{
		const char *kind, *bytes;
	} broken[] = {
		{"continuation alone", "\x80"},
		{"continuation alone", "\xbf"},
		{"continuations alone", "\x80\x80"},
		{"overlong", "\xc0\x80"},
		{"overlong", "\xc1\xbf"},
		{"overlong", "\xe0\x80\x80"},
		{"overlong", "\xe0\x9f\xbf"},
		{"overlong", "\xf0\x80\x80\x80"},
		{"overlong", "\xf0\x8f\xbf\xbf"},
		{"surrogate", "\xed\xa0\x80"},
		{"surrogate", "\xed\xaf\xbf"},
		{"surrogate", "\xed\xb0\x80"},
		{"surrogate", "\xed\xbf\xbf"},
		{"pair of surrogates", "\xed\xa0\xbd\xed\xb8\x80"},
		{"above U+10FFFF", "\xf4\x90\x80\x80"},
		{"above U+10FFFF", "\xf5\x80\x80\x80"},
		{"above U+10FFFF", "\xf7\xbf\xbf\xbf"},
		{"five bytes", "\xf8\x88\x80\x80\x80"},
		{"six bytes", "\xfc\x84\x80\x80\x80\x80"},
		{"never in UTF-8", "\xfe"},
		{"never in UTF-8", "\xff"},
		{"cut off", "\xc3"},
		{"cut off", "\xe2"},
		{"cut off", "\xe2\x82"},
		{"cut off", "\xf0"},
		{"cut off", "\xf0\x9f"},
		{"cut off", "\xf0\x9f\x8d"},
		{"interrupted", "\xc3\x41"},
		{"interrupted", "\xc3\xc3\xa9"},
		{"interrupted", "\xe2\x82\x41"},
		{"interrupted", "\xf0\x9f\x8d\x41"},
	};
	static const char *const around[][2] = {{"", ""}, {"straw", ""}, {"", "berry"}, {"a ", " b"}};
	mm_wordpiece *wp = create_tiny();

	(void) state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
	{
		for (size_t k = 0; k < 4; k++)
		{
			char text[32];
			int32_t ids[MAX_IDS];
			mm_error err = {0};
			char at[32];
			int n;

			snprintf(text, sizeof(text), "%s%s%s", around[k][0], broken[i].bytes, around[k][1]);
			assert_false(is_utf8((uint8_t *) text, strlen(text)));
			if (encode_copy(wp, text, strlen(text), MAX_IDS, ids, &n, &err) != MM_ERR_BAD_TEXT)
				fail_msg("%s is taken", broken[i].kind);
			test_check_error(&err, MM_ERR_BAD_TEXT);
			snprintf(at, sizeof(at), "offset %zu", strlen(around[k][0]));
			assert_non_null(strstr(err.detail, at));
		}
	}
	mm_wordpiece_free(wp);
}

/* Every lead with every second byte, and third and fourth ones at the edges. */
static void
every_beginning_of_a_sequence(void **state)
{
	static const uint8_t edge[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
								   0x9f, 0xa0, 0xbf, 0xc0, 0xff};
	mm_wordpiece *wp = create_tiny();

	(void) state;
	for (int a = 0; a < 256; a++)
	{
		check_bytes(wp, (uint8_t[]){(uint8_t) a}, 1);
		for (int b = 0; b < 256; b++)
		{
			check_bytes(wp, (uint8_t[]){(uint8_t) a, (uint8_t) b}, 2);
			for (size_t c = 0; c < sizeof(edge) && a >= 0xe0; c++)
			{
				check_bytes(wp, (uint8_t[]){(uint8_t) a, (uint8_t) b, edge[c]}, 3);
				for (size_t d = 0; d < sizeof(edge) && a >= 0xf0; d++)
					check_bytes(wp, (uint8_t[]){(uint8_t) a, (uint8_t) b, edge[c], edge[d]}, 4);
			}
		}
	}
	mm_wordpiece_free(wp);
}

/* Every beginning of the goldens' shorter texts: good at a boundary alone. */
static void
every_prefix(void **state)
{
	mm_wordpiece *wp = create_tiny();
	cJSON *goldens = read_wordpiece_goldens();
	const cJSON *group, *pair;
	int prefixes = 0;

	(void) state;
	cJSON_ArrayForEach(group, cJSON_GetObjectItem(goldens, "groups"))
	{
		cJSON_ArrayForEach(pair, group)
		{
			const char *text = pair->child->valuestring;
			size_t len = strlen(text);

			/* of fewer bytes than the row has ids, so that all are read */
			for (size_t n = 0; n <= len && len < MAX_IDS - 2; n++, prefixes++)
				check_bytes(wp, (const uint8_t *) text, n);
		}
	}
	assert_true(prefixes > 10000);
	cJSON_Delete(goldens);
	mm_wordpiece_free(wp);
}

/* One wrong byte in good texts. */
static void
every_damaged_byte(void **state)
{
	static const char text[] = "caf\xc3\xa9 \xe6\x9d\xb1 \xf0\x9f\x8d\x93!";
	mm_wordpiece *wp = create_tiny();
	uint8_t copy[sizeof(text)];

	(void) state;
	for (size_t at = 0; at < strlen(text); at++)
	{
		for (int byte = 0; byte < 256; byte++)
		{
			memcpy(copy, text, sizeof(text));
			copy[at] = (uint8_t) byte;
			check_bytes(wp, copy, strlen(text));
		}
	}
	mm_wordpiece_free(wp);
}

/*---- small vocabularies, limits ----*/

static void
expect_ids(const mm_wordpiece *wp, const char *text, const int32_t *want, int n_want)
{
	int32_t ids[MAX_IDS];
	int n;

	assert_int_equal(encode_copy(wp, text, strlen(text), MAX_IDS, ids, &n, NULL), MM_OK);
	if (n != n_want || memcmp(ids, want, sizeof(ids[0]) * n) != 0)
		fail_msg("\"%s\": %d ids, %d %d %d %d...", text, n, ids[0], ids[1], ids[2], ids[3]);
}

#define EXPECT(wp, text, ...)                                                                      \
	expect_ids(wp, text, (const int32_t[]){__VA_ARGS__},                                           \
			   (int) (sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)))

static void
longest_match(void **state)
{
	mm_wordpiece *wp = create_tiny();

	(void) state;
	assert_int_equal(mm_wordpiece_vocab_size(wp), 12);
	EXPECT(wp, "", 3, 4);
	EXPECT(wp, "strawberries", 3, 2, 4);
	EXPECT(wp, "Strawberrys.", 3, 6, 7, 8, 9, 4);
	EXPECT(wp, "berry STRAW", 3, 5, 6, 4);
	EXPECT(wp, "berry?", 3, 5, 2, 4);
	EXPECT(wp,
		   "straw\xe6\x9d\xb1"
		   "berry",
		   3, 6, 10, 5, 4);
	EXPECT(wp, "Caf\xc3\x89", 3, 11, 4);
	EXPECT(wp, "cafe\xcc\x81", 3, 11, 4);
	EXPECT(wp, "##s", 3, 2, 2, 2, 4);
	EXPECT(wp, "straw[SEP]s", 3, 6, 4, 2, 4);
	mm_wordpiece_free(wp);
}

/* NUL is dropped like any control character, and ends nothing. */
static void
nul_is_dropped(void **state)
{
	mm_wordpiece *wp = create_tiny();
	int32_t ids[MAX_IDS];
	int n;

	(void) state;
	assert_int_equal(encode_copy(wp, "straw\0berry", 11, MAX_IDS, ids, &n, NULL), MM_OK);
	assert_int_equal(n, 4);
	assert_int_equal(ids[1], 6);
	assert_int_equal(ids[2], 7);
	mm_wordpiece_free(wp);
}

static void
check_vocab_refused(const char *bytes, size_t len, const char *needle)
{
	mm_error err = {0};

	assert_null(mm_wordpiece_create((mm_slice){bytes, len}, &err));
	test_check_error(&err, MM_ERR_BAD_MODEL);
	assert_non_null(strstr(err.message, needle));
	assert_null(mm_wordpiece_create((mm_slice){bytes, len}, NULL));
}

static void
vocabularies(void **state)
{
	static const char crlf[] = "[UNK]\r\n[CLS]\r\n[SEP]\r\nberry\r\n";
	static const char twice[] = "[UNK]\n[CLS]\n[SEP]\nberry\n\n\nberry";
	mm_wordpiece *wp;

	(void) state;
	check_vocab_refused("", 0, "size");
	check_vocab_refused("\n", 1, "[UNK]");
	check_vocab_refused("[UNK]\n[CLS]\n", 12, "[SEP]");
	check_vocab_refused("[UNK]\n[SEP]\n", 12, "[CLS]");
	check_vocab_refused("[CLS]\n[SEP]\n", 12, "[UNK]");
	check_vocab_refused("[UNK] [CLS] [SEP]", 17, "[UNK]");
	check_vocab_refused("\0\0\0\0\n\0\n", 7, "[UNK]");

	wp = mm_wordpiece_create((mm_slice){crlf, strlen(crlf)}, NULL);
	assert_non_null(wp);
	EXPECT(wp, "berry", 1, 3, 2);
	mm_wordpiece_free(wp);

	/* the last of two counts, and an empty line takes a number */
	wp = mm_wordpiece_create((mm_slice){twice, strlen(twice)}, NULL);
	assert_non_null(wp);
	assert_int_equal(mm_wordpiece_vocab_size(wp), 7);
	EXPECT(wp, "berry", 1, 6, 2);
	mm_wordpiece_free(wp);
}

/* Cut anywhere, a vocabulary works or is refused. */
static void
every_vocabulary_prefix(void **state)
{
	(void) state;
	for (size_t len = 0; len < strlen(tiny_vocab); len++)
	{
		char *copy = malloc(len > 0 ? len : 1);
		mm_error err = {0};
		mm_wordpiece *wp;

		memcpy(copy, tiny_vocab, len);
		wp = mm_wordpiece_create((mm_slice){copy, len}, &err);
		free(copy);
		if (wp == NULL)
			test_check_error(&err, MM_ERR_BAD_MODEL);
		else
		{
			int32_t ids[MAX_IDS];
			int n;

			assert_int_equal(
				mm_wordpiece_encode(wp, (mm_slice){"strawberrys.", 12}, ids, MAX_IDS, &n, NULL),
				MM_OK);
			assert_int_equal(ids[n - 1], 4);
		}
		mm_wordpiece_free(wp);
	}
}

static void
too_little_room(void **state)
{
	mm_wordpiece *wp = create_tiny();
	int32_t ids[2] = {-7, -7};
	int n;

	(void) state;
	for (int max = -1; max < 2; max++)
	{
		mm_error err = {0};

		assert_int_equal(mm_wordpiece_encode(wp, (mm_slice){"berry", 5}, ids, max, &n, &err),
						 MM_ERR_INVALID_ARGUMENT);
		test_check_error(&err, MM_ERR_INVALID_ARGUMENT);
		assert_int_equal(ids[0], -7);
	}
	assert_int_equal(mm_wordpiece_encode(wp, (mm_slice){"berry", 5}, ids, 2, &n, NULL), MM_OK);
	assert_int_equal(n, 2);
	assert_int_equal(ids[0], 3);
	assert_int_equal(ids[1], 4);
	mm_wordpiece_free(wp);
}

/* A million bytes, of which some kinds never fill a row. */
static void
long_texts_end(void **state)
{
	static const char *const unit[] = {"s", " ",      "\xcc\x81", "\xe2\x80\x8b",
									   ".", "straw ", "s\xcc\x81"};
	static const int want[] = {3, 2, 2, 2, MAX_IDS, MAX_IDS, 3};
	const size_t size = 1000 * 1000;
	mm_wordpiece *wp = create_tiny();
	char *text = malloc(size + 8);

	(void) state;
	for (int i = 0; i < 7; i++)
	{
		size_t len = 0;
		int32_t ids[MAX_IDS];
		int n;

		for (; len < size; len += strlen(unit[i]))
			memcpy(text + len, unit[i], strlen(unit[i]));
		assert_int_equal(mm_wordpiece_encode(wp, (mm_slice){text, len}, ids, MAX_IDS, &n, NULL),
						 MM_OK);
		assert_int_equal(n, want[i]);
	}
	free(text);
	mm_wordpiece_free(wp);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(invalid_utf8_is_refused),
		cmocka_unit_test(every_beginning_of_a_sequence),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(every_damaged_byte),
		cmocka_unit_test(longest_match),
		cmocka_unit_test(nul_is_dropped),
		cmocka_unit_test(vocabularies),
		cmocka_unit_test(every_vocabulary_prefix),
		cmocka_unit_test(too_little_room),
		cmocka_unit_test(long_texts_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
