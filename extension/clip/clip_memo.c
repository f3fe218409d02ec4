/*-------------------------------------------------------------------------
 *
 * clip_memo.c
 *	  One encoding for an argument that is repeated in a query.
 *
 * An ORDER BY over a sequential scan calls a STABLE function for every row,
 * mostly with the same argument.  Each call site (FmgrInfo) remembers its last
 * arguments and their result.
 *
 * Constants need no comparison.  Everything else is compared as it was passed,
 * before detoasting: a TOAST pointer is 18 bytes, and equal ones name the same
 * value as long as a statement's snapshot holds.  Parameters do have to be
 * compared: PL/pgSQL evaluates the same expression, and so the same FmgrInfo,
 * again and again with other values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"
#include "utils/datum.h"

#include "clip.h"

#define CLIP_MEMO_MAX_ARGS 3

/* What is larger is not remembered: an array of pictures may have a gigabyte. */
#define CLIP_MEMO_MAX_BYTES ((Size) 64 * 1024 * 1024)

typedef struct MemoArg
{
	bool constant;
	bool isnull;
	Size size;
	Size room;
	void *bytes; /* the raw datum, in fn_mcxt */
} MemoArg;

typedef struct Memo
{
	bool filled;
	bool all_constant;
	uint64 epoch;
	MemoArg args[CLIP_MEMO_MAX_ARGS];
	Size result_room;
	void *result;
} Memo;

static bool
arg_is_constant(FmgrInfo *flinfo, int i)
{
	List *args;

	if (flinfo->fn_expr == NULL || !IsA(flinfo->fn_expr, FuncExpr))
		return false;
	args = ((FuncExpr *) flinfo->fn_expr)->args;
	return i < list_length(args) && IsA(list_nth(args, i), Const);
}

static Memo *
memo_of(FmgrInfo *flinfo, int nargs)
{
	Memo *memo = flinfo->fn_extra;

	Assert(nargs <= CLIP_MEMO_MAX_ARGS);
	if (memo == NULL)
	{
		memo = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(Memo));
		memo->all_constant = true;
		for (int i = 0; i < nargs; i++)
		{
			memo->args[i].constant = arg_is_constant(flinfo, i);
			memo->all_constant &= memo->args[i].constant;
		}
		flinfo->fn_extra = memo;
	}
	return memo;
}

/*
 * Bytes that identify a varlena datum, or 0 where they do not, or are too many:
 * an expanded or indirect one points to memory that may change.
 */
static Size
identity_size(struct varlena *raw)
{
	if (VARATT_IS_EXTERNAL(raw) && !VARATT_IS_EXTERNAL_ONDISK(raw))
		return 0;
	return VARSIZE_ANY(raw) <= CLIP_MEMO_MAX_BYTES ? VARSIZE_ANY(raw) : 0;
}

static bool
arg_matches(const MemoArg *memo, NullableDatum arg)
{
	struct varlena *raw;

	if (memo->constant)
		return true;
	if (memo->isnull || arg.isnull)
		return memo->isnull && arg.isnull;
	raw = (struct varlena *) DatumGetPointer(arg.value);
	return memo->size > 0 && identity_size(raw) == memo->size &&
		   memcmp(raw, memo->bytes, memo->size) == 0;
}

bool
clip_memo_lookup(FunctionCallInfo fcinfo, Datum *result)
{
	Memo *memo = memo_of(fcinfo->flinfo, PG_NARGS());

	if (!memo->filled || memo->epoch != clip_model_epoch())
		return false;
	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (!arg_matches(&memo->args[i], fcinfo->args[i]))
			return false;
	}

	/*
	 * A row that an executor node still holds may point to what was returned.
	 * With constant arguments the remembered result is never overwritten, so
	 * it can be handed out itself; else the caller gets a copy of its own.
	 */
	*result = PointerGetDatum(memo->result);
	if (!memo->all_constant)
		*result = datumCopy(*result, false, -1);
	return true;
}

/* Copy into a buffer that only grows: a bulk load passes here for every row. */
static void
remember(MemoryContext context, void **buffer, Size *room, const void *bytes, Size size)
{
	if (*room < size)
	{
		if (*buffer != NULL)
			pfree(*buffer);
		*buffer = NULL;
		*room = 0;
		*buffer = MemoryContextAllocHuge(context, size);
		*room = size;
	}
	memcpy(*buffer, bytes, size);
}

Datum
clip_memo_store(FunctionCallInfo fcinfo, Datum result)
{
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	Memo *memo = memo_of(fcinfo->flinfo, PG_NARGS());
	Size result_size = VARSIZE_ANY(DatumGetPointer(result));

	memo->filled = false;
	if (result_size > CLIP_MEMO_MAX_BYTES)
		return result;
	for (int i = 0; i < PG_NARGS(); i++)
	{
		MemoArg *arg = &memo->args[i];
		struct varlena *raw;

		arg->isnull = fcinfo->args[i].isnull;
		if (arg->constant || arg->isnull)
			continue;
		raw = (struct varlena *) DatumGetPointer(fcinfo->args[i].value);
		arg->size = identity_size(raw);
		if (arg->size == 0)
			return result;
		remember(context, &arg->bytes, &arg->room, raw, arg->size);
	}
	if (memo->all_constant)
	{
		memo->result = NULL;
		memo->result_room = 0;
	}
	remember(context, &memo->result, &memo->result_room, DatumGetPointer(result), result_size);
	memo->epoch = clip_model_epoch();
	memo->filled = true;
	return result;
}
