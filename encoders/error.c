/*-------------------------------------------------------------------------
 *
 * error.c
 *	  Filling an mm_error.
 *
 *-------------------------------------------------------------------------
 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

mm_status
mm_fail(mm_error *err, mm_status status, const char *fmt, ...)
{
	va_list args;

	if (err == NULL)
		return status;
	err->status = status;
	err->limit = MM_LIMIT_FIXED;
	err->detail[0] = '\0';
	va_start(args, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	return status;
}

mm_status
mm_fail_limit(mm_error *err, mm_limit limit, const char *message)
{
	mm_fail(err, MM_ERR_LIMIT, "%s", message);
	if (err != NULL)
		err->limit = limit;
	return MM_ERR_LIMIT;
}

void
mm_fail_detail(mm_error *err, const char *fmt, ...)
{
	va_list args;

	if (err == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(err->detail, sizeof(err->detail), fmt, args);
	va_end(args);
}
