/*-------------------------------------------------------------------------
 *
 * fuzz_bmp.c
 *	  BMP pictures.
 *
 *-------------------------------------------------------------------------
 */
#include "picture.h"

void
fuzz_one(const uint8_t *data, size_t size)
{
	fuzz_picture("BM????\0\0\0\0", 10, data, size);
}
