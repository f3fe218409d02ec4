/*
 * pages.h
 *		A fuzzer of faiss_ivf's pages: what its files share.
 *
 * Variants of an index are made once and saved.  Each run damages one of them,
 * works with it, looks at what comes of that, and puts it back.  See README.md.
 */
#ifndef FUZZ_PAGES_H
#define FUZZ_PAGES_H

#include "postgres_fe.h"

/* The system's own: what core puts in their place would have to be linked. */
#undef printf
#undef fprintf
#undef snprintf

#include "libpq-fe.h"

/* What storage/itemptr.h, from PostgreSQL 16 on, wants of a header that is for servers alone. */
typedef uintptr_t Datum;
#define PointerGetDatum(x) ((Datum) (x))
#define DatumGetPointer(x) ((char *) (x))

#include "../../../extension/index/ivf_page.h"

/* random.c: SplitMix64, one stream a run. */
typedef struct Random
{
	uint64 state;
} Random;

extern uint64 random_next(Random *random);

/* Less than n. */
extern uint32 random_below(Random *random, uint32 n);

/* server.c: the connection; every function exits where the server is gone for good. */

typedef enum Outcome
{
	ANSWER,    /* the statement ran */
	REFUSED,   /* an error that says that the index is damaged */
	UNEXPECTED /* another error */
} Outcome;

/* A statement's end. */
typedef struct Reply
{
	Outcome outcome;
	uint64 digest; /* of the rows */
	int rows;
	char first[64];    /* first column of the first row */
	char message[200]; /* where it was an error: SQLSTATE and what it said */
} Reply;

typedef enum Fault
{
	NO_FAULT,
	CRASH,
	HANG
} Fault;

typedef struct Server
{
	const char *conninfo;
	PGconn *conn;
	int warnings;      /* that a statement left something behind */
	char warning[200]; /* the last one */
} Server;

extern void server_connect(Server *server);

/* Run sql; what it gives is in *reply. */
extern Fault server_run(Server *server, const char *sql, Reply *reply);

/* Run sql that cannot fail; exits where it does.  The caller clears the result. */
extern PGresult *server_must(Server *server, const char *sql);

/* An index as it was saved. */
typedef struct Image
{
	int blocks;
	char *pages;
} Image;

/* variants.c */
typedef struct Variant
{
	const char *name;
	const char *opclass;
	const char *op;
	const char *type; /* of the column */
	const char *with;
	int dims;
	int rows;   /* before the index is built */
	int tail;   /* inserted after it */
	bool churn; /* deletes and vacuums, so that there are retired pages and rewritten lists */
	bool side;  /* rows that are NULL, and zero vectors */
	bool unlogged;

	/* Found out when it was made. */
	Image image;
	char *query;  /* a vector, as a literal */
	uint64 exact; /* digest of an exact scan */
	int exact_rows;
	uint64 searched; /* of one at the recall that is the default */
	char table_size[64];
} Variant;

extern Variant variants[];
extern int nvariants;

/* Make a variant's table and index, and save it. */
extern void variant_make(Server *server, Variant *variant);

/* What an exact scan is, to its end. */
extern void variant_exact_sql(const Variant *variant, char *sql, size_t size);

extern const char *page_kind_name(const char *page);
extern int page_kind(const char *page);

/* mutate.c */

#define MAX_POKES 4

/* Bytes to write. */
typedef struct Poke
{
	int block;
	int offset;
	int length;
	unsigned char bytes[BLCKSZ];
} Poke;

/* What a run does to an index. */
typedef struct Mutation
{
	int npokes;
	Poke pokes[MAX_POKES];
	int truncate; /* to so many blocks; -1: no */
} Mutation;

extern void mutation_make(Random *random, const Image *image, Mutation *mutation);

/* mutation_text.c: "SCAN.0:64:ffffffff", "truncate:3" */
extern void mutation_print(FILE *to, const Image *image, const Mutation *mutation);

/* Exits with a message where text is none. */
extern void mutation_parse(const char *text, const Image *image, Mutation *mutation);

/* fields.c */
typedef enum FieldType
{
	FIELD_U8,
	FIELD_U16,
	FIELD_U32,
	FIELD_U64,
	FIELD_BLOCK,
	FIELD_FLOAT,
	FIELD_DOUBLE,
	FIELD_TID
} FieldType;

typedef struct Field
{
	int offset;
	FieldType type;
} Field;

/* A field of a page, chosen at random among those that its kind has. */
extern Field field_choose(Random *random, const char *page);

/* A value for it that may matter, as bytes; returns how many. */
extern int field_value(Random *random, const Image *image, const char *page, Field field,
					   unsigned char *bytes);

/* run.c */
typedef struct Tally
{
	uint64 runs;
	uint64 statements;
	uint64 findings;
	uint64 refused;             /* statements that gave an error */
	uint64 harmless;            /* runs after which an exact scan gave what it had given */
	uint64 stopped;             /* runs after which an exact scan gave an error */
	uint64 changed;             /* runs after which an exact scan gave something else */
	uint64 undetected;          /* of these, runs of which mmodal_index_check saw nothing */
	uint64 false_alarms;        /* of the harmless runs, those that it had something to say of */
	uint64 searched;            /* a search at less than full recall gave something else, */
	uint64 searched_undetected; /* and mmodal_index_check saw nothing */
	uint64 restored;            /* times that the index was proven to be as it was */
	uint64 reindexed;
} Tally;

typedef struct Fuzzer
{
	Server server;
	Tally tally;
	Random random;   /* of the run */
	bool everything; /* no statement is left to chance */
	bool verbose;
	char label[80]; /* of the run */
} Fuzzer;

extern void run_mutation(Fuzzer *fuzzer, Variant *variant, const Mutation *mutation);

/* Prove that the variant is as it was. */
extern void run_verify(Fuzzer *fuzzer, Variant *variant);

/* The errors that were seen, and how often. */
extern void run_print_errors(void);

#endif /* FUZZ_PAGES_H */
