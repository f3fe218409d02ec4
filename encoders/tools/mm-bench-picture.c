/*
 * mm-bench-picture: how long a picture takes from its file's bytes to CLIP's
 * input tensor, on one thread.  Needs no model.
 *
 *	mm-bench-picture PICTURE ...
 *	mm-bench-picture --make WIDTH HEIGHT JPEG
 *
 * Prints the median and the least of many runs, in milliseconds: decoding, the
 * resize with the kernels of each level, the whole transform, and all together.
 * --make makes a picture up that costs a decoder about what a photograph does:
 * shades, edges, and noise.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "image.h"
#include "timing.h"

#define RUNS 101
#define SIDE 224

/* What is timed, and on what. */
typedef struct bench
{
	mm_slice bytes;
	mm_image picture;
	mm_resize resize;
	mm_transform transform;
	float tensor[3 * SIDE * SIDE];
	bool failed;
} bench;

static void
measure(bench *b, const char *what, void (*run)(bench *b))
{
	double ms[RUNS];

	run(b); /* warms up */
	for (int i = 0; i < RUNS; i++)
	{
		double start = now_ms();

		run(b);
		ms[i] = now_ms() - start;
	}
	sort_times(ms, RUNS);
	fprintf(stdout, "  %-24s %8.2f ms median  %8.2f ms least\n", what, ms[RUNS / 2], ms[0]);
}

static void
run_decode(bench *b)
{
	mm_image_free(&b->picture);
	b->failed = mm_image_decode(b->bytes, NULL, &b->picture, NULL) != MM_OK;
}

static void
run_resize(bench *b)
{
	mm_image out;

	b->failed = mm_resize_bicubic(&b->picture, &b->resize, &out, NULL) != MM_OK;
	mm_image_free(&out);
}

static void
run_transform(bench *b)
{
	b->failed =
		mm_transform_apply(&b->transform, &b->picture, MM_LAYOUT_HWC, b->tensor, NULL) != MM_OK;
}

static void
run_all(bench *b)
{
	run_decode(b);
	if (!b->failed)
		run_transform(b);
}

static void
bench_levels(bench *b)
{
	/* what the transform does, for a picture that is wider than high */
	b->resize = (mm_resize){.width = (int64_t) SIDE * b->picture.width / b->picture.height,
							.height = SIDE,
							.columns = SIDE,
							.rows = SIDE};
	if (b->resize.width < SIDE)
		return;
	b->resize.left = (b->resize.width - SIDE) / 2;
	for (mm_isa isa = MM_ISA_SCALAR; isa <= MM_ISA_AVX512; isa++)
	{
		char what[32];

		if (!mm_isa_available(isa))
			continue;
		b->resize.isa = isa;
		snprintf(what, sizeof(what), "resized, %s", mm_isa_name(isa));
		measure(b, what, run_resize);
	}
}

static int
bench_file(const char *path)
{
	static char bytes[1 << 24];
	static bench b;
	FILE *file = fopen(path, "rb");

	if (file == NULL)
	{
		fprintf(stderr, "mm-bench-picture: cannot open %s\n", path);
		return 1;
	}
	b.bytes = (mm_slice){bytes, fread(bytes, 1, sizeof(bytes), file)};
	fclose(file);
	b.transform = (mm_transform){.kind = MM_TRANSFORM_SHORTEST_CROP,
								 .size = SIDE,
								 .shortest = SIDE,
								 .unit = 255,
								 .mean = {0.48145466f, 0.4578275f, 0.40821073f},
								 .std = {0.26862954f, 0.26130258f, 0.27577711f}};
	run_decode(&b);
	if (b.failed)
	{
		fprintf(stderr, "mm-bench-picture: cannot decode %s\n", path);
		return 1;
	}
	fprintf(stdout, "%s: %s, %d x %d, %zu bytes\n", path,
			mm_image_format_name(mm_image_sniff(bytes, b.bytes.len)), b.picture.width,
			b.picture.height, b.bytes.len);
	measure(&b, "decoded", run_decode);
	bench_levels(&b);
	measure(&b, "transformed", run_transform);
	measure(&b, "decoded and transformed", run_all);
	mm_image_free(&b.picture);
	return 0;
}

/* A row of the made-up picture. */
static void
paint(int y, int width, uint32_t *random, uint8_t *rgb)
{
	for (int x = 0; x < width; x++, rgb += 3)
	{
		int disc = (x - 400) * (x - 400) + (y - 300) * (y - 300) < 200 * 200;
		int noise;

		*random = *random * 1664525u + 1013904223u;
		noise = (int) (*random >> 28) - 8;
		for (int c = 0; c < 3; c++)
		{
			int v = 60 + (x * (c + 1) + y * (3 - c)) % 1024 / 10 + (disc ? 60 - 20 * c : 0) + noise;

			rgb[c] = (uint8_t) v;
		}
	}
}

static int
make_picture(int width, int height, const char *path)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	uint32_t random = 1;
	uint8_t *row = width > 0 && height > 0 ? malloc((size_t) 3 * width) : NULL;
	FILE *file = row ? fopen(path, "wb") : NULL;

	if (file == NULL)
	{
		fprintf(stderr, "mm-bench-picture: cannot write %s\n", path);
		free(row);
		return 1;
	}
	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_stdio_dest(&jpeg, file);
	jpeg.image_width = width;
	jpeg.image_height = height;
	jpeg.input_components = 3;
	jpeg.in_color_space = JCS_RGB;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, 90, TRUE);
	jpeg_start_compress(&jpeg, TRUE);
	for (int y = 0; y < height; y++)
	{
		paint(y, width, &random, row);
		jpeg_write_scanlines(&jpeg, &row, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	free(row);
	return fclose(file) == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	int failed = argc < 2 ? 2 : 0;

	if (argc == 5 && strcmp(argv[1], "--make") == 0)
		return make_picture(atoi(argv[2]), atoi(argv[3]), argv[4]);
	if (argc < 2)
		fprintf(stderr, "usage: mm-bench-picture PICTURE ...\n"
						"       mm-bench-picture --make WIDTH HEIGHT JPEG\n");
	for (int i = 1; i < argc; i++)
		failed |= bench_file(argv[i]);
	return failed;
}
