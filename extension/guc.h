/*
 * guc.h
 *		The settings of mmodal (mmodal.*).
 *
 * Every setting of the extension is declared here and defined in guc.c's
 * table.  Include postgres.h before it.
 */
#ifndef MM_GUC_H
#define MM_GUC_H

/*
 * mmodal.simd: the MmSimdLevel asked for, or MM_SIMD_AUTO.  The distance
 * kernels follow it through its assign hook: nothing else needs to read it.
 */
extern int mm_guc_simd;

/*
 * Define all settings and reserve the prefix "mmodal".  Called once, from
 * _PG_init.
 */
extern void mm_guc_init(void);

#endif /* MM_GUC_H */
