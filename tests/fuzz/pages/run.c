/*
 * run.c
 *		One run: damage an index, work with it, put it back.
 */
#include "pages.h"

/* More memory than before, in kB, that no small index is a reason for. */
#define MUCH_MEMORY (128 * 1024)

/* Room for a statement: a query vector of 800 dimensions among them. */
#define SQL_SIZE 40000

/* Errors that were seen. */
#define MAX_ERRORS 200
static struct
{
	char message[120];
	uint64 count;
} errors[MAX_ERRORS];
static int nerrors;

/* The most memory that the backend had had, at its best run so far; 0: not known. */
static long memory_before;

/* Count an error by its words; numbers in it are all alike. */
static void
count_error(const char *message)
{
	char words[120];
	size_t n = 0;

	for (const char *p = message; *p && n + 1 < sizeof(words); p++)
	{
		if (p > message + 5 && *p >= '0' && *p <= '9')
		{
			if (words[n - 1] != 'N')
				words[n++] = 'N';
		}
		else
			words[n++] = *p;
	}
	words[n] = '\0';
	for (int i = 0; i < nerrors; i++)
	{
		if (strcmp(errors[i].message, words) == 0)
		{
			errors[i].count++;
			return;
		}
	}
	if (nerrors == MAX_ERRORS)
		return;
	memcpy(errors[nerrors].message, words, sizeof(words));
	errors[nerrors++].count = 1;
}

void
run_print_errors(void)
{
	for (int i = 0; i < nerrors; i++)
		printf("%10llu  %s\n", (unsigned long long) errors[i].count, errors[i].message);
}

static void
report(Fuzzer *fuzzer, const Variant *variant, const Mutation *mutation, const char *what,
	   const char *detail, const char *sql)
{
	fuzzer->tally.findings++;
	printf("FOUND %s: %s\n  %s\n  in: %.160s\n  case: %s ", what, detail, fuzzer->label, sql,
		   variant->name);
	if (mutation)
		mutation_print(stdout, &variant->image, mutation);
	printf("\n");
	fflush(stdout);
}

/* After a crash: the variant is made anew, and so are those that a crash empties. */
static void
begin_again(Fuzzer *fuzzer, Variant *variant)
{
	server_connect(&fuzzer->server);
	memory_before = 0;
	for (int i = 0; i < nvariants; i++)
	{
		if (&variants[i] != variant && !variants[i].unlogged)
			continue;
		variant_make(&fuzzer->server, &variants[i]);
		run_verify(fuzzer, &variants[i]);
	}
}

/* Run one statement and look at its end.  False where the backend is gone. */
static bool
try(Fuzzer *fuzzer, Variant *variant, const Mutation *mutation, const char *sql, Reply *reply)
{
	int warnings = fuzzer->server.warnings;
	Fault fault = server_run(&fuzzer->server, sql, reply);

	fuzzer->tally.statements++;
	if (fuzzer->verbose)
	{
		printf("  %.100s\n    -> %s", sql, reply->message[0] ? reply->message : reply->first);
		printf(" (%d rows)\n", reply->rows);
	}
	if (fault != NO_FAULT)
	{
		report(fuzzer, variant, mutation, fault == CRASH ? "crash" : "hang", "", sql);
		begin_again(fuzzer, variant);
		return false;
	}
	if (reply->outcome != ANSWER)
	{
		fuzzer->tally.refused++;
		count_error(reply->message);
	}
	if (reply->outcome == UNEXPECTED)
		report(fuzzer, variant, mutation, "error", reply->message, sql);
	if (fuzzer->server.warnings > warnings)
		report(fuzzer, variant, mutation, "warning", fuzzer->server.warning, sql);
	return true;
}

static bool
damage(Fuzzer *fuzzer, Variant *variant, const Mutation *mutation)
{
	static char sql[2 * BLCKSZ + 200];
	Reply reply;

	for (int i = 0; i < mutation->npokes; i++)
	{
		const Poke *poke = &mutation->pokes[i];
		int n = snprintf(sql, sizeof(sql), "SELECT test_poke('%s_idx', %d, %d, '\\x", variant->name,
						 poke->block, poke->offset);

		for (int byte = 0; byte < poke->length; byte++)
			n += snprintf(sql + n, sizeof(sql) - (size_t) n, "%02x", poke->bytes[byte]);
		snprintf(sql + n, sizeof(sql) - (size_t) n, "')");
		if (!try(fuzzer, variant, mutation, sql, &reply))
			return false;
	}
	if (mutation->truncate < 0)
		return true;
	snprintf(sql, sizeof(sql), "SELECT test_truncate('%s_idx', %d)", variant->name,
			 mutation->truncate);
	return try(fuzzer, variant, mutation, sql, &reply);
}

static void
restore(Fuzzer *fuzzer, Variant *variant, const Mutation *mutation)
{
	char sql[200];
	Reply reply;
	long memory;

	snprintf(sql, sizeof(sql), "SELECT test_restore('%s_idx')", variant->name);
	if (!try(fuzzer, variant, mutation, sql, &reply))
		return;
	memory = atol(reply.first);
	if (memory_before > 0 && memory > memory_before + MUCH_MEMORY)
		report(fuzzer, variant, mutation, "memory", reply.first, sql);
	/* The first runs load what a backend keeps. */
	if (memory_before == 0 || memory > memory_before)
		memory_before = memory;
}

/* Each does something of its own; @t is the variant, @o its operator, @q a query. */
static const char *const statements[] = {
	"SET mmodal.recall = 0.95; SELECT id FROM @t ORDER BY e @o @q",
	"SET mmodal.recall = 0.5; SELECT id FROM @t WHERE id % 3 = 0 ORDER BY e @o @q LIMIT 50",
	"SET mmodal.recall = 1; SELECT id FROM @t WHERE id % 7 = 0 ORDER BY e @o @q LIMIT 5",
	"SET mmodal.recall = 0.95; SELECT id FROM @t ORDER BY e @o (SELECT NULL::embedding)",
	"SET mmodal.recall = 0.95; SELECT id FROM @t ORDER BY e @o (SELECT @q - @q)",
	"SET mmodal.recall = 0.95; SET LOCAL mmodal.ivf_probes = 2;"
	" SELECT id FROM @t ORDER BY e @o @q LIMIT 100",
	"SET mmodal.recall = 0.95; SET LOCAL mmodal.max_scan_tuples = 50;"
	" SELECT id FROM @t ORDER BY e @o @q LIMIT 100",
	"SELECT * FROM mmodal_index_stats('@t_idx')",
	"SET mmodal.recall = 0.95; SELECT mmodal_recall('@t_idx', ARRAY[@q], 3)",
	"SET mmodal.recall = 1; SELECT mmodal_recall('@t_idx', ARRAY[@q], 3)",
	"BEGIN; DECLARE c CURSOR FOR SELECT id FROM @t ORDER BY e @o @q;"
	" FETCH 3 FROM c; FETCH 40 FROM c; CLOSE c; COMMIT",
	"SELECT test_insert('@t_idx', '(0,1)', @q)",
	"SELECT test_insert('@t_idx', '(0,2)', NULL::embedding)",
};

/* What changes much: the vacuum and insert of many rows, and a look at what they left. */
static const char *const changes[] = {
	"SELECT test_vacuum('@t_idx', 0)",
	"SELECT test_vacuum('@t_idx', 3)",
	"SELECT test_insert('@t_idx', ('(0,' || i || ')')::tid, @q)"
	" FROM generate_series(1, 60) i",
	"SELECT test_insert('@t_idx', ('(0,' || i || ')')::tid, NULL::embedding)"
	" FROM generate_series(1, 60) i",
	"SELECT test_vacuum('@t_idx', 2)",
	"SET mmodal.recall = 1; SELECT id FROM @t ORDER BY e @o @q",
	"SELECT mmodal_index_check('@t_idx')",
};

/* Put a variant's own in the place of words with @. */
static void
expand(const Variant *variant, const char *text, char *sql, size_t size)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++)
	{
		const char *word = NULL;

		if (*text == '@')
			word = text[1] == 't' ? variant->name : text[1] == 'o' ? variant->op : variant->query;
		if (word == NULL)
			sql[n++] = *text;
		else
		{
			n += (size_t) snprintf(sql + n, size - n, "%s", word);
			text++;
		}
	}
	sql[n < size ? n : size - 1] = '\0';
}

static bool
try_all(Fuzzer *fuzzer, Variant *variant, const Mutation *mutation, const char *const *list, int n,
		uint32 one_in)
{
	static char sql[SQL_SIZE];
	Reply reply;

	for (int i = 0; i < n; i++)
	{
		if (!fuzzer->everything && random_below(&fuzzer->random, one_in) != 0)
			continue;
		expand(variant, list[i], sql, sizeof(sql));
		if (!try(fuzzer, variant, mutation, sql, &reply))
			return false;
		/* A failed block of transaction stays open. */
		if (PQtransactionStatus(fuzzer->server.conn) != PQTRANS_IDLE &&
			!try(fuzzer, variant, mutation, "ROLLBACK", &reply))
			return false;
	}
	return true;
}

/* Does index_check see what an exact scan suffers from? */
static bool
check_and_scan(Fuzzer *fuzzer, Variant *variant, const Mutation *mutation)
{
	static char sql[SQL_SIZE];
	Tally *tally = &fuzzer->tally;
	Reply check;
	Reply exact;
	Reply searched;

	snprintf(sql, sizeof(sql), "SELECT mmodal_index_check('%s_idx')", variant->name);
	if (!try(fuzzer, variant, mutation, sql, &check))
		return false;
	variant_exact_sql(variant, sql, sizeof(sql));
	if (!try(fuzzer, variant, mutation, sql, &exact))
		return false;
	snprintf(sql, sizeof(sql),
			 "SET mmodal.recall = 0.95; SELECT id FROM %s ORDER BY e %s %s LIMIT 20", variant->name,
			 variant->op, variant->query);
	if (!try(fuzzer, variant, mutation, sql, &searched))
		return false;
	if (searched.outcome == ANSWER && searched.digest != variant->searched)
	{
		tally->searched++;
		if (check.outcome == ANSWER)
			tally->searched_undetected++;
	}
	if (exact.outcome != ANSWER)
		tally->stopped++;
	else if (exact.digest == variant->exact)
	{
		tally->harmless++;
		tally->false_alarms += check.outcome != ANSWER;
	}
	else
	{
		tally->changed++;
		if (check.outcome == ANSWER)
		{
			tally->undetected++;
			printf("undetected: %s ", variant->name);
			mutation_print(stdout, &variant->image, mutation);
			printf(" (%d of %d rows)\n", exact.rows, variant->exact_rows);
		}
	}
	if (exact.outcome != ANSWER && check.outcome == ANSWER)
	{
		tally->undetected++;
		printf("undetected: %s ", variant->name);
		mutation_print(stdout, &variant->image, mutation);
		printf(" (%s)\n", exact.message);
	}
	return true;
}

/* REINDEX mends every damage, and the index can be dropped. */
static bool
mend(Fuzzer *fuzzer, Variant *variant, const Mutation *mutation)
{
	static char sql[SQL_SIZE];
	Reply reply;

	snprintf(sql, sizeof(sql), "BEGIN; DROP INDEX %s_idx; ROLLBACK", variant->name);
	if (!try(fuzzer, variant, mutation, sql, &reply))
		return false;
	if (reply.outcome != ANSWER)
		report(fuzzer, variant, mutation, "no DROP", reply.message, sql);
	snprintf(sql, sizeof(sql), "REINDEX INDEX %s_idx", variant->name);
	if (!try(fuzzer, variant, mutation, sql, &reply))
		return false;
	if (reply.outcome != ANSWER)
		report(fuzzer, variant, mutation, "no REINDEX", reply.message, sql);
	snprintf(sql, sizeof(sql), "SELECT mmodal_index_check('%s_idx')", variant->name);
	if (!try(fuzzer, variant, mutation, sql, &reply))
		return false;
	if (reply.outcome != ANSWER)
		report(fuzzer, variant, mutation, "not mended", reply.message, sql);
	variant_exact_sql(variant, sql, sizeof(sql));
	if (!try(fuzzer, variant, mutation, sql, &reply))
		return false;
	if (reply.outcome != ANSWER || reply.rows != variant->exact_rows)
		report(fuzzer, variant, mutation, "not mended", reply.message, sql);
	fuzzer->tally.reindexed++;
	return true;
}

void
run_mutation(Fuzzer *fuzzer, Variant *variant, const Mutation *mutation)
{
	static const char *const rare[] = {
		"BEGIN; SELECT mmodal_calibrate('@t_idx', ARRAY[@q]); ROLLBACK"};

	fuzzer->tally.runs++;
	if (fuzzer->verbose)
	{
		printf("%s: %s ", fuzzer->label, variant->name);
		mutation_print(stdout, &variant->image, mutation);
		printf("\n");
	}
	if (!damage(fuzzer, variant, mutation) || !check_and_scan(fuzzer, variant, mutation) ||
		!try_all(fuzzer, variant, mutation, statements, lengthof(statements), 3) ||
		!try_all(fuzzer, variant, mutation, rare, lengthof(rare), 50))
		return;
	if ((fuzzer->everything || random_below(&fuzzer->random, 3) == 0) &&
		!try_all(fuzzer, variant, mutation, changes, lengthof(changes), 2))
		return;
	if ((fuzzer->everything || random_below(&fuzzer->random, 60) == 0) &&
		!mend(fuzzer, variant, mutation))
		return;
	restore(fuzzer, variant, mutation);
	if (fuzzer->everything || random_below(&fuzzer->random, 30) == 0)
		run_verify(fuzzer, variant);
}

void
run_verify(Fuzzer *fuzzer, Variant *variant)
{
	static char sql[SQL_SIZE];
	Reply reply;

	snprintf(sql, sizeof(sql), "SELECT mmodal_index_check('%s_idx')", variant->name);
	if (!try(fuzzer, variant, NULL, sql, &reply))
		return;
	if (reply.outcome != ANSWER)
		report(fuzzer, variant, NULL, "not restored", reply.message, sql);
	variant_exact_sql(variant, sql, sizeof(sql));
	if (!try(fuzzer, variant, NULL, sql, &reply))
		return;
	if (variant->exact == 0)
	{
		variant->exact = reply.digest;
		variant->exact_rows = reply.rows;
	}
	if (reply.outcome != ANSWER || reply.digest != variant->exact)
		report(fuzzer, variant, NULL, "not restored", reply.message, sql);
	snprintf(sql, sizeof(sql),
			 "SET mmodal.recall = 0.95; SELECT id FROM %s ORDER BY e %s %s LIMIT 20", variant->name,
			 variant->op, variant->query);
	if (!try(fuzzer, variant, NULL, sql, &reply))
		return;
	if (variant->searched == 0)
		variant->searched = reply.digest;
	snprintf(sql, sizeof(sql), "SELECT pg_relation_size('%s')", variant->name);
	if (!try(fuzzer, variant, NULL, sql, &reply))
		return;
	if (variant->table_size[0] == '\0')
		memcpy(variant->table_size, reply.first, sizeof(variant->table_size));
	if (strcmp(variant->table_size, reply.first) != 0)
		report(fuzzer, variant, NULL, "table changed", reply.first, sql);
	fuzzer->tally.restored++;
}
