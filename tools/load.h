/*-------------------------------------------------------------------------
 *
 * load.h
 *	  What the parts of mmodal-load hand to each other: items, and the sink
 *	  that sources put them into.
 *
 * Sources (source_*.c) read files and know no server; workers (worker.c) know no
 * files.  Between them is the queue.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HASH_SIZE 32

/* Why something is not loaded: PostgreSQL's code, and a sentence. */
typedef struct problem
{
	char sqlstate[6];
	char reason[600];
} problem;

typedef enum item_kind
{
	ITEM_PICTURE, /* data: the bytes of its file */
	ITEM_VECTOR,  /* data: the embedding in its type's binary form */
	ITEM_REJECT,  /* could not be read; why says why */
	ITEM_CLEAR,   /* was rejected once, and has no problem any more */
} item_kind;

typedef struct item
{
	item_kind kind;
	char **paths; /* UTF-8, as they will be recorded */
	int npaths;
	int merged;     /* further items of the batch that were the same picture */
	char *caption;  /* or NULL */
	char *metadata; /* a JSON object, or NULL */
	uint8_t *data;
	size_t size;
	uint8_t hash[HASH_SIZE];
	problem why;
} item;

/*
 * Where a source puts what it reads.  The same walk that loads is done beside it
 * by a thread that only counts: then wants() notes the path and says no.
 */
typedef struct sink sink;
struct sink
{
	void *context;
	/* Whether to read and emit this.  container: what it is part of, or NULL. */
	bool (*wants)(sink *s, const char *path, const char *container);
	/* Takes the item. */
	void (*emit)(sink *s, item *it);
	/* Whether a path is in the table of rejects. */
	bool (*was_rejected)(sink *s, const char *path);
	bool (*stopped)(sink *s);
	/* A remark that is neither an error nor a reject. */
	void (*warn)(sink *s, const char *message);
	bool counting;
	bool uncountable;   /* out, when counting: there was a compressed archive */
	size_t max_picture; /* bytes */
	int dims;           /* of the column; 0: not known yet */
};

/* Memory: they end the program where there is none. */
extern void *xmalloc(size_t size);
extern void *xrealloc(void *p, size_t size);
extern char *xstrdup(const char *s);
extern char *xstrndup(const char *s, size_t n);
extern char *format_string(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* item.c */

/* The path is a file's name as the system has it; see path_text(). */
extern item *item_new(item_kind kind, const char *path);
extern void item_free(item *it);
extern void item_add_path(item *it, const char *text);
extern void hash_bytes(const void *data, size_t size, uint8_t hash[HASH_SIZE]);
/* Give a picture whose bytes are there its hash.  False: it has none; *why says so. */
extern bool item_hash_picture(item *it, problem *why);

/* Valid UTF-8 without a NUL. */
extern bool text_is_valid(const char *s, size_t size);

/*
 * A name as it is recorded: itself where it is UTF-8; else its backslashes are
 * doubled and the bytes that are none become \xHH.
 */
extern char *path_text(const char *path);

extern void set_problem(problem *why, const char *sqlstate, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* What errno says of a file. */
extern void set_errno_problem(problem *why, const char *what);

/* Emit a reject; when counting, count it. */
extern void sink_reject(sink *s, const char *path, const problem *why);
/* A container was read to its end without a problem of its own. */
extern void sink_container_done(sink *s, const char *path);

/* file.c */

/* Open a regular file, never waiting for one that is none.  NULL: *why says why not. */
extern FILE *open_file(const char *path, problem *why);

/* That a file has more than max bytes. */
extern void set_size_problem(problem *why, size_t max);

/*
 * Read a regular file whole.  False: *why says why not.  A NUL follows the data,
 * which is malloc'd.
 */
extern bool read_file(const char *path, size_t max, uint8_t **data, size_t *size, problem *why);

/* Largest caption, metadata and record of a manifest, bytes. */
#define MAX_SIDECAR ((size_t) 16 << 20)

/* Fill in a caption (a trailing newline goes) or metadata; false: not valid. */
extern bool item_set_caption(item *it, const char *text, size_t size, problem *why);
extern bool item_set_metadata(item *it, const char *json, size_t size, problem *why);

/* source.c */

typedef enum source_kind
{
	SOURCE_UNKNOWN,
	SOURCE_TREE,
	SOURCE_PICTURE,
	SOURCE_MANIFEST,
	SOURCE_TAR,
	SOURCE_NPY,
	SOURCE_EMBEDDINGS, /* a folder of clip-retrieval's */
} source_kind;

/* The kind that a path is; errno when it cannot be looked at. */
extern source_kind source_kind_of(const char *path);
/* By the name that --format has for it. */
extern source_kind source_kind_named(const char *format);
extern void source_read(source_kind kind, const char *path, sink *s);
/* Dimensions of the vectors there, 0 if they cannot be told. */
extern int source_dims(source_kind kind, const char *path);

/* source_names.c: whether a name has the extension of a picture, of an archive. */
extern bool name_is_picture(const char *name);
extern bool name_is_tar(const char *name);
/* Whether the name ends so, ASCII letters of any case. */
extern bool name_ends(const char *name, const char *end);

extern void tree_read(const char *path, sink *s);
extern void picture_read(const char *path, const char *container, sink *s);
extern void manifest_read(const char *path, sink *s);
extern void tar_read(const char *path, sink *s);
extern void vectors_read(const char *path, sink *s);
extern void embeddings_read(const char *path, sink *s);
extern int vectors_dims(const char *path);
/* The first array of a clip-retrieval folder, malloc'd, or NULL. */
extern char *embeddings_first(const char *path);

#endif /* LOAD_H */
