/*
 * failpoint.h
 *		Places where a test can stop the server, or make a statement fail.
 *
 * Compiled in only where MMODAL_FAILPOINTS is defined: make failpoints builds
 * such a library, for tests/tap/050_failpoints.pl, and make install never has
 * it.  Elsewhere mm_failpoint() is nothing.
 *
 * There is one between every two changes of pages, or of what outlives the
 * statement, that are not one WAL record: what a crash can tear apart.
 *
 * Include postgres.h before it.
 */
#ifndef MM_FAILPOINT_H
#define MM_FAILPOINT_H

/* Of each point: its name in mmodal.failpoint, and what has just been done. */
#define MM_FAILPOINTS(point)                                                                       \
	point(insert_begin)          /* the row is in the table, not in the index */                   \
		point(insert_appended)   /* the row is on its tail's last page */                          \
		point(extend_allocated)  /* a page for a tail was taken; nobody refers to it */            \
		point(extend_linked)     /* it holds the row and is the tail's last page */                \
		point(build_fixed)       /* a page of the fixed ones was written */                        \
		point(build_allocated)   /* a page of a unit was appended to the file */                   \
		point(build_written)     /* a page of a unit was written */                                \
		point(build_side)        /* a page of a pseudo list was written */                         \
		point(build_lists)       /* entries were written; the metapage lacks the calibration */    \
		point(build_complete)    /* all pages are as they should be, none is in the log */         \
		point(build_logged)      /* all are in the log */                                          \
		point(init_fork)         /* a page of an unlogged index's init fork was written */         \
		point(delete_page)       /* dead rows of one page have become tombstones */                \
		point(retire_page)       /* a page that no list refers to was marked */                    \
		point(free_page)         /* a page was given to the free space map */                      \
		point(count_dead)        /* entries of one page know their tombstones */                   \
		point(new_generation)    /* the metapage has counted a generation */                       \
		point(seal_tail)         /* a tail takes no more rows */                                   \
		point(rewrite_allocated) /* a page for a list's copy was taken */                          \
		point(rewrite_written)   /* a page of a list's copy was written */                         \
		point(rewrite_copied)    /* the copy is complete, the entry is the old one */              \
		point(rewrite_swapped)   /* the entry is the new one, the old pages are not retired */     \
		point(trim_side)         /* a pseudo list begins behind its spent pages */

#ifdef MMODAL_FAILPOINTS

typedef enum MmFailpoint
{
#define MM_FAILPOINT_ID(name) MM_FAIL_##name,
	MM_FAILPOINTS(MM_FAILPOINT_ID)
#undef MM_FAILPOINT_ID
		MM_FAILPOINT_COUNT
} MmFailpoint;

#define mm_failpoint(name) mm_failpoint_pass(MM_FAIL_##name)

/*
 * Note that a point was passed, and do what mmodal.failpoint asks for there.
 * Not to be called in a critical section.
 */
extern void mm_failpoint_pass(MmFailpoint point);

/* Define the settings mmodal.failpoint and mmodal.failpoints. */
extern void mm_failpoint_init(void);

#else

#define mm_failpoint(name) ((void) 0)
#define mm_failpoint_init() ((void) 0)

#endif

#endif /* MM_FAILPOINT_H */
