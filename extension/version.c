/*-------------------------------------------------------------------------
 *
 * version.c
 *	  Whether the library and the extension's SQL definitions fit together.
 *
 * A new library is there with `make install`, new definitions with ALTER
 * EXTENSION UPDATE, each database in its own time; sessions and servers that
 * run on keep the library that they have.  In between a definition may call
 * a C function that expects other arguments.  So the version that pg_extension
 * names must be one that the library serves.
 *
 * This is asked when PostgreSQL looks a function up (compat.h): at its first
 * use in a session and whenever its row of pg_proc has changed.  A definition
 * that an update left alone is one that the old library knows.  A refusal is
 * not remembered, so that ALTER EXTENSION helps at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "compat.h"

/*
 * Versions of the SQL definitions that this library serves.  One that is left
 * in here when a newer is added goes on working until it is updated, as rolling
 * upgrades of standbys want it: all of its functions must then be as they were.
 */
static const char *const served_versions[] = {MMODAL_VERSION};

/*
 * The version in pg_extension, or NULL where the functions are not an
 * extension's.  There is no cache on that catalog in all versions.
 */
static char *
extension_version(void)
{
	Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	char *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("mmodal"));
	scan = systable_beginscan(catalog, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool isnull;
		Datum value =
			heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(catalog), &isnull);

		if (!isnull)
			version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return version;
}

/* Order of versions made of numbers, as ours are. */
static int
compare_versions(const char *a, const char *b)
{
	while (*a != '\0' || *b != '\0')
	{
		char *a_end;
		char *b_end;
		unsigned long x = strtoul(a, &a_end, 10);
		unsigned long y = strtoul(b, &b_end, 10);

		if (x != y)
			return x < y ? -1 : 1;
		if (a_end == a && b_end == b)
			return strcmp(a, b);
		a = *a_end == '.' ? a_end + 1 : a_end;
		b = *b_end == '.' ? b_end + 1 : b_end;
	}
	return 0;
}

/*
 * Raise an error if the library does not serve the definitions of this database.
 */
void
mm_check_version(void)
{
	char *version;

	/*
	 * Scripts of CREATE and ALTER EXTENSION run between two versions, and
	 * pg_upgrade restores the old definitions beside the new library.
	 */
	if (creating_extension || IsBinaryUpgrade || !IsTransactionState() || !OidIsValid(MyDatabaseId))
		return;
	version = extension_version();
	if (version == NULL)
		return;
	for (int i = 0; i < lengthof(served_versions); i++)
		if (strcmp(version, served_versions[i]) == 0)
		{
			pfree(version);
			return;
		}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("mmodal library is version %s but the extension is version %s", MMODAL_VERSION,
					version),
			 compare_versions(MMODAL_VERSION, version) > 0
				 ? errhint("Run ALTER EXTENSION mmodal UPDATE in this database.")
				 : errhint("Install the library of version %s; where that has been done, reconnect "
						   "(restart the server if it preloads mmodal).",
						   version)));
}
