/*-------------------------------------------------------------------------
 *
 * fuzz_webp.c
 *	  WebP pictures.
 *
 *-------------------------------------------------------------------------
 */
#include "picture.h"

void
fuzz_one(const uint8_t *data, size_t size)
{
	fuzz_picture("RIFF????WEBP", 12, data, size);
}
