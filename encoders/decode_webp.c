/*-------------------------------------------------------------------------
 *
 * decode_webp.c
 *	  WebP by libwebp: lossy, lossless, alpha.
 *
 * libwebp decodes as soon as it has the picture's own bytes; whether the rest
 * of the file is there is checked here, as Pillow does, and so is the place of
 * the EXIF chunk (WebP Container Specification, "Extended File Format").
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>

#include "error.h"

#define RIFF_HEADER 12 /* "RIFF", length, "WEBP" */
#define CHUNK_HEADER 8 /* name, length */
#define EXIF_FLAG 0x08 /* in the first byte of a VP8X chunk */

static uint32_t
little32(const uint8_t *p)
{
	return (uint32_t) p[3] << 24 | (uint32_t) p[2] << 16 | (uint32_t) p[1] << 8 | p[0];
}

static mm_status
bad(mm_error *err, const char *detail)
{
	mm_fail(err, MM_ERR_BAD_IMAGE, "could not decode WebP picture");
	mm_fail_detail(err, "%s", detail);
	return MM_ERR_BAD_IMAGE;
}

static mm_status
webp_failed(VP8StatusCode code, mm_error *err)
{
	switch (code)
	{
		case VP8_STATUS_OUT_OF_MEMORY:
			return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
		case VP8_STATUS_UNSUPPORTED_FEATURE:
			return mm_fail(err, MM_ERR_UNSUPPORTED, "WebP picture of an unsupported kind");
		case VP8_STATUS_SUSPENDED:
		case VP8_STATUS_NOT_ENOUGH_DATA:
			return bad(err, "file is cut short");
		default:
			return bad(err, "data is damaged");
	}
}

/* What lies behind the length that the file gives itself is no part of it. */
static mm_status
riff_of(mm_slice bytes, mm_slice *riff, mm_error *err)
{
	uint64_t len = (uint64_t) little32((const uint8_t *) bytes.data + 4) + CHUNK_HEADER;

	if (len > bytes.len)
		return bad(err, "file is cut short");
	*riff = (mm_slice){bytes.data, (size_t) len};
	return MM_OK;
}

static int
orientation_of(const uint8_t *exif, size_t len)
{
	/* some writers leave the prefix that JPEG needs */
	while (len > 6 && memcmp(exif, "Exif\0\0", 6) == 0)
	{
		exif += 6;
		len -= 6;
	}
	return mm_exif_orientation(exif, len);
}

/* The chunks of an extended file must fill it; the first EXIF counts, if announced. */
static mm_status
walk_chunks(mm_slice riff, mm_image_header *header, mm_error *err)
{
	const uint8_t *p = (const uint8_t *) riff.data + RIFF_HEADER;
	const uint8_t *end = (const uint8_t *) riff.data + riff.len;
	bool announced = false;

	while (p < end)
	{
		size_t left = (size_t) (end - p);
		size_t len = left < CHUNK_HEADER ? 0 : little32(p + 4);
		size_t padded = len + (len & 1);

		if (left < CHUNK_HEADER || padded > left - CHUNK_HEADER)
			return bad(err, "file is cut short");
		if (memcmp(p, "VP8X", 4) == 0 && len > 0)
			announced = p[CHUNK_HEADER] & EXIF_FLAG;
		if (memcmp(p, "EXIF", 4) == 0 && announced)
		{
			header->orientation = orientation_of(p + CHUNK_HEADER, len);
			announced = false;
		}
		p += CHUNK_HEADER + padded;
	}
	return MM_OK;
}

static bool
is_extended(mm_slice riff)
{
	return riff.len >= RIFF_HEADER + CHUNK_HEADER &&
		   memcmp((const uint8_t *) riff.data + RIFF_HEADER, "VP8X", 4) == 0;
}

/*
 * Lossless data is unpacked to 32 bits a pixel, with up to another byte for the
 * small pictures that steer it; alpha is such data, and then a plane.  Not
 * counted are code tables of lossless data, of which a file made for it can ask
 * for as many as there are blocks of 4 x 4 pixels, but not more than 65,536.
 */
static int64_t
decode_bytes(const WebPBitstreamFeatures *features)
{
	int64_t pixels = (int64_t) features->width * features->height;
	int64_t rows = (int64_t) features->width * 256;

	if (features->has_alpha)
		return (4 + 5 + 1) * pixels + rows;
	return (features->format == 1 ? 3 : 3 + 5) * pixels + rows;
}

mm_status
mm_webp_header(mm_slice bytes, mm_image_header *header, mm_error *err)
{
	WebPBitstreamFeatures features;
	mm_slice riff;
	VP8StatusCode code;
	mm_status status = riff_of(bytes, &riff, err);

	if (status != MM_OK)
		return status;
	code = WebPGetFeatures(riff.data, riff.len, &features);
	if (code != VP8_STATUS_OK)
		return webp_failed(code, err);
	if (features.has_animation)
		return mm_fail(err, MM_ERR_UNSUPPORTED, "animated WebP pictures are not supported");
	header->width = features.width;
	header->height = features.height;
	header->decode_bytes = decode_bytes(&features);
	return is_extended(riff) ? walk_chunks(riff, header, err) : MM_OK;
}

/* Bytes are handed over in so many pieces, or a few at a time. */
#define PIECES 256
#define LEAST_PIECE 64

/* Decode as if the bytes came one after the other: in between it can be given up. */
static mm_status
decode_pieces(mm_slice riff, WebPDecoderConfig *config, const mm_stop *stop, mm_error *err)
{
	WebPIDecoder *decoder = WebPIDecode(NULL, 0, config);
	size_t piece = riff.len / PIECES > LEAST_PIECE ? riff.len / PIECES : LEAST_PIECE;
	VP8StatusCode code = VP8_STATUS_SUSPENDED;
	bool canceled = false;

	if (decoder == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	for (size_t have = 0; code == VP8_STATUS_SUSPENDED && have < riff.len && !canceled;)
	{
		have = riff.len - have > piece ? have + piece : riff.len;
		code = WebPIUpdate(decoder, riff.data, have);
		canceled = mm_stop_asked(stop);
	}
	WebPIDelete(decoder);
	if (canceled)
		return mm_fail(err, MM_ERR_CANCELED, "canceled");
	return code == VP8_STATUS_OK ? MM_OK : webp_failed(code, err);
}

mm_status
mm_webp_decode(mm_slice bytes, const mm_image_header *header, mm_image *img, mm_error *err)
{
	WebPDecoderConfig config;
	mm_slice riff;
	size_t stride;
	VP8StatusCode code;
	mm_status status = riff_of(bytes, &riff, err);

	if (status != MM_OK)
		return status;
	if (!WebPInitDecoderConfig(&config))
		return mm_fail(err, MM_ERR_UNSUPPORTED, "libwebp is not the one that was compiled with");
	code = WebPGetFeatures(riff.data, riff.len, &config.input);
	if (code != VP8_STATUS_OK)
		return webp_failed(code, err);

	img->width = (int) header->width;
	img->height = (int) header->height;
	img->channels = config.input.has_alpha ? 4 : 3;
	stride = (size_t) img->width * (size_t) img->channels;
	img->data = malloc(stride * (size_t) img->height);
	if (img->data == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	config.output.colorspace = config.input.has_alpha ? MODE_RGBA : MODE_RGB;
	config.output.is_external_memory = 1;
	config.output.u.RGBA.rgba = img->data;
	config.output.u.RGBA.stride = (int) stride;
	config.output.u.RGBA.size = stride * (size_t) img->height;
	return decode_pieces(riff, &config, header->stop, err);
}
