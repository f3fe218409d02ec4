/*
 * compat.h
 *		What differs between the PostgreSQL versions that mmodal supports.
 *
 * The only file of the extension with conditionals on PG_VERSION_NUM: others
 * include it and use its names.  Supported are PostgreSQL 15 to 18.
 *
 * Include postgres.h and fmgr.h before it.
 */
#ifndef MM_COMPAT_H
#define MM_COMPAT_H

#include "utils/guc.h"

#if PG_VERSION_NUM < 150000
#error "mmodal needs PostgreSQL 15 or newer"
#endif

/* The varlena access macros moved out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * We compile with hidden visibility, as PostgreSQL 16 and later do for all
 * extensions.  Before, PGDLLEXPORT meant nothing outside Windows and SQL
 * functions were not marked with it: give both the meaning that they have now.
 */
#if PG_VERSION_NUM < 160000 && defined(__GNUC__)
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/*
 * PostgreSQL asks for a function's information when a session first uses it, and
 * again when its row of pg_proc has changed: just when the library and the SQL
 * definition have to be found to be of one version (version.c), at no cost to
 * the calls.  MM_FUNCTION_INFO_UNCHECKED is for what has to work all the same.
 */
extern void mm_check_version(void);

#define MM_DEFINE_FUNCTION_INFO(name, check)                                                       \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                               \
	extern PGDLLEXPORT const Pg_finfo_record *pg_finfo_##name(void);                               \
	const Pg_finfo_record *pg_finfo_##name(void)                                                   \
	{                                                                                              \
		static const Pg_finfo_record record = {1};                                                 \
                                                                                                   \
		check;                                                                                     \
		return &record;                                                                            \
	}                                                                                              \
	extern int mm_no_such_variable
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(name) MM_DEFINE_FUNCTION_INFO(name, mm_check_version())
#define MM_FUNCTION_INFO_UNCHECKED(name) MM_DEFINE_FUNCTION_INFO(name, (void) 0)

/*
 * mm_ereturn(fcinfo, dummy, ...)
 *		Report an error of an input function.
 *
 * From PostgreSQL 16 the caller may have asked for soft errors
 * (pg_input_is_valid, COPY ... ON_ERROR): then the function returns dummy.
 * Where soft errors do not exist, this raises as ereport(ERROR) does.
 */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#define mm_ereturn(fcinfo, dummy, ...) ereturn((fcinfo)->context, dummy, __VA_ARGS__)
#else
#define mm_ereturn(fcinfo, dummy, ...)                                                             \
	do                                                                                             \
	{                                                                                              \
		(void) (fcinfo);                                                                           \
		ereport(ERROR, __VA_ARGS__);                                                               \
		return (dummy);                                                                            \
	} while (0)
#endif

/* PostgreSQL 18 lets a module name itself and its version. */
#if PG_VERSION_NUM >= 180000
#define MM_MODULE_MAGIC(module_name, module_version)                                               \
	PG_MODULE_MAGIC_EXT(.name = (module_name), .version = (module_version))
#else
#define MM_MODULE_MAGIC(module_name, module_version) PG_MODULE_MAGIC
#endif

/*
 * Names with our prefix that are not settings of ours become errors.
 */
static inline void
mm_reserve_guc_prefix(const char *prefix)
{
	MarkGUCPrefixReserved(prefix);
}

/* estimate_array_length(root, expr) has a root from PostgreSQL 17. */
#if PG_VERSION_NUM >= 170000
#define mm_estimate_array_length(root, expr) estimate_array_length(root, expr)
#else
#define mm_estimate_array_length(root, expr) ((double) estimate_array_length(expr))
#endif

/* vacuum_delay_point(is_analyze) has an argument from PostgreSQL 18. */
#if PG_VERSION_NUM >= 180000
#define mm_vacuum_delay_point() vacuum_delay_point(false)
#else
#define mm_vacuum_delay_point() vacuum_delay_point()
#endif

/* The table of an index being vacuumed, or NULL: IndexVacuumInfo has it from PostgreSQL 16. */
#if PG_VERSION_NUM >= 160000
#define mm_vacuum_heap(info) ((info)->heaprel)
#define mm_vacuum_set_heap(info, heap) ((info)->heaprel = (heap))
#else
#define mm_vacuum_heap(info) NULL
#define mm_vacuum_set_heap(info, heap) ((void) (heap))
#endif

/* Pin a block if it still is in the buffer where it was; include storage/bufmgr.h before. */
#if PG_VERSION_NUM >= 160000
#define mm_read_recent_buffer(relation, fork, block, buffer)                                       \
	ReadRecentBuffer((relation)->rd_locator, (fork), (block), (buffer))
#else
#define mm_read_recent_buffer(relation, fork, block, buffer)                                       \
	ReadRecentBuffer((relation)->rd_node, (fork), (block), (buffer))
#endif

/* index_beginscan has an argument for instrumentation from PostgreSQL 18. */
#if PG_VERSION_NUM >= 180000
#define mm_index_beginscan(heap, index, snapshot, nkeys, norderbys)                                \
	index_beginscan((heap), (index), (snapshot), NULL, (nkeys), (norderbys))
#else
#define mm_index_beginscan(heap, index, snapshot, nkeys, norderbys)                                \
	index_beginscan((heap), (index), (snapshot), (nkeys), (norderbys))
#endif

/* EXPLAIN ANALYZE tells how often an index was searched from PostgreSQL 18; access/relscan.h. */
#if PG_VERSION_NUM >= 180000
#define mm_count_index_search(scan)                                                                \
	do                                                                                             \
	{                                                                                              \
		if ((scan)->instrument)                                                                    \
			(scan)->instrument->nsearches++;                                                       \
	} while (0)
#else
#define mm_count_index_search(scan) ((void) 0)
#endif

/*
 * Mark a path as one that must not be taken; include nodes/pathnodes.h before.
 * Before PostgreSQL 18 its cost alone says so.
 */
#if PG_VERSION_NUM >= 180000
#define mm_path_disable(index_path) ((index_path)->path.disabled_nodes = 2)
#else
#define mm_path_disable(index_path) ((void) (index_path))
#endif

/* Ownership of a relation; include utils/acl.h where it is used. */
#if PG_VERSION_NUM >= 160000
#define mm_is_owner(relation, role) object_ownercheck(RelationRelationId, (relation), (role))
#else
#define mm_is_owner(relation, role) pg_class_ownercheck((relation), (role))
#endif

/* The right to call a function; include utils/acl.h and catalog/pg_proc.h where it is used. */
#if PG_VERSION_NUM >= 160000
#define mm_function_aclcheck(function, role)                                                       \
	object_aclcheck(ProcedureRelationId, (function), (role), ACL_EXECUTE)
#else
#define mm_function_aclcheck(function, role) pg_proc_aclcheck((function), (role), ACL_EXECUTE)
#endif

/* PostgreSQL 18 lets modules add options and lines to EXPLAIN. */
#if PG_VERSION_NUM >= 180000
#define MM_HAS_EXPLAIN_HOOKS
#endif

/*
 * What maintenance commands do to search_path before they call a table owner's
 * functions: PostgreSQL 17 and later make it a safe one, earlier ones let it be.
 */
#if PG_VERSION_NUM >= 170000
#define mm_restrict_search_path() RestrictSearchPath()
#else
#define mm_restrict_search_path() ((void) 0)
#endif

#endif /* MM_COMPAT_H */
