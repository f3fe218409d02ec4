/*
 * ivf_recall.c
 *		mmodal_calibrate and mmodal_recall: what an index gives for real queries.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "access/genam.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "../guc.h"
#include "ivf.h"
#include "ivf_admin.h"
#include "ivf_calibrate.h"

PG_FUNCTION_INFO_V1(mmodal_calibrate);
PG_FUNCTION_INFO_V1(mmodal_recall);

/*
 * Calibration must not take the base's own queries below what was asked for by
 * more than this.
 */
#define BASE_ALLOWANCE 0.01f

/* Neighbours that mmodal_recall can be asked for. */
#define MAX_K 10000

/* Queries of one call: each is a search of the whole index, several times over. */
#define MAX_QUERIES 10000

/* Distances that mmodal_recall holds, k a query: 80 MB of them. */
#define MAX_DISTANCES (10 * 1000 * 1000)

/* The queries of an array without NULLs; each has the index's dimensions. */
static IvfCalibration *
queries_of_array(ArrayType *array, uint32 dims)
{
	IvfCalibration *queries = palloc0(sizeof(IvfCalibration));
	Datum *values;
	bool *nulls;
	int n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (n > MAX_QUERIES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many queries to measure with"),
						errdetail("The array has %d, where %d are allowed.", n, MAX_QUERIES),
						errhint("A sample of a few hundred tells as much.")));
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &values, &nulls, &n);
	queries->queries = palloc(Max(n, 1) * sizeof(Datum));
	for (int i = 0; i < n; i++)
	{
		EmbeddingView view;

		if (nulls[i])
			continue;
		embedding_view(values[i], &view);
		if (view.dims != (int) dims)
			embedding_dims_mismatch((int) dims, view.dims);
		queries->queries[queries->nqueries++] = values[i];
	}
	if (queries->nqueries == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there are no queries to measure with")));
	return queries;
}

/* Keep a curve as the index's option; the index must be closed, and its table locked. */
static void
store_calibration(Oid index, const float *recall)
{
	StringInfoData command;
	char *name;
	char *schema;

	/* The command goes by name: another index must not take it meanwhile. */
	LockRelationOid(index, ShareUpdateExclusiveLock);
	name = get_rel_name(index);
	schema = get_namespace_name(get_rel_namespace(index));
	if (name == NULL || schema == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", index)));
	initStringInfo(&command);
	appendStringInfo(&command, "ALTER INDEX %s SET (calibration = '",
					 quote_qualified_identifier(schema, name));
	for (int point = 0; point < IVF_CURVE_POINTS; point++)
		appendStringInfo(&command, "%s%.4f", point ? "," : "", recall[point]);
	appendStringInfoString(&command, "')");
	if (SPI_connect() != SPI_OK_CONNECT || SPI_execute(command.data, false, 0) != SPI_OK_UTILITY ||
		SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "could not store the calibration");
}

/*
 * Measure how recall grows with work for the given queries, and keep that with
 * the index.  One row a point of the curve.
 */
Datum
mmodal_calibrate(PG_FUNCTION_ARGS)
{
	Oid oid = PG_GETARG_OID(0);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	IvfAdmin admin;
	IvfState *state;
	float recall[IVF_CURVE_POINTS];
	float scanned[IVF_CURVE_POINTS];
	float reranked[IVF_CURVE_POINTS];
	ArrayType *array;

	if (RecoveryInProgress())
		ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
						errmsg("an index cannot be calibrated during recovery"),
						errhint("Calibrate it on the primary server.")));
	InitMaterializedSRF(fcinfo, 0);
	array = PG_GETARG_ARRAYTYPE_P(1);
	ivf_admin_open(oid, AccessShareLock, &admin);
	state = ivf_state_load(admin.index);
	ivf_calibrate(admin.index, queries_of_array(array, state->meta.dims), recall, scanned,
				  reranked);
	ivf_admin_close(&admin);

	for (int point = 0; point < IVF_CURVE_POINTS; point++)
	{
		Datum values[3] = {Float4GetDatum(ivf_curve_point(point)), Float4GetDatum(recall[point]),
						   Float4GetDatum(scanned[point])};
		bool nulls[3] = {false, false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		/* Rows of the base itself must still be found as queries. */
		if (state->meta.curve_points > 0)
			recall[point] =
				Min(recall[point], Min(1, state->meta.curve_recall[point] + BASE_ALLOWANCE));
	}
	store_calibration(oid, recall);
	return (Datum) 0;
}

/* The k smallest distances of a query, largest first: a heap. */
typedef struct Nearest
{
	int n;
	double *distance;
} Nearest;

static void
add_distance(Nearest *nearest, int k, double distance)
{
	double *heap = nearest->distance;
	int at;

	if (nearest->n == k)
	{
		if (distance >= heap[0])
			return;
		/* Replace the largest one, and let the new one sink. */
		for (at = 0; 2 * at + 1 < k;)
		{
			int child = 2 * at + 1;

			if (child + 1 < k && heap[child + 1] > heap[child])
				child++;
			if (heap[child] <= distance)
				break;
			heap[at] = heap[child];
			at = child;
		}
		heap[at] = distance;
		return;
	}
	for (at = nearest->n++; at > 0 && heap[(at - 1) / 2] < distance; at = (at - 1) / 2)
		heap[at] = heap[(at - 1) / 2];
	heap[at] = distance;
}

/* What a measurement works with. */
typedef struct Measurement
{
	Relation heap;
	Relation index;
	IndexInfo *info;
	EState *estate;
	TupleTableSlot *slot;
	Snapshot snapshot;
	MmMetric metric;
	IvfCalibration *queries;
	int k;
	Nearest *nearest; /* exact, one a query */
} Measurement;

/* Distance of two embeddings as the operator has it; NaN where that is so. */
static double
exact_distance(MmMetric metric, Datum a, Datum b)
{
	EmbeddingView x;
	EmbeddingView y;
	double distance;

	embedding_view(a, &x);
	embedding_view(b, &y);
	distance = mm_distance(metric, x.dims, x.elem, x.data, y.elem, y.data);
	if (metric == MM_L2_SQUARED)
		return sqrt(distance);
	return metric == MM_INNER_PRODUCT ? -distance : distance;
}

/* The indexed value of the row in the slot; false where it is NULL or filtered out. */
static bool
slot_value(Measurement *m, ExprState *predicate, Datum *value)
{
	Datum values[INDEX_MAX_KEYS];
	bool isnull[INDEX_MAX_KEYS];

	GetPerTupleExprContext(m->estate)->ecxt_scantuple = m->slot;
	if (predicate && !ExecQual(predicate, GetPerTupleExprContext(m->estate)))
		return false;
	FormIndexDatum(m->info, m->slot, m->estate, values, isnull);
	*value = values[0];
	return !isnull[0];
}

/* Read the table and find the exact distances of each query's nearest rows. */
static void
scan_table(Measurement *m)
{
	TableScanDesc scan = table_beginscan(m->heap, m->snapshot, 0, NULL);
	ExprState *predicate = ExecPrepareQual(m->info->ii_Predicate, m->estate);

	while (table_scan_getnextslot(scan, ForwardScanDirection, m->slot))
	{
		MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(m->estate));
		Datum value;

		CHECK_FOR_INTERRUPTS();
		if (slot_value(m, predicate, &value))
		{
			value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
			for (int i = 0; i < m->queries->nqueries; i++)
			{
				double distance = exact_distance(m->metric, value, m->queries->queries[i]);

				if (!isnan(distance))
					add_distance(&m->nearest[i], m->k, distance);
			}
		}
		MemoryContextSwitchTo(old);
		ResetPerTupleExprContext(m->estate);
	}
	table_endscan(scan);
}

/* How many of the k rows that the index gives for a query are among the nearest ones. */
static int
scan_index(Measurement *m, int query)
{
	Nearest found = {.distance = palloc(m->k * sizeof(double))};
	const Nearest *truth = &m->nearest[query];
	IndexScanDesc scan = mm_index_beginscan(m->heap, m->index, m->snapshot, 0, 1);
	ScanKeyData key;
	int hits = 0;
	int n = 0;

	ScanKeyEntryInitialize(&key, SK_ORDER_BY, 1, 1, InvalidOid, InvalidOid,
						   index_getprocinfo(m->index, 1, 1)->fn_oid, m->queries->queries[query]);
	index_rescan(scan, NULL, 0, &key, 1);
	while (index_getnext_slot(scan, ForwardScanDirection, m->slot))
	{
		Datum value;

		CHECK_FOR_INTERRUPTS();
		/* An exact scan gives rows by lower bounds: go on until these are beyond the k-th row. */
		if (scan->xs_recheckorderby
				? n >= m->k && DatumGetFloat8(scan->xs_orderbyvals[0]) > found.distance[0]
				: n >= m->k)
			break;
		if (!slot_value(m, NULL, &value))
			break;
		add_distance(&found, m->k, exact_distance(m->metric, value, m->queries->queries[query]));
		n++;
		ResetPerTupleExprContext(m->estate);
	}
	index_endscan(scan);
	for (int i = 0; i < found.n; i++)
		hits += found.distance[i] <= truth->distance[0];
	pfree(found.distance);
	return Min(hits, truth->n);
}

static double
measure(Measurement *m)
{
	double found = 0;
	double total = 0;

	m->nearest = palloc(m->queries->nqueries * sizeof(Nearest));
	for (int i = 0; i < m->queries->nqueries; i++)
	{
		m->nearest[i].n = 0;
		m->nearest[i].distance = palloc(m->k * sizeof(double));
	}
	scan_table(m);
	for (int i = 0; i < m->queries->nqueries; i++)
	{
		if (m->nearest[i].n == 0)
			continue;
		found += scan_index(m, i);
		total += m->nearest[i].n;
	}
	return total > 0 ? found / total : 1;
}

/*
 * The share of each query's k nearest rows, by an exact scan of the table, that
 * the index finds with the settings in force.
 */
Datum
mmodal_recall(PG_FUNCTION_ARGS)
{
	Measurement m = {.k = PG_GETARG_INT32(2)};
	IvfAdmin admin;
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(1);
	double recall;

	if (m.k < 1 || m.k > MAX_K)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("k must be between 1 and %d", MAX_K)));
	ivf_admin_open(PG_GETARG_OID(0), AccessShareLock, &admin);
	m.index = admin.index;
	m.heap = admin.heap;
	m.queries = queries_of_array(array, ivf_state(m.index)->meta.dims);
	if ((int64) m.queries->nqueries * m.k > MAX_DISTANCES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many neighbours to measure with"),
						errdetail("%d queries times k = %d are more than %d.", m.queries->nqueries,
								  m.k, MAX_DISTANCES),
						errhint("Use fewer queries or a smaller k.")));
	m.metric = ivf_metric(m.index);
	m.info = BuildIndexInfo(m.index);
	m.estate = CreateExecutorState();
	m.slot = table_slot_create(m.heap, NULL);
	m.snapshot = GetActiveSnapshot();
	recall = measure(&m);
	ExecDropSingleTupleTableSlot(m.slot);
	FreeExecutorState(m.estate);
	ivf_admin_close(&admin);
	PG_RETURN_FLOAT8(recall);
}
