/*
 * main.c
 *		fuzz-pages: damages the pages of indexes until the time is up.
 *
 *	fuzz_pages CONNINFO --seconds N | --runs N [--seed S] [--first RUN] [--variant NAME] [--go-on] [--verbose]
 *	fuzz_pages CONNINFO --cases FILE [--verbose]	kept cases; before the others where both are asked for
 *
 * Exits 0 where nothing was found, 1 where something was, 2 where it could not work.
 */
#include "pages.h"

#include <getopt.h>
#include <sys/time.h>
#include <time.h>

/* Findings after which it is no use to go on. */
#define ENOUGH_FINDINGS 40

typedef struct Options
{
	int seconds;
	uint64 runs;
	uint64 seed;
	uint64 first;
	const char *variant;
	const char *cases;
	bool go_on; /* however much is found */
} Options;

static const char setup_sql[] =
	"CREATE EXTENSION IF NOT EXISTS mmodal;"
	"CREATE OR REPLACE FUNCTION test_get_page(regclass, int) RETURNS bytea LANGUAGE c STRICT AS "
	"'$libdir/test_pages';"
	"CREATE OR REPLACE FUNCTION test_poke(regclass, int, int, bytea) RETURNS void LANGUAGE c "
	"STRICT AS '$libdir/test_pages';"
	"CREATE OR REPLACE FUNCTION test_truncate(regclass, int) RETURNS void LANGUAGE c STRICT AS "
	"'$libdir/test_pages';"
	"CREATE OR REPLACE FUNCTION test_save(regclass) RETURNS int LANGUAGE c STRICT AS "
	"'$libdir/test_pages';"
	"CREATE OR REPLACE FUNCTION test_restore(regclass) RETURNS bigint LANGUAGE c STRICT AS "
	"'$libdir/test_pages';"
	"CREATE OR REPLACE FUNCTION test_insert(regclass, tid, embedding) RETURNS void LANGUAGE c AS "
	"'$libdir/test_pages';"
	"CREATE OR REPLACE FUNCTION test_vacuum(regclass, int) RETURNS float8 LANGUAGE c STRICT AS "
	"'$libdir/test_pages';"
	/* Something like an embedding, from a number; zeros from 0. */
	"CREATE OR REPLACE FUNCTION vec(i int, dims int) RETURNS embedding LANGUAGE sql IMMUTABLE AS $$"
	" SELECT array_agg(CASE WHEN i = 0 THEN 0 ELSE sin(i * (j + 1) * 0.7) + sin(i % 17 * j) "
	"END)::float8[]::embedding"
	" FROM generate_series(1, dims) j $$";

static uint64
seed_of_clock(void)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	return (uint64) now.tv_sec * 1000000 + (uint64) now.tv_usec;
}

static void
usage(void)
{
	fprintf(stderr, "usage: fuzz_pages CONNINFO [--seconds N] [--runs N] [--seed S] [--first RUN]"
					" [--variant NAME] [--cases FILE] [--go-on] [--verbose]\n");
	exit(2);
}

static void
parse_options(int argc, char **argv, Fuzzer *fuzzer, Options *options)
{
	static const struct option names[] = {{"seconds", required_argument, NULL, 's'},
										  {"runs", required_argument, NULL, 'r'},
										  {"seed", required_argument, NULL, 'S'},
										  {"first", required_argument, NULL, 'f'},
										  {"variant", required_argument, NULL, 'v'},
										  {"cases", required_argument, NULL, 'c'},
										  {"verbose", no_argument, NULL, 'V'},
										  {"go-on", no_argument, NULL, 'g'},
										  {NULL, 0, NULL, 0}};
	int c;

	options->seed = seed_of_clock();
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
	{
		switch (c)
		{
			case 's':
				options->seconds = atoi(optarg);
				break;
			case 'r':
				options->runs = strtoull(optarg, NULL, 10);
				break;
			case 'S':
				options->seed = strtoull(optarg, NULL, 10);
				break;
			case 'f':
				options->first = strtoull(optarg, NULL, 10);
				break;
			case 'v':
				options->variant = optarg;
				break;
			case 'c':
				options->cases = optarg;
				break;
			case 'g':
				options->go_on = true;
				break;
			case 'V':
				fuzzer->verbose = true;
				break;
			default:
				usage();
		}
	}
	if (optind != argc - 1)
		usage();
	fuzzer->server.conninfo = argv[optind];
	if (options->seconds == 0 && options->runs == 0 && options->cases == NULL)
		options->seconds = 30;
}

static void
make_variants(Fuzzer *fuzzer, const Options *options)
{
	int kept = 0;

	for (int i = 0; i < nvariants; i++)
	{
		if (options->variant && strcmp(variants[i].name, options->variant) != 0)
			continue;
		variants[kept++] = variants[i];
	}
	nvariants = kept;
	if (kept == 0)
		usage();
	for (int i = 0; i < nvariants; i++)
	{
		variant_make(&fuzzer->server, &variants[i]);
		run_verify(fuzzer, &variants[i]);
	}
}

static void
fuzz(Fuzzer *fuzzer, const Options *options)
{
	time_t end = time(NULL) + options->seconds;
	static Mutation mutation;

	printf("seed %llu\n", (unsigned long long) options->seed);
	fflush(stdout);
	for (uint64 run = options->first;; run++)
	{
		Variant *variant;

		if (fuzzer->tally.findings >= ENOUGH_FINDINGS && !options->go_on)
			break;
		if (options->runs > 0 ? run >= options->first + options->runs : time(NULL) >= end)
			break;
		/* Each run has numbers of its own, so that it can be repeated alone. */
		fuzzer->random.state = options->seed + run * UINT64CONST(0xd1342543de82ef95);
		variant = &variants[random_below(&fuzzer->random, (uint32) nvariants)];
		mutation_make(&fuzzer->random, &variant->image, &mutation);
		snprintf(fuzzer->label, sizeof(fuzzer->label), "--seed %llu --first %llu --runs 1",
				 (unsigned long long) options->seed, (unsigned long long) run);
		run_mutation(fuzzer, variant, &mutation);
	}
}

/* Cases kept: a line has a variant's name and a mutation. */
static void
replay(Fuzzer *fuzzer, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[4000];
	static Mutation mutation;

	if (file == NULL)
	{
		perror(path);
		exit(2);
	}
	fuzzer->everything = true;
	for (int number = 1; fgets(line, sizeof(line), file); number++)
	{
		size_t word;

		line[strcspn(line, "\n")] = '\0';
		word = strcspn(line, " ");
		if (word == 0 || line[0] == '#')
			continue;
		snprintf(fuzzer->label, sizeof(fuzzer->label), "line %d", number);
		for (int i = 0; i < nvariants; i++)
		{
			if (strlen(variants[i].name) != word || strncmp(variants[i].name, line, word) != 0)
				continue;
			mutation_parse(line + word + 1, &variants[i].image, &mutation);
			run_mutation(fuzzer, &variants[i], &mutation);
		}
	}
	fclose(file);
	fuzzer->everything = false;
}

static void
print_tally(const Tally *t)
{
	uint64 harmful = t->changed + t->stopped;

	printf("\nerrors:\n");
	run_print_errors();
	printf("\n%llu runs, %llu statements, %llu of them refused\n", (unsigned long long) t->runs,
		   (unsigned long long) t->statements, (unsigned long long) t->refused);
	printf("an exact scan gave: the same %llu times, an error %llu, other rows %llu\n",
		   (unsigned long long) t->harmless, (unsigned long long) t->stopped,
		   (unsigned long long) t->changed);
	printf("mmodal_index_check did not see %llu of %llu that harmed it (%.2f%% seen);"
		   " it also saw %llu that did not\n",
		   (unsigned long long) t->undetected, (unsigned long long) harmful,
		   harmful ? 100.0 * (double) (harmful - t->undetected) / (double) harmful : 100.0,
		   (unsigned long long) t->false_alarms);
	printf("a search at recall 0.95 gave other rows %llu times; not seen: %llu\n",
		   (unsigned long long) t->searched, (unsigned long long) t->searched_undetected);
	printf("restored and proven %llu times, dropped and mended by REINDEX %llu times\n",
		   (unsigned long long) t->restored, (unsigned long long) t->reindexed);
	printf("%llu findings\n", (unsigned long long) t->findings);
}

int
main(int argc, char **argv)
{
	static Fuzzer fuzzer;
	Options options = {0};

	parse_options(argc, argv, &fuzzer, &options);
	snprintf(fuzzer.label, sizeof(fuzzer.label), "before any damage");
	server_connect(&fuzzer.server);
	PQclear(server_must(&fuzzer.server, setup_sql));
	make_variants(&fuzzer, &options);
	if (options.cases)
		replay(&fuzzer, options.cases);
	if (options.seconds > 0 || options.runs > 0)
		fuzz(&fuzzer, &options);
	print_tally(&fuzzer.tally);
	PQfinish(fuzzer.server.conn);
	return fuzzer.tally.findings > 0;
}
