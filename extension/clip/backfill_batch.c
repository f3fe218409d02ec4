/*-------------------------------------------------------------------------
 *
 * backfill_batch.c
 *	  mmodal_embed_column: a batch of rows, in a transaction of its own.
 *
 * A row is locked before its source is read, and stays so until its embedding
 * is committed: so no embedding is of an older source, and no two sessions
 * embed one row.  All of it is done in one subtransaction, which holds the
 * locks too (a lock of another transaction's than the update's would cost a
 * MultiXact a row).  When something raises, the rows are taken one by one, each
 * in a subtransaction, to find the row whose fault it is.
 *
 * What the encoder says of a picture or text raises nothing: it is collected.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "backfill.h"
#include "types/embedding.h"

/* What was done with some rows. */
typedef struct BatchResult
{
	Datum *embedded; /* keys */
	int nembedded;
	BackfillFailure *failures;
	int nfailures;
} BatchResult;

/* The row at work, for the context of errors and the log. */
typedef struct CurrentRow
{
	const Backfill *b;
	const BackfillRow *row; /* NULL: none in particular */
	SPIPlanPtr update;
} CurrentRow;

static char *
key_text(Datum key)
{
	Jsonb *jsonb = DatumGetJsonbP(key);

	return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
}

static void
add_row_context(void *arg)
{
	const CurrentRow *current = arg;

	if (current->row != NULL)
		errcontext("embedding row %s of table %s", clip_quoted(key_text(current->row->key)),
				   current->b->target.table);
}

static Datum
tid_array(const BackfillPlace *places, int n)
{
	Datum *tids = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		tids[i] = PointerGetDatum(&places[i].tid);
	return PointerGetDatum(
		construct_array(tids, n, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT));
}

/* Lock those of the rows that still are to be done, and read them. */
static BackfillRow *
lock_rows(Backfill *b, const BackfillPlace *places, int n, bool wait, int *found)
{
	const BackfillTarget *t = &b->target;
	Oid types[2] = {TIDARRAYOID, OIDOID};
	Datum values[2] = {tid_array(places, n), ObjectIdGetDatum(places[0].table)};
	BackfillRow *rows;
	int guc_level = backfill_force_tid_scans();

	backfill_execute(psprintf("SELECT t.tableoid, t.ctid, t.xmin, %s, %s FROM %s AS t "
							  "WHERE t.ctid OPERATOR(pg_catalog.=) ANY ($1) "
							  "AND t.tableoid OPERATOR(pg_catalog.=) $2 "
							  "AND t.%s IS NULL AND %s IS NOT NULL FOR NO KEY UPDATE%s",
							  t->key_sql, t->source_sql, t->table, t->column_sql, t->source_sql,
							  wait ? "" : " SKIP LOCKED"),
					 2, types, values, NULL);
	AtEOXact_GUC(true, guc_level);
	*found = (int) SPI_processed;
	rows = palloc(sizeof(BackfillRow) * Max(*found, 1));
	for (int i = 0; i < *found; i++)
	{
		rows[i].place.table = DatumGetObjectId(backfill_value(i, 1));
		rows[i].place.tid = *(ItemPointer) DatumGetPointer(backfill_value(i, 2));
		rows[i].xmin = DatumGetTransactionId(backfill_value(i, 3));
		/* outlives a subtransaction that fails */
		rows[i].key = datumCopy(backfill_value(i, 4), false, -1);
		rows[i].source = backfill_value(i, 5);
	}
	return rows;
}

/* A message as long as a log can bear. */
static const char *
clip_message(const char *s)
{
	size_t len = strlen(s);

	return pnstrdup(s, len <= 1000 ? len : pg_mbcliplen(s, (int) len, 1000));
}

static void
fail(BatchResult *result, const BackfillRow *row, int sqlstate, const char *message,
	 const char *detail)
{
	BackfillFailure *failure = &result->failures[result->nfailures++];

	failure->key = row->key;
	failure->xmin = row->xmin;
	failure->sqlstate = sqlstate;
	failure->message = clip_message(message);
	failure->detail = detail ? clip_message(detail) : NULL;
}

static float **
encode_rows(Backfill *b, const BackfillRow *rows, int n, mm_error *errors)
{
	Datum *values = palloc(sizeof(Datum) * n);
	ClipArray input = {.values = values, .nulls = palloc0(sizeof(bool) * n), .n = n};
	float **result;

	input.errors = errors;
	for (int i = 0; i < n; i++)
		values[i] = rows[i].source;
	/* sources are still where TOAST keeps them, and are read one by one */
	PushActiveSnapshot(GetTransactionSnapshot());
	result = clip_encode(clip_model_get(b->model), b->target.kind, &input, CLIP_COLLECT);
	PopActiveSnapshot();
	return result;
}

/* Write an embedding; whatever keeps it from being there afterwards raises. */
static void
update_row(Backfill *b, SPIPlanPtr plan, const BackfillRow *row, int dims, const float *embedding)
{
	Datum values[3];
	int result;
	bool isnull;
	bool left_null;

	values[0] = EmbeddingPGetDatum(embedding_make_float32(dims, embedding));
	values[1] = PointerGetDatum(&row->place.tid);
	values[2] = ObjectIdGetDatum(row->place.table);
	result = SPI_execute_plan(plan, values, NULL, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
	if (SPI_processed != 1 || SPI_tuptable == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION), errmsg("the row was not updated"),
				 errdetail("A trigger, a rule or a policy kept the embedding from it.")));
	left_null =
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (left_null)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("the row's embedding is null after the update"),
				 errdetail("A trigger sets it to null, also when the embedding itself is updated."),
				 errhint("Have the trigger fire on UPDATE OF the source column.")));
	pfree(DatumGetPointer(values[0]));
	SPI_freetuptable(SPI_tuptable);
}

static SPIPlanPtr
prepare_update(Backfill *b)
{
	const BackfillTarget *t = &b->target;
	Oid types[3] = {t->embedding, TIDOID, OIDOID};
	char *sql = psprintf("UPDATE %s AS t SET %s = $1 WHERE t.ctid OPERATOR(pg_catalog.=) $2 "
						 "AND t.tableoid OPERATOR(pg_catalog.=) $3 RETURNING t.%s IS NULL",
						 t->table, t->column_sql, t->column_sql);
	SPIPlanPtr plan = SPI_prepare(sql, 3, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	return plan;
}

/* Write embeddings[i] to rows[i]; where there is none, errors[i] tells why. */
static void
write_rows(Backfill *b, CurrentRow *current, float **embeddings, const mm_error *errors, int n,
		   BatchResult *result)
{
	const BackfillRow *rows = current->row;
	int dims = clip_model_info(clip_model_get(b->model))->dims;
	int guc_level = backfill_force_tid_scans();

	current->update = prepare_update(b);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		current->row = &rows[i];
		if (embeddings[i] != NULL)
		{
			update_row(b, current->update, &rows[i], dims, embeddings[i]);
			result->embedded[result->nembedded++] = rows[i].key;
		}
		else if (b->log_errors)
			fail(result, &rows[i], clip_error_sqlstate(&errors[i]), errors[i].message,
				 clip_error_detail(&errors[i], NULL));
		else
			clip_report(ERROR, &errors[i], NULL);
	}
	SPI_freeplan(current->update);
	current->update = NULL;
	AtEOXact_GUC(true, guc_level);
}

/* Embed rows, of which as many as locked tells were not held by others. */
static void
embed_rows(Backfill *b, const BackfillPlace *places, int n, CurrentRow *current,
		   BatchResult *result, int *locked)
{
	SPITupleTable *table;
	BackfillRow *rows = lock_rows(b, places, n, false, locked);
	mm_error *errors;
	float **embeddings;

	table = SPI_tuptable;
	if (*locked == 0)
	{
		SPI_freetuptable(table);
		return;
	}
	current->row = *locked == 1 ? rows : NULL;
	errors = palloc0(sizeof(mm_error) * *locked);
	embeddings = encode_rows(b, rows, *locked, errors);
	current->row = rows;
	write_rows(b, current, embeddings, errors, *locked, result);
	current->row = NULL;
	SPI_freetuptable(table);
}

/*
 * Is it nobody's row that is at fault?  Cancel and shutdown, conflicts with
 * other transactions, a full disk, damaged files and the like end the call.
 */
static bool
ends_the_call(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INVALID_TRANSACTION_STATE:
			return true;
	}
	return sqlstate == ERRCODE_LOCK_NOT_AVAILABLE || sqlstate == ERRCODE_INTERNAL_ERROR ||
		   sqlstate == ERRCODE_INDEX_CORRUPTED;
}

/*
 * embed_rows in a subtransaction.  False where something raised that may be a
 * row's fault: nothing was done then, and *error is what it was.
 */
static bool
try_rows(Backfill *b, const BackfillPlace *places, int n, CurrentRow *current, BatchResult *result,
		 int *locked, ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int nembedded = result->nembedded;
	int nfailures = result->nfailures;
	volatile bool done = false;

	*locked = 0;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		embed_rows(b, places, n, current, result, locked);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		*error = CopyErrorData();
		if (ends_the_call((*error)->sqlerrcode))
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		result->nembedded = nembedded;
		result->nfailures = nfailures;
		/* what was read went with the subtransaction, plans do not */
		if (current->update != NULL)
			SPI_freeplan(current->update);
		current->update = NULL;
	}
	PG_END_TRY();
	return done;
}

/* Rows one by one, after they failed together. */
static int
embed_one_by_one(Backfill *b, const BackfillPlace *places, int n, CurrentRow *current,
				 BatchResult *result)
{
	int all = 0;

	for (int i = 0; i < n; i++)
	{
		ErrorData *error;
		int locked;

		CHECK_FOR_INTERRUPTS();
		current->row = NULL;
		if (!try_rows(b, &places[i], 1, current, result, &locked, &error))
		{
			/* not even locked: that says nothing of the row */
			if (current->row == NULL)
				ReThrowError(error);
			fail(result, current->row, error->sqlerrcode,
				 error->message ? error->message : "missing error text", error->detail);
			locked = 1;
		}
		all += locked;
	}
	return all;
}

/* Rows in the transaction that is open; returns how many of them there were to be had. */
static int
embed_places(Backfill *b, const BackfillPlace *places, int n, BatchResult *result)
{
	CurrentRow current = {.b = b};
	ErrorContextCallback callback = {.callback = add_row_context, .arg = &current};
	int locked;
	ErrorData *error;

	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (!b->log_errors)
		embed_rows(b, places, n, &current, result, &locked);
	else if (!try_rows(b, places, n, &current, result, &locked, &error))
		locked = embed_one_by_one(b, places, n, &current, result);
	error_context_stack = callback.previous;
	return locked;
}

/* The end of a batch: what it did is told and committed with it. */
static void
finish(Backfill *b, const BatchResult *result, int missed)
{
	if (b->has_log && result->nembedded > 0)
		backfill_log_remove(b, result->embedded, result->nembedded);
	for (int i = 0; i < result->nfailures; i++)
		backfill_log_add(b, &result->failures[i]);
	b->has_log |= result->nfailures > 0;
	b->done += result->nembedded;
	b->failed += result->nfailures;
	b->missed += missed;
	backfill_progress(b, "embedding");
}

static BatchResult *
make_result(int n)
{
	BatchResult *result = palloc0(sizeof(BatchResult));

	result->embedded = palloc(sizeof(Datum) * n);
	result->failures = palloc(sizeof(BackfillFailure) * n);
	return result;
}

void
backfill_batch(Backfill *b, const BackfillPlace *places, int n)
{
	MemoryContext old;
	BatchResult *result;
	int locked;

	backfill_open(b);
	old = MemoryContextSwitchTo(b->work);
	result = make_result(n);
	locked = embed_places(b, places, n, result);
	finish(b, result, n - locked);
	MemoryContextSwitchTo(old);
	SPI_commit();
}

void
backfill_wait(Backfill *b, const BackfillPlace *place)
{
	MemoryContext old;
	int locked;

	backfill_progress(b, "waiting for a row");
	SPI_commit();
	backfill_open(b);
	old = MemoryContextSwitchTo(b->work);
	lock_rows(b, place, 1, true, &locked);
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(old);
	SPI_commit();
}
