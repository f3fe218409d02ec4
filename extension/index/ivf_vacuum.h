/*
 * ivf_vacuum.h
 *		What the two files of vacuum share.
 *
 * Include ivf.h before it.
 */
#ifndef MM_IVF_VACUUM_H
#define MM_IVF_VACUUM_H

#include "commands/vacuum.h"

/* What a vacuum has found in one list. */
typedef struct IvfListCount
{
	uint32 live;      /* rows of the packed part */
	uint32 dead;      /* tombstones of it */
	uint32 tail_live; /* rows of the tail */
	uint32 tail_dead;
} IvfListCount;

/* A vacuum's own state. */
typedef struct IvfVacuum
{
	IndexVacuumInfo *info;
	Relation index;
	Relation heap;
	IvfState *state;
	IvfList *lists;      /* as they were when the pass began */
	IvfListCount *count; /* by the pass of cleanup */
	IndexBulkDeleteResult *stats;
} IvfVacuum;

/*
 * Write a list's live rows anew, packed part and tail, as a packed part of a
 * new generation, and let the list's entry point to that.
 */
extern void ivf_rewrite_list(IvfVacuum *vacuum, uint32 list, uint32 generation);

/*
 * Let a pseudo list's chain begin behind those first pages of it that have
 * nothing but tombstones.  Returns whether there were any.
 */
extern bool ivf_trim_side(IvfVacuum *vacuum, uint32 list);

#endif /* MM_IVF_VACUUM_H */
