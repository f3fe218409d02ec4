/*-------------------------------------------------------------------------
 *
 * records.c
 *	  Records of manifests and of metadata.
 *
 * libcsv calls back at the end of a row.  It is given the file line by line, and
 * only a line feed ends a row, so that a call gives one row at most.
 *
 *-------------------------------------------------------------------------
 */
#include "records.h"

#include <cjson/cJSON.h>
#include <csv.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct row
{
	char **fields;
	size_t *sizes;
	int n, room;
	bool ended;
} row;

struct records
{
	FILE *file;
	bool is_csv;
	char *line;
	size_t line_room;
	long number; /* of the line read last */

	struct csv_parser csv;
	row header, row;
	int path_column, caption_column, hash_column;

	/* a JSON array is read whole */
	uint8_t *json;
	size_t json_size, json_at;
};

static const char *const path_names[] = {"path", "image_path", "filepath", NULL};
static const char *const caption_names[] = {"caption", NULL};
static const char *const hash_names[] = {"sha256", NULL};

static void
row_clear(row *r)
{
	for (int i = 0; i < r->n; i++)
		free(r->fields[i]);
	r->n = 0;
	r->ended = false;
}

static void
take_field(void *text, size_t size, void *context)
{
	row *r = context;

	if (r->n == r->room)
	{
		r->room = r->room * 2 + 8;
		r->fields = xrealloc(r->fields, sizeof(char *) * (size_t) r->room);
		r->sizes = xrealloc(r->sizes, sizeof(size_t) * (size_t) r->room);
	}
	r->fields[r->n] = xmalloc(size + 1);
	if (size > 0)
		memcpy(r->fields[r->n], text, size);
	r->sizes[r->n++] = size;
}

static void
take_row(int terminator, void *context)
{
	(void) terminator;
	((row *) context)->ended = true;
}

static int
is_no_space(unsigned char c)
{
	(void) c;
	return 0;
}

static int
is_line_end(unsigned char c)
{
	return c == '\n';
}

/* A line without its CR LF's CR, or -1 at the end or an error. */
static ssize_t
next_line(records *r)
{
	ssize_t size = getline(&r->line, &r->line_room, r->file);

	if (size < 0)
		return -1;
	r->number++;
	if (size >= 2 && r->line[size - 1] == '\n' && r->line[size - 2] == '\r')
	{
		r->line[size - 2] = '\n';
		size--;
	}
	return size;
}

static record_status
end_of_file(records *r, problem *why)
{
	if (!ferror(r->file))
		return RECORD_END;
	set_errno_problem(why, "cannot read");
	return RECORD_FATAL;
}

/* Read one row; an unclosed quote must not take the rest of the file as memory. */
static record_status
next_row(records *r, row *into, problem *why)
{
	ssize_t size;

	row_clear(into);
	while ((size = next_line(r)) >= 0)
	{
		if (csv_parse(&r->csv, r->line, (size_t) size, take_field, take_row, into) !=
				(size_t) size ||
			r->csv.entry_pos > MAX_SIDECAR)
		{
			set_problem(why, "22P04",
						"line %ld: a field of more than %zu bytes: is a quote unclosed?", r->number,
						MAX_SIDECAR);
			return RECORD_FATAL;
		}
		if (into->ended)
			return RECORD_OK;
	}
	if (ferror(r->file))
		return end_of_file(r, why);
	/* a last line may lack its end; if that does not end a row, a quote is open */
	csv_parse(&r->csv, "\n", 1, take_field, take_row, into);
	if (!into->ended && r->csv.quoted)
	{
		set_problem(why, "22P04", "a quote is not closed at the end of the file");
		return RECORD_FATAL;
	}
	return into->ended ? RECORD_OK : RECORD_END;
}

static int
find_column(const row *header, const char *const *names)
{
	for (; *names != NULL; names++)
		for (int i = 0; i < header->n; i++)
			if (strcasecmp(header->fields[i], *names) == 0)
				return i;
	return -1;
}

static bool
open_csv(records *r, bool tabs, problem *why)
{
	record_status status;

	r->is_csv = true;
	csv_init(&r->csv, 0);
	/* it grows by this, and no faster */
	csv_set_blk_size(&r->csv, 1 << 16);
	csv_set_delim(&r->csv, tabs ? CSV_TAB : CSV_COMMA);
	csv_set_space_func(&r->csv, is_no_space);
	csv_set_term_func(&r->csv, is_line_end);
	status = next_row(r, &r->header, why);
	if (status == RECORD_END)
		set_problem(why, "22P04", "no header");
	if (status != RECORD_OK)
		return false;
	/* a byte order mark */
	if (strncmp(r->header.fields[0], "\xef\xbb\xbf", 3) == 0)
		memmove(r->header.fields[0], r->header.fields[0] + 3, strlen(r->header.fields[0] + 3) + 1);
	for (int i = 0; i < r->header.n; i++)
		if (!text_is_valid(r->header.fields[i], strlen(r->header.fields[i])))
		{
			set_problem(why, "22021", "header is not valid UTF-8");
			return false;
		}
	r->path_column = find_column(&r->header, path_names);
	r->caption_column = find_column(&r->header, caption_names);
	r->hash_column = find_column(&r->header, hash_names);
	return true;
}

/* A JSON array, or lines: what comes first tells. */
static bool
open_json(records *r, const char *path, problem *why)
{
	int c;

	do
		c = getc(r->file);
	while (c != EOF && isspace(c));
	rewind(r->file);
	if (c != '[')
		return true;
	if (!read_file(path, (size_t) 1 << 30, &r->json, &r->json_size, why))
		return false;
	r->json_at = (size_t) ((uint8_t *) memchr(r->json, '[', r->json_size) - r->json) + 1;
	return true;
}

records *
records_open(const char *path, problem *why)
{
	records *r = xmalloc(sizeof(records));
	bool good;

	r->path_column = r->caption_column = r->hash_column = -1;
	if ((r->file = open_file(path, why)) == NULL)
	{
		free(r);
		return NULL;
	}
	if (name_ends(path, ".jsonl") || name_ends(path, ".json"))
		good = open_json(r, path, why);
	else
		good = open_csv(r, name_ends(path, ".tsv"), why);
	if (!good)
	{
		records_close(r);
		return NULL;
	}
	return r;
}

bool
records_have_path(const records *r, problem *why)
{
	if (!r->is_csv || r->path_column >= 0)
		return true;
	set_problem(why, "22P04", "the header has no column path (nor image_path, nor filepath)%s",
				find_column(&r->header, (const char *const[]){"url", NULL}) >= 0
					? "; a url is not fetched: img2dataset does that"
					: "");
	return false;
}

void
record_clear(record *rec)
{
	free(rec->path);
	free(rec->caption);
	free(rec->metadata);
	*rec = (record){0};
}

static void
set_hash(record *rec, const char *hex)
{
	rec->has_hash = hex != NULL && strlen(hex) == 2 * HASH_SIZE;
	for (int i = 0; rec->has_hash && i < HASH_SIZE; i++)
	{
		unsigned value = 0;

		rec->has_hash = isxdigit((unsigned char) hex[2 * i]) &&
						isxdigit((unsigned char) hex[2 * i + 1]) &&
						sscanf(hex + 2 * i, "%2x", &value) == 1;
		rec->hash[i] = (uint8_t) value;
	}
}

static record_status
record_of_row(const records *r, record *rec, problem *why)
{
	cJSON *metadata;

	if (r->row.n != r->header.n)
	{
		set_problem(why, "22P04", "line %ld: %d fields where the header has %d", rec->line,
					r->row.n, r->header.n);
		return RECORD_BAD;
	}
	/* of paths only a NUL is wrong: they are names of files */
	for (int i = 0; i < r->row.n; i++)
		if (i == r->path_column ? strlen(r->row.fields[i]) != r->row.sizes[i]
								: !text_is_valid(r->row.fields[i], r->row.sizes[i]))
		{
			set_problem(why, "22021", "line %ld: column %s is not valid UTF-8", rec->line,
						r->header.fields[i]);
			return RECORD_BAD;
		}
	if (r->path_column >= 0)
		rec->path = xstrdup(r->row.fields[r->path_column]);
	if (r->caption_column >= 0 && r->row.sizes[r->caption_column] > 0)
		rec->caption = xstrdup(r->row.fields[r->caption_column]);
	if (r->hash_column >= 0)
		set_hash(rec, r->row.fields[r->hash_column]);
	metadata = cJSON_CreateObject();
	for (int i = 0; i < r->row.n; i++)
		if (i != r->path_column && i != r->caption_column && r->row.sizes[i] > 0)
			cJSON_AddStringToObject(metadata, r->header.fields[i], r->row.fields[i]);
	if (metadata != NULL && metadata->child != NULL)
		rec->metadata = cJSON_PrintUnformatted(metadata);
	cJSON_Delete(metadata);
	return RECORD_OK;
}

static record_status
record_of_json(const char *json, size_t size, record *rec, problem *why)
{
	cJSON *object = text_is_valid(json, size) ? cJSON_ParseWithLength(json, size) : NULL;
	const char *path = NULL, *caption;

	if (!cJSON_IsObject(object))
	{
		set_problem(why, "22032", "line %ld: not a JSON object", rec->line);
		cJSON_Delete(object);
		return RECORD_BAD;
	}
	for (int i = 0; path == NULL && path_names[i] != NULL; i++)
		path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, path_names[i]));
	caption = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "caption"));
	if (path != NULL)
		rec->path = xstrdup(path);
	if (caption != NULL && caption[0] != '\0')
		rec->caption = xstrdup(caption);
	set_hash(rec, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "sha256")));
	rec->metadata = xstrndup(json, size);
	cJSON_Delete(object);
	return RECORD_OK;
}

/* The next element of the array; the text of the object is taken as it is. */
static record_status
next_element(records *r, record *rec, problem *why)
{
	const char *start, *end = NULL;
	cJSON *element;

	while (r->json_at < r->json_size &&
		   (isspace(r->json[r->json_at]) || (r->json[r->json_at] == ',' && r->number > 0)))
		r->json_at++;
	if (r->json_at < r->json_size && r->json[r->json_at] == ']')
		return RECORD_END;
	rec->line = ++r->number;
	start = (const char *) r->json + r->json_at;
	element = cJSON_ParseWithLengthOpts(start, r->json_size - r->json_at, &end, false);
	if (element == NULL)
	{
		set_problem(why, "22032", "not valid JSON at byte %zu", r->json_at);
		return RECORD_FATAL;
	}
	cJSON_Delete(element);
	r->json_at += (size_t) (end - start);
	return record_of_json(start, (size_t) (end - start), rec, why);
}

record_status
records_next(records *r, record *rec, problem *why)
{
	ssize_t size;
	record_status status;

	record_clear(rec);
	if (r->json != NULL)
		return next_element(r, rec, why);
	if (r->is_csv)
	{
		status = next_row(r, &r->row, why);
		rec->line = r->number;
		return status == RECORD_OK ? record_of_row(r, rec, why) : status;
	}
	while ((size = next_line(r)) >= 0)
	{
		while (size > 0 && isspace((unsigned char) r->line[size - 1]))
			size--;
		if (size == 0)
			continue;
		rec->line = r->number;
		return record_of_json(r->line, (size_t) size, rec, why);
	}
	return end_of_file(r, why);
}

void
records_close(records *r)
{
	if (r == NULL)
		return;
	row_clear(&r->header);
	row_clear(&r->row);
	free(r->header.fields);
	free(r->header.sizes);
	free(r->row.fields);
	free(r->row.sizes);
	if (r->is_csv)
		csv_free(&r->csv);
	free(r->json);
	free(r->line);
	fclose(r->file);
	free(r);
}
