/*-------------------------------------------------------------------------
 *
 * clip_encode.c
 *	  Encoding pictures and texts, with the backend's caches in front.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "clip.h"

/*
 * Inputs handed to the encoder at a time: enough for it to share the work,
 * few enough to answer a pending interrupt of any kind soon.
 */
static const int batch_size[] = {[CLIP_TEXT] = 32, [CLIP_IMAGE] = 16};

/* Inputs of a batch that had to be made anew (prompts, UTF-8) take so much memory. */
#define BATCH_BYTES ((Size) 16 * 1024 * 1024)

/* Work on one kind of input with one model. */
typedef struct EncodeState
{
	ClipModel *model;
	ClipKind kind;
	ClipOnError on_error;
	const ClipArray *input;
	int dims;
	float **rows;        /* the result, one an element of input */
	MemoryContext bytes; /* of the waiting inputs; NULL: in the caller's */

	/* Elements waiting to be encoded, at most batch_size of the kind. */
	int n;
	int *index; /* which element of input */
	mm_slice *slices;
	ClipCacheKey *keys;
	float *out; /* n x dims */
} EncodeState;

static char *
element_context(const EncodeState *state, int element)
{
	return state->input->n > 1 ? psprintf("Element %d of the array", element + 1) : NULL;
}

static mm_status
encode_slices(EncodeState *state, int from, int n, int *failed, mm_error *err)
{
	const MmComputeApi *api = mm_compute();
	mm_session *session = clip_model_session(state->model);
	float *out = state->out + (Size) from * state->dims;

	if (state->kind == CLIP_TEXT)
		return api->encode_texts(session, state->slices + from, n, out, failed, err);
	return api->encode_images(session, state->slices + from, n, out, failed, err);
}

static void
keep_row(EncodeState *state, int i)
{
	const float *row = state->out + (Size) i * state->dims;
	Size size = sizeof(float) * state->dims;

	clip_cache_insert(state->kind, &state->keys[i], row, state->dims);
	state->rows[state->index[i]] = memcpy(palloc(size), row, size);
}

/* An element that is to have no row, or an end to it all. */
static void
reject(const EncodeState *state, int element, const mm_error *err)
{
	if (state->on_error == CLIP_COLLECT)
		state->input->errors[element] = *err;
	else
		clip_report(state->on_error == CLIP_RAISE ? ERROR : WARNING, err,
					element_context(state, element));
}

/* The batch failed somewhere: take its inputs one by one, and go on. */
static void
encode_one_by_one(EncodeState *state)
{
	for (int i = 0; i < state->n; i++)
	{
		mm_error err;

		CHECK_FOR_INTERRUPTS();
		if (encode_slices(state, i, 1, NULL, &err) == MM_OK)
			keep_row(state, i);
		else if (clip_is_data_error(&err))
			reject(state, state->index[i], &err);
		else
			clip_report(ERROR, &err, element_context(state, state->index[i]));
	}
}

static void
flush_batch(EncodeState *state)
{
	int failed = -1;
	mm_error err;

	CHECK_FOR_INTERRUPTS();
	if (state->n == 0)
		; /* all were in the cache */
	else if (encode_slices(state, 0, state->n, &failed, &err) == MM_OK)
	{
		for (int i = 0; i < state->n; i++)
			keep_row(state, i);
	}
	else if (state->on_error != CLIP_RAISE && clip_is_data_error(&err))
		encode_one_by_one(state);
	else
		clip_report(ERROR, &err, failed < 0 ? NULL : element_context(state, state->index[failed]));
	state->n = 0;
	if (state->bytes)
		MemoryContextReset(state->bytes);
}

static bool
batch_is_full(const EncodeState *state)
{
	return state->n == batch_size[state->kind] ||
		   (state->bytes && MemoryContextMemAllocated(state->bytes, false) > BATCH_BYTES);
}

/* The bytes of an element; false where it was reported and is to be NULL. */
static bool
element_slice(const EncodeState *state, int element, mm_slice *slice)
{
	struct varlena *value;
	mm_error err;

	if (!clip_try_size(state->kind, state->input->values[element], &err))
	{
		reject(state, element, &err);
		return false;
	}
	value = PG_DETOAST_DATUM_PACKED(state->input->values[element]);
	if (state->input->template)
		value = (struct varlena *) clip_fill_template(state->input->template, (text *) value);
	if (state->kind == CLIP_IMAGE)
	{
		*slice = clip_bytea_slice((bytea *) value);
		return true;
	}
	if (state->on_error == CLIP_RAISE)
	{
		*slice = clip_text_slice((text *) value);
		return true;
	}
	if (clip_try_text_slice((text *) value, slice, &err))
		return true;
	reject(state, element, &err);
	return false;
}

/* The same, in the memory of the batch. */
static bool
next_slice(EncodeState *state, int element)
{
	MemoryContext old = MemoryContextSwitchTo(state->bytes ? state->bytes : CurrentMemoryContext);
	bool found = element_slice(state, element, &state->slices[state->n]);

	if (found)
		state->keys[state->n] = clip_cache_key(state->model, state->slices[state->n]);
	MemoryContextSwitchTo(old);
	return found;
}

float **
clip_encode(ClipModel *model, ClipKind kind, const ClipArray *input, ClipOnError on_error)
{
	EncodeState state = {.model = model, .kind = kind, .on_error = on_error, .input = input};
	int room = Min(batch_size[kind], Max(input->n, 1));

	if (kind == CLIP_TEXT)
		clip_require_text_tower(model);
	else
		clip_require_image_tower(model);

	state.dims = clip_model_info(model)->dims;
	state.rows = palloc0(sizeof(float *) * Max(input->n, 1));
	state.index = palloc(sizeof(int) * room);
	state.slices = palloc(sizeof(mm_slice) * room);
	state.keys = palloc(sizeof(ClipCacheKey) * room);
	state.out = palloc(sizeof(float) * room * state.dims);
	if (input->n > 1)
		state.bytes =
			AllocSetContextCreate(CurrentMemoryContext, "mmodal batch", ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < input->n; i++)
	{
		float *row;

		if (input->nulls[i] || !next_slice(&state, i))
			continue;
		row = palloc(sizeof(float) * state.dims);
		if (clip_cache_lookup(kind, &state.keys[state.n], row, state.dims))
			state.rows[i] = row;
		else
		{
			pfree(row);
			state.index[state.n++] = i;
		}
		if (batch_is_full(&state))
			flush_batch(&state);
	}
	flush_batch(&state);
	if (state.bytes)
		MemoryContextDelete(state.bytes);
	return state.rows;
}

float *
clip_encode_one(ClipModel *model, ClipKind kind, Datum value, ClipOnError on_error)
{
	bool isnull = false;
	ClipArray input = {.values = &value, .nulls = &isnull, .n = 1};

	return clip_encode(model, kind, &input, on_error)[0];
}
