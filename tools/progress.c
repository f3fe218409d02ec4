/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  How far it is: a line that is drawn anew on a terminal, JSON lines on a
 *	  standard output that is none.
 *
 *-------------------------------------------------------------------------
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "loader.h"

#define BAR_SECONDS 0.1
#define JSON_SECONDS 2.0

typedef struct snapshot
{
	unsigned long loaded, duplicates, rejected, skipped, done, total;
	bool total_known;
	double elapsed, rate, eta; /* eta: negative when it is not known */
} snapshot;

static struct
{
	loader *loader;
	double started, drawn, written;
	bool on_terminal, json;
	pthread_mutex_t lock; /* of what is written to the terminal */
	bool bar_is_shown;
} progress = {.lock = PTHREAD_MUTEX_INITIALIZER};

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* Rate of what was worked on: what is skipped takes no time to speak of. */
static snapshot
look(void)
{
	counts *c = &progress.loader->counts;
	snapshot s = {
		.loaded = atomic_load(&c->loaded),
		.duplicates = atomic_load(&c->duplicates),
		.rejected = atomic_load(&c->rejected),
		.skipped = atomic_load(&c->skipped),
		.total = atomic_load(&c->total),
		.total_known = atomic_load(&c->total_known),
		.elapsed = seconds() - progress.started,
		.eta = -1,
	};
	unsigned long worked = s.loaded + s.duplicates + s.rejected;

	s.done = worked + s.skipped;
	if (s.elapsed > 0)
		s.rate = (double) worked / s.elapsed;
	if (s.total_known && s.done > s.total)
		s.total = s.done;
	if (s.total_known && s.rate > 0)
		s.eta = (double) (s.total - s.done) / s.rate;
	return s;
}

static void
format_time(double t, char *text, size_t size)
{
	long n = (long) (t + 0.5);

	if (t < 0)
		snprintf(text, size, "--:--");
	else if (n >= 3600)
		snprintf(text, size, "%ld:%02ld:%02ld", n / 3600, n / 60 % 60, n % 60);
	else
		snprintf(text, size, "%02ld:%02ld", n / 60, n % 60);
}

static void
draw(const snapshot *s)
{
	struct winsize window = {0};
	char eta[32], numbers[200], bar[64] = "";
	int columns = 80, room, n;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
		columns = window.ws_col;
	format_time(s->eta, eta, sizeof(eta));
	if (s->total_known)
		n = snprintf(numbers, sizeof(numbers), "%3.0f%% %lu/%lu",
					 s->total > 0 ? 100.0 * (double) s->done / (double) s->total : 100.0, s->done,
					 s->total);
	else
		n = snprintf(numbers, sizeof(numbers), "%lu/?", s->done);
	snprintf(numbers + n, sizeof(numbers) - (size_t) n, "  %.1f images/s  ETA %s  %lu failed",
			 s->rate, eta, s->rejected);
	room = columns - 1 - (int) strlen(numbers) - 3;
	if (s->total_known && room >= 10)
	{
		int width = room > 40 ? 40 : room;
		int filled =
			s->total > 0 ? (int) ((double) width * (double) s->done / (double) s->total) : width;

		bar[0] = '[';
		memset(bar + 1, '#', (size_t) filled);
		memset(bar + 1 + filled, '.', (size_t) (width - filled));
		memcpy(bar + 1 + width, "] ", 3);
	}
	fprintf(stderr, "\r%s%.*s\033[K", bar, columns - 1, numbers);
	fflush(stderr);
	progress.bar_is_shown = true;
}

static void
erase_bar(void)
{
	if (progress.bar_is_shown)
		fputs("\r\033[K", stderr);
	progress.bar_is_shown = false;
}

static void
write_json(const char *event, const snapshot *s, int exit_code)
{
	cJSON *line = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(line, "event", event);
	cJSON_AddNumberToObject(line, "done", (double) s->done);
	if (s->total_known)
		cJSON_AddNumberToObject(line, "total", (double) s->total);
	else
		cJSON_AddNullToObject(line, "total");
	cJSON_AddNumberToObject(line, "loaded", (double) s->loaded);
	cJSON_AddNumberToObject(line, "duplicates", (double) s->duplicates);
	cJSON_AddNumberToObject(line, "failed", (double) s->rejected);
	cJSON_AddNumberToObject(line, "skipped", (double) s->skipped);
	cJSON_AddNumberToObject(line, "elapsed", round(s->elapsed * 1000) / 1000);
	cJSON_AddNumberToObject(line, "rate", round(s->rate * 100) / 100);
	if (s->eta >= 0)
		cJSON_AddNumberToObject(line, "eta", round(s->eta));
	else
		cJSON_AddNullToObject(line, "eta");
	if (exit_code >= 0)
		cJSON_AddNumberToObject(line, "exit", exit_code);
	text = cJSON_PrintUnformatted(line);
	if (text != NULL)
		puts(text);
	fflush(stdout);
	free(text);
	cJSON_Delete(line);
}

void
progress_start(loader *l)
{
	progress.loader = l;
	progress.started = progress.written = seconds();
	progress.on_terminal = isatty(STDERR_FILENO) && !l->options.quiet;
	progress.json = !isatty(STDOUT_FILENO) && !l->options.quiet;
}

void
progress_tick(void)
{
	double now = seconds();
	snapshot s = look();

	pthread_mutex_lock(&progress.lock);
	if (progress.on_terminal && now - progress.drawn >= BAR_SECONDS)
	{
		draw(&s);
		progress.drawn = now;
	}
	if (progress.json && now - progress.written >= JSON_SECONDS)
	{
		write_json("progress", &s, -1);
		progress.written = now;
	}
	pthread_mutex_unlock(&progress.lock);
}

void
progress_message(const char *message)
{
	pthread_mutex_lock(&progress.lock);
	erase_bar();
	fprintf(stderr, "mmodal-load: %s\n", message);
	pthread_mutex_unlock(&progress.lock);
}

void
progress_end(int exit_code)
{
	snapshot s = look();
	char elapsed[32];

	pthread_mutex_lock(&progress.lock);
	if (progress.on_terminal)
		draw(&s);
	if (progress.on_terminal)
		fputc('\n', stderr);
	progress.bar_is_shown = false;
	format_time(s.elapsed, elapsed, sizeof(elapsed));
	if (progress.on_terminal)
		fprintf(stderr,
				"%lu loaded, %lu duplicates, %lu failed, %lu skipped in %s, %.1f images/s\n",
				s.loaded, s.duplicates, s.rejected, s.skipped, elapsed, s.rate);
	if (progress.json)
		write_json("summary", &s, exit_code);
	pthread_mutex_unlock(&progress.lock);
}
