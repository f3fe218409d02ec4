/*
 * ivf_admin.h
 *		What the SQL functions on indexes share.
 *
 * Include ivf.h before it.
 */
#ifndef MM_IVF_ADMIN_H
#define MM_IVF_ADMIN_H

/* An index and its table, opened for its owner, and who the caller was. */
typedef struct IvfAdmin
{
	Relation index;
	Relation heap;
	Oid caller;
	int security;
	int guc_level;
} IvfAdmin;

/*
 * Open an index of ours and its table, with heap_lock on the table and
 * AccessShareLock on the index.  Raises 42809 for other relations, 42501 unless
 * the current role owns the index, and 42P01 where it has just been dropped.
 *
 * From here to ivf_admin_close the table's owner is the current role, in a
 * security-restricted operation: expressions and predicates of an index call
 * functions of the owner's, which must not run with the rights of a superuser
 * who looks at the index.
 */
extern void ivf_admin_open(Oid oid, LOCKMODE heap_lock, IvfAdmin *admin);

/* Close both, keeping the table's lock until the transaction ends. */
extern void ivf_admin_close(IvfAdmin *admin);

#endif /* MM_IVF_ADMIN_H */
