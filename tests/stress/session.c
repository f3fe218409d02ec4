/*
 * session.c
 *		A connection with its random numbers, and what is thought of its errors.
 */
#include "stress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FAULTS_PRINTED 20

void
fault(const char *format, ...)
{
	static atomic_int printed;
	char line[1024];
	va_list args;

	if (atomic_fetch_add(&printed, 1) >= FAULTS_PRINTED)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	printf("# %s\n", line);
	fflush(stdout);
}

static void
quiet(void *arg, const char *message)
{
	(void) arg;
	(void) message;
}

session
session_open(const char *role, uint64_t number)
{
	session s = {.role = role, .random = the_run.seed * 1000003 + number * 7919 + 1};

	s.conn = PQconnectdb("application_name=mm-stress");
	if (PQstatus(s.conn) != CONNECTION_OK)
	{
		fprintf(stderr, "mm-stress: %s", PQerrorMessage(s.conn));
		exit(2);
	}
	PQsetNoticeProcessor(s.conn, quiet, NULL);
	for (int i = 0; i < 8; i++)
		pick(&s, 2);
	return s;
}

void
session_close(session *s)
{
	PQfinish(s->conn);
}

/* xorshift64* */
static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

int
pick(session *s, int n)
{
	return (int) ((next_random(&s->random) >> 33) % (uint64_t) n);
}

void
pause_up_to(session *s, int milliseconds)
{
	struct timespec t = {0, (long) pick(s, milliseconds * 1000) * 1000};

	nanosleep(&t, NULL);
}

/* Count a failure; print it unless it is one that may happen. */
static void
note_failure(session *s, PGresult *result, const char *sql, bool may_be_canceled)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	state = state ? state : "none";
	if (strcmp(state, "40001") == 0)
	{
		atomic_fetch_add(&the_run.serialization, 1);
		return;
	}
	if (may_be_canceled && strcmp(state, "57014") == 0)
	{
		atomic_fetch_add(&the_run.canceled, 1);
		return;
	}
	/* the transaction has failed before, and that was told */
	if (strcmp(state, "25P02") == 0)
		return;
	if (strcmp(state, "40P01") == 0)
		atomic_fetch_add(&the_run.deadlocks, 1);
	atomic_fetch_add(&the_run.errors, 1);
	fault("%s: %s: %s [%.200s]", s->role, state, PQerrorMessage(s->conn), sql);
	if (PQstatus(s->conn) != CONNECTION_OK)
	{
		/* nothing is sure any more */
		fault("%s: the connection is lost", s->role);
		exit(2);
	}
}

static bool
finish(session *s, PGresult *r, PGresult **result, const char *sql, bool may_be_canceled)
{
	ExecStatusType status = PQresultStatus(r);
	bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!ok)
		note_failure(s, r, sql, may_be_canceled);
	if (ok && result)
		*result = r;
	else
		PQclear(r);
	return ok;
}

bool
run_sql(session *s, PGresult **result, const char *sql)
{
	return finish(s, PQexec(s->conn, sql), result, sql, false);
}

bool
run_params(session *s, PGresult **result, const char *sql, int n, const char *const *params)
{
	return finish(s, PQexecParams(s->conn, sql, n, NULL, params, NULL, NULL, 0), result, sql,
				  false);
}

bool
run_format(session *s, PGresult **result, const char *format, ...)
{
	char sql[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(sql, sizeof(sql), format, args);
	va_end(args);
	return run_sql(s, result, sql);
}

bool
run_cancelable(session *s, const char *sql)
{
	return finish(s, PQexec(s->conn, sql), NULL, sql, true);
}

/* A point near one of 16 others, so that lists are of different sizes and change. */
const char *
embedding_of(int seed, int dims, char *buffer, size_t size)
{
	uint64_t own = (uint64_t) seed * 2654435761u + 17;
	uint64_t centre = (uint64_t) (seed % 16) * 97 + 5;
	size_t at = 0;

	if (seed < 0)
		return NULL;
	for (int i = 0; i < dims; i++)
	{
		double near = (double) (next_random(&own) >> 40) / (1 << 24) - 0.5;
		double far = (double) (next_random(&centre) >> 40) / (1 << 24) - 0.5;
		double value = seed == 0 ? 0 : 2 * far + 0.6 * near;

		at += (size_t) snprintf(buffer + at, size - at, "%c%.4g", i ? ',' : '[', value);
	}
	snprintf(buffer + at, size - at, "]");
	return buffer;
}
