/*
 * embedding_aggregate.c
 *		The aggregates sum and avg.
 *
 * Both keep sums in float64 and give float32 elements, whatever the elements
 * of the input: a sum of halves loses neither range nor digits.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/float.h"

#include "embedding.h"

/* Transition state; made at the first row. */
typedef struct AggregateState
{
	int64 count; /* rows */
	int dims;
	EmbeddingTag tag;    /* reserved fields on which the rows agree */
	bool flags_conflict; /* rows contradict each other: the result has 0 */
	bool space_conflict;
	double sums[FLEXIBLE_ARRAY_MEMBER]; /* dims elements */
} AggregateState;

static AggregateState *
make_state(MemoryContext context, int dims, EmbeddingTag tag)
{
	AggregateState *state;

	state = MemoryContextAllocZero(context,
								   offsetof(AggregateState, sums) + (Size) dims * sizeof(double));
	state->dims = dims;
	state->tag = tag;
	return state;
}

/* The context that outlives the rows of a group. */
static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return context;
}

/*
 * Take the reserved fields of more rows into the state.  A contradiction is
 * remembered, so that the result does not depend on the order of rows.
 */
static void
merge_state_tag(AggregateState *state, EmbeddingTag tag)
{
	if (tag.flags != 0 && state->tag.flags != 0 && tag.flags != state->tag.flags)
		state->flags_conflict = true;
	if (tag.space != 0 && state->tag.space != 0 && tag.space != state->tag.space)
		state->space_conflict = true;
	state->tag = embedding_merge_tags(state->tag, tag);
	if (state->flags_conflict)
		state->tag.flags = 0;
	if (state->space_conflict)
		state->tag.space = 0;
}

PG_FUNCTION_INFO_V1(embedding_accum);

/*
 * embedding_accum(internal, embedding) returns internal
 *		Transition function; ignores NULL.  22000 for different dimensions.
 */
Datum
embedding_accum(PG_FUNCTION_ARGS)
{
	AggregateState *state = PG_ARGISNULL(0) ? NULL : (AggregateState *) PG_GETARG_POINTER(0);
	EmbeddingView view;

	if (PG_ARGISNULL(1))
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}
	embedding_view(PG_GETARG_DATUM(1), &view);
	if (state == NULL)
		state = make_state(aggregate_context(fcinfo), view.dims, view.tag);
	if (state->dims != view.dims)
		embedding_dims_mismatch(state->dims, view.dims);

	merge_state_tag(state, view.tag);
	for (int i = 0; i < view.dims; i++)
		state->sums[i] += embedding_get(&view, i);
	state->count++;
	embedding_view_free(&view);
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(embedding_combine);

/*
 * embedding_combine(internal, internal) returns internal
 *		Adds the state of a parallel worker.  22000 for different dimensions.
 */
Datum
embedding_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	AggregateState *state = PG_ARGISNULL(0) ? NULL : (AggregateState *) PG_GETARG_POINTER(0);
	AggregateState *more = PG_ARGISNULL(1) ? NULL : (AggregateState *) PG_GETARG_POINTER(1);

	if (more == NULL)
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}
	if (state == NULL)
		state = make_state(context, more->dims, more->tag);
	if (state->dims != more->dims)
		embedding_dims_mismatch(state->dims, more->dims);

	state->flags_conflict |= more->flags_conflict;
	state->space_conflict |= more->space_conflict;
	merge_state_tag(state, more->tag);
	for (int i = 0; i < state->dims; i++)
		state->sums[i] += more->sums[i];
	state->count += more->count;
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(embedding_serialize);

/*
 * embedding_serialize(internal) returns bytea
 *		The state, for its way from a parallel worker.
 */
Datum
embedding_serialize(PG_FUNCTION_ARGS)
{
	AggregateState *state = (AggregateState *) PG_GETARG_POINTER(0);
	StringInfoData buf;

	(void) aggregate_context(fcinfo);
	pq_begintypsend(&buf);
	pq_sendint64(&buf, state->count);
	pq_sendint32(&buf, state->dims);
	pq_sendint8(&buf, state->tag.flags);
	pq_sendint32(&buf, state->tag.space);
	pq_sendint8(&buf, state->flags_conflict);
	pq_sendint8(&buf, state->space_conflict);
	pq_sendbytes(&buf, (const char *) state->sums, state->dims * (int) sizeof(double));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

PG_FUNCTION_INFO_V1(embedding_deserialize);

/*
 * embedding_deserialize(bytea, internal) returns internal
 */
Datum
embedding_deserialize(PG_FUNCTION_ARGS)
{
	bytea *bytes = PG_GETARG_BYTEA_PP(0);
	AggregateState *state;
	StringInfoData buf;
	int64 count;
	int dims;
	EmbeddingTag tag;

	(void) aggregate_context(fcinfo);
	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, VARDATA_ANY(bytes), (int) VARSIZE_ANY_EXHDR(bytes));
	count = pq_getmsgint64(&buf);
	dims = (int) pq_getmsgint(&buf, 4);
	tag.flags = (uint8) pq_getmsgint(&buf, 1);
	tag.space = pq_getmsgint(&buf, 4);
	embedding_check_dims(dims);

	state = make_state(CurrentMemoryContext, dims, tag);
	state->count = count;
	state->flags_conflict = pq_getmsgint(&buf, 1) != 0;
	state->space_conflict = pq_getmsgint(&buf, 1) != 0;
	pq_copymsgbytes(&buf, (char *) state->sums, dims * (int) sizeof(double));
	pq_getmsgend(&buf);
	PG_RETURN_POINTER(state);
}

/* The sums divided by divisor, as float32; 22003 if one does not fit. */
static Datum
finish(AggregateState *state, double divisor)
{
	Embedding *result = embedding_alloc(state->dims, MM_FLOAT32, &state->tag);

	for (int i = 0; i < state->dims; i++)
	{
		float value = (float) (state->sums[i] / divisor);

		if (unlikely(!isfinite(value)))
			float_overflow_error();
		embedding_set(result, i, value);
	}
	return EmbeddingPGetDatum(result);
}

PG_FUNCTION_INFO_V1(embedding_sum_final);

/*
 * embedding_sum_final(internal) returns embedding
 *		NULL for no rows; 22003 if the sum does not fit float32.
 */
Datum
embedding_sum_final(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	(void) aggregate_context(fcinfo);
	return finish((AggregateState *) PG_GETARG_POINTER(0), 1);
}

PG_FUNCTION_INFO_V1(embedding_avg_final);

/*
 * embedding_avg_final(internal) returns embedding
 *		NULL for no rows.
 */
Datum
embedding_avg_final(PG_FUNCTION_ARGS)
{
	AggregateState *state;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	(void) aggregate_context(fcinfo);
	state = (AggregateState *) PG_GETARG_POINTER(0);
	return finish(state, (double) state->count);
}
