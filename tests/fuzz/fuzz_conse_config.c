/*-------------------------------------------------------------------------
 *
 * fuzz_conse_config.c
 *	  config.json of the architecture of "mini".
 *
 *-------------------------------------------------------------------------
 */
#include "model_files.h"

#define ALLOWED (1u << MM_ERR_BAD_MODEL | 1u << MM_ERR_UNSUPPORTED)

static fuzz_dir dir;

void
fuzz_init(void)
{
	dir = fuzz_directory();
	write_conse(&dir);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	mm_model_info info;
	mm_error err = fuzz_no_error();

	fuzz_write(&dir, "config.json", data, size);
	if (!fuzz_status(mm_model_probe(dir.path, &info, &err), &err, ALLOWED))
		return;
	FUZZ_CHECK(info.dims >= 1 && info.dims <= 16000, "%d dimensions", info.dims);
	FUZZ_CHECK(info.context_length >= 2 && info.image_size >= 0, "no text tower");
	/* "clip" is one as well, and has other files */
	try_model(&dir, NULL, NULL, ALLOWED | 1u << MM_ERR_NOT_FOUND, true);
}
