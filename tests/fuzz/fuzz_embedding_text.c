/*-------------------------------------------------------------------------
 *
 * fuzz_embedding_text.c
 *	  The text form of embedding: a byte chooses the typmod, the rest is the text.
 *
 * What is accepted is finite and within the limits; printed and read again, or
 * sent and received, it is the same to the byte.
 *
 *-------------------------------------------------------------------------
 */
#include "embedding.h"

#include <stdlib.h>
#include <string.h>

void
fuzz_init(void)
{
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	int32_t typmod;
	call_result value;

	FUZZ_CHECK(text != NULL, "out of memory");
	if (size > 0)
	{
		memcpy(text, data + 1, size - 1);
		text[size - 1] = '\0';
		typmod = typmod_of(data[0]);
		value = call_in(text, typmod);
		if (value.ok)
			check_value(&value, typmod);
		else
			check_sqlstate(&value, "22P02 22003 22000 54000");
		calls_end();
	}
	free(text);
}
