/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  Run a target on files, in a build as it is used: without sanitizers, with
 *	  the kernels of the machine, by any compiler.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

static void
replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	long size;

	FUZZ_CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0, "cannot open %s", path);
	size = ftell(file);
	rewind(file);
	data = malloc(size > 0 ? (size_t) size : 1);
	FUZZ_CHECK(size >= 0 && data != NULL && fread(data, 1, (size_t) size, file) == (size_t) size,
			   "cannot read %s", path);
	fclose(file);
	fuzz_timed(data, (size_t) size);
	free(data);
}

int
main(int argc, char **argv)
{
	fuzz_init();
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%d inputs\n", argc - 1);
	return 0;
}
