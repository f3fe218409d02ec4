/*-------------------------------------------------------------------------
 *
 * mm-model.c
 *	  Models without a server: packing, and checking against golden embeddings.
 *
 *		mm-model pack DIRECTORY [PRECISION]	write the pack into the directory, if it lacks it
 *		mm-model verify DIRECTORY [PRECISION]
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm_encoders.h"

static int
fail(const mm_error *err)
{
	fprintf(stderr, "mm-model: %s%s%s\n", err->message, err->detail[0] ? ": " : "", err->detail);
	return EXIT_FAILURE;
}

static int
pack(const char *dir, const mm_model_options *options)
{
	char path[1400];
	int64_t bytes;
	mm_error err = {0};

	if (mm_model_pack(
			&(mm_pack_request){.dir = dir, .opts = options, .pack_dir = dir, .keep = true}, path,
			sizeof(path), &bytes, &err) != MM_OK)
		return fail(&err);
	fprintf(stdout, "%s: %.1f MB\n", path, bytes / 1e6);
	return EXIT_SUCCESS;
}

static int
verify(const char *dir, const mm_model_options *options)
{
	mm_error err = {0};
	mm_verification v;
	mm_model *model = mm_model_open(dir, options, &err);
	mm_session *session = model ? mm_session_create(model, NULL, &err) : NULL;
	mm_status status = session ? mm_verify(session, model, &v, &err) : err.status;

	if (status == MM_OK)
		fprintf(stdout, "%s %s: %d texts, %d images, least cosine %.8f, off by %.2g at most, %s\n",
				mm_model_get_info(model)->name,
				mm_precision_name(mm_model_get_info(model)->precision), v.texts, v.images,
				v.min_cosine, v.max_abs_diff,
				v.ok               ? "ok"
				: v.ids_differ > 0 ? "tokens differ"
								   : "NOT ok");
	mm_session_free(session);
	mm_model_close(model);
	return status != MM_OK ? fail(&err) : v.ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	mm_model_options options = {0};

	if (argc < 3 || argc > 4)
	{
		fprintf(stderr, "usage: mm-model pack|verify DIRECTORY [float32|bf16|int8]\n");
		return EXIT_FAILURE;
	}
	options.precision = argc == 4 ? argv[3] : NULL;
	options.pack_dirs[0] = argv[2];
	if (strcmp(argv[1], "pack") == 0)
		return pack(argv[2], &options);
	return verify(argv[2], &options);
}
