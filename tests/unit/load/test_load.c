/*-------------------------------------------------------------------------
 *
 * test_load.c
 *	  What mmodal-load reads: manifests, shards of tar, names of
 *	  files.  Without a server.
 *
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "load.h"
#include "pathset.h"
#include "records.h"
#include "wire.h"

/* A file of the test's own, under a name that tells what it is. */
static char folder[] = "/tmp/mmodal-test-load-XXXXXX";

static char *
write_file(const char *name, const void *data, size_t size)
{
	char *path = format_string("%s/%s", folder, name);
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	fclose(file);
	return path;
}

/* ---- what sources emit ---- */

#define MAX_ITEMS 64

typedef struct taken
{
	item *items[MAX_ITEMS];
	int n, wanted;
	const char *rejected; /* a path that was, once */
	const char *unwanted;
} taken;

static bool
take_wants(sink *s, const char *path, const char *container)
{
	taken *t = s->context;

	(void) container;
	t->wanted++;
	return !s->counting && (t->unwanted == NULL || strcmp(t->unwanted, path) != 0);
}

static void
take_emit(sink *s, item *it)
{
	taken *t = s->context;

	assert_in_range(t->n, 0, MAX_ITEMS - 1);
	t->items[t->n++] = it;
}

static bool
take_was_rejected(sink *s, const char *path)
{
	taken *t = s->context;

	return t->rejected != NULL && strcmp(t->rejected, path) == 0;
}

static bool
take_stopped(sink *s)
{
	(void) s;
	return false;
}

static void
take_warn(sink *s, const char *message)
{
	(void) s;
	(void) message;
}

static sink
new_sink(taken *t)
{
	*t = (taken){.n = 0};
	return (sink){.context = t,
				  .wants = take_wants,
				  .emit = take_emit,
				  .was_rejected = take_was_rejected,
				  .stopped = take_stopped,
				  .warn = take_warn,
				  .max_picture = 1000};
}

static void
free_taken(taken *t)
{
	for (int i = 0; i < t->n; i++)
		item_free(t->items[i]);
}

/* The end of the only path: it begins with the folder's name. */
static void
assert_item(const item *it, item_kind kind, const char *end, const char *caption)
{
	assert_int_equal(it->kind, kind);
	assert_int_equal(it->npaths, 1);
	assert_true(name_ends(it->paths[0], end));
	if (caption == NULL)
		assert_null(it->caption);
	else
		assert_string_equal(it->caption, caption);
}

/* ---- records ---- */

static records *
open_records(const char *name, const char *text)
{
	problem why;
	char *path = write_file(name, text, strlen(text));
	records *r = records_open(path, &why);

	if (r == NULL)
		print_message("%s\n", why.reason);
	assert_non_null(r);
	free(path);
	return r;
}

static void
assert_record(records *r, const char *path, const char *caption, const char *metadata)
{
	record rec = {0};
	problem why = {"", ""};
	record_status status = records_next(r, &rec, &why);

	assert_string_equal(why.reason, "");
	assert_int_equal(status, RECORD_OK);
	assert_string_equal(rec.path, path);
	assert_string_equal(rec.caption != NULL ? rec.caption : "-", caption);
	assert_string_equal(rec.metadata != NULL ? rec.metadata : "-", metadata);
	record_clear(&rec);
}

static void
assert_status(records *r, record_status expected, long line)
{
	record rec = {0};
	problem why;

	assert_int_equal(records_next(r, &rec, &why), expected);
	if (line > 0)
		assert_int_equal(rec.line, line);
	record_clear(&rec);
}

static void
csv_records(void **state)
{
	records *r = open_records("a.csv", "\xef\xbb\xbfpath,caption,licence\r\n"
									   "a.jpg,\"one, \"\"two\"\"\nthree\",PD\r\n"
									   "\r\n"
									   " b.jpg ,,\n"
									   "too,few\n"
									   "c.jpg,\xff,x\n"
									   "d.jpg,5\" nails,x");

	(void) state;
	assert_record(r, "a.jpg", "one, \"two\"\nthree", "{\"licence\":\"PD\"}");
	assert_record(r, " b.jpg ", "-", "-");
	assert_status(r, RECORD_BAD, 6);
	assert_status(r, RECORD_BAD, 7);
	assert_record(r, "d.jpg", "5\" nails", "{\"licence\":\"x\"}");
	assert_status(r, RECORD_END, 0);
	records_close(r);
}

static void
tsv_records(void **state)
{
	records *r = open_records("a.tsv", "x\tfilepath\n1,2\ta b.jpg\n");
	problem why;

	(void) state;
	assert_true(records_have_path(r, &why));
	assert_record(r, "a b.jpg", "-", "{\"x\":\"1,2\"}");
	assert_status(r, RECORD_END, 0);
	records_close(r);

	r = open_records("b.csv", "url,caption\nx,y\n");
	assert_false(records_have_path(r, &why));
	assert_non_null(strstr(why.reason, "not fetched"));
	records_close(r);
}

static void
csv_hostile(void **state)
{
	char *path = write_file("empty.csv", "", 0), *text;
	problem why;
	records *r;
	size_t size = MAX_SIDECAR + 1000;

	(void) state;
	assert_null(records_open(path, &why));
	free(path);

	r = open_records("open.csv", "path,caption\na.jpg,\"never\nclosed,");
	assert_status(r, RECORD_FATAL, 0);
	records_close(r);

	/* nor does an open quote take all memory */
	text = xmalloc(size + 1);
	memset(text, 'x', size);
	for (size_t i = 0; i < size; i += 1000)
		text[i] = '\n';
	memcpy(text, "path\n\"", 6);
	r = open_records("long.csv", text);
	assert_status(r, RECORD_FATAL, 0);
	records_close(r);
	free(text);
}

static void
json_records(void **state)
{
	records *r = open_records("a.jsonl",
							  "{\"path\":\"a.jpg\",\"caption\":\"c\",\"n\":12345678901234567890}\n"
							  "\n"
							  "[1]\n"
							  "{\"path\":\n"
							  "{\"image_path\":\"b.jpg\"}");

	(void) state;
	assert_record(r, "a.jpg", "c",
				  "{\"path\":\"a.jpg\",\"caption\":\"c\",\"n\":12345678901234567890}");
	assert_status(r, RECORD_BAD, 3);
	assert_status(r, RECORD_BAD, 4);
	assert_record(r, "b.jpg", "-", "{\"image_path\":\"b.jpg\"}");
	assert_status(r, RECORD_END, 0);
	records_close(r);

	r = open_records("a.json", " [ {\"path\": \"a\"} , {\"path\":\"b\",\"sha256\":\"00\"}\n]");
	assert_record(r, "a", "-", "{\"path\": \"a\"}");
	assert_record(r, "b", "-", "{\"path\":\"b\",\"sha256\":\"00\"}");
	assert_status(r, RECORD_END, 0);
	records_close(r);

	r = open_records("cut.json", "[{\"path\":\"a\"},{\"pa");
	assert_record(r, "a", "-", "{\"path\":\"a\"}");
	assert_status(r, RECORD_FATAL, 0);
	records_close(r);
}

static void
record_hashes(void **state)
{
	char text[300];
	record rec = {0};
	problem why;
	records *r;

	(void) state;
	snprintf(text, sizeof(text), "sha256,path\n%064d,a\n%064d,b\nabcd,c\n%063dx,d\n", 0, 10, 0);
	r = open_records("hash.csv", text);
	assert_int_equal(records_next(r, &rec, &why), RECORD_OK);
	assert_true(rec.has_hash);
	assert_int_equal(records_next(r, &rec, &why), RECORD_OK);
	assert_true(rec.has_hash && rec.hash[HASH_SIZE - 1] == 0x10);
	assert_int_equal(records_next(r, &rec, &why), RECORD_OK);
	assert_false(rec.has_hash);
	assert_int_equal(records_next(r, &rec, &why), RECORD_OK);
	assert_false(rec.has_hash);
	record_clear(&rec);
	records_close(r);
}

/* ---- tar ---- */

static void
add_member(struct archive *a, const char *name, const void *data, size_t size)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, name);
	archive_entry_set_size(entry, (la_int64_t) size);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, data, size), (la_ssize_t) size);
	archive_entry_free(entry);
}

static char *
make_tar(const char *name, const char *const (*members)[2])
{
	char *path = format_string("%s/%s", folder, name);
	struct archive *a = archive_write_new();

	archive_write_set_format_pax_restricted(a);
	if (name_ends(name, ".gz"))
		archive_write_add_filter_gzip(a);
	if (name_ends(name, ".zst"))
		archive_write_add_filter_zstd(a);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	for (; (*members)[0] != NULL; members++)
		add_member(a, (*members)[0], (*members)[1], strlen((*members)[1]));
	archive_write_close(a);
	archive_write_free(a);
	return path;
}

static const char *const shard[][2] = {
	{"00000.jpg", "first"},
	{"00000.txt", "a caption\n"},
	{"00000.json", "{\"caption\":\"another\",\"w\":1}"},
	{"00001.json", "{\"caption\":\"from json\"}"},
	{"00001.png", "second"},
	{"00002.txt", "of no picture"},
	{"sub.dir/00003.left.jpg", "third"},
	{"sub.dir/00003.right.jpg", "fourth"},
	{"sub.dir/00003.txt", "of both"},
	{"00004.jpg", ""},
	{"00005.jpg", "fifth"},
	{"00005.json", "no json"},
	{NULL, NULL},
};

static void
tar_groups(void **state)
{
	static const char *const names[] = {"s.tar", "s.tar.gz", "s.tar.zst"};

	(void) state;
	for (int k = 0; k < 3; k++)
	{
		char *path = make_tar(names[k], shard);
		char *first = format_string("%s/00000.jpg", names[k]);
		taken t;
		sink s = new_sink(&t);

		tar_read(path, &s);
		assert_int_equal(t.n, 6);
		assert_item(t.items[0], ITEM_PICTURE, first, "a caption");
		assert_string_equal(t.items[0]->metadata, "{\"caption\":\"another\",\"w\":1}");
		assert_int_equal(t.items[0]->size, 5);
		assert_memory_equal(t.items[0]->data, "first", 5);
		assert_item(t.items[1], ITEM_PICTURE, "/00001.png", "from json");
		assert_item(t.items[2], ITEM_PICTURE, "/sub.dir/00003.left.jpg", "of both");
		assert_item(t.items[3], ITEM_PICTURE, "/sub.dir/00003.right.jpg", "of both");
		assert_item(t.items[4], ITEM_REJECT, "/00004.jpg", NULL);
		assert_string_equal(t.items[4]->why.reason, "file is empty");
		assert_item(t.items[5], ITEM_REJECT, "/00005.jpg", NULL);
		assert_string_equal(t.items[5]->why.sqlstate, "22032");
		free_taken(&t);
		free(first);
		free(path);
	}
}

static void
tar_counts(void **state)
{
	char *path = make_tar("c.tar", shard), *packed = make_tar("c.tar.gz", shard);
	taken t;
	sink s = new_sink(&t);

	(void) state;
	s.counting = true;
	tar_read(path, &s);
	assert_int_equal(t.wanted, 6);
	assert_int_equal(t.n, 0);
	assert_false(s.uncountable);
	tar_read(packed, &s);
	assert_true(s.uncountable);
	free(path);
	free(packed);
}

static void
tar_damaged(void **state)
{
	char *whole = make_tar("whole.tar", shard), *cut;
	uint8_t *data;
	size_t size;
	problem why;
	taken t;
	sink s = new_sink(&t);

	(void) state;
	assert_true(read_file(whole, 1 << 20, &data, &size, &why));
	/* within the second picture's data */
	cut = write_file("cut.tar", data, 4 * 1024 + 512 + 3);
	tar_read(cut, &s);
	assert_in_range(t.n, 2, 3);
	assert_item(t.items[0], ITEM_PICTURE, "cut.tar/00000.jpg", "a caption");
	assert_item(t.items[t.n - 1], ITEM_REJECT, "cut.tar", NULL);
	assert_string_equal(t.items[t.n - 1]->why.sqlstate, "XX001");
	free_taken(&t);
	free(cut);

	/* no tar at all, and one that was a reject and is whole now */
	cut = write_file("none.tar", "abcdefgh", 8);
	s = new_sink(&t);
	tar_read(cut, &s);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.items[0]->kind, ITEM_REJECT);
	free_taken(&t);
	free(cut);
	s = new_sink(&t);
	t.rejected = whole;
	tar_read(whole, &s);
	assert_item(t.items[t.n - 1], ITEM_CLEAR, "whole.tar", NULL);
	free_taken(&t);
	free(data);
	free(whole);
}

static void
tar_limits(void **state)
{
	char big[1101];
	const char *const members[][2] = {{"0.jpg", big}, {"1.jpg", "x"}, {NULL, NULL}};
	char *path;
	taken t;
	sink s = new_sink(&t);

	(void) state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	path = make_tar("big.tar", members);
	tar_read(path, &s);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.items[0]->kind, ITEM_REJECT);
	assert_string_equal(t.items[0]->why.sqlstate, "54000");
	assert_int_equal(t.items[1]->kind, ITEM_PICTURE);
	free_taken(&t);
	free(path);
}

/* ---- names, sets, arrays ---- */

static void
names(void **state)
{
	static const char *const cases[][2] = {
		{"plain.jpg", "plain.jpg"},          {"a\\b", "a\\b"},
		{"z\xc3\xbcrich", "z\xc3\xbcrich"},  {"a\xff", "a\\xff"},
		{"a\\\xff", "a\\\\\\xff"},           {"z\xc3\xbc\xc3", "z\xc3\xbc\\xc3"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char *text = path_text(cases[i][0]);

		assert_string_equal(text, cases[i][1]);
		free(text);
	}
	assert_true(name_is_picture("x.JPeG"));
	assert_false(name_is_picture("x.gif"));
	assert_false(name_is_picture(".jpg"));
	assert_true(name_is_tar("0.tar.zst"));
}

static void
sets(void **state)
{
	pathset set = {0};
	char name[20];

	(void) state;
	assert_false(pathset_has(&set, "0"));
	for (int i = 0; i < 5000; i += 2)
	{
		snprintf(name, sizeof(name), "%d", i);
		pathset_add(&set, name, strlen(name));
		pathset_add(&set, name, strlen(name));
	}
	assert_int_equal(set.n, 2500);
	for (int i = 0; i < 5000; i++)
	{
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(pathset_has(&set, name), i % 2 == 0);
	}
	pathset_free(&set);
}

static void
literals(void **state)
{
	char *values[] = {"a", "b\"\\c", "", "NULL", "{x, y}"};
	char *literal = array_literal(values, 5);

	(void) state;
	assert_string_equal(literal, "{\"a\",\"b\\\"\\\\c\",\"\",\"NULL\",\"{x, y}\"}");
	free(literal);
}

static int
make_folder(void **state)
{
	(void) state;
	return mkdtemp(folder) == NULL;
}

static int
remove_folder(void **state)
{
	static const char *const files[] = {
		"a.csv",    "a.tsv",     "b.csv",    "empty.csv", "open.csv", "long.csv",  "a.jsonl",
		"a.json",   "cut.json",  "hash.csv", "s.tar",     "s.tar.gz", "s.tar.zst", "c.tar",
		"c.tar.gz", "whole.tar", "cut.tar",  "none.tar",  "big.tar"};

	(void) state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
	{
		char *path = format_string("%s/%s", folder, files[i]);

		unlink(path);
		free(path);
	}
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(csv_records),   cmocka_unit_test(tsv_records),
		cmocka_unit_test(csv_hostile),   cmocka_unit_test(json_records),
		cmocka_unit_test(record_hashes), cmocka_unit_test(tar_groups),
		cmocka_unit_test(tar_counts),    cmocka_unit_test(tar_damaged),
		cmocka_unit_test(tar_limits),    cmocka_unit_test(names),
		cmocka_unit_test(sets),          cmocka_unit_test(literals),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
