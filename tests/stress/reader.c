/*
 * reader.c
 *		A session that compares, in one snapshot, what the index gives, what the
 *		table holds, and what the oracle says.
 */
#include "stress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The rows of a scan, by writer and slot. */
typedef struct found
{
	int times, n, seed;
} found;

typedef struct reader
{
	session s;
	int table;
	uint32_t txn[MAX_WRITERS]; /* the newest transaction of each writer in the snapshot */
	found *rows;
} reader;

static void
forget(reader *r)
{
	memset(r->rows, 0, sizeof(found) * (size_t) the_run.writers * (size_t) the_run.slots);
}

static void
take_rows(reader *r, const PGresult *result)
{
	for (int i = 0; i < PQntuples(result); i++)
	{
		int id = atoi(PQgetvalue(result, i, 0));
		found *f = &r->rows[id / ID_STRIDE * the_run.slots + id % ID_STRIDE];

		f->times++;
		f->n = atoi(PQgetvalue(result, i, 1));
		f->seed = atoi(PQgetvalue(result, i, 2));
	}
}

/* Hold a scan's rows against the oracle. */
static void
compare(const reader *r, const char *how)
{
	const char *name = tables[r->table].name;

	for (int writer = 0; writer < the_run.writers; writer++)
	{
		for (int slot = 0; slot < the_run.slots; slot++)
		{
			version v = oracle_at(writer, r->table, slot, r->txn[writer]);
			const found *f = &r->rows[writer * the_run.slots + slot];
			int id = writer * ID_STRIDE + slot;

			atomic_fetch_add(&the_run.rows, f->times);
			if (v.alive && f->times == 0)
			{
				atomic_fetch_add(&the_run.missing, 1);
				fault("%s by %s: row %d of transaction %u is missing", name, how, id, v.txn);
			}
			else if (!v.alive && f->times > 0)
			{
				atomic_fetch_add(&the_run.extra, 1);
				fault("%s by %s: row %d is there, n %d", name, how, id, f->n);
			}
			else if (f->times > 1)
			{
				atomic_fetch_add(&the_run.twice, 1);
				fault("%s by %s: row %d comes %d times", name, how, id, f->times);
			}
			else if (f->times > 0 && (f->n != v.n || f->seed != v.seed))
			{
				atomic_fetch_add(&the_run.stale, 1);
				fault("%s by %s: row %d has n %d, not %d", name, how, id, f->n, v.n);
			}
		}
	}
}

/* Take a snapshot, and learn which transactions it sees: all that are completed before. */
static bool
take_snapshot(reader *r)
{
	uint32_t before[MAX_WRITERS];
	PGresult *result;

	for (int w = 0; w < the_run.writers; w++)
		before[w] = atomic_load(&the_run.completed[w]);
	if (!run_sql(&r->s, NULL, "BEGIN ISOLATION LEVEL REPEATABLE READ") ||
		!run_sql(&r->s, &result, "SELECT writer, txn FROM progress"))
		return false;
	for (int i = 0; i < PQntuples(result); i++)
	{
		int w = atoi(PQgetvalue(result, i, 0));

		r->txn[w] = (uint32_t) strtoul(PQgetvalue(result, i, 1), NULL, 10);
		if (r->txn[w] < before[w] || r->txn[w] > atomic_load(&the_run.started[w]))
		{
			atomic_fetch_add(&the_run.stale, 1);
			fault("a snapshot sees transaction %u of writer %d, not %u to %u", r->txn[w], w,
				  before[w], atomic_load(&the_run.started[w]));
		}
	}
	PQclear(result);
	return true;
}

static bool
by_table(reader *r)
{
	return run_sql(&r->s, NULL,
				   "SET LOCAL enable_indexscan = off; SET LOCAL enable_seqscan = on; "
				   "SET LOCAL enable_sort = on");
}

static bool
by_index(reader *r, const char *recall)
{
	return run_format(&r->s, NULL,
					  "SET LOCAL enable_indexscan = on; SET LOCAL enable_seqscan = off; "
					  "SET LOCAL enable_sort = off; SET LOCAL mmodal.recall = %s",
					  recall);
}

/* Whether the plan is what is to be tested. */
static void
check_plan(reader *r, const char *query)
{
	PGresult *result;
	bool index = false;

	if (!run_format(&r->s, &result, "EXPLAIN %s", query))
		return;
	for (int i = 0; i < PQntuples(result); i++)
		index |= strstr(PQgetvalue(result, i, 0), "Order By:") != NULL;
	PQclear(result);
	atomic_fetch_add(&the_run.plans, 1);
	if (!index)
		atomic_fetch_add(&the_run.plans_without, 1);
}

/* Every row by the index, at once or by a cursor with others at work in between. */
static bool
read_index(reader *r, const char *probe)
{
	const table *t = &tables[r->table];
	char query[2600];
	PGresult *result;
	int got, most, pause;

	snprintf(query, sizeof(query), "SELECT id, n, seed FROM %s ORDER BY e %s '%s'", t->name, t->op,
			 probe);
	check_plan(r, query);
	if (pick(&r->s, 2))
	{
		if (!run_sql(&r->s, &result, query))
			return false;
		take_rows(r, result);
		PQclear(result);
		return true;
	}
	if (!run_format(&r->s, NULL, "DECLARE c CURSOR FOR %s", query))
		return false;
	/* vacuum may have gone over all of the index when the search reads on */
	most = 4;
	pause = pick(&r->s, 2) ? 20 : 900;
	do
	{
		if (!run_format(&r->s, &result, "FETCH %d FROM c", 1 + pick(&r->s, most)))
			return false;
		take_rows(r, result);
		got = PQntuples(result);
		PQclear(result);
		pause_up_to(&r->s, pause);
		most = 400;
		pause = 20;
	} while (got > 0);
	return run_sql(&r->s, NULL, "CLOSE c");
}

/* The k nearest at recall 1 must be as far away as those of the sorted table. */
static bool
compare_top(reader *r, const char *probe)
{
	const table *t = &tables[r->table];
	int k = 1 + pick(&r->s, 60);
	char query[4096];
	PGresult *exact, *result;
	bool same;

	snprintf(query, sizeof(query),
			 "SELECT (e %s '%s')::text FROM %s %s ORDER BY e %s '%s' LIMIT %d", t->op, probe,
			 t->name, pick(&r->s, 3) ? "" : "WHERE n % 3 = 0", t->op, probe, k);
	if (!by_table(r) || !run_sql(&r->s, &exact, query))
		return false;
	pause_up_to(&r->s, 10);
	if (!by_index(r, "1") || !run_sql(&r->s, &result, query))
	{
		PQclear(exact);
		return false;
	}
	same = PQntuples(exact) == PQntuples(result);
	for (int i = 0; same && i < PQntuples(exact); i++)
		same = PQgetisnull(exact, i, 0) == PQgetisnull(result, i, 0) &&
			   strcmp(PQgetvalue(exact, i, 0), PQgetvalue(result, i, 0)) == 0;
	PQclear(exact);
	PQclear(result);
	atomic_fetch_add(&the_run.top_compared, 1);
	if (!same)
	{
		atomic_fetch_add(&the_run.top_wrong, 1);
		fault("%s: other nearest rows than the table's: %.300s", t->name, query);
	}
	return true;
}

static bool
verify(reader *r)
{
	static const char *const recalls[] = {"0.5", "0.9", "0.99", "1"};
	const table *t = &tables[r->table];
	char probe[EMBEDDING_TEXT];
	PGresult *result;

	embedding_of(1 + pick(&r->s, 1000000), t->dims, probe, sizeof(probe));
	if (!take_snapshot(r))
		return false;
	pause_up_to(&r->s, 20);
	if (!by_table(r) || !run_format(&r->s, &result, "SELECT id, n, seed FROM %s", t->name))
		return false;
	forget(r);
	take_rows(r, result);
	PQclear(result);
	compare(r, "table");
	if (!by_index(r, recalls[pick(&r->s, 4)]))
		return false;
	forget(r);
	if (!read_index(r, probe))
		return false;
	compare(r, "index");
	for (int i = 0; i < 4; i++)
	{
		embedding_of(1 + pick(&r->s, 1000000), t->dims, probe, sizeof(probe));
		if (!compare_top(r, probe))
			return false;
	}
	atomic_fetch_add(&the_run.snapshots, 1);
	return true;
}

static void
verify_one(reader *r, int table)
{
	r->table = table;
	run_sql(&r->s, NULL, verify(r) ? "COMMIT" : "ROLLBACK");
}

static found *
make_rows(void)
{
	found *rows = calloc((size_t) the_run.writers * (size_t) the_run.slots, sizeof(found));

	if (rows == NULL)
		abort();
	return rows;
}

void
verify_table(session *s, int table)
{
	reader r = {.s = *s, .rows = make_rows()};

	verify_one(&r, table);
	free(r.rows);
}

void *
reader_main(void *arg)
{
	int number = (int) (intptr_t) arg;
	reader r = {.s = session_open("reader", 1000 + (uint64_t) number), .rows = make_rows()};

	while (!atomic_load(&the_run.stop))
		verify_one(&r, pick(&r.s, ntables));
	session_close(&r.s);
	free(r.rows);
	return NULL;
}
