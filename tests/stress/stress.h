/*
 * stress.h
 *		Many sessions at work on tables with faiss_ivf indexes, and an oracle in
 *		the client that knows what each snapshot must see.
 *
 * Every writer owns its rows: nobody else changes them.  It numbers its
 * transactions, and each stores its number in the table "progress", so that a
 * reader learns from its own snapshot which transactions of each writer it sees.
 * The oracle keeps the history of every row by those numbers.
 */
#ifndef MM_STRESS_H
#define MM_STRESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#define MAX_WRITERS 32
#define ID_STRIDE 100000 /* ids of writer w: w * ID_STRIDE + slot */

/* A table under test, and what a scan of its index is asked for. */
typedef struct table
{
	const char *name;
	const char *column; /* type of the embedding */
	const char *index;  /* operator class and options */
	const char *op;     /* the operator that goes with it */
	int dims;
} table;

extern const table tables[];
extern const int ntables;

/* A version of a row: a seed says what its embedding is. */
typedef struct version
{
	uint32_t txn; /* that made it */
	bool alive;
	int n;
	int seed;
} version;

/*---- oracle.c ----*/

extern void oracle_init(int writers, int slots);

/* Add a version that transaction txn of a writer makes; called before it commits. */
extern void oracle_add(int writer, int table, int slot, version v);

/* Take back the newest version of a row, whose transaction has failed. */
extern void oracle_undo(int writer, int table, int slot);

/* The row as transaction txn has left it; not alive where there is none. */
extern version oracle_at(int writer, int table, int slot, uint32_t txn);

/*---- session.c ----*/

typedef struct session
{
	PGconn *conn;
	uint64_t random;
	const char *role; /* for messages */
} session;

/* What all threads share. */
typedef struct run
{
	int seconds, writers, readers, slots;
	uint64_t seed;
	atomic_bool stop;

	/* Transactions of each writer: whose commit was asked for, and has happened. */
	atomic_uint started[MAX_WRITERS], completed[MAX_WRITERS];

	/* counted */
	atomic_long transactions, rolled_back, serialization, errors, deadlocks;
	atomic_long snapshots, rows, missing, extra, twice, stale, top_compared, top_wrong;
	atomic_long plans, plans_without, vacuums, canceled, rebuilt, checks;
} run;

extern run the_run;

extern session session_open(const char *role, uint64_t number);
extern void session_close(session *s);

/* Uniform in 0 .. n - 1. */
extern int pick(session *s, int n);
extern void pause_up_to(session *s, int milliseconds);

/*
 * Run a command.  True where it succeeds; otherwise the failure is counted, and
 * printed unless it is one that may happen.  result, if not NULL, gets the rows,
 * for the caller to clear.
 */
extern bool run_sql(session *s, PGresult **result, const char *sql);
extern bool run_params(session *s, PGresult **result, const char *sql, int n,
					   const char *const *params);
extern bool run_format(session *s, PGresult **result, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for what may be canceled, by a timeout that the caller has set. */
extern bool run_cancelable(session *s, const char *sql);

/* Print a fault, the first few of them. */
extern void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Room for the text of an embedding of a table's. */
#define EMBEDDING_TEXT 1024

/* The text of the embedding that a seed stands for; NULL for a negative one. */
extern const char *embedding_of(int seed, int dims, char *buffer, size_t size);

/*---- threads: writer.c, reader.c, keeper.c ----*/

/* arg: the number of the thread, as an intptr_t */
extern void *writer_main(void *arg);
extern void *reader_main(void *arg);
extern void *keeper_main(void *arg);

/* Compare one table with the oracle, in a snapshot of its own; reader.c. */
extern void verify_table(session *s, int table);

#endif /* MM_STRESS_H */
