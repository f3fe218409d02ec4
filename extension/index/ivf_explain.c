/*
 * ivf_explain.c
 *		EXPLAIN ANALYZE: what a scan of a faiss_ivf index did.
 *
 * From PostgreSQL 18, which lets modules add lines to a node, and options.  On
 * earlier versions mmodal_last_scan() tells.
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "ivf.h"

#ifdef MM_HAS_EXPLAIN_HOOKS

#include "access/relscan.h"
#include "commands/defrem.h"
#include "commands/explain.h"
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#include "nodes/execnodes.h"

#include "ivf_search.h"

static explain_per_node_hook_type previous_per_node;
static int extension_id;

/* What the option said; without it EXPLAIN ANALYZE shows the lines. */
typedef enum MmExplain
{
	MM_EXPLAIN_OFF,
	MM_EXPLAIN_ON
} MmExplain;

static MmExplain explain_choices[] = {MM_EXPLAIN_OFF, MM_EXPLAIN_ON};

/* EXPLAIN (MMODAL [boolean]) */
static void
apply_option(ExplainState *es, DefElem *option, ParseState *pstate)
{
	SetExplainExtensionState(es, extension_id, &explain_choices[defGetBoolean(option)]);
}

static bool
is_wanted(ExplainState *es)
{
	const MmExplain *choice = GetExplainExtensionState(es, extension_id);

	return es->analyze && (choice == NULL || *choice == MM_EXPLAIN_ON);
}

static void
show(ExplainState *es, const IvfScanStats *stats)
{
	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		ExplainIndentText(es);
		appendStringInfo(es->str,
						 "Lists: %u  Probed: " INT64_FORMAT "  Candidates: " INT64_FORMAT
						 "  Reranked: " INT64_FORMAT "  Refined: " INT64_FORMAT "\n",
						 stats->lists, stats->work.lists, stats->work.scanned, stats->work.reranked,
						 stats->work.refined);
		ExplainIndentText(es);
		if (stats->exact)
			appendStringInfoString(es->str, "Recall: exact");
		else
			appendStringInfo(es->str, "Recall: %g", stats->recall);
		appendStringInfo(es->str, "  Rounds: " INT64_FORMAT "\n", stats->work.rounds);
		return;
	}
	ExplainPropertyInteger("Lists", NULL, stats->lists, es);
	ExplainPropertyInteger("Lists Probed", NULL, stats->work.lists, es);
	ExplainPropertyInteger("Candidates", NULL, stats->work.scanned, es);
	ExplainPropertyInteger("Reranked", NULL, stats->work.reranked, es);
	ExplainPropertyInteger("Refined", NULL, stats->work.refined, es);
	ExplainPropertyFloat("Recall", NULL, stats->recall, 2, es);
	ExplainPropertyBool("Exact", stats->exact, es);
	ExplainPropertyInteger("Rounds", NULL, stats->work.rounds, es);
}

static void
explain_node(PlanState *planstate, List *ancestors, const char *relationship, const char *plan_name,
			 ExplainState *es)
{
	if (previous_per_node)
		previous_per_node(planstate, ancestors, relationship, plan_name, es);
	if (IsA(planstate, IndexScanState) && is_wanted(es))
	{
		const IndexScanDesc scan = ((IndexScanState *) planstate)->iss_ScanDesc;
		IvfScanStats stats;

		/* A node that was never executed has no scan, nor one that only workers executed. */
		if (scan == NULL || scan->indexRelation->rd_indam->amgettuple != ivf_gettuple)
			return;
		stats = ivf_scan_stats(scan);
		if (stats.searches > 0)
			show(es, &stats);
	}
}

void
ivf_init_explain(void)
{
	extension_id = GetExplainExtensionId("mmodal");
	RegisterExtensionExplainOption("mmodal", apply_option);
	previous_per_node = explain_per_node_hook;
	explain_per_node_hook = explain_node;
}

#else

void
ivf_init_explain(void)
{
}

#endif
