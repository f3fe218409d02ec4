/*-------------------------------------------------------------------------
 *
 * fuzz_jpeg.c
 *	  JPEG pictures.
 *
 *-------------------------------------------------------------------------
 */
#include "picture.h"

void
fuzz_one(const uint8_t *data, size_t size)
{
	fuzz_picture("\xff\xd8\xff", 3, data, size);
}
