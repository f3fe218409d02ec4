/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  Batches into the table.
 *
 * Of a batch, first those whose hash is there get their path; the others are
 * embedded and inserted by one statement.  clip_embed_or_null() leaves out those
 * that cannot be embedded: they are tried alone, for the reason.  When the
 * statement itself fails, all are.  A row that another session inserts in between
 * is merged by ON CONFLICT.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "execute.h"
#include "loader.h"
#include "statements.h"

typedef enum fate
{
	FATE_OPEN,
	FATE_LOADED,
	FATE_DUPLICATE,
	FATE_REJECTED,
	FATE_CLEARED, /* was nothing to load */
} fate;

/* A batch at work. */
typedef struct job
{
	worker *w;
	const statements *sql;
	batch *batch;
	fate fates[BATCH_VECTORS];
} job;

/* Some of a batch's items, by number. */
typedef struct selection
{
	int at[BATCH_VECTORS];
	int n;
} selection;

static bool
is_content(const item *it)
{
	return it->kind == ITEM_PICTURE || it->kind == ITEM_VECTOR;
}

/* By hash: sessions that lock rows in one order do not deadlock. */
static int
compare_items(const void *a, const void *b)
{
	const item *x = *(item *const *) a, *y = *(item *const *) b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return memcmp(x->hash, y->hash, HASH_SIZE);
}

/* Sort, and make one item of those that are the same picture. */
static void
merge_equal(batch *b)
{
	int n = 0;

	qsort(b->items, (size_t) b->n, sizeof(item *), compare_items);
	for (int i = 0; i < b->n; i++)
	{
		item *it = b->items[i], *last = n > 0 ? b->items[n - 1] : NULL;

		if (last == NULL || !is_content(it) || compare_items(&it, &last) != 0)
		{
			b->items[n++] = it;
			continue;
		}
		for (int p = 0; p < it->npaths; p++)
			item_add_path(last, it->paths[p]);
		last->merged++;
		if (last->caption == NULL)
			last->caption = it->caption, it->caption = NULL;
		if (last->metadata == NULL)
			last->metadata = it->metadata, it->metadata = NULL;
		item_free(it);
	}
	b->n = n;
}

static void
set_fate(job *j, int i, fate f)
{
	item *it = j->batch->items[i];
	counts *c = &j->w->loader->counts;
	unsigned long paths = 1 + (unsigned long) it->merged;

	j->fates[i] = f;
	switch (f)
	{
		case FATE_LOADED:
			atomic_fetch_add(&c->loaded, 1);
			atomic_fetch_add(&c->duplicates, paths - 1);
			break;
		case FATE_DUPLICATE:
			atomic_fetch_add(&c->duplicates, paths);
			break;
		case FATE_REJECTED:
			atomic_fetch_add(&c->rejected, paths);
			break;
		default:
			break;
	}
}

static void
reject(job *j, int i, const problem *why)
{
	j->batch->items[i]->why = *why;
	set_fate(j, i, FATE_REJECTED);
}

/* The items of a kind with such a fate. */
static selection
select_items(const job *j, item_kind kind, fate f)
{
	selection s = {.n = 0};

	for (int i = 0; i < j->batch->n; i++)
		if (j->batch->items[i]->kind == kind && j->fates[i] == f)
			s.at[s.n++] = i;
	return s;
}

static buffer *
add_param(params *p, Oid type)
{
	p->types[p->n] = type;
	return &p->values[p->n++];
}

/* $1 of statements.h */
static params
hash_params(const job *j, const selection *s)
{
	params p = {.n = 0};
	buffer *hashes = add_param(&p, BYTEA_ARRAY_OID);

	put_array(hashes, BYTEA_OID, s->n);
	for (int i = 0; i < s->n; i++)
		put_value(hashes, j->batch->items[s->at[i]]->hash, HASH_SIZE);
	return p;
}

/* and $2 to $4 */
static params
common_params(const job *j, const selection *s)
{
	params p = hash_params(j, s);
	buffer *paths = add_param(&p, TEXT_ARRAY_OID), *captions = add_param(&p, TEXT_ARRAY_OID);
	buffer *metadata = add_param(&p, TEXT_ARRAY_OID);

	put_array(paths, TEXT_OID, s->n);
	put_array(captions, TEXT_OID, s->n);
	put_array(metadata, TEXT_OID, s->n);
	for (int i = 0; i < s->n; i++)
	{
		const item *it = j->batch->items[s->at[i]];
		char *literal = array_literal(it->paths, it->npaths);

		put_text(paths, literal);
		put_text(captions, it->caption);
		put_text(metadata, it->metadata);
		free(literal);
	}
	return p;
}

/* and $5 and $6 */
static params
insert_params(const job *j, const selection *s, item_kind kind)
{
	const target *t = &j->w->loader->target;
	params p = common_params(j, s);
	size_t size = 64; /* the head of the array, and more */
	buffer *payload;

	payload = add_param(&p, kind == ITEM_PICTURE ? BYTEA_ARRAY_OID : t->embedding_array);
	for (int i = 0; i < s->n; i++)
		size += j->batch->items[s->at[i]]->size + 4;
	buffer_reserve(payload, size);
	put_array(payload, kind == ITEM_PICTURE ? BYTEA_OID : t->embedding, s->n);
	for (int i = 0; i < s->n; i++)
		put_value(payload, j->batch->items[s->at[i]]->data, j->batch->items[s->at[i]]->size);
	if (kind == ITEM_PICTURE)
		put_bytes(add_param(&p, TEXT_OID), t->model, strlen(t->model));
	return p;
}

static int
find_hash(const job *j, const selection *s, const char *hash, int size)
{
	if (size == HASH_SIZE)
		for (int i = 0; i < s->n; i++)
			if (memcmp(j->batch->items[s->at[i]]->hash, hash, HASH_SIZE) == 0)
				return s->at[i];
	return -1;
}

/* Mark those that are in the table, and give the rows what they lack. */
static outcome
find_known(job *j, item_kind kind)
{
	selection s = select_items(j, kind, FATE_OPEN), known = {.n = 0};
	params p;
	PGresult *result;
	problem why;
	outcome o;

	if (s.n == 0)
		return OUTCOME_DONE;
	p = hash_params(j, &s);
	o = execute(j->w, j->sql->known, &p, &result, &why);
	params_free(&p);
	if (o != OUTCOME_DONE)
		return o;
	for (int i = 0; i < PQntuples(result); i++)
	{
		int at = find_hash(j, &s, PQgetvalue(result, i, 0), PQgetlength(result, i, 0));

		if (at >= 0)
			known.at[known.n++] = at;
	}
	PQclear(result);
	if (known.n == 0)
		return OUTCOME_DONE;
	p = common_params(j, &known);
	o = execute(j->w, j->sql->merge, &p, &result, &why);
	params_free(&p);
	PQclear(result);
	for (int i = 0; o == OUTCOME_DONE && i < known.n; i++)
		set_fate(j, known.at[i], FATE_DUPLICATE);
	/* a fault of one of them: each will be tried alone, and merged by its INSERT */
	return o == OUTCOME_STOPPED ? o : OUTCOME_DONE;
}

/* Insert, and mark what the statement gives back. */
static outcome
insert_items(job *j, const selection *s, item_kind kind, const char *sql, problem *why)
{
	params p = insert_params(j, s, kind);
	PGresult *result;
	outcome o = execute(j->w, sql, &p, &result, why);

	params_free(&p);
	for (int i = 0; o == OUTCOME_DONE && i < PQntuples(result); i++)
	{
		int at = find_hash(j, s, PQgetvalue(result, i, 0), PQgetlength(result, i, 0));
		uint32_t paths;

		if (at < 0 || PQgetlength(result, i, 1) != sizeof(paths))
			continue;
		memcpy(&paths, PQgetvalue(result, i, 1), sizeof(paths));
		set_fate(j, at,
				 ntohl(paths) > (uint32_t) j->batch->items[at]->npaths ? FATE_DUPLICATE
																	   : FATE_LOADED);
	}
	PQclear(result);
	return o;
}

static outcome
insert_one_by_one(job *j, item_kind kind)
{
	const char *sql = kind == ITEM_PICTURE ? j->sql->insert_picture : j->sql->insert_vectors;
	selection s = select_items(j, kind, FATE_OPEN);
	outcome o = OUTCOME_DONE;
	problem why;

	for (int i = 0; o != OUTCOME_STOPPED && i < s.n; i++)
	{
		selection one = {.at = {s.at[i]}, .n = 1};

		o = insert_items(j, &one, kind, sql, &why);
		if (o == OUTCOME_DONE && j->fates[s.at[i]] == FATE_OPEN)
			set_problem(&why, "02000", "the table took no row: a trigger may have dropped it");
		if (o != OUTCOME_STOPPED && j->fates[s.at[i]] == FATE_OPEN)
			reject(j, s.at[i], &why);
	}
	return o;
}

static void
put_copy_row(buffer *b, const target *t, const item *it)
{
	buffer paths = {0};

	put_int16(b, 3 + t->has_caption + t->has_metadata);
	put_value(b, it->hash, HASH_SIZE);
	put_array(&paths, TEXT_OID, it->npaths);
	for (int i = 0; i < it->npaths; i++)
		put_text(&paths, it->paths[i]);
	put_value(b, paths.data, paths.size);
	buffer_free(&paths);
	if (t->has_caption)
		put_text(b, it->caption);
	if (t->has_metadata && (it->metadata == NULL || t->metadata_is_json))
		put_text(b, it->metadata);
	else if (t->has_metadata)
	{
		put_int32(b, 1 + (long) strlen(it->metadata));
		put_bytes(b, "\1", 1); /* the version of jsonb's binary form */
		put_bytes(b, it->metadata, strlen(it->metadata));
	}
	put_value(b, it->data, it->size);
}

/* Vectors whose hashes are new: a row that comes between makes it fail. */
static outcome
copy_vectors(job *j)
{
	selection s = select_items(j, ITEM_VECTOR, FATE_OPEN);
	buffer rows = {0};
	problem why;
	outcome o;

	if (s.n == 0)
		return OUTCOME_DONE;
	put_bytes(&rows, "PGCOPY\n\377\r\n\0", 11);
	put_int32(&rows, 0);
	put_int32(&rows, 0);
	for (int i = 0; i < s.n; i++)
		put_copy_row(&rows, &j->w->loader->target, j->batch->items[s.at[i]]);
	put_int16(&rows, -1);
	o = execute_copy(j->w, j->sql->copy_vectors, &rows, &why);
	buffer_free(&rows);
	for (int i = 0; o == OUTCOME_DONE && i < s.n; i++)
		set_fate(j, s.at[i], FATE_LOADED);
	return o;
}

static outcome
load_pictures(job *j)
{
	selection s;
	problem why;

	if (find_known(j, ITEM_PICTURE) == OUTCOME_STOPPED)
		return OUTCOME_STOPPED;
	s = select_items(j, ITEM_PICTURE, FATE_OPEN);
	if (s.n > 0 &&
		insert_items(j, &s, ITEM_PICTURE, j->sql->insert_pictures, &why) == OUTCOME_STOPPED)
		return OUTCOME_STOPPED;
	return insert_one_by_one(j, ITEM_PICTURE);
}

static outcome
load_vectors(job *j)
{
	selection s;
	problem why;

	if (find_known(j, ITEM_VECTOR) == OUTCOME_STOPPED || copy_vectors(j) == OUTCOME_STOPPED)
		return OUTCOME_STOPPED;
	s = select_items(j, ITEM_VECTOR, FATE_OPEN);
	if (s.n > 0 &&
		insert_items(j, &s, ITEM_VECTOR, j->sql->insert_vectors, &why) == OUTCOME_STOPPED)
		return OUTCOME_STOPPED;
	return insert_one_by_one(j, ITEM_VECTOR);
}

/* Note the rejects among items first to last. */
static outcome
write_rejects(job *j, int first, int last, problem *why)
{
	params p = {.n = 0};
	buffer *paths = add_param(&p, TEXT_ARRAY_OID), *reasons = add_param(&p, TEXT_ARRAY_OID);
	buffer *codes = add_param(&p, TEXT_ARRAY_OID);
	PGresult *result;
	outcome o = OUTCOME_DONE;
	int n = 0;

	for (int i = first; i <= last; i++)
		n += j->fates[i] == FATE_REJECTED ? j->batch->items[i]->npaths : 0;
	put_array(paths, TEXT_OID, n);
	put_array(reasons, TEXT_OID, n);
	put_array(codes, TEXT_OID, n);
	for (int i = first; i <= last; i++)
		for (int k = 0; j->fates[i] == FATE_REJECTED && k < j->batch->items[i]->npaths; k++)
		{
			const item *it = j->batch->items[i];
			char *reason = path_text(it->why.reason);

			put_text(paths, it->paths[k]);
			put_text(reasons, reason);
			put_text(codes, it->why.sqlstate);
			free(reason);
		}
	if (n > 0)
	{
		o = execute(j->w, j->sql->reject, &p, &result, why);
		PQclear(result);
	}
	params_free(&p);
	return o;
}

/* A reject whose path the database cannot hold is said, at least. */
static outcome
note_rejects(job *j)
{
	problem why;
	outcome o = write_rejects(j, 0, j->batch->n - 1, &why);

	for (int i = 0; o == OUTCOME_FAILED && i < j->batch->n; i++)
		if (write_rejects(j, i, i, &why) == OUTCOME_FAILED)
		{
			const item *it = j->batch->items[i];
			char *message = format_string("%s: %s (not in the table of rejects: %s)", it->paths[0],
										  it->why.reason, why.reason);

			progress_message(message);
			free(message);
		}
	return o;
}

/* Paths that were rejects and are none any more. */
static outcome
clear_rejects(job *j)
{
	const pathset *known = &j->w->loader->rejects;
	params p = {.n = 0};
	buffer texts = {0}, *paths = add_param(&p, TEXT_ARRAY_OID);
	outcome o = OUTCOME_DONE;
	PGresult *result;
	problem why;
	int n = 0;

	for (int i = 0; known->n > 0 && i < j->batch->n; i++)
		for (int k = 0; j->fates[i] != FATE_REJECTED && k < j->batch->items[i]->npaths; k++)
			if (pathset_has(known, j->batch->items[i]->paths[k]))
			{
				put_text(&texts, j->batch->items[i]->paths[k]);
				n++;
			}
	if (n > 0)
	{
		put_array(paths, TEXT_OID, n);
		put_bytes(paths, texts.data, texts.size);
		o = execute(j->w, j->sql->clear, &p, &result, &why);
		PQclear(result);
	}
	buffer_free(&texts);
	params_free(&p);
	return o;
}

static void
load_batch(worker *w, const statements *sql, batch *b)
{
	job *j = xmalloc(sizeof(job));

	*j = (job){.w = w, .sql = sql, .batch = b};
	merge_equal(b);
	for (int i = 0; i < b->n; i++)
	{
		if (b->items[i]->kind == ITEM_REJECT)
			reject(j, i, &b->items[i]->why);
		else if (b->items[i]->kind == ITEM_CLEAR)
			set_fate(j, i, FATE_CLEARED);
	}
	if (load_pictures(j) != OUTCOME_STOPPED && load_vectors(j) != OUTCOME_STOPPED &&
		note_rejects(j) != OUTCOME_STOPPED)
		clear_rejects(j);
	free(j);
}

void *
worker_main(void *argument)
{
	worker *w = argument;
	loader *l = w->loader;
	statements *sql = statements_make(&l->target);
	batch *b;

	while (!loader_stopped(l) && (b = queue_take(&l->queue)) != NULL)
	{
		load_batch(w, sql, b);
		batch_free(b);
	}
	statements_free(sql);
	atomic_fetch_sub(&l->running, 1);
	return NULL;
}
