/*-------------------------------------------------------------------------
 *
 * memory.c
 *	  Allocation that ends the program where there is none.
 *
 *-------------------------------------------------------------------------
 */
#include "load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
checked(void *p)
{
	if (p == NULL)
	{
		fputs("mmodal-load: out of memory\n", stderr);
		_Exit(2);
	}
	return p;
}

void *
xmalloc(size_t size)
{
	return checked(calloc(1, size > 0 ? size : 1));
}

void *
xrealloc(void *p, size_t size)
{
	return checked(realloc(p, size > 0 ? size : 1));
}

char *
xstrdup(const char *s)
{
	return checked(strdup(s));
}

char *
xstrndup(const char *s, size_t n)
{
	return checked(strndup(s, n));
}

char *
format_string(const char *format, ...)
{
	va_list args;
	char *result = NULL;

	va_start(args, format);
	if (vasprintf(&result, format, args) < 0)
		result = NULL;
	va_end(args);
	return checked(result);
}
