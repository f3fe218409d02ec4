/*-------------------------------------------------------------------------
 *
 * levels.c
 *	  What the tables of levels name and levels.h keeps from being chosen.
 *
 *-------------------------------------------------------------------------
 */
#include "ops.h"
#include "resize.h"

const mm_ops mm_ops_avxvnni;
const mm_ops mm_ops_avx512;
const mm_ops mm_ops_vnni512;
const mm_ops mm_ops_bf16512;
const mm_resize_kernels mm_resize_avx512;
