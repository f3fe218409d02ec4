/*-------------------------------------------------------------------------
 *
 * backfill.c
 *	  mmodal_embed_column: embeds the rows of a table whose embedding is missing.
 *
 * A pass goes through the table once, range of blocks by range of blocks: it
 * notes the places of rows to do, and then has them done batch by batch, each
 * in a transaction of its own.  So the cost of finding rows is linear, no
 * snapshot is older than a batch, and a call that ends in the middle has lost a
 * batch and nothing else: what is done is told by the column itself.
 *
 * Rows that others hold are left for the next pass, and waited for in later
 * ones.  Several sessions at work on one table find the same places and take
 * each other's locked rows for that: none embeds a row twice.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "backfill.h"
#include "guc.h"

PG_FUNCTION_INFO_V1(mmodal_embed_column);

/*
 * Blocks whose rows are looked for at a time: few places to keep, and where
 * there is nothing to do, few statements.
 */
#define LEAST_RANGE 128
#define MOST_RANGE 1024

/* The first passes leave alone what is locked; after the last one it is left for good. */
#define FIRST_WAITING_PASS 3
#define MOST_PASSES 6

/* Others are told of the search for rows so often, in milliseconds. */
#define TELL_EVERY 1000

#define MAX_BATCH 10000

/* It commits: that has to be possible where it is called. */
static void
require_nonatomic(FunctionCallInfo fcinfo)
{
	bool atomic = true;

	if (fcinfo->context != NULL && IsA(fcinfo->context, CallContext))
		atomic = castNode(CallContext, fcinfo->context)->atomic;
	PreventCommandDuringRecovery("mmodal_embed_column()");
	if (atomic || IsSubTransaction())
		ereport(
			ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("mmodal_embed_column() cannot run inside a transaction block"),
			 errdetail("It commits after each batch."),
			 errhint("CALL it as a statement of its own: not between BEGIN and COMMIT, not from "
					 "a function, and not in a block with an EXCEPTION clause.")));
	PreventCommandIfReadOnly("mmodal_embed_column()");
}

static void
require_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument %s of mmodal_embed_column() must not be null", name)));
}

static bool
logs_errors(const char *on_error)
{
	if (strcmp(on_error, "log") == 0)
		return true;
	if (strcmp(on_error, "stop") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("on_error cannot be \"%s\"", clip_quoted(on_error)),
						errhint("It is \"log\" or \"stop\".")));
	return false;
}

/* A call's arguments, checked; everything of it is in a context of its own. */
static Backfill *
begin_call(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"relation", "source",   "target",      NULL,
										"batch",    "on_error", "retry_failed"};
	int most = Min(MAX_BATCH, mm_guc_max_batch);
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "mmodal_embed_column", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Backfill *b = palloc0(sizeof(Backfill));

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (names[i] != NULL)
			require_argument(fcinfo, i, names[i]);
	}
	b->context = context;
	b->work = AllocSetContextCreate(context, "mmodal_embed_column batch", ALLOCSET_DEFAULT_SIZES);
	b->schema = get_func_namespace(fcinfo->flinfo->fn_oid);
	b->source_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	b->model =
		cstring_to_text(PG_ARGISNULL(3) ? mm_guc_model : text_to_cstring(PG_GETARG_TEXT_PP(3)));
	b->batch = PG_GETARG_INT32(4);
	if (b->batch < 1 || b->batch > most)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("batch must be between 1 and %d", most)));
	b->log_errors = logs_errors(text_to_cstring(PG_GETARG_TEXT_PP(5)));
	b->retry_failed = PG_GETARG_BOOL(6);
	b->started = GetCurrentTimestamp();
	backfill_check(b, PG_GETARG_OID(0), b->source_name, text_to_cstring(PG_GETARG_TEXT_PP(2)));
	backfill_progress_begin(b);
	MemoryContextSwitchTo(old);
	return b;
}

/* Have rows done, which are in order of their partitions. */
static void
embed_places(Backfill *b, const BackfillPlace *places, int n, bool wait)
{
	for (int from = 0; from < n;)
	{
		int64 missed = b->missed;
		int to = from + 1;

		CHECK_FOR_INTERRUPTS();
		while (to < n && to - from < b->batch && places[to].table == places[from].table)
			to++;
		backfill_batch(b, &places[from], to - from);
		if (wait && b->missed - missed == to - from)
		{
			/* none of them was to be had */
			backfill_wait(b, &places[from]);
			b->missed = missed;
			backfill_batch(b, &places[from], to - from);
		}
		from = to;
	}
}

/* Rows of a range of blocks; returns how many there were. */
static int
embed_range(Backfill *b, MemoryContext context, BlockNumber from, BlockNumber to)
{
	int64 known = b->known;
	BackfillPlace *places;
	int n;

	MemoryContextReset(context);
	backfill_open(b);
	MemoryContextSwitchTo(context);
	/* another session may have had errors, which are ours no less */
	b->has_log = b->has_log || backfill_log_exists(b);
	places = backfill_find(b, from, to, &n);
	if (TimestampDifferenceExceeds(b->told, GetCurrentTimestamp(), TELL_EVERY))
		backfill_progress(b, "looking for rows");
	MemoryContextSwitchTo(b->context);
	SPI_commit();
	b->found += n + b->known - known;
	/* as if what was not looked at yet were like what was */
	b->total = b->before + (int64) (b->found * (b->blocks / to));
	embed_places(b, places, n, b->pass >= FIRST_WAITING_PASS);
	return n;
}

static void
run_pass(Backfill *b, int pass)
{
	MemoryContext old = MemoryContextSwitchTo(b->context);
	MemoryContext context =
		AllocSetContextCreate(b->context, "mmodal_embed_column range", ALLOCSET_DEFAULT_SIZES);
	BlockNumber range = LEAST_RANGE;
	BlockNumber blocks;

	backfill_open(b);
	blocks = backfill_blocks(b);
	SPI_commit();
	b->pass = pass;
	b->blocks = blocks;
	b->missed = 0;
	b->found = 0;
	b->before = b->done + b->failed + b->known;
	for (BlockNumber from = 0; from < blocks;)
	{
		BlockNumber to = from + Min(range, blocks - from);

		CHECK_FOR_INTERRUPTS();
		range = embed_range(b, context, from, to) > 0 ? LEAST_RANGE : Min(2 * range, MOST_RANGE);
		from = to;
	}
	MemoryContextDelete(context);
	MemoryContextSwitchTo(old);
}

/* whole: the first pass met every row that is to be done. */
static void
end_call(Backfill *b, bool whole)
{
	double seconds = (double) (GetCurrentTimestamp() - b->started) / USECS_PER_SEC;

	backfill_open(b);
	if (whole)
		backfill_log_prune(b);
	b->total = b->done + b->failed + b->known + b->missed;
	backfill_progress(b, "finished");
	SPI_commit();
	ereport(
		NOTICE,
		(errmsg("embedded " INT64_FORMAT " rows, " INT64_FORMAT " failed, " INT64_FORMAT
				" were skipped",
				b->done, b->failed, b->known + b->missed),
		 errdetail(INT64_FORMAT " failed before and have not changed, " INT64_FORMAT
								" were locked or changed by others; %.1f s, %.1f rows a second.",
				   b->known, b->missed, seconds, (b->done + b->failed) / Max(seconds, 0.000001)),
		 b->failed + b->known > 0 ? errhint("See the view mmodal_embed_errors.") : 0));
}

/*
 * CALL mmodal_embed_column(relation, source, target, model, batch, on_error, retry_failed)
 */
Datum
mmodal_embed_column(PG_FUNCTION_ARGS)
{
	Backfill *b;
	bool whole;

	require_nonatomic(fcinfo);
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect_ext failed");
	b = begin_call(fcinfo);
	SPI_commit();
	run_pass(b, 1);
	whole = b->missed == 0;
	for (int pass = 2; pass <= MOST_PASSES && b->missed > 0; pass++)
		run_pass(b, pass);
	end_call(b, whole);
	SPI_finish();
	PG_RETURN_VOID();
}
