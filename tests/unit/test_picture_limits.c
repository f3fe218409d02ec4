/*-------------------------------------------------------------------------
 *
 * test_picture_limits.c
 *	  Limits on pictures: each is told apart, and the memory that a header
 *	  promises is as much as decoding takes, whatever comes behind it.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include <malloc.h>
#include <string.h>

#include <jpeglib.h>
#include <webp/encode.h>

#include "image.h"
#include "testing.h"

#define SIDE 1000
#define STORED 65535 /* most bytes of a stored block of DEFLATE */
#define SLACK (2 << 20)

typedef struct buffer
{
	uint8_t *data;
	size_t len, room;
} buffer;

static void
put(buffer *b, const void *data, size_t len)
{
	if (b->len + len > b->room)
	{
		b->room = 2 * (b->len + len);
		b->data = realloc(b->data, b->room);
		assert_non_null(b->data);
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void
put32(buffer *b, uint32_t v)
{
	put(b, (uint8_t[]){(uint8_t) (v >> 24), (uint8_t) (v >> 16), (uint8_t) (v >> 8), (uint8_t) v},
		4);
}

static uint32_t
crc32_of(const uint8_t *data, size_t len)
{
	static uint32_t table[256];
	uint32_t c = 0xffffffffu;

	for (uint32_t n = 0; n < 256 && table[255] == 0; n++)
	{
		table[n] = n;
		for (int k = 0; k < 8; k++)
			table[n] = table[n] & 1 ? 0xedb88320u ^ table[n] >> 1 : table[n] >> 1;
	}
	for (size_t i = 0; i < len; i++)
		c = table[(c ^ data[i]) & 0xff] ^ c >> 8;
	return c ^ 0xffffffffu;
}

static void
put_chunk(buffer *b, const char *name, const void *data, size_t len)
{
	size_t start = b->len + 4;

	put32(b, (uint32_t) len);
	put(b, name, 4);
	put(b, data, len);
	put32(b, crc32_of(b->data + start, len + 4));
}

typedef struct png
{
	uint32_t width, height;
	uint8_t depth, color;
	bool interlaced, transparent;
	double inflated; /* bytes of data, times what the picture needs */
} png;

static size_t
pass_bytes(const png *p, size_t width, size_t height)
{
	static const int channels[] = {1, 0, 3, 1, 2, 0, 4};

	return width && height ? ((width * channels[p->color] * p->depth + 7) / 8 + 1) * height : 0;
}

static size_t
data_bytes(const png *p)
{
	static const uint32_t x[] = {0, 4, 0, 2, 0, 1, 0}, y[] = {0, 0, 4, 0, 2, 0, 1};
	static const uint32_t dx[] = {8, 8, 4, 4, 2, 2, 1}, dy[] = {8, 8, 8, 4, 4, 2, 2};
	size_t sum = 0;

	if (!p->interlaced)
		return pass_bytes(p, p->width, p->height);
	for (int i = 0; i < 7; i++)
		sum += pass_bytes(p, (p->width - x[i] + dx[i] - 1) / dx[i],
						  (p->height - y[i] + dy[i] - 1) / dy[i]);
	return sum;
}

/* Zeros, which every filter leaves as they are, in stored blocks. */
static void
put_data(buffer *b, size_t len)
{
	static const uint8_t zeros[STORED];
	buffer z = {0};
	size_t at = 0;

	put(&z, "\x78\x01", 2);
	while (at < len)
	{
		uint16_t n = (uint16_t) (len - at < STORED ? len - at : STORED);

		at += n;
		put(&z,
			(uint8_t[]){at == len, (uint8_t) n, (uint8_t) (n >> 8), (uint8_t) ~n,
						(uint8_t) (~n >> 8)},
			5);
		put(&z, zeros, n);
	}
	put32(&z, (uint32_t) (len % 65521) << 16 | 1);
	put_chunk(b, "IDAT", z.data, z.len);
	free(z.data);
}

static buffer
make_png(const png *p, int palettes)
{
	static const uint8_t colors[768], trns[6];
	buffer b = {0};
	buffer head = {0};

	put(&b, "\x89PNG\r\n\x1a\n", 8);
	put32(&head, p->width);
	put32(&head, p->height);
	put(&head, (uint8_t[]){p->depth, p->color, 0, 0, p->interlaced}, 5);
	put_chunk(&b, "IHDR", head.data, head.len);
	free(head.data);
	for (int i = 0; i < palettes; i++)
		put_chunk(&b, "PLTE", colors, 3 * ((size_t) 1 << (p->depth < 8 ? p->depth : 8)));
	if (p->transparent)
		put_chunk(&b, "tRNS", trns, p->color == 0 ? 2 : p->color == 2 ? 6 : 1);
	put_data(&b, (size_t) (p->inflated * (double) data_bytes(p)));
	put_chunk(&b, "IEND", "", 0);
	return b;
}

static mm_status
header_of(mm_slice bytes, mm_image_header *header, mm_error *err)
{
	*header = (mm_image_header){.orientation = 1};
	switch (mm_image_sniff(bytes.data, bytes.len))
	{
		case MM_IMAGE_PNG:
			return mm_png_header(bytes, header, err);
		case MM_IMAGE_JPEG:
			return mm_jpeg_header(bytes, header, err);
		default:
			return mm_webp_header(bytes, header, err);
	}
}

/* A line of /proc/self/status, in bytes; 0 where there is none. */
static size_t
status_line(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	size_t kilobytes = 0;

	while (file != NULL && fgets(line, sizeof(line), file))
	{
		if (strncmp(line, name, strlen(name)) == 0)
			kilobytes = strtoul(line + strlen(name), NULL, 10);
	}
	if (file != NULL)
		fclose(file);
	return kilobytes * 1024;
}

/* Memory at its peak, counted from now; false where the system does not tell. */
static bool
reset_peak(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "w");
	bool done = file != NULL && fputs("5", file) >= 0;

	if (file != NULL)
		done &= fclose(file) == 0;
	return done;
}

/* Decode, or fail for too much data, and hold the peak against what the header promises. */
static void
check_memory(const char *name, mm_slice bytes, bool may_fail)
{
	mm_limits limits = {.max_image_bytes = (size_t) 400 << 20};
	mm_image_header header;
	mm_error err = {0};
	mm_image img;
	size_t before, peak;

	assert_int_equal(header_of(bytes, &header, &err), MM_OK);
	limits.max_decode_bytes = (size_t) header.decode_bytes - 1;
	assert_int_equal(mm_image_decode(bytes, &limits, &img, &err), MM_ERR_LIMIT);
	assert_int_equal(err.limit, MM_LIMIT_DECODE_BYTES);

	limits.max_decode_bytes++;
#ifdef __SANITIZE_ADDRESS__
	return; /* it keeps what is freed */
#endif
	if (!reset_peak())
		skip();
	before = status_line("VmRSS:");
	err = (mm_error){0};
	if (mm_image_decode(bytes, &limits, &img, &err) != MM_OK &&
		!(may_fail && err.status == MM_ERR_LIMIT))
		fail_msg("%s: %s (%s)", name, err.message, err.detail);
	peak = status_line("VmHWM:") - before;
	mm_image_free(&img);
	print_message("%s: %.1f of %.1f bytes a pixel\n", name,
				  (double) peak / (double) (header.width * header.height),
				  (double) header.decode_bytes / (double) (header.width * header.height));
	if (peak > (size_t) header.decode_bytes + SLACK)
		fail_msg("%s: decoding took %zu bytes, where %lld were told", name, peak,
				 (long long) header.decode_bytes);
}

static void
test_png_memory(void **state)
{
	static const struct
	{
		uint8_t depth, color;
		bool transparent;
	} kinds[] = {
		{1, 0, false}, {8, 0, false},  {8, 0, true},  {16, 0, false}, {16, 0, true}, {8, 2, false},
		{8, 2, true},  {16, 2, false}, {16, 2, true}, {1, 3, false},  {8, 3, false}, {8, 3, true},
		{8, 4, false}, {16, 4, false}, {8, 6, false}, {16, 6, false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		for (int variant = 0; variant < 4; variant++)
		{
			png p = {SIDE,
					 SIDE,
					 kinds[i].depth,
					 kinds[i].color,
					 variant == 1,
					 kinds[i].transparent,
					 variant == 2   ? 1.9
					 : variant == 3 ? 2.5
									: 1};
			buffer b = make_png(&p, p.color == 3);
			char name[80];

			snprintf(name, sizeof(name), "PNG %d bits, type %d%s%s, data x %.1f", p.depth, p.color,
					 p.transparent ? ", tRNS" : "", p.interlaced ? ", interlaced" : "", p.inflated);
			check_memory(name, (mm_slice){b.data, b.len}, variant == 3);
			free(b.data);
		}
	}
}

static void
test_jpeg_memory(void **state)
{
	static JSAMPLE row[SIDE * 4];

	(void) state;
	for (int variant = 0; variant < 8; variant++)
	{
		struct jpeg_compress_struct c;
		struct jpeg_error_mgr errors;
		unsigned char *out = NULL;
		unsigned long len = 0;
		JSAMPROW rows[] = {row};
		bool cmyk = variant & 2;
		char name[80];

		c.err = jpeg_std_error(&errors);
		jpeg_create_compress(&c);
		jpeg_mem_dest(&c, &out, &len);
		c.image_width = c.image_height = SIDE;
		c.input_components = cmyk ? 4 : 3;
		c.in_color_space = cmyk ? JCS_CMYK : JCS_RGB;
		jpeg_set_defaults(&c);
		if (variant & 1)
			jpeg_simple_progression(&c);
		if (variant & 4)
			c.comp_info[0].h_samp_factor = c.comp_info[0].v_samp_factor = 1;
		jpeg_start_compress(&c, TRUE);
		for (int y = 0; y < SIDE; y++)
			jpeg_write_scanlines(&c, rows, 1);
		jpeg_finish_compress(&c);
		jpeg_destroy_compress(&c);
		snprintf(name, sizeof(name), "JPEG%s%s%s", cmyk ? ", CMYK" : "",
				 variant & 1 ? ", progressive" : "", variant & 4 ? ", not sampled down" : "");
		check_memory(name, (mm_slice){out, len}, false);
		free(out);
	}
}

static void
test_webp_memory(void **state)
{
	uint8_t *rgba = malloc((size_t) SIDE * SIDE * 4);

	(void) state;
	assert_non_null(rgba);
	for (size_t i = 0; i < (size_t) SIDE * SIDE * 4; i++)
		rgba[i] = (uint8_t) (i / 1000 * 37 ^ i);
	for (int variant = 0; variant < 4; variant++)
	{
		static const char *const names[] = {"lossless, alpha", "lossy, alpha", "lossless", "lossy"};
		uint8_t *out = NULL;
		size_t len = 0;
		char name[80];

		if (variant == 0)
			len = WebPEncodeLosslessRGBA(rgba, SIDE, SIDE, SIDE * 4, &out);
		else if (variant == 1)
			len = WebPEncodeRGBA(rgba, SIDE, SIDE, SIDE * 4, 50, &out);
		else if (variant == 2)
			len = WebPEncodeLosslessRGB(rgba, SIDE, SIDE, SIDE * 3, &out);
		else
			len = WebPEncodeRGB(rgba, SIDE, SIDE, SIDE * 3, 50, &out);
		assert_true(len > 0);
		snprintf(name, sizeof(name), "WebP, %s", names[variant]);
		check_memory(name, (mm_slice){out, len}, false);
		WebPFree(out);
	}
	free(rgba);
}

static mm_error
refusal(mm_slice bytes, const mm_limits *limits, mm_status status)
{
	mm_image img;
	mm_error err = {0};

	assert_int_equal(mm_image_decode(bytes, limits, &img, &err), status);
	test_check_error(&err, status);
	return err;
}

static void
test_limits_are_told_apart(void **state)
{
	png p = {100, 100, 8, 2, false, false, 1};
	buffer b = make_png(&p, 0);
	mm_slice bytes = {b.data, b.len};

	(void) state;
	assert_int_equal(refusal(bytes, &(mm_limits){.max_image_bytes = 100}, MM_ERR_LIMIT).limit,
					 MM_LIMIT_IMAGE_BYTES);
	assert_int_equal(refusal(bytes, &(mm_limits){.max_image_pixels = 9999}, MM_ERR_LIMIT).limit,
					 MM_LIMIT_IMAGE_PIXELS);
	assert_int_equal(refusal(bytes, &(mm_limits){.max_decode_bytes = 9999}, MM_ERR_LIMIT).limit,
					 MM_LIMIT_DECODE_BYTES);
	free(b.data);

	/* few pixels, on a line */
	p = (png){65536, 1, 1, 0, false, false, 1};
	b = make_png(&p, 0);
	assert_int_equal(refusal((mm_slice){b.data, b.len}, NULL, MM_ERR_LIMIT).limit, MM_LIMIT_FIXED);
	free(b.data);
	p = (png){8, 8, 8, 3, false, false, 1};
	b = make_png(&p, 2);
	assert_string_equal(refusal((mm_slice){b.data, b.len}, NULL, MM_ERR_BAD_IMAGE).detail,
						"more than one palette");
	free(b.data);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits_are_told_apart),
		cmocka_unit_test(test_png_memory),
		cmocka_unit_test(test_jpeg_memory),
		cmocka_unit_test(test_webp_memory),
	};

	/* what is freed goes back to the system, and does not hide what is taken next */
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
