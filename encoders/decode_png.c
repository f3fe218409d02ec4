/*-------------------------------------------------------------------------
 *
 * decode_png.c
 *	  PNG (W3C, third edition) by stb_image, with everything else of it
 *	  compiled out.
 *
 * stb_image believes what a file says, so the chunks are walked here first:
 * lengths, checksums, the end chunk.  Its memory is bounded, because compressed
 * data may inflate to a thousand times its size whatever the header says, and
 * palettes are filled up, because it reads entries that a file does not have.
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h> /* stb_image includes it too: not behind our macros */
#endif

#include "error.h"

/* Blocks that stb_image holds at the same time; it needs half as many. */
#define MAX_BLOCKS 16

/* The decoding at hand; stb_image's hooks take no argument. */
typedef struct decoding
{
	size_t limit; /* most bytes of one allocation */
	bool exceeded;
	bool exhausted; /* the system had no more */
	const mm_stop *stop;
	bool canceled;
	jmp_buf escape;
	void *blocks[MAX_BLOCKS]; /* for the escape to free */
} decoding;

static _Thread_local decoding stb;

/* The place of a block, a free one for NULL; NULL where there is none. */
static void **
place_of(const void *block)
{
	for (int i = 0; i < MAX_BLOCKS; i++)
	{
		if (stb.blocks[i] == block)
			return &stb.blocks[i];
	}
	return NULL;
}

static void *
limited_realloc(void *p, size_t size)
{
	void **place = place_of(p);
	void *q;

	if (size > stb.limit)
	{
		stb.exceeded = true;
		return NULL;
	}
	if (place == NULL)
		return NULL; /* cannot be, and must not leak */
	q = realloc(p, size);
	if (q == NULL)
		stb.exhausted = true;
	else
		*place = q;
	return q;
}

static void
free_block(void *p)
{
	void **place = p != NULL ? place_of(p) : NULL;

	if (place != NULL)
		*place = NULL;
	free(p);
}

/*
 * stb_image has no hook for interruptions.  But it asserts something for every
 * code of a compressed block, and switches on every row's filter.
 */
static void
look_for_stop(void)
{
	if (!mm_stop_asked(stb.stop))
		return;
	stb.canceled = true;
	longjmp(stb.escape, 1);
}

#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_ASSERT(x) look_for_stop()
#define STBI_MALLOC(size) limited_realloc(NULL, size)
#define STBI_REALLOC(p, size) limited_realloc(p, size)
#define STBI_FREE(p) free_block(p)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
/* a space behind its name would make another macro of this */
/* clang-format off */
#define switch(value) switch (look_for_stop(), (value))
/* clang-format on */
#include <stb/stb_image.h>
#pragma GCC diagnostic pop
#undef switch

#define PALETTE_BYTES 768 /* 256 entries of R, G, B */
#define CHUNK_EXTRA 12    /* length, name and checksum around a chunk's data */
#define FIRST_CHUNK 8     /* behind the signature */
#define CHUNK_NAME(a, b, c, d) ((uint32_t) (a) << 24 | (b) << 16 | (c) << 8 | (d))

typedef struct png_chunk
{
	uint32_t name;
	uint32_t len;
	const uint8_t *data;
} png_chunk;

static uint32_t
big32(const uint8_t *p)
{
	return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

/* What the header says, and what follows from it. */
typedef struct png_info
{
	int64_t width, height;
	int depth;
	int channels; /* stored ones: a palette's index is one */
	bool palette;
	bool interlaced;
	bool transparent; /* a colour, or entries of the palette */
} png_info;

/* Bytes that stb_image takes for a picture, at most. */
typedef struct png_memory
{
	int64_t largest; /* in one allocation */
	int64_t total;   /* at a time */
} png_memory;

static mm_status
bad(mm_error *err, const char *detail)
{
	mm_fail(err, MM_ERR_BAD_IMAGE, "could not decode PNG picture");
	mm_fail_detail(err, "%s", detail);
	return MM_ERR_BAD_IMAGE;
}

/* The chunk at an offset, which moves to the next one; false: the file is cut. */
static bool
next_chunk(mm_slice bytes, size_t *at, png_chunk *chunk)
{
	const uint8_t *p = (const uint8_t *) bytes.data + *at;

	if (bytes.len - *at < CHUNK_EXTRA)
		return false;
	*chunk = (png_chunk){big32(p + 4), big32(p), p + 8};
	if (chunk->len > bytes.len - *at - CHUNK_EXTRA)
		return false;
	*at += CHUNK_EXTRA + (size_t) chunk->len;
	return true;
}

/* Of ISO 3309, reflected: PNG's annex D. */
static void
crc_table(uint32_t table[256])
{
	for (uint32_t n = 0; n < 256; n++)
	{
		uint32_t c = n;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		table[n] = c;
	}
}

static bool
checksum_holds(const uint32_t table[256], const png_chunk *chunk)
{
	uint32_t c = 0xffffffffu;

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
	return true;
#endif
	for (const uint8_t *p = chunk->data - 4; p < chunk->data + chunk->len; p++)
		c = table[(c ^ *p) & 0xff] ^ c >> 8;
	return (c ^ 0xffffffffu) == big32(chunk->data + chunk->len);
}

/* Chunks whose name begins with a capital are critical to the picture. */
static bool
is_critical(const png_chunk *chunk)
{
	return (chunk->name >> 24 & 0x20) == 0;
}

static bool
has_chunk(mm_slice bytes, uint32_t name)
{
	size_t at = FIRST_CHUNK;
	png_chunk chunk;

	while (next_chunk(bytes, &at, &chunk))
		if (chunk.name == name)
			return true;
	return false;
}

static bool
read_info(mm_slice bytes, png_info *info)
{
	static const int channels[] = {1, 0, 3, 1, 2, 0, 4}; /* by colour type */
	size_t at = FIRST_CHUNK;
	png_chunk chunk;
	int color;

	if (bytes.len < FIRST_CHUNK || !next_chunk(bytes, &at, &chunk) ||
		chunk.name != CHUNK_NAME('I', 'H', 'D', 'R') || chunk.len != 13)
		return false;
	color = chunk.data[9] < 7 ? chunk.data[9] : 1;
	*info = (png_info){.width = big32(chunk.data),
					   .height = big32(chunk.data + 4),
					   .depth = chunk.data[8] > 8 ? 16 : chunk.data[8],
					   .channels = channels[color],
					   .palette = color == 3,
					   .interlaced = chunk.data[12] != 0,
					   .transparent = has_chunk(bytes, CHUNK_NAME('t', 'R', 'N', 'S'))};
	return true;
}

/* Channels of the pixels made of it. */
static int
channels_made(const png_info *info)
{
	return info->transparent || info->channels == 2 || info->channels == 4 ? 4 : 3;
}

/*
 * stb_image inflates into a buffer of the size that the header tells, or of
 * twice that where the data needs more, as that of interlaced pictures does.
 * Beside it the pixels are made; when it has gone, other ones of them, with
 * more channels or 8 bits.  The compressed data is brought together in a buffer
 * that doubles.
 */
static png_memory
memory_of(const png_info *info, mm_slice bytes)
{
	int64_t pixels = info->width * info->height;
	int64_t row = (info->width * info->channels * info->depth + 7) / 8 + 1;
	int64_t inflated = 2 * row * info->height;
	int64_t made = pixels * channels_made(info) * (info->depth > 8 ? 2 : 1);
	int64_t file = 2 * (int64_t) bytes.len + 65536;
	int64_t first = inflated + made + (info->interlaced ? made : 0);
	png_memory memory = {.largest = file + (inflated > made ? inflated : made)};

	if (info->palette)
		first += pixels + (int64_t) bytes.len;
	memory.total = file + (first > 2 * made ? first : 2 * made);
	return memory;
}

mm_status
mm_png_header(mm_slice bytes, mm_image_header *header, mm_error *err)
{
	uint32_t table[256];
	size_t at = FIRST_CHUNK;
	bool palette = false;
	png_info info;
	png_chunk chunk;

	if (!read_info(bytes, &info))
		return bad(err, "no header");
	header->width = info.width;
	header->height = info.height;
	if (info.width <= MM_MAX_SIDE && info.height <= MM_MAX_SIDE)
		header->decode_bytes = memory_of(&info, bytes).total;

	crc_table(table);
	at = FIRST_CHUNK;
	do
	{
		if (!next_chunk(bytes, &at, &chunk))
			return bad(err, "file is cut short");
		if (is_critical(&chunk) && !checksum_holds(table, &chunk))
			return bad(err, "wrong checksum");
		if (chunk.name == CHUNK_NAME('P', 'L', 'T', 'E'))
		{
			/* each would be filled up, and make 768 bytes of 12 */
			if (palette)
				return bad(err, "more than one palette");
			palette = true;
		}
		if (chunk.name == CHUNK_NAME('e', 'X', 'I', 'f'))
			header->orientation = mm_exif_orientation(chunk.data, chunk.len);
	} while (chunk.name != CHUNK_NAME('I', 'E', 'N', 'D'));
	return MM_OK;
}

/*
 * A copy of the file in which palettes have all of 256 entries, those that it
 * lacks being black, as in Pillow.  NULL data: no memory.
 */
static mm_slice
fill_palettes(mm_slice bytes)
{
	size_t at = FIRST_CHUNK, from = 0;
	uint8_t *copy, *out;
	size_t room = bytes.len;
	png_chunk chunk;

	while (next_chunk(bytes, &at, &chunk))
		if (chunk.name == CHUNK_NAME('P', 'L', 'T', 'E') && chunk.len < PALETTE_BYTES)
			room += PALETTE_BYTES - chunk.len;
	copy = out = malloc(room);
	if (copy == NULL)
		return (mm_slice){NULL, 0};
	at = FIRST_CHUNK;
	while (next_chunk(bytes, &at, &chunk))
	{
		size_t head = (size_t) (chunk.data - (const uint8_t *) bytes.data) - from;

		if (chunk.name != CHUNK_NAME('P', 'L', 'T', 'E') || chunk.len >= PALETTE_BYTES)
			continue;
		memcpy(out, chunk.data - head, head);
		out[head - 6] = PALETTE_BYTES >> 8; /* the length, big-endian, before the name */
		out[head - 5] = PALETTE_BYTES & 0xff;
		memset(out + head, 0, PALETTE_BYTES);
		memcpy(out + head, chunk.data, chunk.len);
		out += head + PALETTE_BYTES;
		from += head + chunk.len; /* the checksum, now wrong, is read by nobody */
	}
	memcpy(out, (const uint8_t *) bytes.data + from, bytes.len - from);
	return (mm_slice){copy, room};
}

static mm_status
load(mm_slice bytes, int wanted, mm_image *img, mm_error *err)
{
	/* img is the caller's, so what is stored there survives the longjmp */
	if (setjmp(stb.escape) == 0)
		img->data = stbi_load_from_memory(bytes.data, (int) bytes.len, &img->width, &img->height,
										  &img->channels, wanted);
	img->channels = wanted;
	if (stb.canceled)
	{
		for (int i = 0; i < MAX_BLOCKS; i++)
			free(stb.blocks[i]);
		return mm_fail(err, MM_ERR_CANCELED, "canceled");
	}
	if (img->data != NULL)
		return MM_OK;
	if (stb.exhausted)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	if (stb.exceeded)
	{
		mm_fail(err, MM_ERR_LIMIT, "could not decode PNG picture");
		mm_fail_detail(err, "compressed data is larger than the picture");
		return MM_ERR_LIMIT;
	}
	return bad(err, stbi_failure_reason());
}

mm_status
mm_png_decode(mm_slice bytes, const mm_image_header *header, mm_image *img, mm_error *err)
{
	png_info info;
	mm_slice filled;
	mm_status status;

	if (!read_info(bytes, &info))
		return bad(err, "no header");
	stb = (decoding){.limit = (size_t) memory_of(&info, bytes).largest, .stop = header->stop};
	if (!has_chunk(bytes, CHUNK_NAME('P', 'L', 'T', 'E')))
		return load(bytes, channels_made(&info), img, err);
	filled = fill_palettes(bytes);
	if (filled.data == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	status = load(filled, channels_made(&info), img, err);
	free((void *) filled.data);
	return status;
}
