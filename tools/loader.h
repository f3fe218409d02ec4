/*-------------------------------------------------------------------------
 *
 * loader.h
 *	  A run of mmodal-load: its options, its table, its threads' shared state.
 *
 * Threads: the main one waits for signals and draws progress; one reads sources
 * into batches (reader.c), one counts them beside it, and each of the workers has
 * a connection and takes batches from the queue.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LOADER_H
#define LOADER_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>

#include "load.h"
#include "pathset.h"

#define MAX_JOBS 64

/* A batch of pictures is what the encoder takes at once; bytes bound memory. */
#define BATCH_PICTURES 16
#define BATCH_VECTORS 1000
#define BATCH_BYTES ((size_t) 16 << 20)

typedef struct options
{
	const char *dbname, *host, *port, *user;
	const char *table, *model, *format;
	bool resume, retry_failed, half, no_photo, quiet, never_prompt, always_prompt;
	int jobs;
	char **paths;
	source_kind *kinds;
	int npaths;
	bool has_pictures; /* some of the sources need the encoder */
} options;

/* Fills in what the command line says; ends the program for --help and on errors. */
extern void options_read(int argc, char **argv, options *o);

/* The table that is filled; names are quoted and ready for SQL. */
typedef struct target
{
	char *schema, *name;   /* as they are */
	char *table, *rejects; /* quoted, qualified */
	char *extension;       /* its schema, quoted */
	Oid embedding, embedding_array;
	bool has_caption, has_metadata, has_photo;
	bool metadata_is_json; /* json, where we make jsonb */
	char *model;
	int dims;
	size_t max_picture;
} target;

typedef struct batch
{
	item *items[BATCH_VECTORS];
	int n;
	size_t bytes;
	struct batch *next;
} batch;

typedef struct queue
{
	pthread_mutex_t lock;
	pthread_cond_t changed;
	batch *first, *last;
	int n, room;
	bool closed; /* no more will come, or none is wanted */
} queue;

extern void queue_init(queue *q, int room);
/* Waits for room; takes the batch. */
extern void queue_put(queue *q, batch *b);
/* Waits for a batch; NULL at the end. */
extern batch *queue_take(queue *q);
/* No more batches; with drop, forget those that wait. */
extern void queue_close(queue *q, bool drop);
extern void batch_free(batch *b);

/* Of paths: done = loaded + duplicates + rejected + skipped. */
typedef struct counts
{
	atomic_ulong total, loaded, duplicates, rejected, skipped;
	atomic_ulong rejected_before; /* of the skipped */
	atomic_bool total_known;
} counts;

/* Values of loader.stop that are no signals. */
#define STOP_NONE 0
#define STOP_FAILED (-1)

typedef struct loader
{
	options options;
	target target;
	pathset loaded, rejects;
	queue queue;
	counts counts;
	atomic_int stop;    /* a signal, or one of the above */
	atomic_int running; /* workers */
	pthread_mutex_t message_lock;
	char *failure; /* the first, once stop is STOP_FAILED */
} loader;

extern bool loader_stopped(const loader *l);
/* Stop everything for a reason other than a signal. */
extern void loader_fail(loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* reader.c: threads; the argument is the loader. */
extern void *reader_main(void *argument);
extern void *counter_main(void *argument);

/* server.c */

/* Ends the program when it cannot connect.  password: of the first connection. */
extern PGconn *server_connect(const options *o, const char **password);
/* ... when the statement fails; values in text. */
extern PGresult *server_query(PGconn *conn, const char *sql, int n, const char *const *values);
/* Exit code 2, with a message. */
extern _Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* table.c: find or make the table and what the server allows. */
extern void table_prepare(loader *l, PGconn *conn);
extern void table_read_paths(loader *l, PGconn *conn);

/* worker.c */
typedef struct worker
{
	loader *loader;
	PGconn *conn;
	PGcancel *cancel;
	atomic_bool busy; /* a statement may be running */
	pthread_t thread;
	unsigned seed;
} worker;

extern void *worker_main(void *argument);

/* progress.c */
extern void progress_start(loader *l);
extern void progress_tick(void);
extern void progress_message(const char *message);
extern void progress_end(int exit_code);

#endif /* LOADER_H */
