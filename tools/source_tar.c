/*-------------------------------------------------------------------------
 *
 * source_tar.c
 *	  Shards of webdataset, as img2dataset writes them: members whose names are
 *	  the same up to the first dot of the last component are one sample.
 *
 *-------------------------------------------------------------------------
 */
#include "load.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

/* Pictures that one sample may have. */
#define MAX_GROUP 64

/* The sample being read: its members follow each other. */
typedef struct group
{
	char *key;
	item *pictures[MAX_GROUP];
	int n;
	char *caption, *metadata; /* as they are in the archive */
	size_t caption_size, metadata_size;
	problem why; /* of caption or metadata; empty sqlstate: none */
} group;

typedef struct shard
{
	const char *path;
	struct archive *archive;
	sink *s;
	group group;
} shard;

static size_t
key_length(const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *dot = strchr(slash != NULL ? slash + 1 : name, '.');

	return dot != NULL ? (size_t) (dot - name) : strlen(name);
}

/* Give the pictures of the sample what belongs to all, and hand them on. */
static void
flush_group(shard *sh)
{
	group *g = &sh->group;

	for (int i = 0; i < g->n; i++)
	{
		item *it = g->pictures[i];
		problem why = g->why;
		bool good = why.sqlstate[0] == '\0' || it->kind == ITEM_REJECT;

		if (good && it->kind == ITEM_PICTURE && g->caption != NULL)
			good = item_set_caption(it, g->caption, g->caption_size, &why);
		if (good && it->kind == ITEM_PICTURE && g->metadata != NULL)
			good = item_set_metadata(it, g->metadata, g->metadata_size, &why);
		if (!good)
		{
			it->kind = ITEM_REJECT;
			it->why = why;
		}
		sh->s->emit(sh->s, it);
	}
	free(g->key);
	free(g->caption);
	free(g->metadata);
	*g = (group){0};
}

/* Read a member whole; sizes in headers are not believed. */
static bool
read_member(shard *sh, struct archive_entry *entry, size_t max, uint8_t **data, size_t *size,
			problem *why)
{
	size_t room = 65536, n = 0;
	la_ssize_t got = 1;

	*data = NULL;
	if (archive_entry_size_is_set(entry) && (uint64_t) archive_entry_size(entry) > max)
		got = 0, n = max + 1;
	else
	{
		if (archive_entry_size_is_set(entry))
			room = (size_t) archive_entry_size(entry) + 1;
		*data = xmalloc(room + 1);
	}
	while (got > 0 && n <= max)
	{
		if (n == room)
			*data = xrealloc(*data, (room *= 2) + 1);
		got = archive_read_data(sh->archive, *data + n, room - n);
		n += got > 0 ? (size_t) got : 0;
	}
	if (got < 0)
		set_problem(why, "XX001", "damaged archive: %s", archive_error_string(sh->archive));
	else if (n > max)
		set_size_problem(why, max);
	if (got < 0 || n > max)
	{
		free(*data);
		*data = NULL;
		return false;
	}
	(*data)[n] = 0;
	*size = n;
	return true;
}

static void
read_tar_picture(shard *sh, struct archive_entry *entry, const char *name)
{
	char *path = format_string("%s/%s", sh->path, name);
	item *it;

	if (sh->group.n == MAX_GROUP)
		flush_group(sh);
	if (sh->s->wants(sh->s, path, sh->path))
	{
		it = item_new(ITEM_PICTURE, path);
		if (!read_member(sh, entry, sh->s->max_picture, &it->data, &it->size, &it->why) ||
			!item_hash_picture(it, &it->why))
			it->kind = ITEM_REJECT;
		sh->group.pictures[sh->group.n++] = it;
	}
	free(path);
}

static void
read_entry(shard *sh, struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);
	group *g = &sh->group;
	uint8_t **sidecar = NULL;
	size_t *size = NULL, length;

	if (name == NULL)
		name = archive_entry_pathname_utf8(entry);
	if (name == NULL || archive_entry_filetype(entry) != AE_IFREG)
		return;
	if (strncmp(name, "./", 2) == 0)
		name += 2;
	length = key_length(name);
	if (g->key == NULL || strlen(g->key) != length || strncmp(g->key, name, length) != 0)
	{
		flush_group(sh);
		g->key = xstrndup(name, length);
	}
	if (name_is_picture(name))
		read_tar_picture(sh, entry, name);
	else if (strcmp(name + length, ".txt") == 0)
		sidecar = (uint8_t **) &g->caption, size = &g->caption_size;
	else if (strcmp(name + length, ".json") == 0)
		sidecar = (uint8_t **) &g->metadata, size = &g->metadata_size;
	if (sidecar != NULL && !sh->s->counting)
	{
		free(*sidecar);
		read_member(sh, entry, MAX_SIDECAR, sidecar, size, &g->why);
	}
}

/* NULL: *why says why. */
static struct archive *
open_archive(const char *path, problem *why)
{
	struct archive *a = archive_read_new();

	if (a == NULL)
	{
		set_problem(why, "53200", "out of memory");
		return NULL;
	}
	/* not all filters: some of them start programs */
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_format_tar(a);
	if (archive_read_open_filename(a, path, 1 << 16) != ARCHIVE_OK)
	{
		set_problem(why, "58030", "%s", archive_error_string(a));
		archive_read_free(a);
		return NULL;
	}
	return a;
}

void
tar_read(const char *path, sink *s)
{
	shard sh = {.path = path, .s = s};
	struct archive_entry *entry;
	problem why;
	int status = ARCHIVE_FATAL;

	if (s->counting && !name_ends(path, ".tar"))
	{
		s->uncountable = true;
		return;
	}
	sh.archive = open_archive(path, &why);
	while (sh.archive != NULL && !s->stopped(s))
	{
		status = archive_read_next_header(sh.archive, &entry);
		if (status == ARCHIVE_OK || status == ARCHIVE_WARN)
			read_entry(&sh, entry);
		else if (status != ARCHIVE_RETRY)
			break;
	}
	if (s->stopped(s))
		status = ARCHIVE_RETRY;
	flush_group(&sh);
	if (sh.archive != NULL && status == ARCHIVE_FATAL)
		set_problem(&why, "XX001", "damaged archive: %s", archive_error_string(sh.archive));
	if (status == ARCHIVE_EOF)
		sink_container_done(s, path);
	else if (status != ARCHIVE_RETRY)
		sink_reject(s, path, &why);
	archive_read_free(sh.archive);
}
