/*-------------------------------------------------------------------------
 *
 * execute.c
 *	  A worker's statements.
 *
 *-------------------------------------------------------------------------
 */
#include "execute.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_ATTEMPTS 20

void
params_free(params *p)
{
	for (int i = 0; i < p->n; i++)
		buffer_free(&p->values[i]);
	p->n = 0;
}

/*
 * Errors that the next row would meet as well: no rights, no table, no model, a
 * full disk, a server that shuts down.  A statement_timeout is none of them.
 */
static bool
ends_the_run(const char *sqlstate)
{
	static const char *const codes[] = {"08", "25", "28", "3D", "3F",    "42",
										"53", "55", "57", "58", "XX001", "XX002"};

	/* a picture may take more memory than there is */
	if (strcmp(sqlstate, "57014") == 0 || strcmp(sqlstate, "53200") == 0)
		return false;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strncmp(sqlstate, codes[i], strlen(codes[i])) == 0)
			return true;
	return false;
}

/* Sessions that waited for each other should not meet again. */
static void
pause_before_attempt(worker *w, int attempt)
{
	long ms = 5 + rand_r(&w->seed) % (10 * (attempt + 1));

	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void
describe(PGconn *conn, const PGresult *result, problem *why)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	size_t n;

	if (message == NULL)
		message = PQerrorMessage(conn);
	set_problem(why, sqlstate != NULL ? sqlstate : "58000", "%s%s%s", message,
				detail != NULL ? "; " : "", detail != NULL ? detail : "");
	while ((n = strlen(why->reason)) > 0 && why->reason[n - 1] == '\n')
		why->reason[n - 1] = '\0';
}

/* What a failed statement means; *again: to run it once more. */
static outcome
judge(worker *w, const PGresult *result, int attempt, bool *again, problem *why)
{
	*again = false;
	if (loader_stopped(w->loader))
		return OUTCOME_STOPPED;
	describe(w->conn, result, why);
	if (PQstatus(w->conn) != CONNECTION_OK)
	{
		loader_fail(w->loader, "the connection to the server was lost: %s", why->reason);
		return OUTCOME_STOPPED;
	}
	if ((strcmp(why->sqlstate, "40P01") == 0 || strcmp(why->sqlstate, "40001") == 0) &&
		attempt < MAX_ATTEMPTS)
	{
		*again = true;
		pause_before_attempt(w, attempt);
	}
	else if (ends_the_run(why->sqlstate))
	{
		loader_fail(w->loader, "%s (SQLSTATE %s)", why->reason, why->sqlstate);
		return OUTCOME_STOPPED;
	}
	return OUTCOME_FAILED;
}

outcome
execute(worker *w, const char *sql, const params *p, PGresult **result, problem *why)
{
	const char *values[MAX_PARAMS];
	int sizes[MAX_PARAMS], formats[MAX_PARAMS];
	outcome o = OUTCOME_STOPPED;
	bool again = true;

	*result = NULL;
	for (int i = 0; i < p->n; i++)
	{
		values[i] = p->values[i].data;
		sizes[i] = (int) p->values[i].size;
		formats[i] = 1;
	}
	for (int attempt = 0; again && !loader_stopped(w->loader); attempt++)
	{
		PGresult *r;

		atomic_store(&w->busy, true);
		r = PQexecParams(w->conn, sql, p->n, p->types, values, sizes, formats, 1);
		atomic_store(&w->busy, false);
		if (PQresultStatus(r) == PGRES_TUPLES_OK || PQresultStatus(r) == PGRES_COMMAND_OK)
		{
			*result = r;
			return OUTCOME_DONE;
		}
		o = judge(w, r, attempt, &again, why);
		PQclear(r);
	}
	return loader_stopped(w->loader) ? OUTCOME_STOPPED : o;
}

outcome
execute_copy(worker *w, const char *sql, const buffer *rows, problem *why)
{
	outcome o = OUTCOME_STOPPED;
	bool again = true;

	for (int attempt = 0; again && !loader_stopped(w->loader); attempt++)
	{
		PGresult *r;
		bool good;

		atomic_store(&w->busy, true);
		r = PQexec(w->conn, sql);
		good = PQresultStatus(r) == PGRES_COPY_IN;
		if (good)
		{
			PQclear(r);
			good = PQputCopyData(w->conn, rows->data, (int) rows->size) == 1 &&
				   PQputCopyEnd(w->conn, NULL) == 1;
			r = PQgetResult(w->conn);
			good = good && PQresultStatus(r) == PGRES_COMMAND_OK;
		}
		o = OUTCOME_DONE;
		if (!good)
			o = judge(w, r, attempt, &again, why);
		PQclear(r);
		while ((r = PQgetResult(w->conn)) != NULL)
			PQclear(r);
		atomic_store(&w->busy, false);
		if (good)
			return OUTCOME_DONE;
	}
	return loader_stopped(w->loader) ? OUTCOME_STOPPED : o;
}
