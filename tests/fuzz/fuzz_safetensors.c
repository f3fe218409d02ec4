/*-------------------------------------------------------------------------
 *
 * fuzz_safetensors.c
 *	  Safetensors files: read as a whole, mapped, and their header alone.
 *
 * All ways say the same of a file; what they accept is sorted, within the file,
 * free of overlaps, and can be read.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <string.h>

#include "safetensors.h"

#define BAD (1u << MM_ERR_BAD_MODEL)

static fuzz_dir dir;

void
fuzz_init(void)
{
	dir = fuzz_directory();
}

static void
check_tensor(const mm_safetensors *st, int i, const uint8_t *data, size_t size)
{
	const mm_tensor *t = &st->tensors[i];
	int64_t count = 1;

	FUZZ_CHECK(t->ndim >= 0 && t->ndim <= MM_TENSOR_MAX_DIMS, "%d dimensions", t->ndim);
	for (int k = 0; k < t->ndim; k++)
		count *= t->shape[k];
	FUZZ_CHECK(count == t->count, "count is not the product of the shape");
	FUZZ_CHECK(t->dtype == MM_DTYPE_OTHER ||
				   t->bytes == (uint64_t) count * (uint64_t) mm_dtype_size(t->dtype),
			   "bytes do not fit the count");
	FUZZ_CHECK(t->offset <= size && t->bytes <= size - t->offset, "outside of the file");
	FUZZ_CHECK((const uint8_t *) t->data == data + t->offset, "data is not at its offset");
	FUZZ_CHECK(i == 0 || strcmp(t[-1].name, t->name) < 0, "names are not in order");
	FUZZ_CHECK(mm_safetensors_find(st, t->name) == t, "a tensor is not found by its name");
	for (int k = 0; k < i; k++)
	{
		const mm_tensor *o = &st->tensors[k];

		FUZZ_CHECK(o->bytes == 0 || t->bytes == 0 || o->offset + o->bytes <= t->offset ||
					   t->offset + t->bytes <= o->offset,
				   "tensors overlap");
	}
}

/* The same as a file; where "whole" is false its header. */
static void
check_file(const mm_safetensors *st, mm_status expected, bool whole, bool map)
{
	mm_error err = fuzz_no_error();
	mm_safetensors file;
	mm_status status = whole ? mm_safetensors_open(dir.path, map, &file, &err)
							 : mm_safetensors_open_header(dir.path, &file, &err);

	fuzz_status(status, &err, BAD);
	FUZZ_CHECK(status == expected, "status %d from a file, %d from memory", (int) status,
			   (int) expected);
	if (status != MM_OK)
		return;
	FUZZ_CHECK(file.n == st->n, "%d tensors in the file, %d in memory", file.n, st->n);
	for (int i = 0; i < st->n; i++)
		FUZZ_CHECK(strcmp(file.tensors[i].name, st->tensors[i].name) == 0 &&
					   file.tensors[i].offset == st->tensors[i].offset &&
					   (file.tensors[i].data != NULL) == whole,
				   "tensor %d differs", i);
	FUZZ_CHECK(mm_safetensors_parameters(&file) == mm_safetensors_parameters(st),
			   "numbers of parameters differ");
	mm_safetensors_close(&file);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	mm_error err = fuzz_no_error();
	mm_safetensors st = {0};
	mm_status status = mm_safetensors_parse(data, size, &st, &err);

	if (fuzz_status(status, &err, BAD))
	{
		for (int i = 0; i < st.n; i++)
			check_tensor(&st, i, data, size);
		(void) mm_safetensors_metadata(&st, "format");
	}
	fuzz_write(&dir, "model.safetensors", data, size);
	check_file(&st, status, false, false);
	check_file(&st, status, true, false);
	check_file(&st, status, true, true);
	mm_safetensors_close(&st);
}
