/*
 * ivf_cost.c
 *		What the planner is told of an index scan.
 *
 * The first row is dear: lists are read and ranked before it comes.  From the
 * curve that the index measured we know how many rows that is.  The rows after
 * it cost a share of what is left to read.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "access/genam.h"
#include "fmgr.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

#include "../compat.h"
#include "../guc.h"
#include "ivf.h"
#include "ivf_search.h"

/* Costs of a row, in units of cpu_operator_cost: its scan code, its 8-bit code. */
#define SCAN_ROW_COST 0.1
#define RERANK_ROW_COST 1.0

/* Rows scanned and reranked before the first row comes. */
static void
first_round_rows(Relation index, const IvfMeta *meta, double rows, double *scanned,
				 double *reranked)
{
	IvfSearchOptions options = ivf_search_options(index);
	int point = 0;

	*scanned = rows;
	*reranked = rows;
	if (options.recall >= 1 || meta->lists <= 1)
		return;
	*reranked = Min(rows, 100);
	if (options.probes > 0)
		*scanned = rows * Min(1.0, (double) options.probes / meta->lists);
	else if (meta->curve_points > 0)
	{
		while (point < IVF_CURVE_POINTS - 1 && ivf_curve_point(point) < options.spread)
			point++;
		*scanned = rows * Min(1.0, meta->curve_scanned[point]);
		*reranked = Min(rows, meta->curve_reranked[point]);
	}
	else
		*scanned = rows * 0.1;
}

void
ivf_costestimate(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup_cost,
				 Cost *total_cost, Selectivity *selectivity, double *correlation, double *pages)
{
	Relation index;
	IvfMeta meta;
	double rows = Max(path->indexinfo->tuples, 1);
	double scanned;
	double reranked;
	double page_cost;
	double row_pages;
	double read;

	*correlation = 0;
	/* A partial index gives its own rows alone. */
	*selectivity = Min(1.0, rows / Max(path->indexinfo->rel->tuples, 1));
	*pages = path->indexinfo->pages;
	if (path->indexorderbys == NIL)
	{
		*startup_cost = DBL_MAX;
		*total_cost = DBL_MAX;
		mm_path_disable(path);
		return;
	}

	index = index_open(path->indexinfo->indexoid, NoLock);
	meta = ivf_state(index)->meta;
	first_round_rows(index, &meta, rows, &scanned, &reranked);
	index_close(index, NoLock);

	/* Scan pages, and a code page for nearly each row that is reranked. */
	get_tablespace_page_costs(path->indexinfo->reltablespace, &page_cost, NULL);
	row_pages = scanned / Max(meta.unit_rows, 1) + Min(reranked, *pages);
	read = Min(row_pages, *pages);
	*startup_cost = read * page_cost +
					cpu_operator_cost * (scanned * SCAN_ROW_COST + reranked * RERANK_ROW_COST +
										 meta.lists * SCAN_ROW_COST);

	/* All rows: every page, every row reranked and queued. */
	*total_cost = *startup_cost + (*pages - read) * page_cost +
				  (rows - reranked) * (RERANK_ROW_COST * cpu_operator_cost) +
				  (rows - scanned) * SCAN_ROW_COST * cpu_operator_cost +
				  rows * cpu_index_tuple_cost;
}
