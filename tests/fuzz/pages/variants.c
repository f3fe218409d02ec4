/*
 * variants.c
 *		The indexes that are damaged.
 */
#include "pages.h"

/* clang-format off */
Variant variants[] = {
	{.name = "refined_cosine", .opclass = "cosine", .op = "<=>", .type = "embedding(24)", .with = "codec = refined, lists = 12", .dims = 24, .rows = 900, .tail = 200, .churn = true, .side = true},
	{.name = "compact_l2", .opclass = "l2", .op = "<->", .type = "embedding(3, half)", .with = "codec = compact, lists = 5", .dims = 3, .rows = 400, .tail = 120, .churn = true, .side = true, .unlogged = true},
	{.name = "flat_ip", .opclass = "ip", .op = "<#>", .type = "embedding(1)", .with = "codec = flat, lists = 3", .dims = 1, .rows = 1500, .tail = 30, .side = true},
	{.name = "refined_l2_wide", .opclass = "l2", .op = "<->", .type = "embedding(768, half)", .with = "codec = refined, lists = 4", .dims = 768, .rows = 120, .tail = 40, .churn = true},
	{.name = "flat_cosine_wide", .opclass = "cosine", .op = "<=>", .type = "embedding(800, half)", .with = "codec = flat, lists = 2", .dims = 800, .rows = 40, .tail = 12, .churn = true, .side = true},
	{.name = "empty", .opclass = "cosine", .op = "<=>", .type = "embedding(24)", .with = "codec = refined", .dims = 24},
	{.name = "one_list", .opclass = "ip", .op = "<#>", .type = "embedding(70)", .with = "codec = refined, lists = 1", .dims = 70, .rows = 300, .tail = 80, .side = true},
	{.name = "many_lists", .opclass = "cosine", .op = "<=>", .type = "embedding(8)", .with = "codec = compact, lists = 400", .dims = 8, .rows = 1200, .tail = 400},
	{.name = "long_side", .opclass = "cosine", .op = "<=>", .type = "embedding(2)", .with = "codec = compact, lists = 2", .dims = 2, .rows = 3500, .tail = 300, .side = true, .churn = true},
};
/* clang-format on */
int nvariants = lengthof(variants);

int
page_kind(const char *page)
{
	return ((const IvfHead *) (page + MAXALIGN(SizeOfPageHeaderData)))->kind;
}

const char *
page_kind_name(const char *page)
{
	static const char *const names[] = {"NONE", "META", "MEAN",   "CENTRE", "LIST",
										"SCAN", "CODE", "REFINE", "TAIL",   "SIDE"};
	int kind = page_kind(page);

	return kind > 0 && kind < (int) lengthof(names) ? names[kind] : names[0];
}

void
variant_exact_sql(const Variant *variant, char *sql, size_t size)
{
	snprintf(sql, size, "SET mmodal.recall = 1; SELECT id FROM %s ORDER BY e %s %s", variant->name,
			 variant->op, variant->query);
}

/* Rows first .. last; with side every third one has no direction. */
static void
add_rows(Server *server, const Variant *variant, int first, int last)
{
	char sql[1000];
	const char *special = "";

	if (variant->side && strcmp(variant->name, "long_side") == 0)
		special = "WHEN i % 3 = 0 THEN NULL WHEN i % 3 = 1 THEN vec(0, d)";
	else if (variant->side)
		special = "WHEN i % 11 = 0 THEN NULL WHEN i % 13 = 0 THEN vec(0, d)";
	snprintf(sql, sizeof(sql),
			 "INSERT INTO %s SELECT i, CASE %s ELSE vec(i, d) END"
			 " FROM (SELECT i, %d AS d FROM generate_series(%d, %d) i) x",
			 variant->name, special[0] ? special : "WHEN false THEN NULL", variant->dims, first,
			 last);
	PQclear(server_must(server, sql));
}

/* Have lists rewritten, pages retired, and rows of all ages in the index. */
static void
churn(Server *server, const Variant *variant)
{
	char sql[1000];

	for (int round = 0; round < 2; round++)
	{
		snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE id %% 5 = %d", variant->name, round);
		PQclear(server_must(server, sql));
		snprintf(sql, sizeof(sql), "VACUUM %s", variant->name);
		PQclear(server_must(server, sql));
	}
	add_rows(server, variant, 100000, 100000 + variant->tail / 2);
}

static void
load_image(Server *server, Variant *variant)
{
	char sql[1000];
	PGresult *result;

	snprintf(sql, sizeof(sql), "SELECT test_save('%s_idx')", variant->name);
	result = server_must(server, sql);
	variant->image.blocks = atoi(PQgetvalue(result, 0, 0));
	PQclear(result);
	variant->image.pages = malloc((size_t) variant->image.blocks * BLCKSZ);
	for (int block = 0; block < variant->image.blocks; block++)
	{
		unsigned char *bytes;
		size_t length;

		snprintf(sql, sizeof(sql), "SELECT test_get_page('%s_idx', %d)", variant->name, block);
		result = server_must(server, sql);
		bytes = PQunescapeBytea((unsigned char *) PQgetvalue(result, 0, 0), &length);
		memcpy(variant->image.pages + (size_t) block * BLCKSZ, bytes, BLCKSZ);
		PQfreemem(bytes);
		PQclear(result);
	}
}

static void
load_query(Server *server, Variant *variant)
{
	char sql[200];
	PGresult *result;

	snprintf(sql, sizeof(sql), "SELECT quote_literal(vec(42, %d)::text) || '::embedding'",
			 variant->dims);
	result = server_must(server, sql);
	variant->query = strdup(PQgetvalue(result, 0, 0));
	PQclear(result);
}

void
variant_make(Server *server, Variant *variant)
{
	char sql[1000];

	snprintf(sql, sizeof(sql),
			 "DROP TABLE IF EXISTS %s; CREATE %s TABLE %s (id int, e %s) WITH (autovacuum_enabled "
			 "= off)",
			 variant->name, variant->unlogged ? "UNLOGGED" : "", variant->name, variant->type);
	PQclear(server_must(server, sql));
	if (variant->rows > 0)
		add_rows(server, variant, 1, variant->rows);
	snprintf(sql, sizeof(sql),
			 "CREATE INDEX %s_idx ON %s USING faiss_ivf (e embedding_%s_ops) WITH (%s)",
			 variant->name, variant->name, variant->opclass, variant->with);
	PQclear(server_must(server, sql));
	if (variant->tail > 0)
		add_rows(server, variant, variant->rows + 1, variant->rows + variant->tail);
	if (variant->churn)
		churn(server, variant);
	variant->table_size[0] = '\0';
	snprintf(sql, sizeof(sql), "ANALYZE %s", variant->name);
	PQclear(server_must(server, sql));
	load_query(server, variant);
	load_image(server, variant);
}
