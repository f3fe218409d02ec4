/*-------------------------------------------------------------------------
 *
 * table.c
 *	  What a run needs of the server: the extension, the model, the table.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader.h"

static char *
copy_value(PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? NULL : xstrdup(PQgetvalue(result, row, column));
}

/* One statement without parameters, made of parts. */
static void
run(PGconn *conn, char *sql)
{
	PQclear(server_query(conn, sql, 0, NULL));
	free(sql);
}

static void
find_extension(target *t, PGconn *conn)
{
	PGresult *result = server_query(
		conn,
		"SELECT pg_catalog.quote_ident(n.nspname), t.oid, t.typarray FROM pg_catalog.pg_extension "
		"e "
		"JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace LEFT JOIN pg_catalog.pg_type t "
		"ON "
		"t.typnamespace = n.oid AND t.typname = 'embedding' WHERE e.extname = 'mmodal'",
		0, NULL);

	if (PQntuples(result) == 0)
		die("the database \"%s\" has no extension mmodal\nhint: CREATE EXTENSION mmodal;",
			PQdb(conn));
	t->extension = copy_value(result, 0, 0);
	t->embedding = (Oid) strtoul(PQgetvalue(result, 0, 1), NULL, 10);
	t->embedding_array = (Oid) strtoul(PQgetvalue(result, 0, 2), NULL, 10);
	PQclear(result);
}

/* The setting is known once the library is loaded. */
static void
find_limits(target *t, PGconn *conn, const options *o)
{
	char *sql = format_string("SELECT %s.mmodal_version()", t->extension);
	const char *model = o->model;
	PGresult *result;

	run(conn, sql);
	result = server_query(
		conn,
		"SELECT pg_catalog.current_setting('mmodal.model'), "
		"pg_catalog.pg_size_bytes(pg_catalog.current_setting('mmodal.max_image_size'))",
		0, NULL);
	t->model = model != NULL ? xstrdup(model) : copy_value(result, 0, 0);
	t->max_picture = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
	PQclear(result);
}

/* A picture of one pixel, to try the model with. */
#define ONE_PIXEL                                                                                  \
	"424d3a0000000000000036000000280000000100000001000000010018000000000004000000130b0000130b0000" \
	"00"                                                                                           \
	"0000000000000080808000"

/*
 * Dimensions of the model, told by embedding something: a model, a precision or a
 * pack that is missing is the server's error here, and not that of every picture.
 */
static int
model_dims(const target *t, PGconn *conn)
{
	const char *values[] = {t->model};
	char *sql = format_string("SELECT %s.embedding_dims(%s.clip_embed('\\x" ONE_PIXEL
							  "'::bytea, $1::text))",
							  t->extension, t->extension);
	PGresult *result = server_query(conn, sql, 1, values);
	int dims = atoi(PQgetvalue(result, 0, 0));

	PQclear(result);
	free(sql);
	return dims;
}

/* The schema and name that --table means, for a table that is not there. */
static void
parse_name(target *t, PGconn *conn, const char *name)
{
	PGresult *result = server_query(conn,
									"SELECT CASE pg_catalog.cardinality(p) WHEN 1 THEN "
									"pg_catalog.current_schema() ELSE p[1] END, "
									"p[pg_catalog.cardinality(p)], pg_catalog.cardinality(p) FROM "
									"pg_catalog.parse_ident($1) AS p",
									1, &name);

	if (atoi(PQgetvalue(result, 0, 2)) > 2)
		die("\"%s\" is not the name of a table", name);
	if (PQgetisnull(result, 0, 0))
		die("there is no schema to make the table \"%s\" in", name);
	t->schema = copy_value(result, 0, 0);
	t->name = copy_value(result, 0, 1);
	PQclear(result);
}

static char *
qualified(PGconn *conn, const char *schema, const char *name)
{
	char *s = PQescapeIdentifier(conn, schema, strlen(schema));
	char *n = PQescapeIdentifier(conn, name, strlen(name));
	char *both;

	if (s == NULL || n == NULL)
		die("%s", PQerrorMessage(conn));
	both = format_string("%s.%s", s, n);
	PQfreemem(s);
	PQfreemem(n);
	return both;
}

static void
name_tables(target *t, PGconn *conn)
{
	char *rejects = format_string("%s_rejects", t->name);

	/* the server would cut it, perhaps to the name of the table itself */
	if (strlen(rejects) > 63)
		die("the name \"%s\" is too long: that of its table of rejects is cut after 63 bytes",
			t->name);
	t->table = qualified(conn, t->schema, t->name);
	t->rejects = qualified(conn, t->schema, rejects);
	free(rejects);
}

static void
create_table(target *t, PGconn *conn, const options *o)
{
	if (t->dims == 0)
		die("the dimensions of the vectors cannot be told: the first .npy file is damaged");
	t->has_caption = t->has_metadata = true;
	t->has_photo = !o->no_photo;
	run(conn,
		format_string("CREATE TABLE %s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, hash "
					  "bytea NOT NULL UNIQUE, paths text[] NOT NULL, caption text, metadata "
					  "jsonb%s, e %s.embedding(%d%s))",
					  t->table, o->no_photo ? "" : ", photo bytea", t->extension, t->dims,
					  o->half ? ", half" : ""));
	/* pictures are compressed already */
	if (!o->no_photo)
		run(conn,
			format_string("ALTER TABLE %s ALTER COLUMN photo SET STORAGE EXTERNAL", t->table));
	run(conn, format_string("COMMENT ON TABLE %s IS 'pictures loaded by mmodal-load'", t->table));
}

/* What is wrong with a table, as one text. */
static void
complain(char **faults, char *fault)
{
	char *all = *faults == NULL ? xstrdup(fault) : format_string("%s; %s", *faults, fault);

	free(*faults);
	free(fault);
	*faults = all;
}

typedef struct column
{
	const char *name, *type; /* type: NULL: the extension's embedding */
	bool needed, found;
} column;

enum
{
	COLUMN_HASH,
	COLUMN_PATHS,
	COLUMN_E,
	COLUMN_CAPTION,
	COLUMN_METADATA,
	COLUMN_PHOTO,
	NCOLUMNS,
};

static bool
type_fits(const target *t, const column *c, const char *type, Oid oid)
{
	if (c->type == NULL)
		return oid == t->embedding;
	if (strcmp(c->name, "caption") == 0 && strncmp(type, "character varying", 17) == 0)
		return true;
	if (strcmp(c->name, "metadata") == 0 && strcmp(type, "json") == 0)
		return true;
	return strcmp(type, c->type) == 0;
}

/* Dimensions in "schema.embedding(384,half)", or 0. */
static int
type_dims(const char *type)
{
	const char *parenthesis = strrchr(type, '(');

	return parenthesis != NULL ? atoi(parenthesis + 1) : 0;
}

/* One column of the table: what it is for us. */
static void
check_column(target *t, column *columns, PGresult *r, int row, char **faults)
{
	const char *name = PQgetvalue(r, row, 0), *type = PQgetvalue(r, row, 1);
	bool generated = PQgetvalue(r, row, 3)[0] == 't', required = PQgetvalue(r, row, 4)[0] == 't';
	column *c = columns;

	while (c < columns + NCOLUMNS && strcmp(c->name, name) != 0)
		c++;
	if (c == columns + NCOLUMNS)
	{
		if (required)
			complain(faults, format_string("column %s is NOT NULL without a default, and is not "
										   "filled",
										   name));
		return;
	}
	c->found = true;
	if (!type_fits(t, c, type, (Oid) strtoul(PQgetvalue(r, row, 2), NULL, 10)))
		complain(faults, format_string("column %s is of type %s, not %s", name, type,
									   c->type != NULL ? c->type : "embedding"));
	else if (generated)
		complain(faults, format_string("column %s is generated", name));
	if (c == columns + COLUMN_METADATA)
		t->metadata_is_json = strcmp(type, "json") == 0;
	if (c == columns + COLUMN_E)
		t->dims = type_dims(type);
}

static void
check_unique(PGconn *conn, const char *oid, char **faults)
{
	PGresult *result = server_query(
		conn,
		"SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = "
		"i.indrelid "
		"AND a.attnum = i.indkey[0] WHERE i.indrelid = $1::oid AND a.attname = 'hash' AND "
		"i.indisunique AND i.indimmediate AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS "
		"NULL",
		1, &oid);

	if (PQntuples(result) == 0)
		complain(faults, xstrdup("column hash has no unique index"));
	PQclear(result);
}

static void
check_table(target *t, PGconn *conn, const char *oid, const options *o)
{
	column columns[NCOLUMNS] = {
		[COLUMN_HASH] = {"hash", "bytea", true, false},
		[COLUMN_PATHS] = {"paths", "text[]", true, false},
		[COLUMN_E] = {"e", NULL, true, false},
		[COLUMN_CAPTION] = {"caption", "text", false, false},
		[COLUMN_METADATA] = {"metadata", "jsonb", false, false},
		[COLUMN_PHOTO] = {"photo", "bytea", false, false},
	};
	char *faults = NULL;
	PGresult *result = server_query(
		conn,
		"SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, "
		"a.attgenerated <> '' OR a.attidentity = 'a', a.attnotnull AND NOT a.atthasdef AND "
		"a.attidentity = '' FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum "
		"> 0 AND NOT a.attisdropped ORDER BY a.attnum",
		1, &oid);

	for (int i = 0; i < PQntuples(result); i++)
		check_column(t, columns, result, i, &faults);
	PQclear(result);
	for (int i = 0; i < NCOLUMNS; i++)
		if (columns[i].needed && !columns[i].found)
			complain(&faults,
					 format_string("there is no column %s %s", columns[i].name,
								   columns[i].type != NULL ? columns[i].type : "embedding"));
	if (columns[COLUMN_HASH].found)
		check_unique(conn, oid, &faults);
	if (faults != NULL)
		die("the table %s cannot be filled: %s\nhint: name another by --table, which is made when "
			"it is not there; docs/loading.md says what an existing one needs.",
			t->table, faults);
	t->has_caption = columns[COLUMN_CAPTION].found;
	t->has_metadata = columns[COLUMN_METADATA].found;
	t->has_photo = columns[COLUMN_PHOTO].found && !o->no_photo;
}

/* The table's OID as text, malloc'd; NULL: there is none. */
static char *
find_table(target *t, PGconn *conn, const char *name)
{
	PGresult *result = server_query(
		conn,
		"SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c JOIN "
		"pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = "
		"pg_catalog.to_regclass($1)",
		1, &name);
	char *oid = NULL;

	if (PQntuples(result) > 0)
	{
		if (strchr("rp", PQgetvalue(result, 0, 3)[0]) == NULL)
			die("\"%s\" is not a table", name);
		oid = copy_value(result, 0, 0);
		t->schema = copy_value(result, 0, 1);
		t->name = copy_value(result, 0, 2);
	}
	PQclear(result);
	return oid;
}

static int
dims_of_sources(const options *o)
{
	int dims = 0;

	for (int i = 0; dims == 0 && i < o->npaths; i++)
		dims = source_dims(o->kinds[i], o->paths[i]);
	return dims;
}

/* IF NOT EXISTS wants the right to create even where there is nothing to. */
static void
make_rejects(const target *t, PGconn *conn)
{
	const char *name = t->rejects;
	PGresult *result = server_query(conn, "SELECT pg_catalog.to_regclass($1)", 1, &name);

	if (PQgetisnull(result, 0, 0))
		run(conn, format_string("CREATE TABLE IF NOT EXISTS %s (path text PRIMARY KEY, reason text "
								"NOT NULL, sqlstate text, at timestamptz NOT NULL DEFAULT now())",
								t->rejects));
	PQclear(result);
}

static void
read_rejects(loader *l, PGconn *conn)
{
	char *sql = format_string("SELECT path FROM %s", l->target.rejects);
	PGresult *result = server_query(conn, sql, 0, NULL);

	for (int i = 0; i < PQntuples(result); i++)
		pathset_add(&l->rejects, PQgetvalue(result, i, 0), (size_t) PQgetlength(result, i, 0));
	PQclear(result);
	free(sql);
}

/*
 * In one transaction, so that all of it is in one session, and a table is made
 * with its rejects or not at all.
 */
void
table_prepare(loader *l, PGconn *conn)
{
	const options *o = &l->options;
	target *t = &l->target;
	char *oid;
	int dims;

	PQclear(server_query(conn, "BEGIN", 0, NULL));
	find_extension(t, conn);
	find_limits(t, conn, o);
	dims = o->has_pictures ? model_dims(t, conn) : dims_of_sources(o);
	oid = find_table(t, conn, o->table);
	if (oid == NULL)
		parse_name(t, conn, o->table);
	name_tables(t, conn);
	if (oid != NULL)
		check_table(t, conn, oid, o);
	else
	{
		t->dims = dims;
		create_table(t, conn, o);
	}
	if (t->dims == 0)
		t->dims = dims;
	if (o->has_pictures && dims != t->dims)
		die("the model \"%s\" has %d dimensions, the column e of %s has %d", t->model, dims,
			t->table, t->dims);
	make_rejects(t, conn);
	read_rejects(l, conn);
	PQclear(server_query(conn, "COMMIT", 0, NULL));
	free(oid);
}

/* A row at a time: there may be millions. */
void
table_read_paths(loader *l, PGconn *conn)
{
	char *sql = format_string(
		"SELECT p FROM %s AS t, pg_catalog.unnest(t.paths) AS p WHERE t.e IS NOT NULL",
		l->target.table);
	PGresult *result = NULL;

	if (!PQsendQuery(conn, sql) || !PQsetSingleRowMode(conn))
		die("%s", PQerrorMessage(conn));
	while ((result = PQgetResult(conn)) != NULL)
	{
		ExecStatusType status = PQresultStatus(result);

		if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK)
			die("%s", PQerrorMessage(conn));
		for (int i = 0; i < PQntuples(result); i++)
			pathset_add(&l->loaded, PQgetvalue(result, i, 0), (size_t) PQgetlength(result, i, 0));
		PQclear(result);
	}
	free(sql);
}
