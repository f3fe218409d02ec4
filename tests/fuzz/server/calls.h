/*-------------------------------------------------------------------------
 *
 * calls.h
 *	  The input and output functions of embedding, called without a server.
 *
 * Targets include this and nothing of PostgreSQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_CALLS_H
#define FUZZ_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an input function took, or the error that it raised. */
typedef struct call_result
{
	bool ok;
	char sqlstate[6];
	const uint8_t *data; /* of a value all of it, header included; valid until calls_end() */
	size_t size;
} call_result;

/* typmod -1: none */
extern int32_t call_typmod(int dims, bool half);

/* text ends with a zero byte */
extern call_result call_in(const char *text, int32_t typmod);
extern call_result call_recv(const uint8_t *bytes, size_t size, int32_t typmod);

/* Of a value; the zero byte of the text is counted. */
extern call_result call_out(const call_result *value);
extern call_result call_send(const call_result *value);

/* Elements of a value, and one of them. */
extern int value_dims(const call_result *value);
extern float value_element(const call_result *value, int i);

/* Free all that was allocated since the last time. */
extern void calls_end(void);

#endif /* FUZZ_CALLS_H */
