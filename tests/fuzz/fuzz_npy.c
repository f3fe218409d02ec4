/*-------------------------------------------------------------------------
 *
 * fuzz_npy.c
 *	  Headers of .npy files, and the first row behind one that is good.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "npy.h"

void
fuzz_init(void)
{
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	npy_array array;
	problem why = {"", ""};
	size_t row_size, n;
	uint8_t *row;

	if (!npy_parse(data, size, &array, &why))
	{
		FUZZ_CHECK(strlen(why.sqlstate) == 5 && why.reason[0] != '\0',
				   "a problem without a reason");
		FUZZ_CHECK(text_is_valid(why.reason, strlen(why.reason)), "a reason that is not UTF-8");
		return;
	}
	FUZZ_CHECK(array.dims >= 1 && array.dims <= 16000, "%d dimensions", array.dims);
	FUZZ_CHECK(array.element_size == 2 || array.element_size == 4, "element of %d bytes",
			   array.element_size);
	FUZZ_CHECK(array.data_offset <= size, "data behind the header that was given");
	row_size = (size_t) array.dims * (size_t) array.element_size;
	if (size - array.data_offset < row_size)
		return;
	row = npy_row_to_embedding(&array, data + array.data_offset, &n);
	FUZZ_CHECK(row == NULL || n == 4 + row_size, "a row of %zu bytes", n);
	free(row);
}
