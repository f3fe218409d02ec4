/*-------------------------------------------------------------------------
 *
 * backfill_log.c
 *	  mmodal_embed_column: the extension's own tables, of errors and progress.
 *
 * They belong to the extension's owner, and nobody else may write them: so the
 * statements here, and none but these, run as that owner.  Every name in them
 * has its schema.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "backfill.h"

#define LOG_TABLE "mmodal_embed_error_log"
#define RUN_TABLE "mmodal_embed_run"

#define MAX_PARAMETERS 14

/* A statement on one of our tables, with what it is about as $1 and $2. */
typedef struct OwnStatement
{
	int n;
	Oid types[MAX_PARAMETERS];
	Datum values[MAX_PARAMETERS];
	char nulls[MAX_PARAMETERS + 1];
} OwnStatement;

static void
add_parameter(OwnStatement *s, Oid type, Datum value)
{
	Assert(s->n < MAX_PARAMETERS);
	s->types[s->n] = type;
	s->values[s->n] = value;
	s->nulls[s->n++] = ' ';
}

static void
add_text(OwnStatement *s, const char *value)
{
	add_parameter(s, TEXTOID, value ? CStringGetTextDatum(value) : (Datum) 0);
	if (value == NULL)
		s->nulls[s->n - 1] = 'n';
}

static OwnStatement
about_column(const Backfill *b)
{
	OwnStatement s = {0};

	add_parameter(&s, OIDOID, ObjectIdGetDatum(b->target.relid));
	add_parameter(&s, INT2OID, Int16GetDatum(b->target.column));
	return s;
}

/* Run it as the owner of the table that name is; an error takes that back, too. */
static void
execute(const Backfill *b, const char *name, const char *format, OwnStatement *s)
{
	char *table = quote_qualified_identifier(get_namespace_name(b->schema), name);
	HeapTuple tuple =
		SearchSysCache2(RELNAMENSP, CStringGetDatum(name), ObjectIdGetDatum(b->schema));
	Oid owner;
	Oid caller;
	int security;
	StringInfoData sql;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table %s does not exist", table),
						errhint("Create the extension mmodal anew.")));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	/* %T is the table */
	initStringInfo(&sql);
	for (const char *p = format; *p; p++)
	{
		if (p[0] == '%' && p[1] == 'T')
		{
			appendStringInfoString(&sql, table);
			p++;
		}
		else
			appendStringInfoChar(&sql, *p);
	}
	GetUserIdAndSecContext(&caller, &security);
	SetUserIdAndSecContext(owner, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	backfill_execute(sql.data, s->n, s->types, s->values, s->nulls);
	SetUserIdAndSecContext(caller, security);
	pfree(sql.data);
}

#define OF_COLUMN "l.relid OPERATOR(pg_catalog.=) $1 AND l.attnum OPERATOR(pg_catalog.=) $2"

/* What failed with another source or model may do with this one. */
#define OF_SOURCE(source, model)                                                                   \
	"l.source OPERATOR(pg_catalog.=) " source " AND l.model OPERATOR(pg_catalog.=) " model

static void
add_source(const Backfill *b, OwnStatement *s)
{
	add_parameter(s, INT2OID, Int16GetDatum(b->target.source));
	add_parameter(s, TEXTOID, PointerGetDatum(b->model));
}

bool
backfill_log_exists(Backfill *b)
{
	OwnStatement s = about_column(b);
	bool exists;

	execute(b, LOG_TABLE, "SELECT FROM %T AS l WHERE " OF_COLUMN " LIMIT 1", &s);
	exists = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	return exists;
}

/* Places in the log that were met. */
static void
remember_seen(Backfill *b, uint64 n)
{
	MemoryContext old = MemoryContextSwitchTo(b->context);
	ArrayBuildState *build = initArrayResult(TIDOID, b->context, true);

	if (b->seen != NULL)
	{
		Datum *before;
		int nbefore;

		deconstruct_array(b->seen, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT, &before,
						  NULL, &nbefore);
		for (int i = 0; i < nbefore; i++)
			accumArrayResult(build, before[i], false, TIDOID, b->context);
	}
	for (uint64 i = 0; i < n; i++)
	{
		bool isnull;

		accumArrayResult(build,
						 SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull),
						 false, TIDOID, b->context);
	}
	if (b->seen != NULL)
		pfree(b->seen);
	b->seen = DatumGetArrayTypeP(makeArrayResult(build, b->context));
	MemoryContextSwitchTo(old);
}

void
backfill_log_match(Backfill *b, const BackfillRow *rows, bool *known, int n)
{
	OwnStatement s = about_column(b);
	Datum *keys = palloc(sizeof(Datum) * n);
	Datum *xmins = palloc(sizeof(Datum) * n);
	uint64 matched;

	for (int i = 0; i < n; i++)
	{
		keys[i] = rows[i].key;
		xmins[i] = TransactionIdGetDatum(rows[i].xmin);
	}
	add_parameter(&s, JSONBARRAYOID,
				  PointerGetDatum(construct_array(keys, n, JSONBOID, -1, false, TYPALIGN_INT)));
	add_parameter(&s, XIDARRAYOID,
				  PointerGetDatum(construct_array(xmins, n, XIDOID, sizeof(TransactionId), true,
												  TYPALIGN_INT)));
	/* to try again is to take no notice of what was before this call */
	add_parameter(&s, TIMESTAMPTZOID,
				  TimestampTzGetDatum(b->retry_failed ? b->started : DT_NOBEGIN));
	add_source(b, &s);
	execute(b, LOG_TABLE,
			"SELECT k.n, l.ctid FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4)) "
			"WITH ORDINALITY AS k (row_key, row_xmin, n) JOIN %T AS l ON " OF_COLUMN
			" AND l.row_hash OPERATOR(pg_catalog.=) "
			"pg_catalog.jsonb_hash_extended(k.row_key, 0::pg_catalog.int8) "
			"AND l.row_key OPERATOR(pg_catalog.=) k.row_key "
			"AND l.row_xmin OPERATOR(pg_catalog.=) k.row_xmin "
			"AND l.failed_at OPERATOR(pg_catalog.>=) $5 AND " OF_SOURCE("$6", "$7"),
			&s);
	matched = SPI_processed;
	for (uint64 i = 0; i < matched; i++)
	{
		bool isnull;
		int64 row =
			DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));

		known[row - 1] = true;
	}
	if (matched > 0)
		remember_seen(b, matched);
	SPI_freetuptable(SPI_tuptable);
}

void
backfill_log_remove(Backfill *b, Datum *keys, int n)
{
	OwnStatement s = about_column(b);

	add_parameter(&s, JSONBARRAYOID,
				  PointerGetDatum(construct_array(keys, n, JSONBOID, -1, false, TYPALIGN_INT)));
	execute(b, LOG_TABLE,
			"DELETE FROM %T AS l USING pg_catalog.unnest($3) AS k (row_key) WHERE " OF_COLUMN
			" AND l.row_hash OPERATOR(pg_catalog.=) "
			"pg_catalog.jsonb_hash_extended(k.row_key, 0::pg_catalog.int8) "
			"AND l.row_key OPERATOR(pg_catalog.=) k.row_key",
			&s);
}

void
backfill_log_add(Backfill *b, const BackfillFailure *failure)
{
	OwnStatement s = about_column(b);

	add_parameter(&s, JSONBOID, failure->key);
	add_parameter(&s, XIDOID, TransactionIdGetDatum(failure->xmin));
	add_parameter(&s, OIDOID, ObjectIdGetDatum(GetUserId()));
	add_text(&s, unpack_sql_state(failure->sqlstate));
	add_text(&s, failure->message);
	add_text(&s, failure->detail);
	add_source(b, &s);
	execute(b, LOG_TABLE,
			"INSERT INTO %T (relid, attnum, row_hash, row_key, row_xmin, role, sqlstate, message, "
			"detail, source, model, failed_at) VALUES ($1, $2, pg_catalog.jsonb_hash_extended($3, "
			"0::pg_catalog.int8), $3, $4, $5, $6, $7, $8, $9, $10, pg_catalog.clock_timestamp()) "
			"ON CONFLICT (relid, attnum, row_hash) DO UPDATE SET row_key = excluded.row_key, "
			"row_xmin = excluded.row_xmin, role = excluded.role, sqlstate = excluded.sqlstate, "
			"message = excluded.message, detail = excluded.detail, source = excluded.source, "
			"model = excluded.model, failed_at = excluded.failed_at",
			&s);
}

/*
 * Rows that were embedded or changed by other means, or deleted.  Who sees a part
 * of the table cannot tell them from those that are hidden, unless they were his.
 */
void
backfill_log_prune(Backfill *b)
{
	OwnStatement s = about_column(b);
	bool all = check_enable_rls(b->target.relid, InvalidOid, true) != RLS_ENABLED;

	add_parameter(&s, TIMESTAMPTZOID, TimestampTzGetDatum(b->started));
	add_parameter(&s, TIDARRAYOID,
				  PointerGetDatum(b->seen ? b->seen : construct_empty_array(TIDOID)));
	add_parameter(&s, BOOLOID, BoolGetDatum(all));
	add_parameter(&s, OIDOID, ObjectIdGetDatum(GetUserId()));
	add_source(b, &s);
	execute(b, LOG_TABLE,
			"DELETE FROM %T AS l WHERE " OF_COLUMN " AND l.failed_at OPERATOR(pg_catalog.<) $3 "
			"AND l.ctid OPERATOR(pg_catalog.<>) ALL ($4) "
			"AND ($5 OR l.role OPERATOR(pg_catalog.=) $6) AND " OF_SOURCE("$7", "$8"),
			&s);
}

/* Rows of tables and columns that are no more. */
#define COLUMN_IS_GONE                                                                             \
	"NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a "                                        \
	"WHERE a.attrelid OPERATOR(pg_catalog.=) l.relid AND a.attnum OPERATOR(pg_catalog.=) "         \
	"l.attnum AND NOT a.attisdropped)"

/* Whether a row is of a call that goes on; of our own session there is but ours. */
#define CALL_GOES_ON                                                                               \
	"EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS s "                                        \
	"WHERE s.pid OPERATOR(pg_catalog.=) l.pid "                                                    \
	"AND s.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid() "                               \
	"AND COALESCE(s.backend_start OPERATOR(pg_catalog.=) l.backend_start, true) "                  \
	"AND COALESCE(s.query_start OPERATOR(pg_catalog.=) l.query_start, true) "                      \
	"AND COALESCE(s.state OPERATOR(pg_catalog.=) ANY ('{active,disabled}'::pg_catalog.text[]), "   \
	"true))"

void
backfill_progress_begin(Backfill *b)
{
	OwnStatement s = about_column(b);
	OwnStatement none = {0};

	execute(b, LOG_TABLE, "DELETE FROM %T AS l WHERE " COLUMN_IS_GONE, &none);
	execute(b, RUN_TABLE,
			"DELETE FROM %T AS l WHERE " COLUMN_IS_GONE " OR " OF_COLUMN " AND NOT " CALL_GOES_ON,
			&s);
	add_parameter(&s, INT4OID, Int32GetDatum(MyProcPid));
	add_parameter(&s, TIMESTAMPTZOID, TimestampTzGetDatum(MyStartTimestamp));
	add_parameter(&s, TIMESTAMPTZOID, TimestampTzGetDatum(GetCurrentStatementStartTimestamp()));
	add_text(&s, b->source_name);
	add_parameter(&s, TEXTOID, PointerGetDatum(b->model));
	add_parameter(&s, TIMESTAMPTZOID, TimestampTzGetDatum(b->started));
	execute(b, RUN_TABLE,
			"INSERT INTO %T (relid, attnum, pid, backend_start, query_start, source, model, phase, "
			"rows_total, rows_done, rows_failed, rows_skipped, started, updated) "
			"VALUES ($1, $2, $3, $4, $5, $6::pg_catalog.name, $7, 'looking for rows', 0, 0, 0, 0, "
			"$8, $8)",
			&s);
	b->phase = "looking for rows";
	b->told = b->started;
}

void
backfill_progress(Backfill *b, const char *phase)
{
	OwnStatement s = about_column(b);

	b->phase = phase;
	b->told = GetCurrentTimestamp();
	b->total = Max(b->total, b->done + b->failed);
	add_parameter(&s, INT4OID, Int32GetDatum(MyProcPid));
	add_parameter(&s, TIMESTAMPTZOID, TimestampTzGetDatum(MyStartTimestamp));
	add_text(&s, phase);
	add_parameter(&s, INT8OID, Int64GetDatum(b->total));
	add_parameter(&s, INT8OID, Int64GetDatum(b->done));
	add_parameter(&s, INT8OID, Int64GetDatum(b->failed));
	add_parameter(&s, INT8OID, Int64GetDatum(b->known + b->missed));
	add_parameter(&s, TIMESTAMPTZOID, TimestampTzGetDatum(b->told));
	execute(b, RUN_TABLE,
			"UPDATE %T AS l SET phase = $5, rows_total = $6, rows_done = $7, rows_failed = $8, "
			"rows_skipped = $9, updated = $10 WHERE " OF_COLUMN
			" AND l.pid OPERATOR(pg_catalog.=) $3 AND l.backend_start OPERATOR(pg_catalog.=) $4",
			&s);
}
