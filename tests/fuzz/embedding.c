/*-------------------------------------------------------------------------
 *
 * embedding.c
 *	  What both targets of the embedding type hold a value against.
 *
 *-------------------------------------------------------------------------
 */
#include "embedding.h"

#include <math.h>
#include <string.h>

int32_t
typmod_of(uint8_t byte)
{
	return (byte & 0x40) == 0 ? -1 : call_typmod((byte & 0x3f) + 1, byte >> 7);
}

void
check_sqlstate(const call_result *error, const char *allowed)
{
	FUZZ_CHECK(strlen(error->sqlstate) == 5 && strstr(allowed, error->sqlstate) != NULL,
			   "unexpected SQLSTATE \"%s\"", error->sqlstate);
}

static void
check_same(const call_result *a, const call_result *b, const char *how)
{
	FUZZ_CHECK(b->ok, "%s it is an error %s", how, b->sqlstate);
	FUZZ_CHECK(a->size == b->size && memcmp(a->data, b->data, a->size) == 0,
			   "%s it is another value", how);
}

/* Text says nothing of the space: what it gives is compared element by element. */
static void
check_elements(const call_result *a, const call_result *b)
{
	FUZZ_CHECK(b->ok, "printed and read again it is an error %s", b->sqlstate);
	FUZZ_CHECK(value_dims(a) == value_dims(b), "printed and read again it has other dimensions");
	for (int i = 0; i < value_dims(a); i++)
	{
		float x = value_element(a, i), y = value_element(b, i);

		FUZZ_CHECK(memcmp(&x, &y, sizeof(x)) == 0, "element %d, %a, is read again as %a", i, x, y);
	}
}

void
check_value(const call_result *value, int32_t typmod)
{
	int dims = value_dims(value);
	call_result text, binary, again;

	FUZZ_CHECK(dims >= 1 && dims <= 16000, "%d dimensions", dims);
	for (int i = 0; i < dims; i++)
		FUZZ_CHECK(isfinite(value_element(value, i)), "element %d is not finite", i);
	text = call_out(value);
	FUZZ_CHECK(text.ok, "cannot be printed");
	again = call_in((const char *) text.data, typmod);
	check_elements(value, &again);
	binary = call_send(value);
	FUZZ_CHECK(binary.ok, "cannot be sent");
	again = call_recv(binary.data, binary.size, typmod);
	check_same(value, &again, "sent and received");
}
