/*-------------------------------------------------------------------------
 *
 * test_towers.c
 *	  Parity of the towers with PyTorch, on the goldens that
 *	  tests/golden/make_tower_goldens.py wrote, at every instruction set; and
 *	  that parity is lost when the image tower is broken in the usual ways.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "efficientnet.h"
#include "json.h"
#include "model.h"
#include "pictures.h"
#include "testing.h"

#define COUNT 200
#define DIMS 384
#define POOLED 1280
#define LOGITS 1000

/* What is asked for, against values stored with the precision of a step. */
#define MIN_COSINE 0.99999
#define MAX_FEATURE_DIFF 1e-3
#define MAX_TEXT_DIFF 2e-5

/* Pixel memory and goldens, made once. */
static struct fixture
{
	char *texts; /* the file; lines end in zeros */
	mm_slice text[COUNT];
	float *text_rows;  /* COUNT x DIMS */
	float *image_rows; /* COUNT x DIMS */
	uint8_t *features;
	int *work;
	uint8_t *rgb;  /* 224 x 224 x 3 */
	float *pixels; /* the same, normalised */
} f;

#define FEATURE_BYTES ((size_t) 4 + 8 + 2 * POOLED + 8 + 2 * LOGITS)

static int
make_fixture(void **state)
{
	char *line;
	size_t size;

	(void) state;
	f.texts = test_read_file(TESTS_DIR "/golden/towers_texts.txt", &size);
	line = f.texts;
	for (int i = 0; i < COUNT; i++)
	{
		char *end = memchr(line, '\n', size - (size_t) (line - f.texts));

		assert_non_null(end);
		f.text[i] = (mm_slice){line, (size_t) (end - line)};
		line = end + 1;
	}
	f.text_rows = test_read_file(TESTS_DIR "/golden/towers_texts.f32", &size);
	assert_int_equal(size, sizeof(float) * COUNT * DIMS);
	f.image_rows = test_read_file(TESTS_DIR "/golden/towers_images.f32", &size);
	assert_int_equal(size, sizeof(float) * COUNT * DIMS);
	f.features = test_read_file(TESTS_DIR "/golden/towers_features.bin", &size);
	assert_int_equal(size, COUNT * FEATURE_BYTES);
	f.work = malloc(PICTURE_BYTES * sizeof(int));
	f.rgb = malloc(PICTURE_BYTES);
	f.pixels = malloc(PICTURE_BYTES * sizeof(float));
	return 0;
}

static int
drop_fixture(void **state)
{
	(void) state;
	free(f.texts);
	free(f.text_rows);
	free(f.image_rows);
	free(f.features);
	free(f.work);
	free(f.rgb);
	free(f.pixels);
	return 0;
}

static mm_model *
open_at(mm_isa isa)
{
	mm_model_options options = {.map_weights = true, .isa = isa};
	mm_error err;
	mm_model *model;

	test_need_isa(isa);
	model = mm_model_open(test_model_dir(), &options, &err);
	if (model == NULL)
		fail_msg("%s (%s)", err.message, err.detail);
	return model;
}

static double
cosine(const float *a, const float *b, int n)
{
	double ab = 0, aa = 0, bb = 0;

	for (int i = 0; i < n; i++)
	{
		ab += (double) a[i] * b[i];
		aa += (double) a[i] * a[i];
		bb += (double) b[i] * b[i];
	}
	return ab / sqrt(aa * bb);
}

static double
max_diff(const float *a, const float *b, int n)
{
	double max = 0;

	for (int i = 0; i < n; i++)
		max = fmax(max, fabs((double) a[i] - b[i]));
	return max;
}

/* Pictures or texts that a level computes: the slow one a sample. */
static int
stride_of(mm_isa isa)
{
	return isa == MM_ISA_AUTO ? 1 : 10;
}

/*---- texts ----*/

static void
check_texts(mm_isa isa)
{
	mm_model *model = open_at(isa);
	mm_error err;
	mm_session *session = mm_session_create(model, NULL, &err);
	double worst = 0, least = 1;

	assert_non_null(session);
	for (int i = 0; i < COUNT; i += stride_of(isa))
	{
		const float *want = f.text_rows + (size_t) i * DIMS;
		float got[DIMS];
		double diff;

		if (mm_encode_texts(session, &f.text[i], 1, got, NULL, &err) != MM_OK)
			fail_msg("text %d: %s", i, err.message);
		diff = max_diff(got, want, DIMS);
		if (!(diff <= MAX_TEXT_DIFF))
			fail_msg("text %d \"%.*s\": off by %g", i, (int) f.text[i].len,
					 (const char *) f.text[i].data, diff);
		worst = fmax(worst, diff);
		least = fmin(least, cosine(got, want, DIMS));
	}
	assert_true(least >= MIN_COSINE);
	print_message("texts, %s: off by %.2g at most, cosine %.8f at least\n", model->ops->name, worst,
				  least);
	mm_session_free(session);
	mm_model_close(model);
}

static void
texts_scalar(void **state)
{
	(void) state;
	check_texts(MM_ISA_SCALAR);
}

static void
texts_avx2(void **state)
{
	(void) state;
	check_texts(MM_ISA_AVX2);
}

static void
texts_avx512(void **state)
{
	(void) state;
	check_texts(MM_ISA_AVX512);
}

static void
texts_all(void **state)
{
	(void) state;
	check_texts(MM_ISA_AUTO);
}

/*---- pictures ----*/

/* A golden's numbers, from their codes. */
static const uint8_t *
expand_codes(const uint8_t *p, int n, float *out)
{
	float low, step;

	memcpy(&low, p, 4);
	memcpy(&step, p + 4, 4);
	p += 8;
	for (int i = 0; i < n; i++, p += 2)
		out[i] = (float) (low + (double) step * (p[0] | p[1] << 8));
	return p;
}

static void
golden_features(int i, float *pooled, float *logits)
{
	const uint8_t *p = f.features + i * FEATURE_BYTES;

	p = expand_codes(p + 4, POOLED, pooled);
	expand_codes(p, LOGITS, logits);
}

static void
draw(int i, const mm_transform *t)
{
	uint32_t want;

	picture_draw(i, f.work, f.rgb);
	memcpy(&want, f.features + i * FEATURE_BYTES, 4);
	assert_int_equal(picture_adler32(f.rgb, PICTURE_BYTES), want);
	for (size_t k = 0; k < PICTURE_BYTES; k++)
		f.pixels[k] = ((float) f.rgb[k] - t->mean[k % 3]) / t->std[k % 3];
}

static void
check_images(mm_isa isa)
{
	mm_model *model = open_at(isa);
	mm_arena arena = {0};
	mm_poll poll = {0};
	mm_run run = {.ops = model->ops, .poll = &poll};
	double worst_pooled = 0, worst_logits = 0, least = 1;
	void *scratch;

	model->architecture->take_scratch(model, 1, &arena);
	arena = (mm_arena){.base = mm_arena_block(arena.used)};
	scratch = model->architecture->take_scratch(model, 1, &arena);
	for (int i = 0; i < COUNT; i += stride_of(isa))
	{
		float got[DIMS], pooled[POOLED], logits[LOGITS];
		const float *p, *l;

		draw(i, &model->transform);
		golden_features(i, pooled, logits);
		assert_int_equal(
			model->architecture->forward_images(model, scratch, &run, f.pixels, 1, got), MM_OK);
		model->architecture->features(model, scratch, &p, &l);
		worst_pooled = fmax(worst_pooled, max_diff(p, pooled, POOLED));
		worst_logits = fmax(worst_logits, max_diff(l, logits, LOGITS));
		least = fmin(least, cosine(got, f.image_rows + (size_t) i * DIMS, DIMS));
	}
	print_message(
		"pictures, %s: pooled off by %.2g, logits by %.2g at most, cosine %.8f at least\n",
		model->ops->name, worst_pooled, worst_logits, least);
	assert_true(worst_pooled <= MAX_FEATURE_DIFF);
	assert_true(worst_logits <= MAX_FEATURE_DIFF);
	assert_true(least >= MIN_COSINE);
	free(arena.base);
	mm_model_close(model);
}

static void
images_scalar(void **state)
{
	(void) state;
	check_images(MM_ISA_SCALAR);
}

static void
images_avx2(void **state)
{
	(void) state;
	check_images(MM_ISA_AVX2);
}

static void
images_avx512(void **state)
{
	(void) state;
	check_images(MM_ISA_AVX512);
}

static void
images_all(void **state)
{
	(void) state;
	check_images(MM_ISA_AUTO);
}

/*---- the same, broken ----*/

/* The image tower alone, so that it can be broken. */
typedef struct bench
{
	mm_model *model;
	mm_efficientnet net;
	mm_efficientnet_scratch scratch;
	mm_arena arena;
} bench;

static void
open_bench(bench *b)
{
	mm_error err;
	cJSON *config;

	memset(b, 0, sizeof(*b));
	b->model = open_at(MM_ISA_AUTO);
	assert_int_equal(mm_json_load(test_model_dir(), "config.json", &config, &err), MM_OK);
	assert_int_equal(mm_efficientnet_configure(
						 cJSON_GetObjectItemCaseSensitive(config, "image_tower"), &b->net, &err),
					 MM_OK);
	cJSON_Delete(config);
	assert_int_equal(mm_efficientnet_load(&b->model->weights, &b->net, &err), MM_OK);
	mm_efficientnet_take_scratch(&b->net, &b->arena, &b->scratch);
	b->arena = (mm_arena){.base = mm_arena_block(b->arena.used)};
	mm_efficientnet_take_scratch(&b->net, &b->arena, &b->scratch);
}

static void
close_bench(bench *b)
{
	free(b->arena.base);
	mm_model_close(b->model);
}

/* True where f.pixels gives the golden features of picture i. */
static bool
has_parity(bench *b, int i)
{
	mm_poll poll = {0};
	mm_run run = {.ops = b->model->ops, .poll = &poll};
	float pooled[POOLED], logits[LOGITS];

	golden_features(i, pooled, logits);
	assert_int_equal(mm_efficientnet_forward(&b->net, &b->scratch, &run, f.pixels), MM_OK);
	return max_diff(b->scratch.pooled, pooled, POOLED) <= MAX_FEATURE_DIFF &&
		   max_diff(b->scratch.logits, logits, LOGITS) <= MAX_FEATURE_DIFF;
}

static void
symmetric_padding_is_noticed(void **state)
{
	bench b;

	(void) state;
	open_bench(&b);
	draw(3, &b.model->transform);
	assert_true(has_parity(&b, 3));
	for (int k = 0; k < b.net.config.blocks; k++)
	{
		int saved = b.net.block[k].pad;

		/* each layer of stride 2 by itself */
		b.net.block[k].pad = b.net.block[k].kernel / 2;
		assert_true(has_parity(&b, 3) == (b.net.block[k].stride == 1));
		b.net.block[k].pad = saved;
	}
	b.net.stem_pad = 1;
	assert_false(has_parity(&b, 3));
	close_bench(&b);
}

static void
swapped_channels_are_noticed(void **state)
{
	bench b;

	(void) state;
	open_bench(&b);
	for (int i = 0; i < 3; i++)
	{
		draw(i, &b.model->transform);
		for (size_t k = 0; k < PICTURE_BYTES; k += 3)
		{
			float red = f.pixels[k];

			f.pixels[k] = f.pixels[k + 2];
			f.pixels[k + 2] = red;
		}
		assert_false(has_parity(&b, i));
	}
	close_bench(&b);
}

static void
other_mean_is_noticed(void **state)
{
	const mm_transform torchvision = {
		.mean = {123.675f, 116.28f, 103.53f},
		.std = {58.395f, 57.12f, 57.375f},
	};
	bench b;

	(void) state;
	open_bench(&b);
	for (int i = 0; i < 3; i++)
	{
		draw(i, &torchvision);
		assert_false(has_parity(&b, i));
	}
	/* and the smallest slip: 127.5 for 127 */
	draw(0, &(mm_transform){.mean = {127.5f, 127.5f, 127.5f}, .std = {128, 128, 128}});
	assert_false(has_parity(&b, 0));
	close_bench(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_all),
		cmocka_unit_test(texts_scalar),
		cmocka_unit_test(texts_avx2),
		cmocka_unit_test(texts_avx512),
		cmocka_unit_test(images_all),
		cmocka_unit_test(images_scalar),
		cmocka_unit_test(images_avx2),
		cmocka_unit_test(images_avx512),
		cmocka_unit_test(symmetric_padding_is_noticed),
		cmocka_unit_test(swapped_channels_are_noticed),
		cmocka_unit_test(other_mean_is_noticed),
	};

	return cmocka_run_group_tests(tests, make_fixture, drop_fixture);
}
