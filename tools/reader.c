/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Sources into batches, and the same walk that only counts.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "loader.h"

typedef struct reader
{
	loader *loader;
	batch *batch;
} reader;

typedef enum wish
{
	WISH_LOAD,
	WISH_SKIP,     /* loaded in an earlier run */
	WISH_REJECTED, /* rejected in one */
	WISH_NOTHING,  /* not asked for */
} wish;

/* Whether the path, or a folder or archive that it is in, was rejected. */
static bool
rejected_above(const loader *l, char *path)
{
	bool found = pathset_has(&l->rejects, path);

	for (char *slash = strrchr(path, '/'); !found && slash != NULL && slash != path;
		 slash = strrchr(path, '/'))
	{
		*slash = '\0';
		found = pathset_has(&l->rejects, path);
	}
	return found;
}

static wish
wish_for(const loader *l, const char *raw, const char *container)
{
	char *path, *holder;
	wish result = WISH_LOAD;

	if (!l->options.resume && !l->options.retry_failed)
		return WISH_LOAD;
	path = path_text(raw);
	if (l->options.resume && pathset_has(&l->loaded, path))
		result = WISH_SKIP;
	else if (!l->options.retry_failed)
		result = pathset_has(&l->rejects, path) ? WISH_REJECTED : WISH_LOAD;
	else if (!rejected_above(l, path))
	{
		holder = container != NULL ? path_text(container) : NULL;
		if (holder == NULL || !pathset_has(&l->rejects, holder))
			result = WISH_NOTHING;
		free(holder);
	}
	free(path);
	return result;
}

static bool
sink_stopped(sink *s)
{
	return loader_stopped(((reader *) s->context)->loader);
}

static bool
sink_was_rejected(sink *s, const char *path)
{
	char *text = path_text(path);
	bool found = pathset_has(&((reader *) s->context)->loader->rejects, text);

	free(text);
	return found;
}

static void
sink_warn(sink *s, const char *message)
{
	(void) s;
	progress_message(message);
}

static bool
load_wants(sink *s, const char *path, const char *container)
{
	loader *l = ((reader *) s->context)->loader;
	wish w = wish_for(l, path, container);

	if (w == WISH_SKIP || w == WISH_REJECTED)
		atomic_fetch_add(&l->counts.skipped, 1);
	if (w == WISH_REJECTED)
		atomic_fetch_add(&l->counts.rejected_before, 1);
	return w == WISH_LOAD;
}

static bool
count_wants(sink *s, const char *path, const char *container)
{
	loader *l = ((reader *) s->context)->loader;

	if (wish_for(l, path, container) != WISH_NOTHING)
		atomic_fetch_add(&l->counts.total, 1);
	return false;
}

static void
flush(reader *r)
{
	if (r->batch != NULL)
		queue_put(&r->loader->queue, r->batch);
	r->batch = NULL;
}

static void
load_emit(sink *s, item *it)
{
	reader *r = s->context;
	batch *b = r->batch;
	int most = it->kind == ITEM_PICTURE ? BATCH_PICTURES : BATCH_VECTORS;

	if (b != NULL && (b->n >= most || b->bytes + it->size > BATCH_BYTES))
	{
		flush(r);
		b = NULL;
	}
	if (b == NULL)
		b = r->batch = xmalloc(sizeof(batch));
	b->items[b->n++] = it;
	b->bytes += it->size;
}

static void
count_emit(sink *s, item *it)
{
	loader *l = ((reader *) s->context)->loader;

	if (it->kind == ITEM_REJECT)
		atomic_fetch_add(&l->counts.total, 1);
	item_free(it);
}

static void
read_sources(loader *l, sink *s)
{
	const options *o = &l->options;

	s->was_rejected = sink_was_rejected;
	s->stopped = sink_stopped;
	s->warn = sink_warn;
	s->max_picture = l->target.max_picture;
	s->dims = l->target.dims;
	for (int i = 0; i < o->npaths && !loader_stopped(l); i++)
		source_read(o->kinds[i], o->paths[i], s);
}

void *
reader_main(void *argument)
{
	loader *l = argument;
	reader r = {.loader = l};
	sink s = {.context = &r, .wants = load_wants, .emit = load_emit};

	read_sources(l, &s);
	flush(&r);
	queue_close(&l->queue, loader_stopped(l));
	return NULL;
}

void *
counter_main(void *argument)
{
	loader *l = argument;
	reader r = {.loader = l};
	sink s = {.context = &r, .wants = count_wants, .emit = count_emit, .counting = true};

	read_sources(l, &s);
	if (!s.uncountable && !loader_stopped(l))
		atomic_store(&l->counts.total_known, true);
	return NULL;
}
