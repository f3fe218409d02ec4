/*-------------------------------------------------------------------------
 *
 * mmodal_load.c
 *	  mmodal-load: pictures and embeddings into a table, in bulk.
 *
 * See docs/loading.md, and loader.h for the threads.
 *
 *-------------------------------------------------------------------------
 */
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "loader.h"

static loader the_loader;
static worker workers[MAX_JOBS];

bool
loader_stopped(const loader *l)
{
	return atomic_load(&l->stop) != STOP_NONE;
}

/* Whoever stops it first says why. */
static bool
stop(loader *l, int why)
{
	int none = STOP_NONE;

	if (!atomic_compare_exchange_strong(&l->stop, &none, why))
		return false;
	queue_close(&l->queue, true);
	return true;
}

void
loader_fail(loader *l, const char *format, ...)
{
	va_list args;
	char *message = NULL;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	pthread_mutex_lock(&l->message_lock);
	if (stop(l, STOP_FAILED))
		l->failure = message;
	else
		free(message);
	pthread_mutex_unlock(&l->message_lock);
}

static void
start_thread(pthread_t *thread, void *(*function)(void *), void *argument)
{
	if (pthread_create(thread, NULL, function, argument) != 0)
		die("cannot start a thread");
}

static void
connect_workers(loader *l, PGconn *first, const char *password)
{
	for (int i = 0; i < l->options.jobs; i++)
	{
		worker *w = &workers[i];

		w->loader = l;
		w->seed = (unsigned) i;
		w->conn = i == 0 ? first : server_connect(&l->options, &password);
		w->cancel = PQgetCancel(w->conn);
	}
}

static void
start_workers(loader *l)
{
	atomic_store(&l->running, l->options.jobs);
	for (int i = 0; i < l->options.jobs; i++)
		start_thread(&workers[i].thread, worker_main, &workers[i]);
}

/* What runs is rolled back; a statement that starts meanwhile is met the next time. */
static void
cancel_statements(loader *l)
{
	char message[256];

	for (int i = 0; i < l->options.jobs; i++)
		if (atomic_load(&workers[i].busy) && workers[i].cancel != NULL)
			PQcancel(workers[i].cancel, message, sizeof(message));
}

/* The next signal ends the program as if there were no handling of it. */
static void
end_at_next_signal(const sigset_t *signals)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, signals, NULL);
}

/* Until the workers are done; signals are taken here and nowhere else. */
static void
watch(loader *l, const sigset_t *signals)
{
	static const struct timespec tick = {0, 50000000};
	int rounds = 0;

	while (atomic_load(&l->running) > 0)
	{
		int number = -1;

		if (loader_stopped(l))
			nanosleep(&tick, NULL);
		else
			number = sigtimedwait(signals, NULL, &tick);
		if (number > 0 && stop(l, number))
		{
			progress_message("stopping; another signal ends it at once");
			end_at_next_signal(signals);
		}
		if (loader_stopped(l) && rounds++ % 10 == 0)
			cancel_statements(l);
		progress_tick();
	}
}

static int
exit_code(loader *l)
{
	int why = atomic_load(&l->stop);

	if (why == STOP_FAILED)
		return 2;
	if (why != STOP_NONE)
		return 128 + why;
	return atomic_load(&l->counts.rejected) + atomic_load(&l->counts.rejected_before) > 0 ? 1 : 0;
}

static int
run(loader *l, const sigset_t *signals)
{
	pthread_t reader, counter;
	int code;

	queue_init(&l->queue, l->options.jobs + 1);
	pthread_mutex_init(&l->message_lock, NULL);
	progress_start(l);
	start_workers(l);
	start_thread(&reader, reader_main, l);
	start_thread(&counter, counter_main, l);
	watch(l, signals);
	for (int i = 0; i < l->options.jobs; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_join(reader, NULL);
	pthread_join(counter, NULL);
	code = exit_code(l);
	if (l->failure != NULL)
		progress_message(l->failure);
	progress_end(code);
	for (int i = 0; i < l->options.jobs; i++)
	{
		PQfreeCancel(workers[i].cancel);
		PQfinish(workers[i].conn);
	}
	return code;
}

int
main(int argc, char **argv)
{
	loader *l = &the_loader;
	const char *password = NULL;
	sigset_t signals;
	PGconn *conn;

	/* names in archives are in the character set of the locale */
	setlocale(LC_CTYPE, "");
	options_read(argc, argv, &l->options);
	signal(SIGPIPE, SIG_IGN);
	conn = server_connect(&l->options, &password);
	table_prepare(l, conn);
	if (l->options.resume)
		table_read_paths(l, conn);
	connect_workers(l, conn, password);
	/* from here on, they are taken by watch() */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return run(l, &signals);
}
