/*-------------------------------------------------------------------------
 *
 * wire.c
 *	  PostgreSQL's binary forms.
 *
 *-------------------------------------------------------------------------
 */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

static void
make_room(buffer *b, size_t size)
{
	if (b->room - b->size >= size)
		return;
	b->room = (b->size + size) * 2;
	b->data = xrealloc(b->data, b->room);
}

void
buffer_reserve(buffer *b, size_t size)
{
	if (b->room - b->size >= size)
		return;
	b->room = b->size + size;
	b->data = xrealloc(b->data, b->room);
}

void
put_bytes(buffer *b, const void *data, size_t size)
{
	make_room(b, size);
	if (size > 0)
		memcpy(b->data + b->size, data, size);
	b->size += size;
}

void
put_int16(buffer *b, int value)
{
	uint8_t bytes[2] = {(uint8_t) (value >> 8), (uint8_t) value};

	put_bytes(b, bytes, sizeof(bytes));
}

void
put_int32(buffer *b, long value)
{
	uint8_t bytes[4] = {(uint8_t) (value >> 24), (uint8_t) (value >> 16), (uint8_t) (value >> 8),
						(uint8_t) value};

	put_bytes(b, bytes, sizeof(bytes));
}

void
put_value(buffer *b, const void *data, size_t size)
{
	put_int32(b, data != NULL ? (long) size : -1);
	if (data != NULL)
		put_bytes(b, data, size);
}

void
put_text(buffer *b, const char *text)
{
	put_value(b, text, text != NULL ? strlen(text) : 0);
}

void
put_array(buffer *b, Oid element, int n)
{
	put_int32(b, n > 0 ? 1 : 0);
	put_int32(b, 1); /* there may be NULLs */
	put_int32(b, (long) element);
	if (n > 0)
	{
		put_int32(b, n);
		put_int32(b, 1); /* the lower bound */
	}
}

void
buffer_free(buffer *b)
{
	free(b->data);
	*b = (buffer){0};
}

char *
array_literal(char *const *values, int n)
{
	buffer b = {0};

	put_bytes(&b, "{", 1);
	for (int i = 0; i < n; i++)
	{
		put_bytes(&b, i > 0 ? ",\"" : "\"", i > 0 ? 2 : 1);
		for (const char *s = values[i]; *s != '\0'; s++)
		{
			if (*s == '"' || *s == '\\')
				put_bytes(&b, "\\", 1);
			put_bytes(&b, s, 1);
		}
		put_bytes(&b, "\"", 1);
	}
	put_bytes(&b, "}", 2);
	return b.data;
}
