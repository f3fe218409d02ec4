/*-------------------------------------------------------------------------
 *
 * embedding.h
 *	  What both targets of the embedding type hold a value against.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_EMBEDDING_H
#define FUZZ_EMBEDDING_H

#include "fuzz.h"
#include "server/calls.h"

/* None; or half (bit 7) and 0 to 63 dimensions less one. */
extern int32_t typmod_of(uint8_t byte);

extern void check_value(const call_result *value, int32_t typmod);

/* An error's is one of those allowed. */
extern void check_sqlstate(const call_result *error, const char *allowed);

#endif /* FUZZ_EMBEDDING_H */
