/*-------------------------------------------------------------------------
 *
 * clip_support.c
 *	  Planner support: what an encoding costs, and when.
 *
 * Arguments without columns cost one encoding in a whole query (clip_memo.c),
 * others one a row.  A flat high COST would be wrong both ways: it makes an
 * ORDER BY over a sequential scan look a hundred thousand times too dear, and
 * so JIT and filter-blind index scans look good.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/selfuncs.h"

#include "clip.h"

PG_FUNCTION_INFO_V1(clip_cost_support);

/*
 * In units of the planner, where a page read in sequence is 1, about 10 us
 * from the page cache: 14 ms a picture, 8 ms a short text.
 */
#define CLIP_IMAGE_COST 1400.0
#define CLIP_TEXT_COST 800.0

static double
argument_cost(PlannerInfo *root, Node *arg)
{
	switch (exprType(arg))
	{
		case TEXTOID:
			return CLIP_TEXT_COST;
		case BYTEAOID:
			return CLIP_IMAGE_COST;
		case TEXTARRAYOID:
			return CLIP_TEXT_COST * mm_estimate_array_length(root, arg);
		case BYTEAARRAYOID:
			return CLIP_IMAGE_COST * mm_estimate_array_length(root, arg);
		default:
			return 0;
	}
}

/*
 * The data arguments are those before the model's name: the first one, and the
 * second where it is an array of texts.
 */
static double
encoding_cost(PlannerInfo *root, List *args)
{
	double cost = argument_cost(root, linitial(args));

	if (list_length(args) > 1 && exprType(lsecond(args)) == TEXTARRAYOID)
		cost += argument_cost(root, lsecond(args));
	return cost;
}

Datum
clip_cost_support(PG_FUNCTION_ARGS)
{
	Node *request = (Node *) PG_GETARG_POINTER(0);
	SupportRequestCost *req;
	List *args;
	double cost;

	if (!IsA(request, SupportRequestCost))
		PG_RETURN_POINTER(NULL);
	req = (SupportRequestCost *) request;
	if (req->node == NULL || !IsA(req->node, FuncExpr))
		PG_RETURN_POINTER(NULL);
	args = ((FuncExpr *) req->node)->args;
	if (args == NIL)
		PG_RETURN_POINTER(NULL);

	cost = encoding_cost(req->root, args);
	if (contain_var_clause((Node *) args))
	{
		req->startup = 0;
		req->per_tuple = cost;
	}
	else
	{
		req->startup = cost;
		req->per_tuple = cpu_operator_cost;
	}
	PG_RETURN_POINTER(req);
}
