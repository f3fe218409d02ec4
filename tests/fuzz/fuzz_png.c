/*-------------------------------------------------------------------------
 *
 * fuzz_png.c
 *	  PNG pictures.
 *
 *-------------------------------------------------------------------------
 */
#include "picture.h"

void
fuzz_one(const uint8_t *data, size_t size)
{
	fuzz_picture("\x89PNG\r\n\x1a\n", 8, data, size);
}
