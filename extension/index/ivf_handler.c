/*
 * ivf_handler.c
 *		The access method faiss_ivf: what it can do, its options, its classes.
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/amvalidate.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "commands/progress.h"
#include "commands/vacuum.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "ivf.h"

MM_FUNCTION_INFO_UNCHECKED(faiss_ivf_handler);
extern Datum embedding_cosine_distance(PG_FUNCTION_ARGS);
extern Datum embedding_l2_distance(PG_FUNCTION_ARGS);
extern Datum embedding_negative_inner_product(PG_FUNCTION_ARGS);

/* The only support function of an operator class: its distance. */
#define IVF_DISTANCE_PROC 1

/* The only operator strategy: ORDER BY distance. */
#define IVF_DISTANCE_STRATEGY 1

static relopt_kind ivf_relopt_kind;

static relopt_enum_elt_def codec_names[] = {{"refined", IVF_CODEC_REFINED},
											{"compact", IVF_CODEC_COMPACT},
											{"flat", IVF_CODEC_FLAT},
											{NULL, 0}};

static void
validate_calibration(const char *value)
{
	float recall[IVF_CURVE_POINTS];

	(void) ivf_curve_parse(value, recall);
}

void
ivf_init_options(void)
{
	ivf_relopt_kind = add_reloption_kind();
	add_int_reloption(ivf_relopt_kind, "lists",
					  "Number of lists; 0 for one that fits the number of rows", IVF_DEFAULT_LISTS,
					  0, IVF_MAX_LISTS, AccessExclusiveLock);
	add_enum_reloption(ivf_relopt_kind, "codec", "How rows are encoded", codec_names,
					   IVF_CODEC_REFINED, "Valid values are \"refined\", \"compact\" and \"flat\".",
					   AccessExclusiveLock);
	add_string_reloption(ivf_relopt_kind, "calibration",
						 "Recall measured at increasing work; set by mmodal_calibrate", NULL,
						 validate_calibration, ShareUpdateExclusiveLock);
}

static bytea *
ivf_options(Datum reloptions, bool validate)
{
	static const relopt_parse_elt elements[] = {
		{"lists", RELOPT_TYPE_INT, offsetof(IvfOptions, lists)},
		{"codec", RELOPT_TYPE_ENUM, offsetof(IvfOptions, codec)},
		{"calibration", RELOPT_TYPE_STRING, offsetof(IvfOptions, calibration)}};

	return (bytea *) build_reloptions(reloptions, validate, ivf_relopt_kind, sizeof(IvfOptions),
									  elements, lengthof(elements));
}

MmMetric
ivf_metric(Relation index)
{
	static const struct
	{
		PGFunction function;
		MmMetric metric;
	} metrics[] = {{embedding_cosine_distance, MM_COSINE},
				   {embedding_l2_distance, MM_L2_SQUARED},
				   {embedding_negative_inner_product, MM_INNER_PRODUCT}};
	PGFunction function = index_getprocinfo(index, 1, IVF_DISTANCE_PROC)->fn_addr;

	for (size_t i = 0; i < lengthof(metrics); i++)
	{
		if (metrics[i].function == function)
			return metrics[i].metric;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					errmsg("operator class of index \"%s\" has a distance that faiss_ivf does "
						   "not know",
						   RelationGetRelationName(index))));
}

void
ivf_check_relation(Relation index)
{
	if (index->rd_rel->relkind != RELKIND_INDEX || index->rd_indam == NULL ||
		index->rd_indam->aminsert != ivf_insert)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a faiss_ivf index", RelationGetRelationName(index))));
}

static char *
ivf_phase_name(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case IVF_PHASE_SAMPLE:
			return "sampling rows";
		case IVF_PHASE_TRAIN:
			return "training centres";
		case IVF_PHASE_ENCODE:
			return "encoding rows";
		case IVF_PHASE_WRITE:
			return "writing lists";
		case IVF_PHASE_MEASURE:
			return "measuring recall";
		default:
			return NULL;
	}
}

/* Whether an operator of the family is one that the method can use. */
static bool
validate_operator(const char *family, Form_pg_amop form)
{
	if (form->amopstrategy == IVF_DISTANCE_STRATEGY && form->amoppurpose == AMOP_ORDER &&
		get_op_rettype(form->amopopr) == FLOAT8OID &&
		opfamily_can_sort_type(form->amopsortfamily, FLOAT8OID))
		return true;
	ereport(INFO,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator family \"%s\" of access method faiss_ivf contains operator %s with "
					"an invalid strategy or purpose",
					family, format_operator(form->amopopr))));
	return false;
}

static bool
validate_function(const char *family, Form_pg_amproc form, Oid type)
{
	if (form->amprocnum == IVF_DISTANCE_PROC &&
		check_amproc_signature(form->amproc, FLOAT8OID, true, 2, 2, type, type))
		return true;
	ereport(INFO,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator family \"%s\" of access method faiss_ivf contains function %s with "
					"a wrong number or signature",
					family, format_procedure(form->amproc))));
	return false;
}

static bool
ivf_validate(Oid opclass_oid)
{
	HeapTuple class_tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass_oid));
	Form_pg_opclass class_form;
	CatCList *operators;
	CatCList *functions;
	HeapTuple family_tuple;
	char *family;
	bool result = true;

	if (!HeapTupleIsValid(class_tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass_oid);
	class_form = (Form_pg_opclass) GETSTRUCT(class_tuple);
	family_tuple = SearchSysCache1(OPFAMILYOID, ObjectIdGetDatum(class_form->opcfamily));
	if (!HeapTupleIsValid(family_tuple))
		elog(ERROR, "cache lookup failed for operator family %u", class_form->opcfamily);
	family = NameStr(((Form_pg_opfamily) GETSTRUCT(family_tuple))->opfname);
	operators = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(class_form->opcfamily));
	functions = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(class_form->opcfamily));

	for (int i = 0; i < operators->n_members; i++)
		result &=
			validate_operator(family, (Form_pg_amop) GETSTRUCT(&operators->members[i]->tuple));
	for (int i = 0; i < functions->n_members; i++)
		result &=
			validate_function(family, (Form_pg_amproc) GETSTRUCT(&functions->members[i]->tuple),
							  class_form->opcintype);
	if (operators->n_members == 0 || functions->n_members == 0)
	{
		ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					   errmsg("operator class \"%s\" of access method faiss_ivf lacks its operator "
							  "or its function",
							  NameStr(class_form->opcname))));
		result = false;
	}

	ReleaseCatCacheList(functions);
	ReleaseCatCacheList(operators);
	ReleaseSysCache(family_tuple);
	ReleaseSysCache(class_tuple);
	return result;
}

/*
 * Handler of the access method.
 */
Datum
faiss_ivf_handler(PG_FUNCTION_ARGS)
{
	IndexAmRoutine *am = makeNode(IndexAmRoutine);

	am->amstrategies = IVF_DISTANCE_STRATEGY;
	am->amsupport = IVF_DISTANCE_PROC;
	am->amcanorderbyop = true;
	/* An index scan needs no condition: ORDER BY alone will do. */
	am->amoptionalkey = true;
	am->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL | VACUUM_OPTION_PARALLEL_CLEANUP;
	am->amkeytype = InvalidOid;

	am->ambuild = ivf_build;
	am->ambuildempty = ivf_buildempty;
	am->aminsert = ivf_insert;
	am->ambulkdelete = ivf_bulkdelete;
	am->amvacuumcleanup = ivf_vacuumcleanup;
	am->amcostestimate = ivf_costestimate;
	am->amoptions = ivf_options;
	am->ambuildphasename = ivf_phase_name;
	am->amvalidate = ivf_validate;
	am->ambeginscan = ivf_beginscan;
	am->amrescan = ivf_rescan;
	am->amgettuple = ivf_gettuple;
	am->amendscan = ivf_endscan;

	PG_RETURN_POINTER(am);
}
