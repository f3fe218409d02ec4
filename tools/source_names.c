/*-------------------------------------------------------------------------
 *
 * source_names.c
 *	  What the names of files tell.
 *
 *-------------------------------------------------------------------------
 */
#include "load.h"

#include <string.h>
#include <strings.h>

bool
name_ends(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcasecmp(name + n - m, end) == 0;
}

static bool
name_ends_in(const char *name, const char *const *ends)
{
	for (; *ends != NULL; ends++)
		if (name_ends(name, *ends))
			return true;
	return false;
}

bool
name_is_picture(const char *name)
{
	static const char *const ends[] = {".jpg", ".jpeg", ".png", ".webp", ".bmp", NULL};

	return name_ends_in(name, ends);
}

bool
name_is_tar(const char *name)
{
	static const char *const ends[] = {".tar",     ".tar.gz", ".tgz", ".tar.zst",
									   ".tar.bz2", ".tar.xz", NULL};

	return name_ends_in(name, ends);
}
