/*-------------------------------------------------------------------------
 *
 * image.c
 *	  From the bytes of a picture's file to the canonical RGB.
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* A format: how to tell it, and who reads it (nobody: recognised, refused). */
typedef struct format_row
{
	const char *name;
	const char *signature; /* '?' stands for any byte */
	size_t signature_len;
	mm_status (*header)(mm_slice bytes, mm_image_header *header, mm_error *err);
	mm_status (*decode)(mm_slice bytes, const mm_image_header *header, mm_image *img,
						mm_error *err);
} format_row;

static const format_row formats[] = {
	[MM_IMAGE_UNKNOWN] = {"unknown", "", 0, NULL, NULL},
	[MM_IMAGE_JPEG] = {"JPEG", "\xff\xd8\xff", 3, mm_jpeg_header, mm_jpeg_decode},
	[MM_IMAGE_PNG] = {"PNG", "\x89PNG\r\n\x1a\n", 8, mm_png_header, mm_png_decode},
	[MM_IMAGE_BMP] = {"BMP", "BM????\0\0\0\0", 10, mm_bmp_header, mm_bmp_decode},
	[MM_IMAGE_GIF] = {"GIF", "GIF8?a", 6, NULL, NULL},
	[MM_IMAGE_WEBP] = {"WebP", "RIFF????WEBP", 12, mm_webp_header, mm_webp_decode},
	[MM_IMAGE_TIFF] = {"TIFF", "II*\0", 4, NULL, NULL},
};

#define FORMAT_COUNT ((int) (sizeof(formats) / sizeof(formats[0])))

mm_image_format
mm_image_sniff(const void *data, size_t len)
{
	const char *s = data;

	for (int f = MM_IMAGE_JPEG; f < FORMAT_COUNT; f++)
	{
		size_t n = formats[f].signature_len;
		size_t i = 0;

		if (len < n)
			continue;
		while (i < n && (formats[f].signature[i] == '?' || formats[f].signature[i] == s[i]))
			i++;
		if (i == n)
			return (mm_image_format) f;
	}
	if (len >= 4 && memcmp(s, "MM\0*", 4) == 0)
		return MM_IMAGE_TIFF;
	return MM_IMAGE_UNKNOWN;
}

const char *
mm_image_format_name(mm_image_format format)
{
	return (unsigned) format < (unsigned) FORMAT_COUNT ? formats[format].name : "unknown";
}

mm_limits
mm_limits_resolve(const mm_limits *limits)
{
	mm_limits resolved = limits ? *limits : (mm_limits){0};

	if (resolved.max_image_bytes == 0)
		resolved.max_image_bytes = (size_t) 64 << 20;
	if (resolved.max_image_pixels == 0)
		resolved.max_image_pixels = 100 * 1000 * 1000;
	if (resolved.max_decode_bytes == 0)
		resolved.max_decode_bytes = (size_t) 1 << 30;
	if (resolved.max_text_bytes == 0)
		resolved.max_text_bytes = (size_t) 1 << 20;
	return resolved;
}

void
mm_image_free(mm_image *img)
{
	free(img->data);
	*img = (mm_image){0};
}

static mm_status
check_size(const mm_image_header *header, const mm_limits *limits, mm_error *err)
{
	if (header->width < 1 || header->height < 1)
		return mm_fail(err, MM_ERR_BAD_IMAGE, "picture has no pixels");
	if (header->width > MM_MAX_SIDE || header->height > MM_MAX_SIDE)
	{
		mm_fail(err, MM_ERR_LIMIT, "picture is too large");
		mm_fail_detail(err, "%lld x %lld pixels, where a side may have %d",
					   (long long) header->width, (long long) header->height, MM_MAX_SIDE);
		return MM_ERR_LIMIT;
	}
	if ((uint64_t) header->width * (uint64_t) header->height > limits->max_image_pixels)
	{
		mm_fail_limit(err, MM_LIMIT_IMAGE_PIXELS, "picture is too large");
		mm_fail_detail(err, "%lld x %lld pixels, where %zu are allowed", (long long) header->width,
					   (long long) header->height, limits->max_image_pixels);
		return MM_ERR_LIMIT;
	}
	return MM_OK;
}

/* To be turned, a picture is there twice; all else is done in place. */
static mm_status
check_memory(const mm_image_header *header, const mm_limits *limits, mm_error *err)
{
	uint64_t bytes = (uint64_t) header->decode_bytes;
	uint64_t turning = 6 * (uint64_t) header->width * (uint64_t) header->height;

	if (header->orientation > 1 && bytes < turning)
		bytes = turning;
	if (bytes <= limits->max_decode_bytes)
		return MM_OK;
	mm_fail_limit(err, MM_LIMIT_DECODE_BYTES, "picture takes too much memory to decode");
	mm_fail_detail(err, "%lld x %lld pixels may take %llu bytes, where %zu are allowed",
				   (long long) header->width, (long long) header->height,
				   (unsigned long long) bytes, limits->max_decode_bytes);
	return MM_ERR_LIMIT;
}

static mm_status
decode(mm_slice bytes, const mm_limits *limits, const mm_stop *stop, mm_image *img, mm_error *err)
{
	mm_image_format format = mm_image_sniff(bytes.data, bytes.len);
	mm_image_header header = {.orientation = 1, .stop = stop};
	mm_status status;

	if (format == MM_IMAGE_UNKNOWN)
		return mm_fail(err, MM_ERR_BAD_IMAGE,
					   bytes.len == 0 ? "picture has no bytes"
									  : "bytes are no picture of a known format");
	if (formats[format].header == NULL)
		return mm_fail(err, MM_ERR_UNSUPPORTED, "pictures in %s format are not supported",
					   formats[format].name);
	status = formats[format].header(bytes, &header, err);
	if (status == MM_OK)
		status = check_size(&header, limits, err);
	if (status == MM_OK)
		status = check_memory(&header, limits, err);
	if (status != MM_OK)
		return status;

	status = formats[format].decode(bytes, &header, img, err);
	if (status != MM_OK)
		return status;
	if (img->channels == 4)
		mm_image_flatten(img);
	return mm_image_orient(img, header.orientation, stop, err);
}

mm_status
mm_image_decode_until(mm_slice bytes, const mm_limits *limits, const mm_stop *stop, mm_image *img,
					  mm_error *err)
{
	mm_limits resolved = mm_limits_resolve(limits);
	mm_status status;

	*img = (mm_image){0};
	/* stb_image counts in int */
	if (bytes.len > resolved.max_image_bytes || bytes.len > INT_MAX / 4)
	{
		mm_fail_limit(err, MM_LIMIT_IMAGE_BYTES, "picture is too large");
		mm_fail_detail(err, "%zu bytes, where %zu are allowed", bytes.len,
					   resolved.max_image_bytes);
		return MM_ERR_LIMIT;
	}
	status = decode(bytes, &resolved, stop, img, err);
	if (status != MM_OK)
		mm_image_free(img);
	return status;
}

mm_status
mm_image_decode(mm_slice bytes, const mm_limits *limits, mm_image *img, mm_error *err)
{
	return mm_image_decode_until(bytes, limits, NULL, img, err);
}
