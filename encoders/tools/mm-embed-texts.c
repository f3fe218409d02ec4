/*
 * mm-embed-texts: embed the lines of standard input with a model directory and
 * write the embeddings to standard output as raw little-endian float32.
 *
 *	mm-embed-texts MODEL-DIRECTORY <lines >floats
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm_encoders.h"

int
main(int argc, char **argv)
{
	mm_error err;
	mm_model *model;
	mm_session *session;
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	float *out;
	int dims;

	if (argc != 2)
	{
		fprintf(stderr, "usage: mm-embed-texts MODEL-DIRECTORY <lines >floats\n");
		return 2;
	}
	model = mm_model_open(argv[1], NULL, &err);
	session = model ? mm_session_create(model, NULL, &err) : NULL;
	if (session == NULL)
	{
		fprintf(stderr, "mm-embed-texts: %s (%s)\n", err.message, err.detail);
		return 1;
	}
	dims = mm_model_get_info(model)->dims;
	out = malloc(sizeof(float) * dims);
	while (out != NULL && (len = getline(&line, &room, stdin)) >= 0)
	{
		mm_slice text = {line, len > 0 && line[len - 1] == '\n' ? len - 1 : len};

		if (mm_encode_texts(session, &text, 1, out, NULL, &err) != MM_OK)
		{
			fprintf(stderr, "mm-embed-texts: %s\n", err.message);
			return 1;
		}
		if (fwrite(out, sizeof(float), dims, stdout) != (size_t) dims)
		{
			fprintf(stderr, "mm-embed-texts: %s\n", strerror(errno));
			return 1;
		}
	}
	free(line);
	free(out);
	mm_session_free(session);
	mm_model_close(model);
	return fflush(stdout) == 0 ? 0 : 1;
}
