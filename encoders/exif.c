/*-------------------------------------------------------------------------
 *
 * exif.c
 *	  The orientation in an EXIF block (CIPA DC-008: tag 0x0112 of IFD 0).
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <string.h>

typedef struct tiff_reader
{
	const uint8_t *data;
	size_t len;
	bool big_endian;
} tiff_reader;

/* Bytes beyond the block read as 0, which no valid field here is. */
static uint32_t
read_number(const tiff_reader *r, size_t at, int bytes)
{
	uint32_t value = 0;

	if (at > r->len || r->len - at < (size_t) bytes)
		return 0;
	for (int i = 0; i < bytes; i++)
		value |= (uint32_t) r->data[at + i] << 8 * (r->big_endian ? bytes - 1 - i : i);
	return value;
}

int
mm_exif_orientation(const uint8_t *tiff, size_t len)
{
	tiff_reader r = {tiff, len, false};
	size_t ifd;
	uint32_t entries;

	if (len < 8)
		return 1;
	if (memcmp(tiff, "MM\0*", 4) == 0)
		r.big_endian = true;
	else if (memcmp(tiff, "II*\0", 4) != 0)
		return 1;
	ifd = read_number(&r, 4, 4);
	entries = read_number(&r, ifd, 2);
	for (uint32_t i = 0; i < entries; i++)
	{
		size_t entry = ifd + 2 + 12 * (size_t) i;
		uint32_t value;

		if (entry > len)
			break;
		/* tag, type SHORT, count 1, the value in the first bytes of the field */
		if (read_number(&r, entry, 2) != 0x0112)
			continue;
		if (read_number(&r, entry + 2, 2) != 3 || read_number(&r, entry + 4, 4) != 1)
			return 1;
		value = read_number(&r, entry + 8, 2);
		return value >= 1 && value <= 8 ? (int) value : 1;
	}
	return 1;
}
