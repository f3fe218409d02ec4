/*-------------------------------------------------------------------------
 *
 * fuzz_index.c
 *	  model.safetensors.index.json, of a checkpoint in files "a" and "b".
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <string.h>

#include "checkpoint.h"
#include "model_files.h"

#define ALLOWED                                                                                    \
	(1u << MM_ERR_BAD_MODEL | 1u << MM_ERR_UNSUPPORTED | 1u << MM_ERR_NOT_FOUND | 1u << MM_ERR_IO)

static fuzz_dir dir;

void
fuzz_init(void)
{
	static const file_tensor a[] = {{"x", 1, {3}}, {"y", 2, {2, 2}}}, b[] = {{"z", 1, {1}}};

	dir = fuzz_directory();
	write_tensors(&dir, "a", a, 2);
	write_tensors(&dir, "b", b, 1);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	mm_error err = fuzz_no_error();
	mm_checkpoint cp;
	int64_t parameters = 0;

	fuzz_write(&dir, "model.safetensors.index.json", data, size);
	if (!fuzz_status(mm_checkpoint_open(dir.path, &cp, &err), &err, ALLOWED))
		return;
	FUZZ_CHECK(cp.n <= 2, "%d files", cp.n);
	for (int i = 0; i < cp.n; i++)
	{
		const mm_shard *shard = &cp.shards[i];

		FUZZ_CHECK(strcmp(shard->name, "a") == 0 || strcmp(shard->name, "b") == 0,
				   "file \"%s\" is none of the model", shard->name);
		parameters += mm_safetensors_parameters(&shard->st);
	}
	FUZZ_CHECK(mm_checkpoint_parameters(&cp) == parameters, "parameters are counted otherwise");
	(void) mm_checkpoint_hash(&cp);
	mm_checkpoint_close(&cp);
}
