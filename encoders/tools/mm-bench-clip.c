/*
 * mm-bench-clip: how long CLIP's towers take, from pixels and tokens in memory
 * to embeddings; and how long a first text takes from nothing.
 *
 *	mm-bench-clip serve DIRECTORY PRECISION THREADS [ISA]
 *	mm-bench-clip first DIRECTORY PRECISION [PACK-DIRECTORY]
 *
 * "serve" opens a model, with its directory for packs, says on a line what it
 * computes with, and then takes orders on standard input, "RUNS ROW" a line:
 *
 *	image, batch N
 *	text of N tokens, batch N
 *
 * Each is answered by a line of JSON.  So a driver can give turns to this and
 * to peers that do the same (bench/encoders_peers.py), and a noisy minute hits
 * all of them.  "first" opens a model, makes a session and embeds one text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "timing.h"

#define MAX_RUNS 1000
#define MAX_BATCH 1024
#define MAX_TEXT 1024

typedef struct bench
{
	char peer[64];
	int threads;
	mm_model *model;
	mm_session *session;
} bench;

/* What a row is measured on. */
typedef struct row
{
	char name[64];
	int batch;
	int tokens; /* of each text; 0: pictures */

	float *pixels;
	mm_token_batch texts;
	float *out;
} row;

static int
fail(const mm_error *err)
{
	fprintf(stderr, "mm-bench-clip: %s%s%s\n", err->message, err->detail[0] ? ": " : "",
			err->detail);
	return EXIT_FAILURE;
}

/*---- inputs ----*/

static uint32_t
next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static bool
make_pictures(const mm_model_info *info, row *r)
{
	size_t n = (size_t) r->batch * info->image_size * info->image_size * 3;
	uint32_t state = 1;

	r->pixels = malloc(sizeof(float) * n);
	if (r->pixels == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		r->pixels[i] = (float) next_random(&state) / (1 << 22) - 2;
	return true;
}

/* Start, any tokens, end: the ids of the first and last are a tokenizer's. */
static bool
make_texts(bench *b, row *r)
{
	int32_t some[MAX_TEXT];
	int n;
	mm_error err;
	uint32_t state = 1;
	int32_t *ids = malloc(sizeof(int32_t) * r->batch * r->tokens);
	int *starts = malloc(sizeof(int) * (r->batch + 1));

	r->texts = (mm_token_batch){.n = r->batch, .ids = ids, .starts = starts};
	if (ids == NULL || starts == NULL ||
		mm_tokenize(b->session, (mm_slice){"a", 1}, some, &n, &err) != MM_OK)
		return false;
	for (int i = 0; i <= r->batch; i++)
		starts[i] = i * r->tokens;
	for (int i = 0; i < r->batch * r->tokens; i++)
	{
		int place = i % r->tokens;

		ids[i] = place == 0               ? some[0]
				 : place == r->tokens - 1 ? some[n - 1]
										  : (int32_t) (next_random(&state) % (uint32_t) some[0]);
	}
	return true;
}

/* False where there is no such row. */
static bool
read_row(const mm_model_info *info, const char *name, row *r)
{
	*r = (row){0};
	snprintf(r->name, sizeof(r->name), "%s", name);
	if (sscanf(name, "image, batch %d", &r->batch) != 1 &&
		(sscanf(name, "text of %d tokens, batch %d", &r->tokens, &r->batch) != 2 || r->tokens < 2))
		return false;
	return r->batch > 0 && r->batch <= MAX_BATCH && r->tokens <= info->context_length;
}

static void
free_row(row *r)
{
	free(r->pixels);
	free((void *) r->texts.ids);
	free((void *) r->texts.starts);
	free(r->out);
}

/*---- rows ----*/

static mm_status
run_row(bench *b, row *r, mm_error *err)
{
	return r->tokens > 0 ? mm_forward_texts(b->session, &r->texts, r->out, err)
						 : mm_forward_images(b->session, r->pixels, r->batch, r->out, err);
}

static int
measure(bench *b, row *r, int runs)
{
	double ms[MAX_RUNS];
	mm_error err = {.message = "out of memory"};

	r->out = malloc(sizeof(float) * r->batch * mm_model_get_info(b->model)->dims);
	if (r->out == NULL ||
		!(r->tokens > 0 ? make_texts(b, r) : make_pictures(mm_model_get_info(b->model), r)))
		return fail(&err);
	for (int i = -1; i < runs; i++) /* the first warms up */
	{
		double start = now_ms();

		if (run_row(b, r, &err) != MM_OK)
			return fail(&err);
		if (i >= 0)
			ms[i] = now_ms() - start;
	}
	sort_times(ms, runs);
	fprintf(stdout,
			"{\"peer\": \"%s\", \"threads\": %d, \"row\": \"%s\", \"median_ms\": %.3f, "
			"\"min_ms\": %.3f, \"max_ms\": %.3f, \"runs\": %d}\n",
			b->peer, b->threads, r->name, (ms[(runs - 1) / 2] + ms[runs / 2]) / 2, ms[0],
			ms[runs - 1], runs);
	fflush(stdout);
	return EXIT_SUCCESS;
}

static int
take_orders(bench *b)
{
	char line[128];
	int failed = EXIT_SUCCESS;

	while (failed == EXIT_SUCCESS && fgets(line, sizeof(line), stdin) != NULL)
	{
		int runs = 0, at = 0;
		row r;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%d %n", &runs, &at) < 1 || runs < 1 || runs > MAX_RUNS ||
			!read_row(mm_model_get_info(b->model), line + at, &r))
		{
			fprintf(stderr, "mm-bench-clip: no order \"%s\"\n", line);
			return EXIT_FAILURE;
		}
		failed = measure(b, &r, runs);
		free_row(&r);
	}
	return failed;
}

static int
serve(const char *dir, const char *precision, const char *threads, const char *isa)
{
	bench b = {.threads = atoi(threads)};
	mm_model_options options = {
		.map_weights = true, .isa = isa_named(isa), .precision = precision, .pack_dirs = {dir}};
	mm_error err = {0};
	int failed;

	snprintf(b.peer, sizeof(b.peer), "mmodal %s", precision);
	b.model = mm_model_open(dir, &options, &err);
	b.session = b.model
					? mm_session_create(b.model, &(mm_session_options){.threads = b.threads}, &err)
					: NULL;
	if (b.session == NULL)
		failed = fail(&err);
	else
	{
		fprintf(stdout, "{\"ready\": \"kernels %s, %s, %s\"}\n", b.model->ops->name,
				mm_blas_description(), b.model->info.packed ? "packed" : "not packed");
		fflush(stdout);
		failed = take_orders(&b);
	}
	mm_session_free(b.session);
	mm_model_close(b.model);
	return failed;
}

/*---- the first text of a process ----*/

static int
first(const char *dir, const char *precision, const char *packs)
{
	static const char text[] = "a photograph of a red apple on a table";
	mm_model_options options = {.map_weights = true, .precision = precision, .pack_dirs = {packs}};
	mm_error err = {0};
	double begin = now_ms(), opened, made, end;
	mm_model *model = mm_model_open(dir, &options, &err);
	mm_session *session;
	float *out = NULL;
	bool done = false;

	opened = now_ms();
	session = model ? mm_session_create(model, NULL, &err) : NULL;
	made = now_ms();
	if (session)
	{
		out = malloc(sizeof(float) * mm_model_get_info(model)->dims);
		done = mm_encode_texts(session, &(mm_slice){text, sizeof(text) - 1}, 1, out, NULL, &err) ==
			   MM_OK;
	}
	end = now_ms();
	if (done)
		fprintf(stdout,
				"{\"peer\": \"mmodal %s\", \"packed\": %s, \"open_ms\": %.3f, "
				"\"session_ms\": %.3f, \"text_ms\": %.3f}\n",
				precision, mm_model_get_info(model)->packed ? "true" : "false", opened - begin,
				made - opened, end - made);
	free(out);
	mm_session_free(session);
	mm_model_close(model);
	return done ? EXIT_SUCCESS : fail(&err);
}

int
main(int argc, char **argv)
{
	if (argc >= 5 && argc <= 6 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3], argv[4], argc > 5 ? argv[5] : "auto");
	if (argc >= 4 && argc <= 5 && strcmp(argv[1], "first") == 0)
		return first(argv[2], argv[3], argc > 4 ? argv[4] : NULL);
	fprintf(stderr, "usage: mm-bench-clip serve DIRECTORY PRECISION THREADS [ISA]\n"
					"       mm-bench-clip first DIRECTORY PRECISION [PACK-DIRECTORY]\n");
	return EXIT_FAILURE;
}
