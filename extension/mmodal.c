/*
 * mmodal.c
 *		Start of the module.
 *
 * mmodal.so holds the embedding type, distances and SQL entry points.  Loading
 * it starts no thread and opens no model, so that it may be preloaded.
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "guc.h"
#include "index/ivf.h"

MM_MODULE_MAGIC("mmodal", MMODAL_VERSION);

extern PGDLLEXPORT void _PG_init(void);

/*
 * Called by PostgreSQL when it loads the library.
 */
void
_PG_init(void)
{
	mm_guc_init();
	ivf_init_options();
	ivf_init_explain();
}
