/*
 * mm-bench: how long opening a model and encoding take, on one thread.
 *
 *	mm-bench MODEL-DIRECTORY [scalar|avx2|avx512] [PICTURE]
 *
 * Prints the median and the least of many runs, in milliseconds.  The picture
 * (any file that the library reads) adds decoding and resizing; without one the
 * forward pass alone is measured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "timing.h"

#define RUNS 41

/* What is timed, and on what. */
typedef struct bench
{
	const char *dir;
	mm_model *model;
	mm_session *session;
	mm_isa isa;
	void *scratch; /* of the image tower */
	float *pixels; /* image_size x image_size x 3 */
	float *out;    /* 64 x dims */
	mm_slice picture;
	mm_slice text[64];
	int texts;
} bench;

/* per: inputs a run takes, for times of one */
static void
measure(bench *b, const char *what, int per, void (*run)(bench *b))
{
	double ms[RUNS];

	run(b); /* warms up */
	for (int i = 0; i < RUNS; i++)
	{
		double start = now_ms();

		run(b);
		ms[i] = (now_ms() - start) / per;
	}
	sort_times(ms, RUNS);
	fprintf(stdout, "%-36s %8.2f ms median  %8.2f ms least\n", what, ms[RUNS / 2], ms[0]);
}

static mm_model *
open_model(const bench *b)
{
	mm_error err;
	mm_model *model =
		mm_model_open(b->dir, &(mm_model_options){.map_weights = true, .isa = b->isa}, &err);

	if (model == NULL)
		fprintf(stderr, "mm-bench: %s (%s)\n", err.message, err.detail);
	return model;
}

static void
run_open(bench *b)
{
	mm_error err;
	mm_model *model = open_model(b);

	mm_session_free(mm_session_create(model, NULL, &err));
	mm_model_close(model);
}

static void
run_forward_image(bench *b)
{
	mm_poll poll = {0};
	mm_run run = {.ops = b->model->ops, .poll = &poll};

	b->model->architecture->forward_images(b->model, b->scratch, &run, b->pixels, 1, b->out);
}

static void
run_picture(bench *b)
{
	mm_error err;

	mm_encode_images(b->session, &b->picture, 1, b->out, NULL, &err);
}

static void
run_texts(bench *b)
{
	mm_error err;

	mm_encode_texts(b->session, b->text, b->texts, b->out, NULL, &err);
}

static void
bench_texts(bench *b)
{
	static const int lengths[] = {8, 16, 32, 77, 128};
	static char words[1024];

	for (int i = 0; i < 200; i++)
		memcpy(words + i * 5, "word ", 5);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		char what[64];

		b->text[0] = (mm_slice){words, (size_t) (lengths[i] - 2) * 5};
		b->texts = 1;
		snprintf(what, sizeof(what), "text of %d tokens", lengths[i]);
		measure(b, what, 1, run_texts);
	}
	for (b->texts = 0; b->texts < 64; b->texts++)
		b->text[b->texts] = (mm_slice){words, (size_t) (4 + b->texts % 7) * 5};
	measure(b, "one of 64 texts of 6 to 12 tokens", 64, run_texts);
}

static int
read_picture(const char *path, bench *b)
{
	static char bytes[1 << 24];
	FILE *file = fopen(path, "rb");

	if (file == NULL)
	{
		fprintf(stderr, "mm-bench: cannot open %s\n", path);
		return 1;
	}
	b->picture = (mm_slice){bytes, fread(bytes, 1, sizeof(bytes), file)};
	fclose(file);
	return 0;
}

static int
bench_model(bench *b)
{
	mm_error err;
	mm_arena arena = {0};
	double start = now_ms();
	int side;

	b->model = open_model(b);
	if (b->model == NULL)
		return 1;
	b->session = mm_session_create(b->model, NULL, &err);
	b->out = malloc(sizeof(float) * 64 * mm_model_get_info(b->model)->dims);
	b->text[0] = (mm_slice){"a red apple", 11};
	b->texts = 1;
	fprintf(stdout, "%s, kernels %s, BLAS %s\n", mm_model_get_info(b->model)->architecture,
			b->model->ops->name, mm_blas_description());
	fprintf(stdout, "%-36s %8.2f ms\n", "opened, the first time", now_ms() - start);
	start = now_ms();
	run_texts(b);
	fprintf(stdout, "%-36s %8.2f ms\n", "first text (touches the weights)", now_ms() - start);
	measure(b, "model and session opened again", 1, run_open);

	side = mm_model_get_info(b->model)->image_size;
	b->model->architecture->take_scratch(b->model, 1, &arena);
	arena = (mm_arena){.base = mm_arena_block(arena.used)};
	b->scratch = b->model->architecture->take_scratch(b->model, 1, &arena);
	b->pixels = malloc(sizeof(float) * 3 * side * side);
	for (int i = 0; i < 3 * side * side; i++)
		b->pixels[i] = (float) (i * 7919 % 256) / 128 - 1;
	if (side > 0)
		measure(b, "picture, forward alone", 1, run_forward_image);
	if (side > 0 && b->picture.data)
		measure(b, "picture, from its file's bytes", 1, run_picture);
	bench_texts(b);
	free(arena.base);
	free(b->pixels);
	free(b->out);
	mm_session_free(b->session);
	mm_model_close(b->model);
	return 0;
}

int
main(int argc, char **argv)
{
	bench b = {.isa = argc > 2 ? isa_named(argv[2]) : MM_ISA_AUTO};

	if (argc < 2)
	{
		fprintf(stderr, "usage: mm-bench MODEL-DIRECTORY [scalar|avx2|avx512] [PICTURE]\n");
		return 2;
	}
	b.dir = argv[1];
	if (argc > 3 && read_picture(argv[3], &b) != 0)
		return 1;
	return bench_model(&b);
}
