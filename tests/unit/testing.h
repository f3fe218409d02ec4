/*-------------------------------------------------------------------------
 *
 * testing.h
 *	  What the unit tests share.  Include after cmocka.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TEST_TESTING_H
#define TEST_TESTING_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mm_encoders.h"

/* A whole file, malloc'd; fails the test where it cannot be read. */
static inline void *
test_read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	long length;
	char *data;

	if (file == NULL)
		fail_msg("cannot open %s", path);
	fseek(file, 0, SEEK_END);
	length = ftell(file);
	rewind(file);
	assert_true(length >= 0);
	data = malloc((size_t) length + 1);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, (size_t) length, file), length);
	fclose(file);
	*size = (size_t) length;
	return data;
}

/* The model directory, or the test is skipped. */
static inline const char *
test_model_dir(void)
{
	const char *dir = getenv("MMODAL_TEST_MODEL");

	if (dir == NULL || access(dir, R_OK) != 0)
	{
		print_message("no model directory in MMODAL_TEST_MODEL\n");
		skip();
	}
	return dir;
}

/* A failure is worth nothing without its status and a message. */
static inline void
test_check_error(const mm_error *err, mm_status status)
{
	if (err->status != status)
		fail_msg("status %d, not %d: %s (%s)", err->status, status, err->message, err->detail);
	assert_true(err->message[0] != '\0');
}

/* A machine without the instruction set skips the test. */
static inline void
test_need_isa(mm_isa isa)
{
	if (!mm_isa_available(isa))
	{
		print_message("%s is not available here\n", mm_isa_name(isa));
		skip();
	}
}

#endif /* TEST_TESTING_H */
