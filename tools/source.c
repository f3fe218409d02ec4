/*-------------------------------------------------------------------------
 *
 * source.c
 *	  What kind of source a path is.
 *
 *-------------------------------------------------------------------------
 */
#include "load.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "npy.h"

static bool
has_folder(const char *path, const char *name)
{
	char *folder = format_string("%s/%s", path, name);
	struct stat st;
	bool has = stat(folder, &st) == 0 && S_ISDIR(st.st_mode);

	free(folder);
	return has;
}

static bool
has_npy_magic(const char *path)
{
	uint8_t start[6];
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	bool has;

	if (fd < 0)
		return false;
	has = read(fd, start, sizeof(start)) == sizeof(start) && npy_is_magic(start, sizeof(start));
	close(fd);
	return has;
}

source_kind
source_kind_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return SOURCE_UNKNOWN;
	if (S_ISDIR(st.st_mode))
		return has_folder(path, "img_emb") ? SOURCE_EMBEDDINGS : SOURCE_TREE;
	if (name_is_picture(path))
		return SOURCE_PICTURE;
	if (name_is_tar(path))
		return SOURCE_TAR;
	if (name_ends(path, ".csv") || name_ends(path, ".tsv") || name_ends(path, ".jsonl"))
		return SOURCE_MANIFEST;
	return name_ends(path, ".npy") || has_npy_magic(path) ? SOURCE_NPY : SOURCE_UNKNOWN;
}

source_kind
source_kind_named(const char *format)
{
	static const struct
	{
		const char *name;
		source_kind kind;
	} kinds[] = {{"image", SOURCE_PICTURE}, {"manifest", SOURCE_MANIFEST}, {"tar", SOURCE_TAR},
				 {"npy", SOURCE_NPY},       {"tree", SOURCE_TREE},         {NULL, SOURCE_UNKNOWN}};
	int i = 0;

	while (kinds[i].name != NULL && strcmp(kinds[i].name, format) != 0)
		i++;
	return kinds[i].kind;
}

void
source_read(source_kind kind, const char *path, sink *s)
{
	switch (kind)
	{
		case SOURCE_TREE:
			tree_read(path, s);
			break;
		case SOURCE_PICTURE:
			picture_read(path, NULL, s);
			break;
		case SOURCE_MANIFEST:
			manifest_read(path, s);
			break;
		case SOURCE_TAR:
			tar_read(path, s);
			break;
		case SOURCE_NPY:
			vectors_read(path, s);
			break;
		case SOURCE_EMBEDDINGS:
			embeddings_read(path, s);
			break;
		case SOURCE_UNKNOWN:
			break;
	}
}

int
source_dims(source_kind kind, const char *path)
{
	char *first;
	int dims = 0;

	if (kind == SOURCE_NPY)
		return vectors_dims(path);
	if (kind == SOURCE_EMBEDDINGS && (first = embeddings_first(path)) != NULL)
	{
		dims = vectors_dims(first);
		free(first);
	}
	return dims;
}
