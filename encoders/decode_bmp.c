/*-------------------------------------------------------------------------
 *
 * decode_bmp.c
 *	  BMP: 1, 4 and 8 bits with a palette, 16, 24 and 32 bits with masks,
 *	  stored from bottom to top or from top to bottom; not run-length encoded.
 *
 * stb_image has a reader too, but with wrong palettes behind OS/2 headers, no
 * size for rows from top to bottom, 16-bit channels a level off Pillow's, and
 * zeros for what lies behind a file's end.
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

#define FILE_HEADER 14 /* bytes before the information header */
#define OS2_HEADER 12  /* BITMAPCOREHEADER: 16-bit sizes, palette of 3 bytes */
#define OS2_V2_HEADER 64

enum
{
	COMPRESSION_NONE = 0,
	COMPRESSION_RLE8 = 1,
	COMPRESSION_RLE4 = 2,
	COMPRESSION_MASKS = 3
};

/* A channel within a pixel: v = (pixel & mask) >> shift, of at most max. */
typedef struct channel
{
	uint32_t mask;
	int shift;
	uint32_t max; /* 0: no such channel */
} channel;

typedef struct bmp
{
	const uint8_t *data;
	size_t len;
	uint32_t info_len; /* of the information header */
	int64_t width, height;
	bool top_down;
	uint32_t bits; /* a pixel */
	uint32_t compression;
	size_t pixels;        /* offset of the first row stored */
	size_t stride;        /* bytes a row, stored */
	channel channels[4];  /* R, G, B, A */
	uint8_t palette[768]; /* R, G, B; entries that the file lacks are black */
} bmp;

static uint32_t
little16(const uint8_t *p)
{
	return p[0] | (uint32_t) p[1] << 8;
}

static uint32_t
little32(const uint8_t *p)
{
	return little16(p) | little16(p + 2) << 16;
}

static mm_status
bad(mm_error *err, const char *detail)
{
	mm_fail(err, MM_ERR_BAD_IMAGE, "could not decode BMP picture");
	mm_fail_detail(err, "%s", detail);
	return MM_ERR_BAD_IMAGE;
}

static mm_status
unsupported(mm_error *err, const char *what, uint32_t value)
{
	mm_fail(err, MM_ERR_UNSUPPORTED, "BMP pictures of this kind are not supported");
	mm_fail_detail(err, "%s %u", what, value);
	return MM_ERR_UNSUPPORTED;
}

/* Size, depth and compression.  Nothing of the bitmap is looked at. */
static mm_status
read_info(mm_slice bytes, bmp *b, mm_error *err)
{
	const uint8_t *p = (const uint8_t *) bytes.data + FILE_HEADER;
	int64_t height;

	*b = (bmp){.data = bytes.data, .len = bytes.len};
	if (bytes.len < FILE_HEADER + OS2_HEADER)
		return bad(err, "no header");
	b->pixels = little32(b->data + 10);
	b->info_len = little32(p);
	if (b->info_len < OS2_HEADER || b->info_len > bytes.len - FILE_HEADER)
		return bad(err, "no header");
	if (b->info_len == OS2_HEADER)
	{
		b->width = little16(p + 4);
		b->height = little16(p + 6);
		b->bits = little16(p + 10);
	}
	else if (b->info_len >= 40)
	{
		b->width = (int32_t) little32(p + 4);
		height = (int32_t) little32(p + 8);
		b->top_down = height < 0;
		b->height = b->top_down ? -height : height;
		b->bits = little16(p + 14);
		b->compression = little32(p + 16);
	}
	else
		return unsupported(err, "header size", b->info_len);
	if (b->width < 1 || b->height < 1)
		return bad(err, "picture has no pixels");
	if (b->bits != 1 && b->bits != 4 && b->bits != 8 && b->bits != 16 && b->bits != 24 &&
		b->bits != 32)
		return unsupported(err, "bits per pixel", b->bits);
	if (b->compression != COMPRESSION_NONE &&
		(b->compression != COMPRESSION_MASKS || b->bits < 16 || b->info_len == OS2_V2_HEADER))
		return unsupported(err, "compression", b->compression);
	return MM_OK;
}

mm_status
mm_bmp_header(mm_slice bytes, mm_image_header *header, mm_error *err)
{
	bmp b;
	mm_status status = read_info(bytes, &b, err);

	header->width = b.width;
	header->height = b.height;
	header->decode_bytes = (int64_t) (4 * (uint64_t) b.width * (uint64_t) b.height);
	return status;
}

static bool
set_channel(channel *c, uint32_t mask)
{
	*c = (channel){.mask = mask};
	if (mask == 0)
		return true;
	while ((mask >> c->shift & 1) == 0)
		c->shift++;
	c->max = mask >> c->shift;
	return (c->max & (c->max + 1)) == 0; /* bits in a row */
}

/*
 * Masks stand at the same offset whether the header holds them or they follow
 * it; the one for alpha only counts inside.  Without any, the fourth byte of 32
 * bits is filler.
 */
static mm_status
read_masks(bmp *b, mm_error *err)
{
	static const uint32_t masks16[4] = {0x7c00, 0x3e0, 0x1f, 0};
	static const uint32_t masks24[4] = {0xff0000, 0xff00, 0xff, 0};
	uint32_t masks[4];

	memcpy(masks, b->bits == 16 ? masks16 : masks24, sizeof(masks));
	if (b->compression == COMPRESSION_MASKS)
	{
		int n = b->info_len >= 56 ? 4 : 3;

		if (b->len < FILE_HEADER + 40 + 4 * (size_t) n)
			return bad(err, "file is cut short");
		for (int i = 0; i < n; i++)
			masks[i] = little32(b->data + FILE_HEADER + 40 + 4 * i);
	}
	for (int i = 0; i < 4; i++)
	{
		if (!set_channel(&b->channels[i], masks[i]))
			return unsupported(err, "mask", masks[i]);
	}
	return MM_OK;
}

/* As many entries as fit between the header and the pixels. */
static void
read_palette(bmp *b)
{
	size_t entry = b->info_len == OS2_HEADER ? 3 : 4;
	size_t at = FILE_HEADER + b->info_len;
	size_t end = b->pixels < b->len ? b->pixels : b->len;

	for (int i = 0; i < 1 << b->bits && at + entry <= end; i++, at += entry)
	{
		b->palette[3 * i] = b->data[at + 2];
		b->palette[3 * i + 1] = b->data[at + 1];
		b->palette[3 * i + 2] = b->data[at];
	}
}

static void
row_from_palette(const bmp *b, const uint8_t *in, uint8_t *out)
{
	uint32_t last = (1u << b->bits) - 1;

	for (int64_t x = 0; x < b->width; x++, out += 3)
	{
		size_t bit = (size_t) x * b->bits;
		uint32_t i = in[bit / 8] >> (8 - b->bits - bit % 8) & last;

		memcpy(out, b->palette + 3 * i, 3);
	}
}

static void
row_from_masks(const bmp *b, const uint8_t *in, int n_channels, uint8_t *out)
{
	size_t size = b->bits / 8;

	for (int64_t x = 0; x < b->width; x++, in += size)
	{
		uint32_t pixel = little16(in);

		if (size > 2)
			pixel |= (uint32_t) in[2] << 16;
		if (size > 3)
			pixel |= (uint32_t) in[3] << 24;
		for (int c = 0; c < n_channels; c++)
		{
			const channel *ch = &b->channels[c];
			uint64_t v = (pixel & ch->mask) >> ch->shift;

			*out++ = ch->max ? (uint8_t) (v * 255 / ch->max) : 0;
		}
	}
}

mm_status
mm_bmp_decode(mm_slice bytes, const mm_image_header *header, mm_image *img, mm_error *err)
{
	bmp b;
	mm_status status = read_info(bytes, &b, err);
	int channels;

	(void) header;
	if (status != MM_OK)
		return status;
	b.stride = (size_t) (((uint64_t) b.width * b.bits + 31) / 32 * 4);
	if (b.pixels < FILE_HEADER + b.info_len || b.pixels > b.len ||
		b.stride > (b.len - b.pixels) / (uint64_t) b.height)
		return bad(err, "file is cut short");
	if (b.bits <= 8)
		read_palette(&b);
	else
		status = read_masks(&b, err);
	if (status != MM_OK)
		return status;

	channels = b.channels[3].max != 0 ? 4 : 3;
	*img = (mm_image){(int) b.width, (int) b.height, channels, NULL};
	img->data = malloc((size_t) b.width * (size_t) b.height * (size_t) channels);
	if (img->data == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	for (int64_t y = 0; y < b.height; y++)
	{
		int64_t stored = b.top_down ? y : b.height - 1 - y;
		const uint8_t *in = b.data + b.pixels + b.stride * (size_t) stored;
		uint8_t *out = img->data + (size_t) y * (size_t) b.width * (size_t) channels;

		if (b.bits <= 8)
			row_from_palette(&b, in, out);
		else
			row_from_masks(&b, in, channels, out);
	}
	return MM_OK;
}
