/*
 * ivf_admin.h
 *		What the SQL functions on indexes share.
 *
 * Include ivf.h before it.
 */
#ifndef MM_IVF_ADMIN_H
#define MM_IVF_ADMIN_H

/*
 * Open an index of ours and its table, with heap_lock on the table and
 * AccessShareLock on the index.  Raises 42809 for other relations, 42501 unless
 * the current role owns the index, and 42P01 where it has just been dropped.
 */
extern void ivf_open_admin(Oid oid, LOCKMODE heap_lock, Relation *index, Relation *heap);

#endif /* MM_IVF_ADMIN_H */
