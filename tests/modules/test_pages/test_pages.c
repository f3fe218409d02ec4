/*
 * test_pages.c
 *		Hands on the pages of an index, for tests alone: never installed.
 *
 * An index can be saved to a file beside the data directory's own, damaged, and
 * put back as it was.  Inserts and vacuums are those of the access method
 * without their table, so that a table stays what the saved index belongs to.
 * Every function wants a superuser, as whoever made it with LANGUAGE c was.
 */
#include "postgres.h"

#include <sys/resource.h>

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/storage.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "compat.h"

PG_MODULE_MAGIC;

MM_FUNCTION_INFO_UNCHECKED(test_get_page);
MM_FUNCTION_INFO_UNCHECKED(test_poke);
MM_FUNCTION_INFO_UNCHECKED(test_truncate);
MM_FUNCTION_INFO_UNCHECKED(test_save);
MM_FUNCTION_INFO_UNCHECKED(test_restore);
MM_FUNCTION_INFO_UNCHECKED(test_insert);
MM_FUNCTION_INFO_UNCHECKED(test_vacuum);

static Relation
open_index(Oid oid)
{
	if (!superuser())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("must be superuser")));
	return index_open(oid, AccessExclusiveLock);
}

/* Have everybody read the metapage anew. */
static void
close_index(Relation index)
{
	CacheInvalidateRelcache(index);
	index_close(index, NoLock);
}

/* A block's buffer, locked; the file grows to have it.  Its content is not verified. */
static Buffer
lock_block(Relation index, BlockNumber block)
{
	Buffer buffer;

	while (RelationGetNumberOfBlocks(index) <= block)
		ReleaseBuffer(ReadBufferExtended(index, MAIN_FORKNUM, P_NEW, RBM_NORMAL, NULL));
	buffer = ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_ZERO_ON_ERROR, NULL);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	return buffer;
}

/*
 * test_get_page(regclass, int) -> bytea
 */
Datum
test_get_page(PG_FUNCTION_ARGS)
{
	Relation index = open_index(PG_GETARG_OID(0));
	Buffer buffer = lock_block(index, (BlockNumber) PG_GETARG_INT32(1));
	bytea *page = palloc(VARHDRSZ + BLCKSZ);

	SET_VARSIZE(page, VARHDRSZ + BLCKSZ);
	memcpy(VARDATA(page), BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
	index_close(index, NoLock);
	PG_RETURN_BYTEA_P(page);
}

/*
 * test_poke(regclass, block int, offset int, bytea)
 */
Datum
test_poke(PG_FUNCTION_ARGS)
{
	Relation index = open_index(PG_GETARG_OID(0));
	Buffer buffer = lock_block(index, (BlockNumber) PG_GETARG_INT32(1));
	int32 offset = PG_GETARG_INT32(2);
	bytea *bytes = PG_GETARG_BYTEA_PP(3);

	if (offset < 0 || offset + VARSIZE_ANY_EXHDR(bytes) > BLCKSZ)
		elog(ERROR, "not within a page");
	memcpy((char *) BufferGetPage(buffer) + offset, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
	close_index(index);
	PG_RETURN_VOID();
}

/*
 * test_truncate(regclass, blocks int)
 */
Datum
test_truncate(PG_FUNCTION_ARGS)
{
	Relation index = open_index(PG_GETARG_OID(0));

	RelationTruncate(index, (BlockNumber) PG_GETARG_INT32(1));
	close_index(index);
	PG_RETURN_VOID();
}

static FILE *
open_saved(Oid oid, const char *mode)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "test_pages.%u", oid);
	file = AllocateFile(path, mode);
	if (file == NULL)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open \"%s\": %m", path)));
	return file;
}

/*
 * test_save(regclass) -> int: keep the index as it is now; the number of blocks.
 */
Datum
test_save(PG_FUNCTION_ARGS)
{
	Relation index = open_index(PG_GETARG_OID(0));
	BlockNumber blocks = RelationGetNumberOfBlocks(index);
	FILE *file = open_saved(PG_GETARG_OID(0), PG_BINARY_W);

	for (BlockNumber block = 0; block < blocks; block++)
	{
		Buffer buffer = lock_block(index, block);

		if (fwrite(BufferGetPage(buffer), BLCKSZ, 1, file) != 1)
			elog(ERROR, "could not write: %m");
		UnlockReleaseBuffer(buffer);
	}
	FreeFile(file);
	index_close(index, NoLock);
	PG_RETURN_INT32((int32) blocks);
}

/*
 * The most memory that this process has had, in kB: what it asked for where the
 * system tells, else what it touched.
 */
static long
most_memory(void)
{
	FILE *file = AllocateFile("/proc/self/status", "r");
	char line[256];
	long most = 0;
	struct rusage usage;

	while (file && fgets(line, sizeof(line), file))
	{
		if (sscanf(line, "VmPeak: %ld", &most) == 1)
			break;
	}
	if (file)
		FreeFile(file);
	getrusage(RUSAGE_SELF, &usage);
	return most > 0 ? most : usage.ru_maxrss;
}

/*
 * test_restore(regclass) -> bigint: put the index back as it was saved, and tell
 * the most memory that this backend has had, in kB.
 */
Datum
test_restore(PG_FUNCTION_ARGS)
{
	Relation index = open_index(PG_GETARG_OID(0));
	FILE *file = open_saved(PG_GETARG_OID(0), PG_BINARY_R);
	BlockNumber block = 0;
	PGAlignedBlock page;

	for (; fread(page.data, BLCKSZ, 1, file) == 1; block++)
	{
		Buffer buffer = lock_block(index, block);

		if (memcmp(BufferGetPage(buffer), page.data, BLCKSZ) != 0)
		{
			memcpy(BufferGetPage(buffer), page.data, BLCKSZ);
			MarkBufferDirty(buffer);
		}
		UnlockReleaseBuffer(buffer);
	}
	FreeFile(file);
	if (RelationGetNumberOfBlocks(index) > block)
		RelationTruncate(index, block);
	close_index(index);
	PG_RETURN_INT64(most_memory());
}

/*
 * test_insert(regclass, tid, anyelement): a row into the index alone.
 */
Datum
test_insert(PG_FUNCTION_ARGS)
{
	Oid oid = PG_GETARG_OID(0);
	Relation heap = table_open(IndexGetRelation(oid, false), RowExclusiveLock);
	Relation index = open_index(oid);
	Datum value = PG_ARGISNULL(2) ? (Datum) 0 : PG_GETARG_DATUM(2);
	bool isnull = PG_ARGISNULL(2);

	index_insert(index, &value, &isnull, (ItemPointer) PG_GETARG_POINTER(1), heap, UNIQUE_CHECK_NO,
				 false, BuildIndexInfo(index));
	index_close(index, NoLock);
	table_close(heap, NoLock);
	PG_RETURN_VOID();
}

/* Takes one row in so many for dead, but none where that is 0. */
static bool
is_dead(ItemPointer tid, void *state)
{
	uint32 modulus = *(uint32 *) state;
	uint32 number =
		ItemPointerGetBlockNumberNoCheck(tid) * 64 + ItemPointerGetOffsetNumberNoCheck(tid);

	return modulus > 0 && number % modulus == 0;
}

/*
 * test_vacuum(regclass, int): vacuum the index alone, one row in so many being dead.
 */
Datum
test_vacuum(PG_FUNCTION_ARGS)
{
	Oid oid = PG_GETARG_OID(0);
	Relation heap = table_open(IndexGetRelation(oid, false), ShareUpdateExclusiveLock);
	Relation index = open_index(oid);
	uint32 modulus = (uint32) PG_GETARG_INT32(1);
	IndexBulkDeleteResult *result;
	IndexVacuumInfo info = {0};

	info.index = index;
	mm_vacuum_set_heap(&info, heap);
	info.message_level = DEBUG2;
	info.num_heap_tuples = 1000;
	result = index_bulk_delete(&info, NULL, is_dead, &modulus);
	result = index_vacuum_cleanup(&info, result);
	index_close(index, NoLock);
	table_close(heap, NoLock);
	PG_RETURN_FLOAT8(result ? result->num_index_tuples : -1);
}
