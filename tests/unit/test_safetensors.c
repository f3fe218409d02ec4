/*-------------------------------------------------------------------------
 *
 * test_safetensors.c
 *	  Reading safetensors: what is well formed, and what is hostile.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include <limits.h>

#include "safetensors.h"
#include "testing.h"

/* A file in memory, in a block of exactly its size, so that ASan sees overruns. */
typedef struct blob
{
	uint8_t *bytes;
	size_t size;
} blob;

static blob
make_blob(const char *json, size_t json_len, size_t data_len)
{
	blob b = {.size = 8 + json_len + data_len};

	b.bytes = malloc(b.size);
	assert_non_null(b.bytes);
	for (int i = 0; i < 8; i++)
		b.bytes[i] = (uint8_t) ((uint64_t) json_len >> 8 * i);
	memcpy(b.bytes + 8, json, json_len);
	for (size_t i = 0; i < data_len; i++)
		b.bytes[8 + json_len + i] = (uint8_t) i;
	return b;
}

static mm_status
parse_blob(blob b, mm_safetensors *st, mm_error *err)
{
	*st = (mm_safetensors){0};
	*err = (mm_error){0};
	return mm_safetensors_parse(b.bytes, b.size, st, err);
}

static const char good[] = "{\"__metadata__\":{\"format\":\"pt\"},"
						   "\"b\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[24,30]},"
						   "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
						   "\"s\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[30,38]}}   ";

static void
well_formed(void **state)
{
	blob b = make_blob(good, sizeof(good) - 1, 38);
	static const int64_t shape[] = {2, 3}, other[] = {3, 2};
	const float *data;
	mm_safetensors st;
	mm_error err;

	(void) state;
	assert_int_equal(parse_blob(b, &st, &err), MM_OK);
	assert_int_equal(st.n, 3);
	assert_int_equal(mm_safetensors_parameters(&st), 6 + 3 + 1);
	assert_int_equal(mm_safetensors_find(&st, "a")->dtype, MM_DTYPE_F32);
	assert_int_equal(mm_safetensors_find(&st, "b")->count, 3);
	assert_ptr_equal(mm_safetensors_find(&st, "b")->data, b.bytes + 8 + sizeof(good) - 1 + 24);
	assert_int_equal(mm_safetensors_find(&st, "s")->ndim, 0);
	assert_null(mm_safetensors_find(&st, "__metadata__"));
	assert_null(mm_safetensors_find(&st, "c"));

	if ((uintptr_t) (b.bytes + 8 + sizeof(good) - 1) % sizeof(float) == 0)
	{
		assert_int_equal(mm_safetensors_get(&st, "a", 2, shape, &data, &err), MM_OK);
		assert_ptr_equal(data, mm_safetensors_find(&st, "a")->data);
	}
	else
	{
		assert_int_equal(mm_safetensors_get(&st, "a", 2, shape, &data, &err), MM_ERR_BAD_MODEL);
		assert_non_null(strstr(err.message, "aligned"));
	}
	assert_int_equal(mm_safetensors_get(&st, "a", 2, other, &data, &err), MM_ERR_BAD_MODEL);
	assert_int_equal(mm_safetensors_get(&st, "a", 1, shape, &data, &err), MM_ERR_BAD_MODEL);
	assert_int_equal(mm_safetensors_get(&st, "b", 1, &other[0], &data, &err), MM_ERR_BAD_MODEL);
	assert_int_equal(mm_safetensors_get(&st, "c", 2, shape, &data, &err), MM_ERR_BAD_MODEL);
	test_check_error(&err, MM_ERR_BAD_MODEL);
	mm_safetensors_close(&st);
	free(b.bytes);
}

static void
no_tensors(void **state)
{
	blob b = make_blob("{}", 2, 0);
	mm_safetensors st;
	mm_error err;

	(void) state;
	assert_int_equal(parse_blob(b, &st, &err), MM_OK);
	assert_int_equal(st.n, 0);
	assert_null(mm_safetensors_find(&st, "a"));
	mm_safetensors_close(&st);
	free(b.bytes);
}

static void
expect_refused(const char *json, size_t data_len, const char *why)
{
	blob b = make_blob(json, strlen(json), data_len);
	mm_safetensors st;
	mm_error err;

	if (parse_blob(b, &st, &err) != MM_ERR_BAD_MODEL)
		fail_msg("%s: %s is taken", why, json);
	test_check_error(&err, MM_ERR_BAD_MODEL);
	assert_true(err.detail[0] != '\0');
	mm_safetensors_close(&st);
	free(b.bytes);
}

static void
hostile_headers(void **state)
{
	static const struct
	{
		const char *why, *json;
	} cases[] = {
		{"no JSON", "hello"},
		{"empty", ""},
		{"array", "[]"},
		{"string", "\"a\""},
		{"number", "1"},
		{"open", "{\"a\":"},
		{"tensor is a number", "{\"a\":1}"},
		{"tensor is an array", "{\"a\":[1,2]}"},
		{"tensor is empty", "{\"a\":{}}"},
		{"no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}"},
		{"dtype is a number", "{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}"},
		{"unknown dtype", "{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}"},
		{"no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}"},
		{"shape is a number", "{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}"},
		{"negative", "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}"},
		{"fraction", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,6]}}"},
		{"string in the shape",
		 "{\"a\":{\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}}"},
		{"9 dimensions",
		 "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}"},
		{"product over 2^63",
		 "{\"a\":{\"dtype\":\"F32\",\"shape\":[2147483647,2147483647,2147483647],"
		 "\"data_offsets\":[0,4]}}"},
		{"product that wraps to 0",
		 "{\"a\":{\"dtype\":\"F32\",\"shape\":[1073741824,1073741824,16],"
		 "\"data_offsets\":[0,0]}}"},
		{"dimension over 2^31",
		 "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967297],\"data_offsets\":[0,4]}}"},
		{"no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}"},
		{"one offset", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4]}}"},
		{"three offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}}"},
		{"offsets reversed", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]}}"},
		{"negative offset", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}"},
		{"offset beyond", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[32,36]}}"},
		{"huge offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],"
						 "\"data_offsets\":[18446744073709551612,18446744073709551616]}}"},
		{"infinite", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,1e999]}}"},
		{"too few bytes", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}"},
		{"too many bytes", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}"},
		{"bytes for nothing", "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,4]}}"},
		{"there twice", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
						"\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_refused(cases[i].json, 32, cases[i].why);
}

static void
deep_nesting(void **state)
{
	const size_t depth = 200000;
	char *json = malloc(2 * depth + 16);

	(void) state;
	assert_non_null(json);
	memcpy(json, "{\"a\":", 5);
	memset(json + 5, '[', depth);
	memset(json + 5 + depth, ']', depth);
	memcpy(json + 5 + 2 * depth, "}", 2);
	expect_refused(json, 0, "nested deeply");
	free(json);
}

/* The eight bytes of the length say anything. */
static void
header_lengths(void **state)
{
	static const uint64_t lengths[] = {0,          1,         7,          100000001,     INT32_MAX,
									   UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
	mm_safetensors st;
	mm_error err;

	(void) state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		blob b = make_blob(good, sizeof(good) - 1, 38);

		for (int k = 0; k < 8; k++)
			b.bytes[k] = (uint8_t) (lengths[i] >> 8 * k);
		assert_int_equal(parse_blob(b, &st, &err), MM_ERR_BAD_MODEL);
		test_check_error(&err, MM_ERR_BAD_MODEL);
		mm_safetensors_close(&st);
		free(b.bytes);
	}
}

static void
every_prefix(void **state)
{
	blob whole = make_blob(good, sizeof(good) - 1, 38);

	(void) state;
	for (size_t len = 0; len < whole.size; len++)
	{
		blob b = {malloc(len > 0 ? len : 1), len};
		mm_safetensors st;
		mm_error err;

		memcpy(b.bytes, whole.bytes, len);
		if (parse_blob(b, &st, &err) != MM_ERR_BAD_MODEL)
			fail_msg("taken when cut to %zu bytes", len);
		test_check_error(&err, MM_ERR_BAD_MODEL);
		mm_safetensors_close(&st);
		free(b.bytes);
	}
	free(whole.bytes);
}

/* Every tensor that is listed lies within the file, whatever the header says. */
static void
check_within(const mm_safetensors *st, blob b)
{
	for (int i = 0; i < st->n; i++)
	{
		const mm_tensor *t = &st->tensors[i];
		const uint8_t *data = t->data;

		assert_true(t->count >= 0);
		assert_true(data >= b.bytes && data <= b.bytes + b.size);
		assert_true((size_t) t->count <= (size_t) (b.bytes + b.size - data));
		assert_ptr_equal(mm_safetensors_find(st, t->name), t);
	}
}

static void
every_damaged_byte(void **state)
{
	blob b = make_blob(good, sizeof(good) - 1, 38);
	int taken = 0, refused = 0;

	(void) state;
	for (size_t at = 0; at < 8 + sizeof(good) - 1; at++)
	{
		uint8_t was = b.bytes[at];

		for (int byte = 0; byte < 256; byte++)
		{
			mm_safetensors st;
			mm_error err;

			b.bytes[at] = (uint8_t) byte;
			if (parse_blob(b, &st, &err) == MM_OK)
			{
				check_within(&st, b);
				taken++;
			}
			else
			{
				test_check_error(&err, MM_ERR_BAD_MODEL);
				refused++;
			}
			mm_safetensors_close(&st);
		}
		b.bytes[at] = was;
	}
	assert_true(taken > 1000 && refused > 1000);
	free(b.bytes);
}

/*---- files ----*/

static char directory[] = "/tmp/mm-safetensors.XXXXXX";

static void
write_file(blob b)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/model.safetensors", directory);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(b.bytes, 1, b.size, f), b.size);
	assert_int_equal(fclose(f), 0);
}

static void
files(void **state)
{
	blob b = make_blob(good, sizeof(good) - 1, 38);
	mm_safetensors st;
	mm_error err;

	(void) state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(mm_safetensors_open(directory, true, &st, &err), MM_ERR_NOT_FOUND);
	test_check_error(&err, MM_ERR_NOT_FOUND);
	write_file(b);
	for (int map = 0; map < 2; map++)
	{
		assert_int_equal(mm_safetensors_open(directory, map, &st, &err), MM_OK);
		assert_int_equal(st.file.mapped, map);
		assert_memory_equal(mm_safetensors_find(&st, "a")->data, b.bytes + 8 + sizeof(good) - 1,
							24);
		mm_safetensors_close(&st);
	}
	assert_int_equal(mm_safetensors_open_header(directory, &st, &err), MM_OK);
	assert_int_equal(st.n, 3);
	assert_int_equal(st.file.size, b.size);
	assert_null(mm_safetensors_find(&st, "a")->data);
	mm_safetensors_close(&st);

	for (size_t size = 0; size < b.size; size += 7)
	{
		write_file((blob){b.bytes, size});
		for (int map = 0; map < 2; map++)
		{
			assert_int_equal(mm_safetensors_open(directory, map, &st, &err), MM_ERR_BAD_MODEL);
			test_check_error(&err, MM_ERR_BAD_MODEL);
		}
		assert_int_equal(mm_safetensors_open_header(directory, &st, &err), MM_ERR_BAD_MODEL);
	}
	free(b.bytes);
}

static int
remove_directory(void **state)
{
	char path[PATH_MAX];

	(void) state;
	snprintf(path, sizeof(path), "%s/model.safetensors", directory);
	unlink(path);
	rmdir(directory);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(well_formed),        cmocka_unit_test(no_tensors),
		cmocka_unit_test(hostile_headers),    cmocka_unit_test(deep_nesting),
		cmocka_unit_test(header_lengths),     cmocka_unit_test(every_prefix),
		cmocka_unit_test(every_damaged_byte), cmocka_unit_test_teardown(files, remove_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
