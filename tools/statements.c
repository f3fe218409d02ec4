/*-------------------------------------------------------------------------
 *
 * statements.c
 *	  The SQL of a run, for its table.
 *
 * Names may be shadowed by what a search_path brings: functions and operators
 * that do not match their arguments exactly are qualified.
 *
 *-------------------------------------------------------------------------
 */
#include "statements.h"

#include <stdlib.h>

/* Paths of the row, and those of the new one that it lacks. */
#define MERGED_PATHS(new)                                                                          \
	"COALESCE(t.paths, '{}') OPERATOR(pg_catalog.||) ARRAY(SELECT p FROM pg_catalog.unnest(" new ") AS p WHERE p <> ALL (COALESCE(t.paths, '{}')))"

#define ARRAYS "$1::bytea[], $2::text[], $3::text[], $4::text[]"

/* The text where the table has the column, else nothing. */
#define IF(has, text) ((has) ? (text) : "")

static char *
make_merge(const target *t)
{
	return format_string(
		"UPDATE %s AS t SET paths = " MERGED_PATHS(
			"b.paths::text[]") "%s%s%s%s FROM unnest(" ARRAYS
							   ") AS b(hash, paths, caption, metadata) WHERE t.hash = b.hash AND "
							   "(NOT COALESCE(t.paths, "
							   "'{}') OPERATOR(pg_catalog.@>) b.paths::text[]%s%s)",
		t->table, IF(t->has_caption, ", caption = COALESCE(t.caption, b.caption)"),
		IF(t->has_metadata, ", metadata = COALESCE(t.metadata, b.metadata::pg_catalog."),
		IF(t->has_metadata, t->metadata_is_json ? "json" : "jsonb"), IF(t->has_metadata, ")"),
		IF(t->has_caption, " OR t.caption IS NULL AND b.caption IS NOT NULL"),
		IF(t->has_metadata, " OR t.metadata IS NULL AND b.metadata IS NOT NULL"));
}

/* payload: the further arrays of unnest; columns: their names. */
static char *
make_insert(const target *t, bool photo, const char *payload, const char *columns)
{
	return format_string(
		"INSERT INTO %s AS t (hash, paths%s%s%s, e) SELECT b.hash, b.paths::text[]%s%s%s%s, b.e "
		"FROM unnest(" ARRAYS ", %s) AS b(hash, paths, caption, metadata, %s) WHERE b.e IS NOT "
		"NULL ON CONFLICT (hash) DO UPDATE SET paths = " MERGED_PATHS(
			"excluded.paths") ", e = COALESCE(t.e, excluded.e)%s%s%s RETURNING t.hash, "
							  "pg_catalog.cardinality(t.paths)",
		t->table, IF(t->has_caption, ", caption"), IF(t->has_metadata, ", metadata"),
		IF(photo, ", photo"), IF(t->has_caption, ", b.caption"),
		IF(t->has_metadata, ", b.metadata::pg_catalog."),
		IF(t->has_metadata, t->metadata_is_json ? "json" : "jsonb"), IF(photo, ", b.photo"),
		payload, columns, IF(t->has_caption, ", caption = COALESCE(t.caption, excluded.caption)"),
		IF(t->has_metadata, ", metadata = COALESCE(t.metadata, excluded.metadata)"),
		IF(photo, ", photo = COALESCE(t.photo, excluded.photo)"));
}

statements *
statements_make(const target *t)
{
	statements *s = xmalloc(sizeof(statements));
	char *payload;

	s->known = format_string(
		"SELECT t.hash FROM %s AS t WHERE t.hash = ANY ($1::bytea[]) AND t.e IS NOT NULL",
		t->table);
	s->merge = make_merge(t);
	payload =
		format_string("$5::bytea[], %s.clip_embed_or_null($5::bytea[], $6::text)", t->extension);
	s->insert_pictures = make_insert(t, t->has_photo, payload, "photo, e");
	free(payload);
	payload = format_string("$5::bytea[], ARRAY[%s.clip_embed(($5::bytea[])[1], $6::text)]",
							t->extension);
	s->insert_picture = make_insert(t, t->has_photo, payload, "photo, e");
	free(payload);
	payload = format_string("$5::%s.embedding[]", t->extension);
	s->insert_vectors = make_insert(t, false, payload, "e");
	free(payload);
	s->copy_vectors =
		format_string("COPY %s (hash, paths%s%s, e) FROM STDIN (FORMAT binary)", t->table,
					  IF(t->has_caption, ", caption"), IF(t->has_metadata, ", metadata"));
	s->reject = format_string("INSERT INTO %s AS r (path, reason, sqlstate) SELECT DISTINCT ON "
							  "(b.path) b.path, b.reason, "
							  "b.sqlstate FROM unnest($1::text[], $2::text[], $3::text[]) AS "
							  "b(path, reason, sqlstate) ON "
							  "CONFLICT (path) DO UPDATE SET reason = excluded.reason, sqlstate = "
							  "excluded.sqlstate, at = "
							  "pg_catalog.now()",
							  t->rejects);
	s->clear = format_string("DELETE FROM %s AS r WHERE r.path = ANY ($1::text[])", t->rejects);
	return s;
}

void
statements_free(statements *s)
{
	free(s->known);
	free(s->merge);
	free(s->insert_pictures);
	free(s->insert_picture);
	free(s->insert_vectors);
	free(s->copy_vectors);
	free(s->reject);
	free(s->clear);
	free(s);
}
