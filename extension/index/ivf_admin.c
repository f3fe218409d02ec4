/*
 * ivf_admin.c
 *		Opening an index for the SQL functions on indexes.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "ivf.h"
#include "ivf_admin.h"

static void
require_owner(Oid oid)
{
	char *name = get_rel_name(oid);

	if (name == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", oid)));
	if (get_rel_relkind(oid) != RELKIND_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not an index", name)));
	if (!mm_is_owner(oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, name);
}

/* As CREATE INDEX and REINDEX do. */
static void
become_owner(IvfAdmin *admin)
{
	GetUserIdAndSecContext(&admin->caller, &admin->security);
	SetUserIdAndSecContext(admin->heap->rd_rel->relowner,
						   admin->security | SECURITY_RESTRICTED_OPERATION);
	admin->guc_level = NewGUCNestLevel();
	mm_restrict_search_path();
}

void
ivf_admin_open(Oid oid, LOCKMODE heap_lock, IvfAdmin *admin)
{
	Oid heap_oid;

	/* First: who may not look at an index is not to wait for its locks, nor to hold them. */
	require_owner(oid);
	/* The table's lock comes first, as everywhere. */
	heap_oid = IndexGetRelation(oid, false);
	admin->heap = table_open(heap_oid, heap_lock);
	admin->index = index_open(oid, AccessShareLock);
	/* It may have got another owner while we waited. */
	require_owner(oid);
	ivf_check_relation(admin->index);
	become_owner(admin);
}

void
ivf_admin_close(IvfAdmin *admin)
{
	AtEOXact_GUC(false, admin->guc_level);
	SetUserIdAndSecContext(admin->caller, admin->security);
	index_close(admin->index, AccessShareLock);
	table_close(admin->heap, NoLock);
}
