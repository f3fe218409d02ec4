/*
 * server.c
 *		Statements, and what becomes of them.
 */
#include "pages.h"

#include <poll.h>
#include <time.h>

/* A statement that is not even cancelled after so long will not end. */
#define HANG_SECONDS 60

static void
note_warning(void *arg, const PGresult *result)
{
	Server *server = (Server *) arg;
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (severity == NULL || strcmp(severity, "WARNING") != 0)
		return;
	server->warnings++;
	snprintf(server->warning, sizeof(server->warning), "%s", message ? message : "");
}

void
server_connect(Server *server)
{
	for (int attempt = 0; attempt < 120; attempt++)
	{
		if (server->conn)
			PQfinish(server->conn);
		server->conn = PQconnectdb(server->conninfo);
		if (PQstatus(server->conn) == CONNECTION_OK)
		{
			PQsetNoticeReceiver(server->conn, note_warning, server);
			PQclear(server_must(server, "SET statement_timeout = '10s'; SET enable_seqscan = off; "
										"SET enable_sort = off; SET jit = off; "
										"SET client_min_messages = warning"));
			return;
		}
		nanosleep(&(struct timespec){.tv_nsec = 250000000}, NULL);
	}
	fprintf(stderr, "fuzz-pages: no server: %s", PQerrorMessage(server->conn));
	exit(2);
}

/* The last result of what was sent; NULL with *fault set. */
static PGresult *
wait_for_result(Server *server, Fault *fault)
{
	time_t end = time(NULL) + HANG_SECONDS;
	PGresult *last = NULL;

	*fault = NO_FAULT;
	for (;;)
	{
		PGresult *result;

		while (PQisBusy(server->conn))
		{
			struct pollfd wait = {.fd = PQsocket(server->conn), .events = POLLIN};

			if (poll(&wait, 1, 1000) < 0 && errno != EINTR)
				break;
			if (!PQconsumeInput(server->conn))
				break;
			if (time(NULL) > end)
			{
				*fault = HANG;
				PQclear(last);
				return NULL;
			}
		}
		result = PQgetResult(server->conn);
		if (result == NULL)
			break;
		/* An error ends all statements of the string. */
		PQclear(last);
		last = result;
	}
	if (last == NULL || PQstatus(server->conn) == CONNECTION_BAD)
	{
		*fault = CRASH;
		PQclear(last);
		return NULL;
	}
	return last;
}

static uint64
digest_of(const PGresult *result)
{
	uint64 digest = UINT64CONST(0xcbf29ce484222325);

	for (int row = 0; row < PQntuples(result); row++)
	{
		for (int column = 0; column < PQnfields(result); column++)
		{
			for (const char *p = PQgetvalue(result, row, column); *p; p++)
				digest = (digest ^ (unsigned char) *p) * UINT64CONST(0x100000001b3);
			digest = (digest ^ 0xff) * UINT64CONST(0x100000001b3);
		}
	}
	return digest;
}

/*
 * Whether an error is one that damage may raise: our own, core's for a block
 * that is not there, or its executor's where distances are not what bounds said.
 */
static bool
is_expected(const char *state, const char *message)
{
	if (strcmp(state, "XX002") == 0 || strcmp(state, "XX001") == 0)
		return true;
	if (strcmp(state, "0A000") == 0)
		return strstr(message, "has format version") != NULL;
	if (strcmp(state, "XX000") == 0)
		return strcmp(message, "index returned tuples in wrong order") == 0;
	return false;
}

Fault
server_run(Server *server, const char *sql, Reply *reply)
{
	PGresult *result;
	Fault fault;
	ExecStatusType status;

	memset(reply, 0, sizeof(*reply));
	if (!PQsendQuery(server->conn, sql))
		return CRASH;
	result = wait_for_result(server, &fault);
	if (result == NULL)
		return fault;
	status = PQresultStatus(result);
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
	{
		reply->outcome = ANSWER;
		reply->rows = PQntuples(result);
		reply->digest = digest_of(result);
		if (reply->rows > 0 && PQnfields(result) > 0)
			snprintf(reply->first, sizeof(reply->first), "%s", PQgetvalue(result, 0, 0));
	}
	else
	{
		const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

		if (state == NULL || strncmp(state, "57P0", 4) == 0)
		{
			PQclear(result);
			return CRASH;
		}
		reply->outcome = is_expected(state, message) ? REFUSED : UNEXPECTED;
		snprintf(reply->message, sizeof(reply->message), "%s: %s", state, message);
	}
	PQclear(result);
	return NO_FAULT;
}

PGresult *
server_must(Server *server, const char *sql)
{
	PGresult *result = PQexec(server->conn, sql);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
	{
		fprintf(stderr, "fuzz-pages: %.300s\n%s", sql, PQerrorMessage(server->conn));
		exit(2);
	}
	return result;
}
