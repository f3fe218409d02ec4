/*-------------------------------------------------------------------------
 *
 * options.c
 *	  The command line.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader.h"

#ifndef MMODAL_VERSION
#define MMODAL_VERSION "unknown"
#endif

static const char help[] =
	"mmodal-load loads pictures and embeddings into a PostgreSQL table.\n"
	"\n"
	"Usage:\n"
	"  mmodal-load [OPTION]... PATH...\n"
	"\n"
	"A PATH is a picture, a directory tree of pictures and tar shards, a manifest\n"
	"(CSV, TSV, JSON lines) with a column \"path\", a webdataset tar, an .npy array of\n"
	"vectors, or a folder that clip-retrieval wrote.\n"
	"\n"
	"Options:\n"
	"  -t, --table=TABLE    table to create or fill (default: picture)\n"
	"  -m, --model=MODEL    model that embeds (default: the server's mmodal.model)\n"
	"  -j, --jobs=N         connections that embed (default: CPUs here, at most 8)\n"
	"      --resume         skip paths that are loaded or rejected, without reading them\n"
	"      --retry-failed   try only what is in TABLE_rejects\n"
	"      --half           make the column embedding(N, half)\n"
	"      --no-photo       keep no pictures, only their embeddings\n"
	"      --format=FORMAT  what a PATH is when its name does not tell:\n"
	"                       image, manifest, tar, npy\n"
	"  -q, --quiet          no progress\n"
	"      --version        show the version, then exit\n"
	"  -?, --help           show this help, then exit\n"
	"\n"
	"Connection options:\n"
	"  -d, --dbname=DBNAME  database, or a conninfo string or URI\n"
	"  -h, --host=HOST      server's host or socket directory\n"
	"  -p, --port=PORT      server's port\n"
	"  -U, --username=NAME  user\n"
	"  -w, --no-password    never ask for a password\n"
	"  -W, --password       ask for a password first\n"
	"\n"
	"What could not be loaded is in TABLE_rejects.  Exit status: 0 all loaded, 1 some\n"
	"rejected, 2 usage, connection or another error that ended it, 130 or 143 stopped\n"
	"by a signal.\n";

static _Noreturn void
usage_error(const char *format, const char *argument)
{
	fputs("mmodal-load: ", stderr);
	fprintf(stderr, format, argument);
	fputs("\nTry \"mmodal-load --help\" for more information.\n", stderr);
	exit(2);
}

static int
number_of_jobs(const char *text)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || end == text || n < 1 || n > MAX_JOBS)
		usage_error("\"%s\" is not a number of jobs from 1 to 64", text);
	return (int) n;
}

enum
{
	OPTION_RESUME = 256,
	OPTION_RETRY,
	OPTION_HALF,
	OPTION_NO_PHOTO,
	OPTION_FORMAT,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{"table", required_argument, NULL, 't'},
	{"model", required_argument, NULL, 'm'},
	{"jobs", required_argument, NULL, 'j'},
	{"resume", no_argument, NULL, OPTION_RESUME},
	{"retry-failed", no_argument, NULL, OPTION_RETRY},
	{"half", no_argument, NULL, OPTION_HALF},
	{"no-photo", no_argument, NULL, OPTION_NO_PHOTO},
	{"format", required_argument, NULL, OPTION_FORMAT},
	{"quiet", no_argument, NULL, 'q'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, '?'},
	{"dbname", required_argument, NULL, 'd'},
	{"host", required_argument, NULL, 'h'},
	{"port", required_argument, NULL, 'p'},
	{"username", required_argument, NULL, 'U'},
	{"no-password", no_argument, NULL, 'w'},
	{"password", no_argument, NULL, 'W'},
	{NULL, 0, NULL, 0},
};

static void
set_option(options *o, int option)
{
	switch (option)
	{
		case 't':
			o->table = optarg;
			break;
		case 'm':
			o->model = optarg;
			break;
		case 'j':
			o->jobs = number_of_jobs(optarg);
			break;
		case OPTION_RESUME:
			o->resume = true;
			break;
		case OPTION_RETRY:
			o->retry_failed = true;
			break;
		case OPTION_HALF:
			o->half = true;
			break;
		case OPTION_NO_PHOTO:
			o->no_photo = true;
			break;
		case OPTION_FORMAT:
			o->format = optarg;
			break;
		case 'q':
			o->quiet = true;
			break;
		case 'd':
			o->dbname = optarg;
			break;
		case 'h':
			o->host = optarg;
			break;
		case 'p':
			o->port = optarg;
			break;
		case 'U':
			o->user = optarg;
			break;
		case 'w':
			o->never_prompt = true;
			break;
		case 'W':
			o->always_prompt = true;
			break;
	}
}

/* Every PATH has to be there and to be something, before anything is done. */
static void
look_at_paths(options *o)
{
	source_kind given = SOURCE_UNKNOWN;

	if (o->format != NULL && (given = source_kind_named(o->format)) == SOURCE_UNKNOWN)
		usage_error("there is no format \"%s\"", o->format);
	o->kinds = xmalloc(sizeof(source_kind) * (size_t) o->npaths);
	for (int i = 0; i < o->npaths; i++)
	{
		if (access(o->paths[i], F_OK) != 0)
			die("%s: %m", o->paths[i]);
		o->kinds[i] = source_kind_of(o->paths[i]);
		if (given != SOURCE_UNKNOWN && o->kinds[i] != SOURCE_TREE &&
			o->kinds[i] != SOURCE_EMBEDDINGS)
			o->kinds[i] = given;
		if (o->kinds[i] == SOURCE_UNKNOWN)
			usage_error("cannot tell what \"%s\" is; --format says it", o->paths[i]);
		o->has_pictures |= o->kinds[i] != SOURCE_NPY && o->kinds[i] != SOURCE_EMBEDDINGS;
	}
}

void
options_read(int argc, char **argv, options *o)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int option;

	*o = (options){.table = "picture", .jobs = cpus < 1 ? 1 : cpus > 8 ? 8 : (int) cpus};
	while ((option = getopt_long(argc, argv, "t:m:j:qd:h:p:U:wW?", long_options, NULL)) != -1)
	{
		if (option == OPTION_VERSION)
		{
			puts("mmodal-load " MMODAL_VERSION);
			exit(0);
		}
		if (option == '?')
		{
			/* what is unknown gives a question mark, too */
			if (strcmp(argv[optind - 1], "-?") != 0 && strcmp(argv[optind - 1], "--help") != 0)
				usage_error("wrong option%s", "");
			fputs(help, stdout);
			exit(0);
		}
		set_option(o, option);
	}
	if (optind == argc)
		usage_error("no PATH%s", "");
	o->paths = argv + optind;
	o->npaths = argc - optind;
	look_at_paths(o);
}
