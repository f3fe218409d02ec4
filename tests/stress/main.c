/*
 * main.c
 *		Options, tables, threads, and the verdict: lines that begin with "ok" or
 *		"not ok", as TAP has them.
 *
 *	mm-stress [--seconds N] [--writers N] [--readers N] [--slots N] [--seed N]
 *
 * Connects as libpq's environment says, to a database that has the extension.
 */
#include "stress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const table tables[] = {
	{"s_refined", "embedding(32)", "(e embedding_cosine_ops) WITH (lists = 12)", "<=>", 32},
	{"s_compact", "embedding(48, half)", "(e embedding_l2_ops) WITH (codec = compact, lists = 6)",
	 "<->", 48},
	{"s_flat", "embedding(16)", "(e embedding_ip_ops) WITH (codec = flat)", "<#>", 16},
};
const int ntables = (int) (sizeof(tables) / sizeof(tables[0]));

run the_run = {.seconds = 15, .writers = 4, .readers = 3, .slots = 600};

static int checks, failures;

static void check(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
check(bool good, const char *format, ...)
{
	va_list args;

	printf("%sok %d - ", good ? "" : "not ", ++checks);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	failures += !good;
}

static void
read_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2)
	{
		const char *name = argv[i];
		long long value = i + 1 < argc ? atoll(argv[i + 1]) : -1;

		if (strcmp(name, "--seconds") == 0)
			the_run.seconds = (int) value;
		else if (strcmp(name, "--writers") == 0)
			the_run.writers = (int) value;
		else if (strcmp(name, "--readers") == 0)
			the_run.readers = (int) value;
		else if (strcmp(name, "--slots") == 0)
			the_run.slots = (int) value;
		else if (strcmp(name, "--seed") == 0)
			the_run.seed = (uint64_t) value;
		else
			value = -1;
		if (value < 0)
		{
			fprintf(stderr, "usage: mm-stress [--seconds N] [--writers N] [--readers N] "
							"[--slots N] [--seed N]\n");
			exit(2);
		}
	}
	if (the_run.writers > MAX_WRITERS || the_run.readers > MAX_WRITERS ||
		the_run.slots > ID_STRIDE || the_run.writers < 1 || the_run.slots < 1)
	{
		fprintf(stderr, "mm-stress: 1 to %d writers, 1 to %d slots\n", MAX_WRITERS, ID_STRIDE);
		exit(2);
	}
	if (the_run.seed == 0)
		the_run.seed = (uint64_t) time(NULL);
}

static void
make_tables(session *s)
{
	run_sql(s, NULL,
			"DROP TABLE IF EXISTS progress; CREATE TABLE progress (writer int PRIMARY KEY, "
			"txn int) WITH (fillfactor = 20)");
	run_format(s, NULL, "INSERT INTO progress SELECT i, 0 FROM generate_series(0, %d) i",
			   the_run.writers - 1);
	for (int i = 0; i < ntables; i++)
	{
		const table *t = &tables[i];

		run_format(
			s, NULL,
			"DROP TABLE IF EXISTS %s; CREATE TABLE %s (id int PRIMARY KEY, e %s, n int, "
			"seed int) WITH (fillfactor = 60, autovacuum_vacuum_threshold = 20, "
			"autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 50, "
			"autovacuum_vacuum_cost_delay = 0)",
			t->name, t->name, t->column);
	}
}

/* First rows of every writer, as its transaction 1: before the index, so that it is trained. */
static void
fill_tables(session *s)
{
	for (int t = 0; t < ntables; t++)
	{
		run_sql(s, NULL, "BEGIN");
		for (int w = 0; w < the_run.writers; w++)
		{
			for (int slot = 0; slot < the_run.slots; slot += 2)
			{
				version v = {.txn = 0, .alive = true, .seed = 1 + pick(s, 1000000)};
				char e[EMBEDDING_TEXT], sql[256], id[16], seed[16];
				const char *params[3] = {id, embedding_of(v.seed, tables[t].dims, e, sizeof(e)),
										 seed};

				snprintf(id, sizeof(id), "%d", w * ID_STRIDE + slot);
				snprintf(seed, sizeof(seed), "%d", v.seed);
				snprintf(sql, sizeof(sql), "INSERT INTO %s VALUES ($1, $2, 0, $3)", tables[t].name);
				if (run_params(s, NULL, sql, 3, params))
					oracle_add(w, t, slot, v);
			}
		}
		run_sql(s, NULL, "COMMIT");
		run_format(s, NULL, "CREATE INDEX %s_e ON %s USING faiss_ivf %s", tables[t].name,
				   tables[t].name, tables[t].index);
	}
}

static void
run_threads(void)
{
	pthread_t threads[3 * MAX_WRITERS];
	int n = 0;

	for (intptr_t i = 0; i < the_run.writers; i++)
		pthread_create(&threads[n++], NULL, writer_main, (void *) i);
	for (intptr_t i = 0; i < the_run.readers; i++)
		pthread_create(&threads[n++], NULL, reader_main, (void *) i);
	for (intptr_t i = 0; i < ntables; i++)
		pthread_create(&threads[n++], NULL, keeper_main, (void *) i);
	for (int i = 0; i < the_run.seconds * 10 && !atomic_load(&the_run.errors); i++)
		nanosleep(&(struct timespec){0, 100000000}, NULL);
	atomic_store(&the_run.stop, true);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

/* The only value of a query, as a number; -1 where it fails. */
static long
number_of(session *s, const char *sql)
{
	PGresult *result;
	long value;

	if (!run_sql(s, &result, sql))
		return -1;
	value = PQntuples(result) == 1 ? atol(PQgetvalue(result, 0, 0)) : -1;
	PQclear(result);
	return value;
}

/* What is left when all are done. */
static void
check_tables(session *s)
{
	char sql[512];

	for (int t = 0; t < ntables; t++)
	{
		const char *name = tables[t].name;
		long rows, checked, orphans;

		verify_table(s, t);
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", name);
		rows = number_of(s, sql);
		snprintf(sql, sizeof(sql), "SELECT mmodal_index_check('%s_e')", name);
		checked = number_of(s, sql);
		/* the second one too, if it is there */
		run_format(s, NULL,
				   "SELECT mmodal_index_check(oid) FROM pg_class WHERE relname = '%s_second'",
				   name);
		run_format(s, NULL, "VACUUM %s", name);
		verify_table(s, t);
		snprintf(sql, sizeof(sql), "SELECT orphan_pages FROM mmodal_index_stats('%s_e')", name);
		orphans = number_of(s, sql);
		check(checked == rows && rows >= 0, "%s: mmodal_index_check has seen all of %ld rows", name,
			  rows);
		check(orphans == 0, "%s: no page is lost", name);
	}
	check(number_of(s, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0 &&
			  number_of(s, "SELECT count(*) FROM pg_prepared_xacts") == 0,
		  "no invalid index and no prepared transaction is left");
}

static void
verdict(session *s)
{
	run *r = &the_run;
	long deadlocks =
		number_of(s, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");

	check(r->errors == 0 && r->transactions > 0,
		  "%ld transactions committed, %ld rolled back, %ld serialization failures, no other error",
		  r->transactions, r->rolled_back, r->serialization);
	check(r->deadlocks == 0 && deadlocks == 0, "no deadlock");
	check(r->vacuums > 0 && r->rebuilt > 0,
		  "meanwhile %ld vacuums (%ld canceled), %ld indexes made or dropped, %ld checked",
		  r->vacuums, r->canceled, r->rebuilt, r->checks);
	check(r->plans_without == 0 && r->plans > 0, "%ld scans are by the index", r->plans);
	check(r->snapshots > 0 && r->missing == 0, "%ld snapshots, %ld rows: none is missing",
		  r->snapshots, r->rows);
	check(r->twice == 0, "none comes twice");
	check(r->extra == 0, "none is of a transaction that the snapshot does not see");
	check(r->stale == 0, "all are the version that it sees");
	check(r->top_wrong == 0 && r->top_compared > 0,
		  "%ld searches at recall 1 find what the sorted table has", r->top_compared);
}

int
main(int argc, char **argv)
{
	session s;

	read_options(argc, argv);
	printf("# --seconds %d --writers %d --readers %d --slots %d --seed %llu\n", the_run.seconds,
		   the_run.writers, the_run.readers, the_run.slots, (unsigned long long) the_run.seed);
	fflush(stdout);
	s = session_open("main", 5000);
	oracle_init(the_run.writers, the_run.slots);
	make_tables(&s);
	fill_tables(&s);
	run_threads();
	check_tables(&s);
	verdict(&s);
	session_close(&s);
	printf("1..%d\n", checks);
	return failures > 0;
}
