/*-------------------------------------------------------------------------
 *
 * fuzz_embedding_binary.c
 *	  The binary form of embedding: a byte chooses the typmod, the rest is the
 *	  message.
 *
 * As fuzz_embedding_text.c; and what is accepted as it comes is sent in the same
 * bytes, but for a space of 0, which is not sent.
 *
 *-------------------------------------------------------------------------
 */
#include "embedding.h"

#include <stdlib.h>
#include <string.h>

#define SPACE 0x02 /* bit of the second byte of the format */

void
fuzz_init(void)
{
}

static void
check_bytes(const call_result *value, const uint8_t *bytes, size_t size)
{
	call_result sent = call_send(value);

	if ((bytes[3] & SPACE) && memcmp(bytes + 4, "\0\0\0", 4) == 0)
		return;
	FUZZ_CHECK(sent.ok && sent.size == size && memcmp(sent.data, bytes, size) == 0,
			   "is sent as something else");
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	uint8_t *message;
	int32_t typmod;
	call_result value;

	if (size == 0)
		return;
	/* the server has a zero byte behind every message */
	message = malloc(size);
	FUZZ_CHECK(message != NULL, "out of memory");
	memcpy(message, data + 1, size - 1);
	message[size - 1] = 0;
	typmod = typmod_of(data[0]);
	value = call_recv(message, size - 1, typmod);
	if (value.ok)
	{
		check_value(&value, typmod);
		if (typmod < 0)
			check_bytes(&value, message, size - 1);
	}
	else
		check_sqlstate(&value, "22P03 22003 22000");
	calls_end();
	free(message);
}
