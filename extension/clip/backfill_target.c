/*-------------------------------------------------------------------------
 *
 * backfill_target.c
 *	  mmodal_embed_column: whether a table's column can be embedded, by the
 *	  caller and with the model.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_index.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "backfill.h"
#include "types/embedding.h"

static AttrNumber
column_number(Oid relid, const char *name)
{
	AttrNumber number = get_attnum(relid, name);

	if (number == InvalidAttrNumber)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of relation \"%s\" does not exist", clip_quoted(name),
							   get_rel_name(relid))));
	if (number < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
						errmsg("column \"%s\" is a system column", name)));
	return number;
}

/* The name of a column that was there when the call began. */
static char *
column_name(Oid relid, AttrNumber number)
{
	/* a dropped one has a name still, but no type */
	if (!OidIsValid(get_atttype(relid, number)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("a column of relation \"%s\" was dropped while it was being embedded",
						get_rel_name(relid))));
	return get_attname(relid, number, false);
}

/* To see which rows are to be done takes the whole row: ctid, xmin. */
static void
require_rights(const BackfillTarget *t, const char *name)
{
	AclResult result = pg_class_aclcheck(t->relid, GetUserId(), ACL_SELECT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, name);
	result = pg_class_aclcheck(t->relid, GetUserId(), ACL_UPDATE);
	if (result != ACLCHECK_OK)
		result = pg_attribute_aclcheck(t->relid, t->column, GetUserId(), ACL_UPDATE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, name);
}

static void
require_table(Oid relid, const char *name)
{
	char kind = get_rel_relkind(relid);

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a table", name),
				 errdetail("Only columns of tables and partitioned tables can be embedded.")));
}

/* Kind of what is in the source column. */
static ClipKind
source_kind(const BackfillTarget *t, const char *name)
{
	Oid type = get_atttype(t->relid, t->source);

	switch (getBaseType(type))
	{
		case TEXTOID:
		case VARCHAROID:
			return CLIP_TEXT;
		case BYTEAOID:
			return CLIP_IMAGE;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" is of type %s", name, format_type_be(type)),
			 errdetail("Texts are of type text or character varying, pictures of type bytea.")));
}

static void
require_embedding(const BackfillTarget *t, const char *name, int32 *typmod)
{
	Oid type = get_atttype(t->relid, t->column);
	HeapTuple tuple;
	bool generated;

	*typmod = -1;
	if (OidIsValid(type))
	{
		tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(t->relid), Int16GetDatum(t->column));
		*typmod = ((Form_pg_attribute) GETSTRUCT(tuple))->atttypmod;
		generated = ((Form_pg_attribute) GETSTRUCT(tuple))->attgenerated != '\0';
		ReleaseSysCache(tuple);
		if (generated)
			ereport(ERROR, (errcode(ERRCODE_GENERATED_ALWAYS),
							errmsg("column \"%s\" is a generated column", name),
							errdetail("PostgreSQL computes its values when a row is written.")));
	}
	if (getBaseTypeAndTypmod(type, typmod) != t->embedding)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("column \"%s\" is of type %s", name, format_type_be(type)),
						errdetail("Embeddings need a column of type embedding.")));
}

/* Who may not call clip_embed() is not to encode this way. */
static void
require_encoding(const Backfill *b)
{
	Oid types[2] = {b->target.kind == CLIP_TEXT ? TEXTOID : BYTEAOID, TEXTOID};
	oidvector *args = buildoidvector(types, 2);
	Oid function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("clip_embed"),
								   PointerGetDatum(args), ObjectIdGetDatum(b->schema));
	AclResult result = ACLCHECK_NO_PRIV;

	if (OidIsValid(function))
		result = mm_function_aclcheck(function, GetUserId());
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, "clip_embed");
}

static void
require_model(const Backfill *b, const char *name, int32 typmod)
{
	ClipModel *model = clip_model_get(b->model);
	int dims = clip_model_info(model)->dims;

	if (b->target.kind == CLIP_TEXT)
		clip_require_text_tower(model);
	else
		clip_require_image_tower(model);
	if (typmod >= 0 && embedding_typmod_dims(typmod) != dims)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("column \"%s\" is for embeddings of %d dimensions", name,
						embedding_typmod_dims(typmod)),
				 errdetail("Those of model \"%s\" have %d.", clip_model_info(model)->name, dims)));
}

/* jsonb of the row t's primary key, or else of its place. */
static char *
key_expression(Relation rel)
{
	StringInfoData s;
	Oid index;
	HeapTuple tuple;
	Form_pg_index form;

	initStringInfo(&s);
	appendStringInfoString(&s, "pg_catalog.jsonb_build_object(");
	list_free(RelationGetIndexList(rel));
	index = rel->rd_pkindex;
	if (!OidIsValid(index))
	{
		if (rel->rd_rel->relhassubclass)
			appendStringInfoString(&s, "'table'::pg_catalog.text, "
									   "t.tableoid::pg_catalog.regclass::pg_catalog.text, ");
		appendStringInfoString(&s, "'ctid'::pg_catalog.text, t.ctid::pg_catalog.text)");
		return s.data;
	}
	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index);
	form = (Form_pg_index) GETSTRUCT(tuple);
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		char *name = get_attname(RelationGetRelid(rel), form->indkey.values[i], false);

		appendStringInfo(&s, "%s%s::pg_catalog.text, t.%s", i > 0 ? ", " : "",
						 quote_literal_cstr(name), quote_identifier(name));
	}
	ReleaseSysCache(tuple);
	appendStringInfoChar(&s, ')');
	return s.data;
}

/* All that can be asked by OIDs and column numbers, under the table's lock. */
static void
check_target(Backfill *b)
{
	BackfillTarget *t = &b->target;
	Relation rel;
	char *source;
	char *column;
	int32 typmod;

	LockRelationOid(t->relid, RowExclusiveLock);
	rel = try_table_open(t->relid, NoLock);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u was dropped while it was being embedded", t->relid)));
	if (RELATION_IS_OTHER_TEMP(rel))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot embed temporary tables of other sessions")));
	require_rights(t, RelationGetRelationName(rel));
	source = column_name(t->relid, t->source);
	column = column_name(t->relid, t->column);
	t->kind = source_kind(t, source);
	require_embedding(t, column, &typmod);
	require_encoding(b);
	require_model(b, column, typmod);
	t->table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
										  RelationGetRelationName(rel));
	t->source_sql = psprintf("t.%s", quote_identifier(source));
	t->column_sql = pstrdup(quote_identifier(column));
	t->key_sql = key_expression(rel);
	table_close(rel, NoLock);
}

void
backfill_check(Backfill *b, Oid relid, const char *source, const char *column)
{
	BackfillTarget *t = &b->target;
	char *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", relid)));
	t->relid = relid;
	t->embedding = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("embedding"),
								   ObjectIdGetDatum(b->schema));
	/* before the lock: who may not write is not to wait, nor to have others wait */
	require_table(relid, name);
	t->source = column_number(relid, source);
	t->column = column_number(relid, column);
	require_rights(t, name);
	check_target(b);
}

void
backfill_open(Backfill *b)
{
	MemoryContext old;

	/*
	 * A row that another changed is to be locked as it is now, not to end the
	 * call: whatever isolation the session has by default, it is not for us.
	 */
	set_config_option("transaction_isolation", "read committed", PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_LOCAL, true, 0, false);
	MemoryContextReset(b->work);
	old = MemoryContextSwitchTo(b->work);
	check_target(b);
	MemoryContextSwitchTo(old);
}

BlockNumber
backfill_blocks(const Backfill *b)
{
	BlockNumber most = 0;
	ListCell *lc;

	foreach (lc, find_all_inheritors(b->target.relid, RowExclusiveLock, NULL))
	{
		Relation rel = table_open(lfirst_oid(lc), NoLock);
		BlockNumber blocks = 0;

		if (rel->rd_rel->relkind == RELKIND_RELATION)
			blocks = RelationGetNumberOfBlocks(rel);
		else if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("partition \"%s\" is not a table", RelationGetRelationName(rel)),
							errhint("Call mmodal_embed_column for the partitions that are.")));
		most = Max(most, blocks);
		table_close(rel, NoLock);
	}
	return most;
}
