/*-------------------------------------------------------------------------
 *
 * backfill.h
 *	  mmodal_embed_column: what its files share.
 *
 * A call is a sequence of transactions, a batch of rows each.  Nothing of the
 * table is taken over from one to the next but OIDs, column numbers and the
 * places of rows, all of which are looked at again: between two transactions
 * anybody may alter or drop it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MMODAL_BACKFILL_H
#define MMODAL_BACKFILL_H

#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/timestamp.h"

#include "clip.h"

/* Table and columns of a call. */
typedef struct BackfillTarget
{
	Oid relid;
	Oid embedding; /* the type */
	AttrNumber source;
	AttrNumber column;
	ClipKind kind;

	/* For SQL, with schema and quotes; good until the transaction's end. */
	char *table;
	char *source_sql;
	char *column_sql;
	char *key_sql; /* jsonb: primary key, or place, of the row t */
} BackfillTarget;

/* A row whose embedding is missing. */
typedef struct BackfillPlace
{
	Oid table; /* itself, or a partition of it */
	ItemPointerData tid;
} BackfillPlace;

/* A row that is being worked on. */
typedef struct BackfillRow
{
	BackfillPlace place;
	Datum key; /* jsonb */
	TransactionId xmin;
	Datum source;
} BackfillRow;

/* One that could not be embedded. */
typedef struct BackfillFailure
{
	Datum key;
	TransactionId xmin;
	int sqlstate;
	const char *message;
	const char *detail; /* may be NULL */
} BackfillFailure;

typedef struct Backfill
{
	MemoryContext context; /* of the call */
	MemoryContext work;    /* of a transaction */
	Oid schema;            /* of the extension */
	BackfillTarget target;
	text *model;
	const char *source_name;
	int batch;
	bool log_errors; /* or stop at the first */
	bool retry_failed;
	TimestampTz started;
	TimestampTz told; /* when others were told of progress */
	const char *phase;

	/* Whether the log has rows of the column, and those that were met again. */
	bool has_log;
	ArrayType *seen; /* tid[], places in the log */

	int64 done;
	int64 failed;
	int64 known;  /* left alone: they failed before and did not change */
	int64 missed; /* in this pass: locked by others, changed or done by them */
	int pass;
	int64 before;  /* what earlier passes did */
	int64 found;   /* in this pass, so far */
	int64 total;   /* all that is to do, as it looks now */
	double blocks; /* of the table, or of its largest partition */
} Backfill;

/*---- backfill_target.c ----*/

/*
 * Check that the caller may embed this table's column with the model, and find
 * out what it takes.  source and column are their names.
 */
extern void backfill_check(Backfill *b, Oid relid, const char *source, const char *column);

/* Begin a transaction: lock the table and check again; raises as above. */
extern void backfill_open(Backfill *b);

/* Blocks of the table, or of the largest of its partitions. */
extern BlockNumber backfill_blocks(const Backfill *b);

/*---- backfill_find.c ----*/

/* A column, from 1, of a row that SPI_tuptable has; raises where it is null. */
extern Datum backfill_value(uint64 row, int column);

/*
 * Have the planner go to rows by their places, not through the whole table to
 * find them, until AtEOXact_GUC(true, level) for the level that this returns.
 */
extern int backfill_force_tid_scans(void);

/* Rows to do in blocks from .. to - 1, of every partition; palloc'd. */
extern BackfillPlace *backfill_find(Backfill *b, BlockNumber from, BlockNumber to, int *n);

/*---- backfill_batch.c ----*/

/* Embed rows of one partition, wait for none that is locked, and commit. */
extern void backfill_batch(Backfill *b, const BackfillPlace *places, int n);

/* Wait until nobody else holds a row, in a transaction that holds no other. */
extern void backfill_wait(Backfill *b, const BackfillPlace *place);

/*---- backfill_log.c: the extension's own tables ----*/

/* Whether the log has errors of the column. */
extern bool backfill_log_exists(Backfill *b);

/* known[i] becomes true for rows that failed before and have not changed. */
extern void backfill_log_match(Backfill *b, const BackfillRow *rows, bool *known, int n);

extern void backfill_log_add(Backfill *b, const BackfillFailure *failure);
extern void backfill_log_remove(Backfill *b, Datum *keys, int n);

/* Forget errors from before the call of rows that were not met again. */
extern void backfill_log_prune(Backfill *b);

/* Say that the call begins: take the place of calls that ended. */
extern void backfill_progress_begin(Backfill *b);

/* Write how far it is. */
extern void backfill_progress(Backfill *b, const char *phase);

/* Run a statement that must not fail; SPI_tuptable has what it gives. */
extern void backfill_execute(const char *sql, int n, Oid *types, Datum *values, const char *nulls);

#endif /* MMODAL_BACKFILL_H */
