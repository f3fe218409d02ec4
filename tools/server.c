/*-------------------------------------------------------------------------
 *
 * server.c
 *	  Connections, as psql makes them, and statements that must not fail.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "loader.h"

void
die(const char *format, ...)
{
	va_list args;

	fputs("mmodal-load: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

/* From the terminal, without echo; NULL where there is none. */
static char *
ask_password(void)
{
	FILE *tty = fopen("/dev/tty", "r+");
	struct termios was, quiet;
	char line[1024];
	bool got;

	if (tty == NULL || tcgetattr(fileno(tty), &was) != 0)
	{
		if (tty != NULL)
			fclose(tty);
		return NULL;
	}
	quiet = was;
	/* Ctrl-C is read, so that it cannot leave the terminal without echo */
	quiet.c_lflag &= ~(tcflag_t) (ECHO | ISIG);
	fputs("Password: ", tty);
	fflush(tty);
	tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
	got = fgets(line, sizeof(line), tty) != NULL;
	tcsetattr(fileno(tty), TCSAFLUSH, &was);
	fputc('\n', tty);
	fclose(tty);
	if (got && strchr(line, '\003') != NULL)
		exit(130);
	line[got ? strcspn(line, "\r\n") : 0] = '\0';
	return got ? xstrdup(line) : NULL;
}

/* Warnings of clip_embed_or_null are found out one by one, and recorded. */
static void
ignore_notice(void *context, const PGresult *result)
{
	(void) context;
	(void) result;
}

/* A later keyword overrides an earlier one, so that -d's conninfo goes last. */
static PGconn *
connect_once(const options *o, const char *password)
{
	const char *const keywords[] = {"host",
									"port",
									"user",
									"password",
									"dbname",
									"client_encoding",
									"fallback_application_name",
									NULL};
	const char *const values[] = {o->host,   o->port, o->user,       password,
								  o->dbname, "UTF8",  "mmodal-load", NULL};
	PGconn *conn = PQconnectdbParams(keywords, values, 1);

	if (conn == NULL)
		die("out of memory");
	PQsetNoticeReceiver(conn, ignore_notice, NULL);
	return conn;
}

PGconn *
server_connect(const options *o, const char **password)
{
	PGconn *conn;

	if (*password == NULL && o->always_prompt)
		*password = ask_password();
	conn = connect_once(o, *password);
	if (PQstatus(conn) != CONNECTION_OK && PQconnectionNeedsPassword(conn) && !o->never_prompt &&
		*password == NULL && (*password = ask_password()) != NULL)
	{
		PQfinish(conn);
		conn = connect_once(o, *password);
	}
	if (PQstatus(conn) != CONNECTION_OK)
	{
		char *message = PQerrorMessage(conn);
		size_t n = strlen(message);

		die("%.*s", (int) (n > 0 && message[n - 1] == '\n' ? n - 1 : n), message);
	}
	return conn;
}

PGresult *
server_query(PGconn *conn, const char *sql, int n, const char *const *values)
{
	PGresult *result = PQexecParams(conn, sql, n, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
	{
		const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
		const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
		const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

		die("%s%s%s%s%s", message != NULL ? message : PQerrorMessage(conn),
			detail != NULL ? "\ndetail: " : "", detail != NULL ? detail : "",
			hint != NULL ? "\nhint: " : "", hint != NULL ? hint : "");
	}
	return result;
}
