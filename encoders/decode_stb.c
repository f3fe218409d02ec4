/*-------------------------------------------------------------------------
 *
 * decode_stb.c
 *	  PNG and BMP by stb_image, with everything else compiled out.
 *
 * stb_image trusts sizes and does not notice some cut files, so the headers
 * are read here first, and its memory is bounded: a PNG's compressed data may
 * inflate to a thousand times its size whatever the header says.
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* The largest single allocation that the picture at hand can need. */
static _Thread_local size_t allocation_limit;

static void *
limited_realloc(void *p, size_t size)
{
	return size > allocation_limit ? NULL : realloc(p, size);
}

#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_ASSERT(x) ((void) 0)
#define STBI_MALLOC(size) limited_realloc(NULL, size)
#define STBI_REALLOC(p, size) limited_realloc(p, size)
#define STBI_FREE(p) free(p)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

static uint32_t
big32(const uint8_t *p)
{
	return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static uint32_t
little32(const uint8_t *p)
{
	return (uint32_t) p[3] << 24 | (uint32_t) p[2] << 16 | (uint32_t) p[1] << 8 | p[0];
}

static mm_status
bad(mm_error *err, const char *format, const char *detail)
{
	mm_fail(err, MM_ERR_BAD_IMAGE, "could not decode %s picture", format);
	mm_fail_detail(err, "%s", detail);
	return MM_ERR_BAD_IMAGE;
}

/* Walk the chunks for IHDR and eXIf, and see that IEND is reached. */
mm_status
mm_png_header(mm_slice bytes, mm_image_header *header, mm_error *err)
{
	const uint8_t *p = bytes.data;
	size_t at = 8;

	if (bytes.len < 33 || big32(p + 8) != 13 || memcmp(p + 12, "IHDR", 4) != 0)
		return bad(err, "PNG", "no header");
	header->width = big32(p + 16);
	header->height = big32(p + 20);
	for (;;)
	{
		uint32_t len;

		if (bytes.len - at < 12)
			return bad(err, "PNG", "file is cut short");
		len = big32(p + at);
		if (len > bytes.len - at - 12)
			return bad(err, "PNG", "file is cut short");
		if (memcmp(p + at + 4, "eXIf", 4) == 0)
			header->orientation = mm_exif_orientation(p + at + 8, len);
		if (memcmp(p + at + 4, "IEND", 4) == 0)
			return MM_OK;
		at += 12 + (size_t) len;
	}
}

/*
 * stb_image reads zeros beyond the end of a BMP, so its rows have to be counted
 * here.  The fourth channel of 32 bits is alpha only where a mask says so.
 */
mm_status
mm_bmp_header(mm_slice bytes, mm_image_header *header, mm_error *err)
{
	const uint8_t *p = bytes.data;
	uint32_t info, offset, bits, compression = 0;
	uint64_t row;

	if (bytes.len < 26)
		return bad(err, "BMP", "no header");
	offset = little32(p + 10);
	info = little32(p + 14);
	if (info == 12)
	{
		header->width = p[18] | p[19] << 8;
		header->height = p[20] | p[21] << 8;
		bits = p[24] | p[25] << 8;
	}
	else
	{
		if (info < 40 || bytes.len < 14 + 40)
			return bad(err, "BMP", "no header");
		header->width = (int32_t) little32(p + 18);
		header->height = (int32_t) little32(p + 22);
		if (header->height < 0)
			header->height = -header->height; /* rows from top to bottom */
		bits = p[28] | p[29] << 8;
		compression = little32(p + 30);
	}
	if (compression == 1 || compression == 2)
		return mm_fail(err, MM_ERR_UNSUPPORTED,
					   "run-length encoded BMP pictures are not supported");
	if (header->width < 1 || header->height < 1 || bits > 32)
		return bad(err, "BMP", "no header");
	row = ((uint64_t) header->width * bits + 31) / 32 * 4;
	if (offset > bytes.len || row * (uint64_t) header->height > bytes.len - offset)
		return bad(err, "BMP", "file is cut short");
	header->ignore_alpha = compression == 0;
	return MM_OK;
}

mm_status
mm_stb_decode(mm_slice bytes, const mm_image_header *header, mm_image *img, mm_error *err)
{
	const char *format = mm_image_format_name(mm_image_sniff(bytes.data, bytes.len));
	/* stb inflates into a buffer that doubles: at 16 bits and 4 channels, 8 bytes a pixel */
	size_t raw = ((size_t) header->width * 8 + 16) * header->height;
	int width, height, channels, wanted;
	uint8_t *data;

	allocation_limit = 2 * raw + 2 * bytes.len + 65536;
	if (!stbi_info_from_memory(bytes.data, (int) bytes.len, &width, &height, &channels))
		return bad(err, format, stbi_failure_reason());
	if (width != header->width || height != header->height)
		return bad(err, format, "contradictory headers");
	wanted = (channels == 2 || channels == 4) && !header->ignore_alpha ? 4 : 3;
	data = stbi_load_from_memory(bytes.data, (int) bytes.len, &width, &height, &channels, wanted);
	if (data == NULL)
		return bad(err, format, stbi_failure_reason());
	*img = (mm_image){.width = width, .height = height, .channels = wanted, .data = data};
	return MM_OK;
}
