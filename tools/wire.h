/*-------------------------------------------------------------------------
 *
 * wire.h
 *	  PostgreSQL's binary forms: arrays as parameters, rows of COPY.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WIRE_H
#define WIRE_H

#include <libpq-fe.h>

#include "load.h"

/* Types of pg_catalog; their OIDs are the same in every server. */
#define BYTEA_OID 17
#define TEXT_OID 25
#define BYTEA_ARRAY_OID 1001
#define TEXT_ARRAY_OID 1009

typedef struct buffer
{
	char *data;
	size_t size, room;
} buffer;

/* Room for so many more bytes, and no more than that. */
extern void buffer_reserve(buffer *b, size_t size);
extern void put_int16(buffer *b, int value);
extern void put_int32(buffer *b, long value);
extern void put_bytes(buffer *b, const void *data, size_t size);
/* A value with its length; NULL is NULL. */
extern void put_value(buffer *b, const void *data, size_t size);
extern void put_text(buffer *b, const char *text);
/* The head of a one-dimensional array; n values follow. */
extern void put_array(buffer *b, Oid element, int n);
extern void buffer_free(buffer *b);

/* The text form of text[], as a malloc'd string. */
extern char *array_literal(char *const *values, int n);

#endif /* WIRE_H */
