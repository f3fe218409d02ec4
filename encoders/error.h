/*-------------------------------------------------------------------------
 *
 * error.h
 *	  Filling an mm_error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_ERROR_H
#define MM_ERROR_H

#include "mm_encoders.h"

/*
 * Record a failure and return its status, so that callers can write
 * "return mm_fail(err, ...)".  err may be NULL.
 */
extern mm_status mm_fail(mm_error *err, mm_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for MM_ERR_LIMIT, where a caller can raise the limit. */
extern mm_status mm_fail_limit(mm_error *err, mm_limit limit, const char *message);

/* Add the facts to a failure that mm_fail recorded. */
extern void mm_fail_detail(mm_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* MM_ERROR_H */
