/*-------------------------------------------------------------------------
 *
 * test_bpe_input.c
 *	  CLIP's tokenizer on what no golden can hold: broken UTF-8, malformed
 *	  merges, limits.  Needs no model.
 *
 *-------------------------------------------------------------------------
 */
#include "bpe.h"

#include "utf8.h"

/* In a vocabulary of 514 + 6: "ab" is 512, "ab</w>" 515, "abab</w>" 517. */
static const char tiny_merges[] = "#version: 0.2\n"
								  "a b\n"
								  "c d\n"
								  "d e\n"
								  "a b</w>\n"
								  "ab c\n"
								  "ab ab</w>\n";

#define TINY_MERGES 6
#define TINY_SIZE (514 + TINY_MERGES)
#define START (TINY_SIZE - 2)
#define END (TINY_SIZE - 1)

/* Ids of bytes: printable ones come first. */
#define ID(c) ((c) - '!')
#define LAST_ID(c) (256 + ID(c))

static mm_bpe *
create_tiny(void)
{
	mm_bpe *bpe = mm_bpe_create((mm_slice){tiny_merges, strlen(tiny_merges)}, TINY_SIZE, NULL);

	assert_non_null(bpe);
	return bpe;
}

static void
expect_ids(const mm_bpe *bpe, const char *text, const int32_t *want, int n_want)
{
	int32_t ids[MAX_IDS];
	int n;

	assert_int_equal(encode_copy(bpe, text, strlen(text), MAX_IDS, ids, &n, NULL), MM_OK);
	if (n != n_want || memcmp(ids, want, sizeof(ids[0]) * n) != 0)
		fail_msg("\"%s\": %d ids, %d %d %d %d...", text, n, ids[0], ids[1], ids[2], ids[3]);
}

#define EXPECT(bpe, text, ...)                                                                     \
	expect_ids(bpe, text, (const int32_t[]){__VA_ARGS__},                                          \
			   (int) (sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)))

static void
merges_in_order_of_rank(void **state)
{
	mm_bpe *bpe = create_tiny();

	(void) state;
	assert_int_equal(mm_bpe_vocab_size(bpe), TINY_SIZE);
	EXPECT(bpe, "", START, END);
	EXPECT(bpe, "a", START, LAST_ID('a'), END);
	EXPECT(bpe, "ab", START, 515, END);
	EXPECT(bpe, "AB ab", START, 515, 515, END);
	EXPECT(bpe, "aba", START, 512, LAST_ID('a'), END);
	EXPECT(bpe, "abab", START, 517, END);
	/* "c d" comes before "d e", and leaves it nothing */
	EXPECT(bpe, "cdez", START, 513, ID('e'), LAST_ID('z'), END);
	EXPECT(bpe, "dez", START, 514, LAST_ID('z'), END);
	EXPECT(bpe, "abcz", START, 516, LAST_ID('z'), END);
	/* "c d" takes the c from "ab c" */
	EXPECT(bpe, "abcdz", START, 512, 513, LAST_ID('z'), END);
	EXPECT(bpe, "ab<|endoftext|>", START, 515, END, END);
	mm_bpe_free(bpe);
}

/* Merges of one letter run from the left, however long the word. */
static void
long_words(void **state)
{
	static const char merges[] = "#version\na a\naa aa\naaaa aaaa\n";
	mm_bpe *bpe = mm_bpe_create((mm_slice){merges, strlen(merges)}, 517, NULL);
	int32_t *ids = malloc(sizeof(int32_t) * 2000);
	char text[1001];

	(void) state;
	assert_non_null(bpe);
	assert_non_null(ids);
	for (size_t len = 1; len <= 1000; len++)
	{
		/* the last letter is a symbol of its own */
		size_t rest = len - 1;
		int expected[8];
		int n_expected = 0;
		int n;

		for (int k = 3; k >= 1; k--)
		{
			if (k < 3 && (rest >> k & 1))
				expected[n_expected++] = 511 + k;
		}
		if (rest & 1)
			expected[n_expected++] = ID('a');
		memset(text, 'a', len);
		assert_int_equal(encode_copy(bpe, text, len, 2000, ids, &n, NULL), MM_OK);
		assert_int_equal(n, 2 + (int) (rest / 8) + n_expected + 1);
		for (size_t i = 0; i < rest / 8; i++)
			assert_int_equal(ids[1 + i], 514);
		for (int i = 0; i < n_expected; i++)
			assert_int_equal(ids[1 + rest / 8 + (size_t) i], expected[i]);
		assert_int_equal(ids[n - 2], LAST_ID('a'));
	}
	free(ids);
	mm_bpe_free(bpe);
}

/*---- broken UTF-8 ----*/

static void
check_bytes(const mm_bpe *bpe, const uint8_t *s, size_t len)
{
	int32_t ids[MAX_IDS];
	mm_error err = {0};
	int n;
	mm_status status = encode_copy(bpe, s, len, MAX_IDS, ids, &n, &err);

	if (status != (is_utf8(s, len) ? MM_OK : MM_ERR_BAD_TEXT))
		fail_msg("status %d for the %zu bytes %02x %02x %02x %02x...", status, len, s[0],
				 len > 1 ? s[1] : 0, len > 2 ? s[2] : 0, len > 3 ? s[3] : 0);
	if (status != MM_OK)
		test_check_error(&err, MM_ERR_BAD_TEXT);
}

/* Every lead with every second byte, and third and fourth ones at the edges. */
static void
every_beginning_of_a_sequence(void **state)
{
	static const uint8_t edge[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
								   0x9f, 0xa0, 0xbf, 0xc0, 0xff};
	mm_bpe *bpe = create_tiny();

	(void) state;
	for (int a = 0; a < 256; a++)
	{
		check_bytes(bpe, (uint8_t[]){(uint8_t) a}, 1);
		for (int b = 0; b < 256; b++)
		{
			check_bytes(bpe, (uint8_t[]){(uint8_t) a, (uint8_t) b}, 2);
			for (size_t c = 0; c < sizeof(edge) && a >= 0xe0; c++)
			{
				check_bytes(bpe, (uint8_t[]){(uint8_t) a, (uint8_t) b, edge[c]}, 3);
				for (size_t d = 0; d < sizeof(edge) && a >= 0xf0; d++)
					check_bytes(bpe, (uint8_t[]){(uint8_t) a, (uint8_t) b, edge[c], edge[d]}, 4);
			}
		}
	}
	mm_bpe_free(bpe);
}

/* One wrong byte in a good text; the error tells where, behind the ids too. */
static void
every_damaged_byte(void **state)
{
	static const char text[] = "caf\xc3\xa9 \xe6\x9d\xb1 \xf0\x9f\x8d\x93! &amp;";
	mm_bpe *bpe = create_tiny();
	uint8_t copy[sizeof(text)];
	char longer[400];
	int32_t ids[MAX_IDS];
	mm_error err = {0};
	int n;

	(void) state;
	for (size_t at = 0; at < strlen(text); at++)
	{
		for (int byte = 0; byte < 256; byte++)
		{
			memcpy(copy, text, sizeof(text));
			copy[at] = (uint8_t) byte;
			check_bytes(bpe, copy, strlen(text));
		}
	}
	memset(longer, '1', sizeof(longer));
	longer[399] = '\xc3';
	assert_int_equal(encode_copy(bpe, longer, 400, MAX_IDS, ids, &n, &err), MM_ERR_BAD_TEXT);
	assert_non_null(strstr(err.detail, "offset 399"));
	mm_bpe_free(bpe);
}

/* NUL is dropped like any control character, and ends nothing. */
static void
nul_is_dropped(void **state)
{
	mm_bpe *bpe = create_tiny();
	int32_t ids[MAX_IDS];
	int n;

	(void) state;
	assert_int_equal(encode_copy(bpe, "a\0b", 3, MAX_IDS, ids, &n, NULL), MM_OK);
	assert_int_equal(n, 3);
	assert_int_equal(ids[1], 515);
	mm_bpe_free(bpe);
}

/*---- merges ----*/

static void
check_merges_refused(const char *bytes, size_t len, int vocab_size, const char *needle)
{
	char *copy = malloc(len > 0 ? len : 1);
	mm_error err = {0};

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	if (mm_bpe_create((mm_slice){copy, len}, vocab_size, &err) != NULL)
		fail_msg("\"%.*s\" is taken", (int) len, bytes);
	test_check_error(&err, MM_ERR_BAD_MODEL);
	if (strstr(err.message, needle) == NULL && strstr(err.detail, needle) == NULL)
		fail_msg("\"%s\" is not in: %s (%s)", needle, err.message, err.detail);
	assert_null(mm_bpe_create((mm_slice){copy, len}, vocab_size, NULL));
	free(copy);
}

static void
malformed_merges(void **state)
{
	/* all for two merges */
	static const struct
	{
		const char *bytes, *needle;
	} broken[] = {
		{"", "line 1"},
		{"\n", "line 1"},
		{"a b\nc d\n", "line 1"},
		{"#versio", "line 1"},
		{"#version", "0 of 2"},
		{"#version: 0.2\n", "0 of 2"},
		{"#version: 0.2\na b", "1 of 2"},
		{"#version: 0.2\na b\n", "1 of 2"},
		{"#version: 0.2\n\na b\n", "line 2"},
		{"#version: 0.2\na b\n\n", "line 3"},
		{"#version: 0.2\na b\nab\n", "line 3"},
		{"#version: 0.2\n a b\nc d\n", "line 2"},
		{"#version: 0.2\na\nc d\n", "line 2"},
		{"#version: 0.2\n \nc d\n", "line 2"},
		{"#version: 0.2\na \nc d\n", "line 2"},
		{"#version: 0.2\n b\nc d\n", "line 2"},
		{"#version: 0.2\na  b\nc d\n", "line 2"},
		{"#version: 0.2\na b \nc d\n", "line 2"},
		{"#version: 0.2\na b c\nc d\n", "line 2"},
		{"#version: 0.2\na\tb\nc d\n", "line 2"},
		/* symbols that are not there, or not yet */
		{"#version: 0.2\na bc\nb c\n", "line 2"},
		{"#version: 0.2\nab c\na b\n", "line 2"},
		{"#version: 0.2\na b\nab </w>\n", "line 3"},
		{"#version: 0.2\na b\n</w> c\n", "line 3"},
		{"#version: 0.2\na b\n<|startoftext|> c\n", "line 3"},
		{"#version: 0.2\na \xff\nc d\n", "line 2"},
		{"#version: 0.2\na \xc2\xa0\nc d\n", "line 2"},
		{"#version: 0.2\na \xc2\xad\nc d\n", "line 2"},
		{"#version: 0.2\na \xc5\x84\nc d\n", "line 2"},
		{"#version: 0.2\na b\nc abc\n", "line 3"},
		{"#version: 0.2\na b\nabcdefghij k\n", "line 3"},
		/* what is there already */
		{"#version: 0.2\na b\na b\n", "line 3"},
		{"#version: 0.2\na b</w>\na b</w>\n", "line 3"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		check_merges_refused(broken[i].bytes, strlen(broken[i].bytes), 516, broken[i].needle);
	check_merges_refused("#version\na b\nb c\nab c\na bc\n", 27, 518, "line 5");
	check_merges_refused("#version\na \0\nc d\n", 17, 516, "line 2");
	check_merges_refused("#version\na b", 12, 516, "too few");
}

static void
well_formed_merges(void **state)
{
	static const char crlf[] = "#version: 0.2\r\na b\r\nab c</w>\r\n";
	static const char unended[] = "#version: 0.2\na b\nab c</w>";
	static const char more[] = "#version: 0.2\na b\nab c</w>\nnot read\n\xff\n";
	/* symbols of bytes that do not print */
	static const char bytes[] = "#version: 0.2\n\xc4\x80 \xc5\x83\n\xc3\x83 \xc2\xa9</w>\n";
	static const mm_slice good[] = {
		{crlf, sizeof(crlf) - 1}, {unended, sizeof(unended) - 1}, {more, sizeof(more) - 1}};
	mm_bpe *bpe;

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		bpe = mm_bpe_create(good[i], 516, NULL);
		assert_non_null(bpe);
		EXPECT(bpe, "abc", 514, 513, 515);
		mm_bpe_free(bpe);
	}
	bpe = mm_bpe_create((mm_slice){bytes, sizeof(bytes) - 1}, 516, NULL);
	assert_non_null(bpe);
	EXPECT(bpe, "\xc3\xa9", 514, 513, 515);
	mm_bpe_free(bpe);

	bpe = mm_bpe_create((mm_slice){"#version", 8}, 514, NULL);
	assert_non_null(bpe);
	EXPECT(bpe, "ab", 512, ID('a'), LAST_ID('b'), 513);
	mm_bpe_free(bpe);
}

static void
sizes_of_vocabularies(void **state)
{
	static const int wrong[] = {-1, 0, 1, 512, 513, (1 << 20) + 1, 1 << 30, INT32_MAX, INT32_MIN};

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		check_merges_refused(tiny_merges, strlen(tiny_merges), wrong[i], "vocabulary");
}

/* Does it no harm, whether it works or is refused. */
static bool
try_merges(const char *bytes, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);
	mm_error err = {0};
	int32_t ids[MAX_IDS];
	mm_bpe *bpe;
	int n;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	bpe = mm_bpe_create((mm_slice){copy, len}, TINY_SIZE, &err);
	free(copy);
	if (bpe == NULL)
	{
		test_check_error(&err, MM_ERR_BAD_MODEL);
		return false;
	}
	assert_int_equal(mm_bpe_encode(bpe, (mm_slice){"ababcdez", 8}, ids, MAX_IDS, &n, NULL), MM_OK);
	assert_int_equal(ids[n - 1], END);
	mm_bpe_free(bpe);
	return true;
}

/* Cut within the last line, a file may still be one. */
static void
every_prefix_of_merges(void **state)
{
	size_t len = strlen(tiny_merges);

	(void) state;
	for (size_t cut = 0; cut < len; cut++)
	{
		if (try_merges(tiny_merges, cut))
			assert_true(cut > len - strlen("ab</w>\n"));
	}
}

/* Every byte of a file, made another. */
static void
every_damaged_merge(void **state)
{
	char copy[sizeof(tiny_merges)];
	int refused = 0;

	(void) state;
	for (size_t at = 0; at < strlen(tiny_merges); at++)
	{
		for (int byte = 0; byte < 256; byte++)
		{
			memcpy(copy, tiny_merges, sizeof(tiny_merges));
			copy[at] = (char) byte;
			refused += !try_merges(copy, strlen(tiny_merges));
		}
	}
	assert_true(refused > 1000);
}

/*---- limits ----*/

static void
too_little_room(void **state)
{
	mm_bpe *bpe = create_tiny();
	int32_t ids[3] = {-7, -7, -7};
	int n;

	(void) state;
	for (int max = -1; max < 2; max++)
	{
		mm_error err = {0};

		assert_int_equal(mm_bpe_encode(bpe, (mm_slice){"ab", 2}, ids, max, &n, &err),
						 MM_ERR_INVALID_ARGUMENT);
		test_check_error(&err, MM_ERR_INVALID_ARGUMENT);
		assert_int_equal(ids[0], -7);
	}
	assert_int_equal(mm_bpe_encode(bpe, (mm_slice){"ab", 2}, ids, 2, &n, NULL), MM_OK);
	assert_int_equal(n, 2);
	assert_int_equal(ids[0], START);
	assert_int_equal(ids[1], END);
	assert_int_equal(ids[2], -7);
	mm_bpe_free(bpe);
}

/*
 * Most of a megabyte of what a step could be slow on, were it quadratic: layers of
 * references, marks to be sorted, sigmas that look for the end of their word,
 * symbols that all merge.
 */
static void
long_texts_end(void **state)
{
	static const struct
	{
		const char *first, *unit, *last;
		int n;
	} texts[] = {
		{"", "ab", "", MAX_IDS},
		{"", "a", "", MAX_IDS},
		{"", " ", "", 2},
		{"", "\n", "", 2},
		{"", "\x1b[", "", MAX_IDS},
		{"\x1b[", "1", "", MAX_IDS},
		{"&", "amp;", "", 3},
		{"&amp", "&semi", ";", 3},
		{"", "&amp", "", MAX_IDS},
		{"&", "#", "", MAX_IDS},
		{"&#", "1", ";", 5},
		{"<&#", "1", ";", 6},
		{"<", "&amp;", "", MAX_IDS},
		{"", "\xcc\x81\xcc\xa3", "", MAX_IDS},
		{"a", "\xcc\xa3\xcc\x81\xcc\xa7", "", MAX_IDS},
		{"", "\xce\xa3", "", MAX_IDS},
		{"A\xce\xa3", "'", "\xce\xa3", MAX_IDS},
		{"", "\xce\xa3'", "", MAX_IDS},
		{"", "\xf0\x9d\x85\xa0", "", MAX_IDS},
		{"", "\xef\xac\x83", "", MAX_IDS},
		{"", "\xc4\xb0", "", MAX_IDS},
		{"", "\xef\xbb\xbf", "", 2},
		{"", "\xcd\x85", "", 2},
		{"", "<|endoftext|>", "", MAX_IDS},
	};
	const size_t size = 990 * 1000; /* fewer than ftfy cuts at */
	mm_bpe *bpe = create_tiny();
	char *text = malloc(size + 64);

	(void) state;
	assert_non_null(text);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		size_t unit = strlen(texts[i].unit);
		size_t len = strlen(texts[i].first);
		int32_t ids[MAX_IDS];
		int n;

		memcpy(text, texts[i].first, len);
		for (; len < size; len += unit)
			memcpy(text + len, texts[i].unit, unit);
		memcpy(text + len, texts[i].last, strlen(texts[i].last));
		len += strlen(texts[i].last);
		assert_int_equal(mm_bpe_encode(bpe, (mm_slice){text, len}, ids, MAX_IDS, &n, NULL), MM_OK);
		if (n != texts[i].n)
			fail_msg("\"%s\": %d ids, not %d", texts[i].unit, n, texts[i].n);
	}
	free(text);
	mm_bpe_free(bpe);
}

/* ftfy cuts a line at a million code points, and a reference with it. */
static void
lines_are_cut(void **state)
{
	static const char layers[] = "&amp;amp;amp;x";
	mm_bpe *bpe = create_tiny();
	char *text = malloc(1000 * 1000 + sizeof(layers));

	(void) state;
	assert_non_null(text);
	memset(text, ' ', 1000 * 1000 + sizeof(layers));
	memcpy(text, layers, sizeof(layers));
	EXPECT(bpe, text, START, LAST_ID('&'), LAST_ID('x'), END);
	memset(text, ' ', 1000 * 1000 - 2);
	memcpy(text + 1000 * 1000 - 2, layers, sizeof(layers));
	EXPECT(bpe, text, START, LAST_ID('&'), ID('a'), ID('m'), LAST_ID('p'), LAST_ID(';'),
		   LAST_ID('x'), END);
	free(text);
	mm_bpe_free(bpe);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merges_in_order_of_rank),
		cmocka_unit_test(long_words),
		cmocka_unit_test(every_beginning_of_a_sequence),
		cmocka_unit_test(every_damaged_byte),
		cmocka_unit_test(nul_is_dropped),
		cmocka_unit_test(malformed_merges),
		cmocka_unit_test(well_formed_merges),
		cmocka_unit_test(sizes_of_vocabularies),
		cmocka_unit_test(every_prefix_of_merges),
		cmocka_unit_test(every_damaged_merge),
		cmocka_unit_test(too_little_room),
		cmocka_unit_test(long_texts_end),
		cmocka_unit_test(lines_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
