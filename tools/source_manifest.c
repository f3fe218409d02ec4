/*-------------------------------------------------------------------------
 *
 * source_manifest.c
 *	  A list of pictures' files, with captions and metadata.
 *
 *-------------------------------------------------------------------------
 */
#include "load.h"

#include <stdlib.h>
#include <string.h>

#include "records.h"

/* Paths are relative to the manifest. */
static char *
resolve(const char *manifest, const char *path)
{
	const char *slash = strrchr(manifest, '/');

	if (path[0] == '/' || slash == NULL)
		return xstrdup(path);
	return format_string("%.*s%s", (int) (slash - manifest + 1), manifest, path);
}

static void
read_listed(const char *manifest, record *rec, sink *s)
{
	char *path = resolve(manifest, rec->path);
	char *line = format_string("%s:%ld", manifest, rec->line);
	item *it;

	if (s->wants(s, path, s->was_rejected(s, line) ? line : manifest))
	{
		it = item_new(ITEM_PICTURE, path);
		if (!read_file(path, s->max_picture, &it->data, &it->size, &it->why) ||
			!item_hash_picture(it, &it->why))
			it->kind = ITEM_REJECT;
		it->caption = rec->caption;
		it->metadata = rec->metadata;
		rec->caption = rec->metadata = NULL;
		s->emit(s, it);
	}
	/* the line may have been the reject, and not what it names */
	sink_container_done(s, line);
	free(line);
	free(path);
}

static void
reject_line(const char *manifest, long line, const problem *why, sink *s)
{
	char *name = format_string("%s:%ld", manifest, line);

	if (s->wants(s, name, manifest))
		sink_reject(s, name, why);
	free(name);
}

void
manifest_read(const char *path, sink *s)
{
	problem why;
	records *r = records_open(path, &why);
	record rec = {0};
	record_status status = RECORD_FATAL;

	if (r != NULL && records_have_path(r, &why))
		do
		{
			status = records_next(r, &rec, &why);
			if (status == RECORD_OK && (rec.path == NULL || rec.path[0] == '\0'))
			{
				set_problem(&why, "22P04", "no path");
				status = RECORD_BAD;
			}
			if (status == RECORD_OK)
				read_listed(path, &rec, s);
			else if (status == RECORD_BAD)
				reject_line(path, rec.line, &why, s);
		} while ((status == RECORD_OK || status == RECORD_BAD) && !s->stopped(s));
	if (status == RECORD_FATAL)
		sink_reject(s, path, &why);
	else if (status == RECORD_END)
		sink_container_done(s, path);
	record_clear(&rec);
	records_close(r);
}
