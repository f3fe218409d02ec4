/*-------------------------------------------------------------------------
 *
 * fuzz_clip_config.c
 *	  Configurations of CLIP: Hugging Face's config.json, and open_clip's.
 *
 * The weights are good.  What they bear out opens and runs; all else is refused
 * before memory of the size that it speaks of is taken.
 *
 *-------------------------------------------------------------------------
 */
#include "model_files.h"

#define ALLOWED (1u << MM_ERR_BAD_MODEL | 1u << MM_ERR_UNSUPPORTED)

static fuzz_dir hf, open_clip;

void
fuzz_init(void)
{
	hf = fuzz_directory();
	open_clip = fuzz_directory();
	write_clip(&hf, false);
	write_clip(&open_clip, true);
}

static void
probe(const fuzz_dir *dir)
{
	mm_model_info info;
	mm_error err = fuzz_no_error();

	if (!fuzz_status(mm_model_probe(dir->path, &info, &err), &err, ALLOWED))
		return;
	FUZZ_CHECK(info.dims >= 1 && info.dims <= 16000, "%d dimensions", info.dims);
	FUZZ_CHECK(info.image_size >= 1 && info.context_length >= 2, "no towers");
	FUZZ_CHECK(info.bytes > 0 && info.parameters > 0, "no weights");
	try_model(dir, NULL, NULL, ALLOWED, true);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	fuzz_write(&hf, "config.json", data, size);
	probe(&hf);
	fuzz_write(&open_clip, "open_clip_config.json", data, size);
	probe(&open_clip);
}
