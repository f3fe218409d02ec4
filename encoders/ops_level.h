/*-------------------------------------------------------------------------
 *
 * ops_level.h
 *	  What the files that are compiled once a level give the table of theirs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_OPS_LEVEL_H
#define MM_OPS_LEVEL_H

#include "ops.h"
#include "vec.h"

#define LEVEL(name) CONCAT(name, CONCAT(_, MM_LEVEL))

/* ops_linear.c */
extern void LEVEL(mm_linear_f32)(const mm_linear_args *g);
extern void LEVEL(mm_linear_bf16)(const mm_linear_args *g);

/* ops_int8.c */
extern void LEVEL(mm_linear_int8)(const mm_linear_args *g);
extern void LEVEL(mm_pack_rows_bf16)(int m, int k, const float *a, int lda, int outliers,
									 const int32_t *columns, mm_packed_rows *rows);
extern void LEVEL(mm_pack_rows_int8)(int m, int k, const float *a, int lda, int outliers,
									 const int32_t *columns, mm_packed_rows *rows);

#endif /* MM_OPS_LEVEL_H */
