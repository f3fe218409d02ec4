/*-------------------------------------------------------------------------
 *
 * source_tree.c
 *	  A picture's file, with the .txt and .json beside it, and trees of them.
 *
 *-------------------------------------------------------------------------
 */
#include "load.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Read what stands beside the picture, if it does. */
static bool
read_sidecar(item *it, const char *path, const char *end, problem *why)
{
	const char *dot = strrchr(path, '.');
	char *name = format_string("%.*s%s", (int) (dot - path), path, end);
	uint8_t *data;
	size_t size;
	bool good = true;

	if (access(name, F_OK) == 0)
	{
		good = read_file(name, MAX_SIDECAR, &data, &size, why);
		if (good && strcmp(end, ".txt") == 0)
			good = item_set_caption(it, (char *) data, size, why);
		else if (good)
			good = item_set_metadata(it, (char *) data, size, why);
		free(data);
	}
	free(name);
	return good;
}

/* Read a picture that is wanted.  NULL: *why says why not. */
static item *
read_picture(const char *path, size_t max, problem *why)
{
	item *it = item_new(ITEM_PICTURE, path);
	bool good = read_file(path, max, &it->data, &it->size, why) && item_hash_picture(it, why);

	if (good && name_is_picture(path))
		good = read_sidecar(it, path, ".txt", why) && read_sidecar(it, path, ".json", why);
	if (!good)
	{
		item_free(it);
		return NULL;
	}
	return it;
}

void
picture_read(const char *path, const char *container, sink *s)
{
	problem why;
	item *it;

	if (!s->wants(s, path, container))
		return;
	it = read_picture(path, s->max_picture, &why);
	if (it != NULL)
		s->emit(s, it);
	else
		sink_reject(s, path, &why);
}

static int
by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void
tree_entry(FTSENT *entry, sink *s)
{
	problem why;

	switch (entry->fts_info)
	{
		case FTS_F:
			if (name_is_picture(entry->fts_name))
				picture_read(entry->fts_path, NULL, s);
			else if (name_is_tar(entry->fts_name))
				tar_read(entry->fts_path, s);
			break;
		case FTS_DC:
			set_problem(&why, "58030", "a link to a folder that it is in");
			sink_reject(s, entry->fts_path, &why);
			break;
		case FTS_DNR:
			errno = entry->fts_errno;
			set_errno_problem(&why, "cannot read the folder");
			sink_reject(s, entry->fts_path, &why);
			break;
		case FTS_NS:
		case FTS_ERR:
			errno = entry->fts_errno;
			set_errno_problem(&why, "cannot look at it");
			sink_reject(s, entry->fts_path, &why);
			break;
		case FTS_DP:
			sink_container_done(s, entry->fts_path);
			break;
		case FTS_SL:
		case FTS_SLNONE:
		case FTS_DEFAULT:
			/* a dangling link, a FIFO, a device: its reading says which */
			if (name_is_picture(entry->fts_name))
				picture_read(entry->fts_path, NULL, s);
			break;
		default:
			break;
	}
}

void
tree_read(const char *path, sink *s)
{
	char *roots[] = {xstrdup(path), NULL};
	FTS *tree;
	FTSENT *entry;
	problem why;

	/* one name for a folder, whether a slash was typed behind it or not */
	for (size_t n = strlen(roots[0]); n > 1 && roots[0][n - 1] == '/'; n--)
		roots[0][n - 1] = '\0';
	tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	while (tree != NULL && !s->stopped(s))
	{
		errno = 0;
		if ((entry = fts_read(tree)) == NULL)
			break;
		tree_entry(entry, s);
	}
	if (!s->stopped(s) && (tree == NULL || errno != 0))
	{
		set_errno_problem(&why, "cannot read the tree");
		sink_reject(s, path, &why);
	}
	if (tree != NULL)
		fts_close(tree);
	free(roots[0]);
}
