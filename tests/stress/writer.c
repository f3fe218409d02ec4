/*
 * writer.c
 *		A session that changes its own rows in transactions of every kind.
 */
#include "stress.h"

#include <stdio.h>

#define MAX_CHANGES 512

/* A change that the transaction in progress has made. */
typedef struct change
{
	int table, slot;
	version v;
} change;

typedef struct writer
{
	session s;
	int number;
	uint32_t txn; /* in progress */
	change changes[MAX_CHANGES];
	int nchanges;
	bool failed; /* it can only be rolled back */
} writer;

/* The row as the transaction in progress sees it. */
static version
current(const writer *w, int table, int slot)
{
	for (int i = w->nchanges - 1; i >= 0; i--)
	{
		if (w->changes[i].table == table && w->changes[i].slot == slot)
			return w->changes[i].v;
	}
	return oracle_at(w->number, table, slot, w->txn);
}

static void
note(writer *w, int table, int slot, version v)
{
	v.txn = w->txn;
	w->changes[w->nchanges++] = (change){table, slot, v};
}

/* Mostly points, some without a value or a direction. */
static int
new_seed(writer *w)
{
	int kind = pick(&w->s, 50);

	return kind == 0 ? -1 : kind == 1 ? 0 : 1 + pick(&w->s, 1000000);
}

/*
 * Send a command on one row with $1 id, $2 embedding, $3 n, $4 seed.
 */
static void
change_row(writer *w, const char *sql, int table, int slot, version v)
{
	char id[16], n[16], seed[16], e[EMBEDDING_TEXT];
	const char *params[4] = {id, embedding_of(v.seed, tables[table].dims, e, sizeof(e)), n, seed};
	char command[512];

	if (w->failed || w->nchanges == MAX_CHANGES)
		return;
	snprintf(id, sizeof(id), "%d", w->number * ID_STRIDE + slot);
	snprintf(n, sizeof(n), "%d", v.n);
	snprintf(seed, sizeof(seed), "%d", v.seed);
	snprintf(command, sizeof(command), sql, tables[table].name);
	if (run_params(&w->s, NULL, command, 4, params))
		note(w, table, slot, v);
	else
		w->failed = true;
}

#define TYPED "WITH p AS (SELECT $1::int AS id, $2::embedding AS e, $3::int AS n, $4::int AS seed) "

static void
change_one(writer *w, int table)
{
	int slot = pick(&w->s, the_run.slots);
	version v = current(w, table, slot);
	int kind = pick(&w->s, 10);

	if (!v.alive)
	{
		v = (version){.alive = true, .n = 0, .seed = new_seed(w)};
		change_row(w, TYPED "INSERT INTO %s SELECT * FROM p", table, slot, v);
	}
	else if (kind < 3)
	{
		v.n++;
		change_row(w, TYPED "UPDATE %s t SET n = p.n FROM p WHERE t.id = p.id", table, slot, v);
	}
	else if (kind < 6)
	{
		v.n++;
		v.seed = new_seed(w);
		change_row(w,
				   TYPED "UPDATE %s t SET e = p.e, n = p.n, seed = p.seed FROM p WHERE t.id = p.id",
				   table, slot, v);
	}
	else if (kind < 8)
	{
		v.alive = false;
		change_row(w, TYPED "DELETE FROM %s t USING p WHERE t.id = p.id", table, slot, v);
	}
	else
	{
		v.n++;
		v.seed = new_seed(w);
		change_row(w,
				   TYPED "INSERT INTO %s SELECT * FROM p ON CONFLICT (id) DO UPDATE"
						 " SET e = excluded.e, n = excluded.n, seed = excluded.seed",
				   table, slot, v);
	}
}

/* Several rows in a transaction, or in a part of it that may be rolled back. */
static void
change_some(writer *w, int depth)
{
	int table = pick(&w->s, ntables);
	int n = 1 + pick(&w->s, pick(&w->s, 4) ? 6 : 40);

	for (int i = 0; i < n && !w->failed; i++)
	{
		if (depth == 0 && pick(&w->s, 12) == 0)
		{
			int before = w->nchanges;

			w->failed |= !run_sql(&w->s, NULL, "SAVEPOINT a");
			change_some(w, 1);
			if (pick(&w->s, 2))
			{
				if (!run_sql(&w->s, NULL, "ROLLBACK TO a"))
					return;
				w->nchanges = before;
				w->failed = false;
			}
		}
		else
			change_one(w, pick(&w->s, 4) ? table : pick(&w->s, ntables));
	}
}

/* The oracle learns of the changes before the server makes them visible. */
static void
commit(writer *w)
{
	bool prepared = pick(&w->s, 20) == 0;
	char name[64];

	snprintf(name, sizeof(name), "PREPARE TRANSACTION 'w%d'", w->number);
	if (prepared && !run_sql(&w->s, NULL, name))
	{
		run_sql(&w->s, NULL, "ROLLBACK");
		return;
	}
	if (prepared)
		pause_up_to(&w->s, 30);
	for (int i = 0; i < w->nchanges; i++)
		oracle_add(w->number, w->changes[i].table, w->changes[i].slot, w->changes[i].v);
	atomic_store(&the_run.started[w->number], w->txn);
	snprintf(name, sizeof(name), prepared ? "COMMIT PREPARED 'w%d'" : "COMMIT", w->number);
	if (run_sql(&w->s, NULL, name))
	{
		atomic_store(&the_run.completed[w->number], w->txn);
		atomic_fetch_add(&the_run.transactions, 1);
		return;
	}
	for (int i = 0; i < w->nchanges; i++)
	{
		version newest = oracle_at(w->number, w->changes[i].table, w->changes[i].slot, w->txn);

		if (newest.txn == w->txn)
			oracle_undo(w->number, w->changes[i].table, w->changes[i].slot);
	}
}

static void
transaction(writer *w)
{
	int level = pick(&w->s, 10);

	w->txn++;
	w->nchanges = 0;
	w->failed = !run_format(&w->s, NULL, "BEGIN ISOLATION LEVEL %s",
							level < 7   ? "READ COMMITTED"
							: level < 9 ? "REPEATABLE READ"
										: "SERIALIZABLE");
	/* a serializable transaction that reads by an index can come to conflict */
	if (level == 9)
	{
		char e[EMBEDDING_TEXT];

		w->failed |= !run_format(
			&w->s, NULL, "SELECT id FROM %s ORDER BY e %s '%s' LIMIT 3", tables[0].name,
			tables[0].op, embedding_of(1 + pick(&w->s, 1000000), tables[0].dims, e, sizeof(e)));
	}
	change_some(w, 0);
	w->failed |=
		w->failed || !run_format(&w->s, NULL, "UPDATE progress SET txn = %u WHERE writer = %d",
								 w->txn, w->number);
	if (!w->failed && pick(&w->s, 8))
		commit(w);
	else
	{
		run_sql(&w->s, NULL, "ROLLBACK");
		atomic_fetch_add(&the_run.rolled_back, 1);
	}
}

void *
writer_main(void *arg)
{
	writer w = {.number = (int) (intptr_t) arg};

	w.s = session_open("writer", (uint64_t) w.number);
	while (!atomic_load(&the_run.stop))
	{
		transaction(&w);
		if (pick(&w.s, 20) == 0)
			pause_up_to(&w.s, 20);
	}
	session_close(&w.s);
	return NULL;
}
