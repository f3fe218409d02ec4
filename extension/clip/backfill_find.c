/*-------------------------------------------------------------------------
 *
 * backfill_find.c
 *	  mmodal_embed_column: rows that are to be embedded, block range by block
 *	  range, so that a pass reads each block of the table once.
 *
 * The range is one of ctid, through the table that was named: so a partitioned
 * table gives the range of each of its partitions, and rights and policies are
 * those of the named table, as they are for an UPDATE of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "backfill.h"

void
backfill_execute(const char *sql, int n, Oid *types, Datum *values, const char *nulls)
{
	int result = SPI_execute_with_args(sql, n, types, values, nulls, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(result));
}

int
backfill_force_tid_scans(void)
{
	int guc_level = NewGUCNestLevel();

	set_config_option("enable_tidscan", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
					  false);
	return guc_level;
}

Datum
backfill_value(uint64 row, int column)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	if (isnull)
		elog(ERROR, "column %d of a row to embed is null", column);
	return value;
}

/* Take out those that failed before and are as they were. */
static int
drop_known(Backfill *b, BackfillPlace *places, int n)
{
	BackfillRow *rows = palloc0(sizeof(BackfillRow) * n);
	bool *known = palloc0(sizeof(bool) * n);
	int kept = 0;

	for (int i = 0; i < n; i++)
	{
		rows[i].xmin = DatumGetTransactionId(backfill_value(i, 3));
		rows[i].key = backfill_value(i, 4);
	}
	backfill_log_match(b, rows, known, n);
	for (int i = 0; i < n; i++)
	{
		if (!known[i])
			places[kept++] = places[i];
	}
	/* later passes meet those again, and what failed in this call besides */
	if (b->pass == 1)
		b->known += n - kept;
	pfree(rows);
	pfree(known);
	return kept;
}

BackfillPlace *
backfill_find(Backfill *b, BlockNumber from, BlockNumber to, int *n)
{
	const BackfillTarget *t = &b->target;
	bool look_up = b->has_log;
	Oid types[2] = {TIDOID, TIDOID};
	ItemPointerData bounds[2];
	Datum values[2] = {PointerGetDatum(&bounds[0]), PointerGetDatum(&bounds[1])};
	int guc_level = backfill_force_tid_scans();
	SPITupleTable *table;
	BackfillPlace *places;
	char *sql;

	ItemPointerSet(&bounds[0], from, InvalidOffsetNumber);
	ItemPointerSet(&bounds[1], to, InvalidOffsetNumber);
	sql = psprintf("SELECT t.tableoid, t.ctid%s%s FROM %s AS t "
				   "WHERE t.ctid OPERATOR(pg_catalog.>=) $1 AND t.ctid OPERATOR(pg_catalog.<) $2 "
				   "AND t.%s IS NULL AND %s IS NOT NULL",
				   look_up ? ", t.xmin, " : "", look_up ? t->key_sql : "", t->table, t->column_sql,
				   t->source_sql);
	backfill_execute(sql, 2, types, values, NULL);
	AtEOXact_GUC(true, guc_level);

	*n = (int) SPI_processed;
	table = SPI_tuptable;
	places = palloc(sizeof(BackfillPlace) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		places[i].table = DatumGetObjectId(backfill_value(i, 1));
		places[i].tid = *(ItemPointer) DatumGetPointer(backfill_value(i, 2));
	}
	if (look_up && *n > 0)
		*n = drop_known(b, places, *n);
	SPI_freetuptable(table);
	return places;
}
