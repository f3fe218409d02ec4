/*-------------------------------------------------------------------------
 *
 * source_vectors.c
 *	  Embeddings that are there already: .npy files with metadata beside them,
 *	  and the folders of clip-retrieval.
 *
 * Files are read, not mapped: one that is truncated under a mapping would kill us.
 *
 *-------------------------------------------------------------------------
 */
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "npy.h"
#include "records.h"

typedef struct vectors
{
	const char *path;
	FILE *file;
	npy_array array;
	records *metadata; /* or NULL */
	sink *s;
} vectors;

static bool
read_header(FILE *file, npy_array *array, problem *why)
{
	uint8_t data[NPY_PREFIX + NPY_MAX_HEADER];
	size_t got = fread(data, 1, NPY_PREFIX, file), size = npy_header_size(data, got, why);
	struct stat st;
	uint64_t bytes;

	if (size == 0)
		return false;
	if (size > NPY_PREFIX)
		got += fread(data + NPY_PREFIX, 1, size - NPY_PREFIX, file);
	if (!npy_parse(data, got < size ? got : size, array, why))
		return false;
	/* no overflow: npy_parse has bounded both */
	bytes = array->rows * (uint64_t) array->dims * (uint64_t) array->element_size;
	if (fstat(fileno(file), &st) != 0 || (uint64_t) st.st_size < array->data_offset + bytes)
	{
		set_problem(why, "22P03", "file is cut off: its header says %llu vectors of %d dimensions",
					(unsigned long long) array->rows, array->dims);
		return false;
	}
	if (fseeko(file, (off_t) array->data_offset, SEEK_SET) != 0)
	{
		set_errno_problem(why, "cannot read");
		return false;
	}
	return true;
}

static FILE *
open_vectors(const char *path, npy_array *array, problem *why)
{
	FILE *file = open_file(path, why);

	if (file != NULL && !read_header(file, array, why))
	{
		fclose(file);
		return NULL;
	}
	return file;
}

int
vectors_dims(const char *path)
{
	npy_array array;
	problem why;
	FILE *file = open_vectors(path, &array, &why);

	if (file == NULL)
		return 0;
	fclose(file);
	return array.dims;
}

/* The file with that stem, of a kind that is read; malloc'd, or NULL. */
static char *
find_metadata(const char *stem, bool *parquet)
{
	static const char *const ends[] = {".jsonl", ".csv", ".tsv", ".json", ".parquet"};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
	{
		char *name = format_string("%s%s", stem, ends[i]);

		if (access(name, F_OK) == 0)
		{
			if (strcmp(ends[i], ".parquet") != 0)
				return name;
			*parquet = true;
		}
		free(name);
	}
	return NULL;
}

/*
 * Beside X.npy stands X.jsonl; what belongs to .../img_emb/img_emb_7.npy is
 * .../metadata/metadata_7.jsonl.
 */
static char *
metadata_of(const char *path, sink *s)
{
	const char *slash = strrchr(path, '/'), *number;
	char *stem = xstrndup(path, strlen(path) - (name_ends(path, ".npy") ? 4 : 0)), *found;
	bool parquet = false;

	found = find_metadata(stem, &parquet);
	number = strrchr(stem, '_');
	if (found == NULL && slash != NULL && number != NULL)
	{
		char *folder = xstrndup(path, (size_t) (slash - path)), *other;

		other = format_string("%s/../metadata/metadata%s", folder, number);
		if (name_ends(folder, "/img_emb") || name_ends(folder, "/text_emb") ||
			strcmp(folder, "img_emb") == 0 || strcmp(folder, "text_emb") == 0)
			found = find_metadata(other, &parquet);
		free(other);
		free(folder);
	}
	if (found == NULL && parquet && !s->counting)
	{
		char *message = format_string("%s: its metadata is Parquet, which is not read; the vectors "
									  "are loaded without it (docs/loading.md has the conversion)",
									  path);

		s->warn(s, message);
		free(message);
	}
	free(stem);
	return found;
}

/* The item of a row; what of the record it needs it takes. */
static void
emit_vector(vectors *v, uint64_t number, const uint8_t *row, record *rec)
{
	size_t row_size = (size_t) v->array.dims * (size_t) v->array.element_size;
	char *name = format_string("%s/%llu", v->path, (unsigned long long) number);
	const char *path = rec->path != NULL ? rec->path : name;
	bool was_rejected = rec->path != NULL && v->s->was_rejected(v->s, name);
	item *it;

	if (v->s->wants(v->s, path, was_rejected ? name : v->path))
	{
		it = item_new(ITEM_VECTOR, path);
		it->data = npy_row_to_embedding(&v->array, row, &it->size);
		if (it->data == NULL)
		{
			it->kind = ITEM_REJECT;
			set_problem(&it->why, "22P03", "vector %llu has a value that is not finite",
						(unsigned long long) number);
		}
		if (rec->has_hash)
			memcpy(it->hash, rec->hash, HASH_SIZE);
		else
			hash_bytes(row, row_size, it->hash);
		it->caption = rec->caption;
		it->metadata = rec->metadata;
		rec->caption = rec->metadata = NULL;
		v->s->emit(v->s, it);
	}
	/* its record may have been the reject */
	if (was_rejected)
		sink_container_done(v->s, name);
	free(name);
}

/* A record that is no good takes its vector along. */
static void
reject_vector(vectors *v, uint64_t number, const problem *why)
{
	char *path = format_string("%s/%llu", v->path, (unsigned long long) number);

	if (v->s->wants(v->s, path, v->path))
		sink_reject(v->s, path, why);
	free(path);
}

/* False: the rest of the file is not to be trusted. */
static bool
read_vector(vectors *v, uint64_t number, uint8_t *row, size_t row_size, problem *why)
{
	record rec = {0};
	record_status status = RECORD_OK;
	bool good;

	if (!v->s->counting && fread(row, 1, row_size, v->file) != row_size)
	{
		set_problem(why, "22P03", "file ends in vector %llu", (unsigned long long) number);
		return false;
	}
	if (v->metadata != NULL)
		status = records_next(v->metadata, &rec, why);
	good = status == RECORD_OK || status == RECORD_BAD;
	if (status == RECORD_END)
		set_problem(why, "22P04", "metadata ends at record %llu of %llu vectors",
					(unsigned long long) number, (unsigned long long) v->array.rows);
	else if (status == RECORD_BAD)
		reject_vector(v, number, why);
	else if (status == RECORD_OK)
		emit_vector(v, number, row, &rec);
	record_clear(&rec);
	return good;
}

static bool
read_all(vectors *v, problem *why)
{
	size_t row_size = (size_t) v->array.dims * (size_t) v->array.element_size;
	uint8_t *row = xmalloc(row_size);
	bool good = true;

	for (uint64_t i = 0; good && i < v->array.rows && !v->s->stopped(v->s); i++)
		good = read_vector(v, i, row, row_size, why);
	free(row);
	if (good && v->metadata != NULL && !v->s->stopped(v->s))
	{
		record rec = {0};

		if (records_next(v->metadata, &rec, why) != RECORD_END)
		{
			set_problem(why, "22P04", "metadata has more records than the %llu vectors",
						(unsigned long long) v->array.rows);
			good = false;
		}
		record_clear(&rec);
	}
	return good;
}

void
vectors_read(const char *path, sink *s)
{
	vectors v = {.path = path, .s = s};
	problem why;
	char *metadata = NULL;
	bool good = (v.file = open_vectors(path, &v.array, &why)) != NULL;

	if (good && s->dims != 0 && v.array.dims != s->dims)
	{
		set_problem(&why, "22000", "vectors of %d dimensions, where the column has %d",
					v.array.dims, s->dims);
		good = false;
	}
	if (good && (metadata = metadata_of(path, s)) != NULL)
		good = (v.metadata = records_open(metadata, &why)) != NULL;
	good = good && read_all(&v, &why);
	if (!good)
		sink_reject(s, path, &why);
	else if (!s->stopped(s))
		sink_container_done(s, path);
	free(metadata);
	records_close(v.metadata);
	if (v.file != NULL)
		fclose(v.file);
}

static int
is_npy(const struct dirent *entry)
{
	return name_ends(entry->d_name, ".npy");
}

/* The arrays of a folder in the order of their numbers; malloc'd names. */
static int
list_arrays(const char *path, char ***names)
{
	char *folder = format_string("%s/img_emb", path);
	struct dirent **entries = NULL;
	int n = scandir(folder, &entries, is_npy, versionsort);

	*names = xmalloc(sizeof(char *) * (size_t) (n > 0 ? n : 1));
	for (int i = 0; i < n; i++)
	{
		(*names)[i] = format_string("%s/%s", folder, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	free(folder);
	return n;
}

char *
embeddings_first(const char *path)
{
	char **names;
	int n = list_arrays(path, &names);
	char *first = n > 0 ? names[0] : NULL;

	for (int i = 1; i < n; i++)
		free(names[i]);
	free(names);
	return first;
}

void
embeddings_read(const char *path, sink *s)
{
	char **names;
	int n = list_arrays(path, &names);
	problem why;

	if (n < 0)
	{
		set_errno_problem(&why, "cannot read its folder img_emb");
		sink_reject(s, path, &why);
	}
	for (int i = 0; i < n; i++)
	{
		if (!s->stopped(s))
			vectors_read(names[i], s);
		free(names[i]);
	}
	free(names);
	if (n >= 0 && !s->stopped(s))
		sink_container_done(s, path);
}
