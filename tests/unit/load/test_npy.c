/*-------------------------------------------------------------------------
 *
 * test_npy.c
 *	  Headers of .npy files, good and hostile, and their rows.
 *
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "npy.h"

static size_t
make_npy(uint8_t *to, int version, const char *dictionary)
{
	size_t n = strlen(dictionary), at = version == 1 ? 10 : 12;

	memcpy(to, "\x93NUMPY", 6);
	to[6] = (uint8_t) version;
	to[7] = 0;
	to[8] = (uint8_t) n;
	to[9] = (uint8_t) (n >> 8);
	to[10] = to[11] = 0;
	memcpy(to + at, dictionary, n);
	return at + n;
}

static void
npy_good(void **state)
{
	static const char *const good[] = {
		"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 512), }          \n",
		"{'shape':(3,512),'descr':\"<f4\",'fortran_order':False}\n",
		"{ 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 3 , 512 , ) , }",
	};
	uint8_t data[NPY_PREFIX + 256];
	npy_array a;
	problem why;

	(void) state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		for (int version = 1; version <= 3; version++)
		{
			size_t size = make_npy(data, version, good[i]);

			assert_int_equal(npy_header_size(data, size, &why), size);
			assert_true(npy_parse(data, size, &a, &why));
			assert_int_equal(a.rows, 3);
			assert_int_equal(a.dims, 512);
			assert_int_equal(a.element_size, 4);
			assert_int_equal(a.data_offset, size);
		}
}

static void
assert_npy_refused(const char *dictionary, const char *sqlstate)
{
	uint8_t data[NPY_PREFIX + 256];
	size_t size = make_npy(data, 1, dictionary);
	npy_array a;
	problem why = {"", ""};

	assert_false(npy_parse(data, size, &a, &why));
	assert_string_equal(why.sqlstate, sqlstate);
	/* nor at any length */
	for (size_t n = 0; n < size; n++)
		assert_false(npy_parse(data, n, &a, &why));
}

static void
npy_hostile(void **state)
{
	uint8_t data[NPY_PREFIX + 256];
	npy_array a;
	problem why;

	(void) state;
	assert_npy_refused("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 5), }", "0A000");
	assert_npy_refused("{'descr': '>f4', 'fortran_order': False, 'shape': (3, 5), }", "0A000");
	assert_npy_refused("{'descr': '|O', 'fortran_order': False, 'shape': (3, 5), }", "0A000");
	assert_npy_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "0A000");
	assert_npy_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "0A000");
	assert_npy_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5, 6), }", "0A000");
	assert_npy_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 0), }", "54000");
	assert_npy_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 16001), }", "54000");
	assert_npy_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999, 5), }",
					   "54000");
	assert_npy_refused(
		"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 5)}", "22P03");
	assert_npy_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 5), }", "22P03");
	assert_npy_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5)", "22P03");
	assert_npy_refused("{'descr': '<f4', 'fortran_order': False}", "22P03");
	assert_npy_refused("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3, 5)}",
					   "22P03");
	assert_npy_refused("{'descr': '<f4', 'fortran_order': Falsch, 'shape': (3, 5)}", "22P03");
	assert_npy_refused("{'descr': '<f4', 'more': 1, 'fortran_order': False, 'shape': (3, 5)}",
					   "22P03");
	assert_npy_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5)} x", "22P03");
	assert_npy_refused("{'descr': '<f\\x34', 'fortran_order': False, 'shape': (3, 5)}", "22P03");
	assert_npy_refused("  ", "22P03");

	/* a version that is not known, a length that is none */
	make_npy(data, 4, "{}");
	assert_int_equal(npy_header_size(data, sizeof(data), &why), 0);
	make_npy(data, 2, "{}");
	data[11] = 0xff;
	assert_int_equal(npy_header_size(data, sizeof(data), &why), 0);
	assert_false(npy_parse(data, sizeof(data), &a, &why));
}

static void
npy_rows(void **state)
{
	npy_array single = {.rows = 1, .dims = 2, .element_size = 4};
	npy_array half = {.rows = 1, .dims = 2, .element_size = 2};
	/* 1.0 and -2.0 */
	static const uint8_t singles[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0};
	static const uint8_t halves[] = {0, 0x3c, 0, 0xc0};
	static const uint8_t nan[] = {0, 0, 0x80, 0x3f, 0, 0, 0xc0, 0x7f};
	static const uint8_t half_infinity[] = {0, 0x3c, 0, 0xfc};
	static const uint8_t single_form[] = {0, 2, 0, 0, 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0};
	static const uint8_t half_form[] = {0, 2, 0, 1, 0x3c, 0, 0xc0, 0};
	size_t size;
	uint8_t *row;

	(void) state;
	row = npy_row_to_embedding(&single, singles, &size);
	assert_int_equal(size, sizeof(single_form));
	assert_memory_equal(row, single_form, size);
	free(row);
	row = npy_row_to_embedding(&half, halves, &size);
	assert_int_equal(size, sizeof(half_form));
	assert_memory_equal(row, half_form, size);
	free(row);
	assert_null(npy_row_to_embedding(&single, nan, &size));
	assert_null(npy_row_to_embedding(&half, half_infinity, &size));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(npy_good),
		cmocka_unit_test(npy_hostile),
		cmocka_unit_test(npy_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
