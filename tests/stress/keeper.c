/*
 * keeper.c
 *		What owners do to a table meanwhile: vacuum, also cut short, building
 *		indexes anew, making and dropping them, calibrating and checking.
 *
 * One session a table does them one after the other: a check holds a snapshot
 * while it waits for a lock that REINDEX CONCURRENTLY holds, which waits for
 * that snapshot, and the server would have to end one of them.
 */
#include "stress.h"

#include <stdio.h>

static void
vacuum(session *s, const table *t)
{
	char sql[256];

	/* now and then in the middle of it */
	if (pick(s, 4) == 0)
		run_format(s, NULL, "SET statement_timeout = %d", 1 + pick(s, 60));
	snprintf(sql, sizeof(sql), "VACUUM (PARALLEL %d%s) %s", pick(s, 3),
			 pick(s, 3) ? "" : ", INDEX_CLEANUP on", t->name);
	run_cancelable(s, sql);
	run_sql(s, NULL, "SET statement_timeout = 0");
	atomic_fetch_add(&the_run.vacuums, 1);
}

/* A second index comes and goes. */
static void
change_second(session *s, const table *t, bool *there)
{
	if (*there)
		run_format(s, NULL, "DROP INDEX CONCURRENTLY %s_second", t->name);
	else
		run_format(s, NULL, "CREATE INDEX CONCURRENTLY %s_second ON %s USING faiss_ivf %s", t->name,
				   t->name, t->index);
	*there = !*there;
	atomic_fetch_add(&the_run.rebuilt, 1);
}

static void
keep(session *s, const table *t, bool *second)
{
	char probe[EMBEDDING_TEXT];
	int kind = pick(s, 20);

	if (kind < 13)
		vacuum(s, t);
	else if (kind < 15)
	{
		run_format(s, NULL, "REINDEX INDEX CONCURRENTLY %s_e", t->name);
		atomic_fetch_add(&the_run.rebuilt, 1);
	}
	else if (kind < 17)
		change_second(s, t, second);
	else if (kind < 18)
		run_format(s, NULL, "SELECT mmodal_calibrate('%s_e', ARRAY['%s'::embedding])", t->name,
				   embedding_of(1 + pick(s, 1000000), t->dims, probe, sizeof(probe)));
	else
	{
		run_format(s, NULL, "SELECT mmodal_index_check('%s_e')", t->name);
		atomic_fetch_add(&the_run.checks, 1);
	}
}

void *
keeper_main(void *arg)
{
	int number = (int) (intptr_t) arg;
	session s = session_open("keeper", 2000 + (uint64_t) number);
	bool second = false;

	while (!atomic_load(&the_run.stop))
	{
		keep(&s, &tables[number], &second);
		pause_up_to(&s, 150);
	}
	session_close(&s);
	return NULL;
}
