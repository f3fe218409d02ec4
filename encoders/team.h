/*-------------------------------------------------------------------------
 *
 * team.h
 *	  Threads that share the loops of one forward pass.
 *
 * A batch is dealt to workers input by input; a single input has nothing to
 * deal, so its workers form a team: one runs the pass, the others wait for the
 * loops in it that may be split.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_TEAM_H
#define MM_TEAM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One task of a loop; member, from 0, tells whose scratch to use. */
typedef void (*mm_task_fn)(void *arg, int task, int member);

typedef struct mm_team
{
	int members; /* the one that runs the pass, as member 0, included */

	/*
	 * The loop that runs now.  Its number is in the upper half of ticket, and in
	 * the lower how many of its tasks nobody has taken yet: so a loop that is
	 * over has nothing to take, whatever the fields below say by then, and a
	 * member that comes late cannot take a task of a loop it knows nothing of.
	 */
	_Atomic uint64_t ticket;
	_Atomic(mm_task_fn) fn;
	_Atomic(void *) arg;
	atomic_int tasks;
	atomic_int unfinished;
	atomic_bool over;

	/* for those that have waited long */
	atomic_int sleepers;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
} mm_team;

extern void mm_team_init(mm_team *team, int members);

/* Run fn for every task from 0 to tasks - 1; returns when all are done. */
extern void mm_team_run(mm_team *team, mm_task_fn fn, void *arg, int tasks);

/* What the other members do, until mm_team_dismiss. */
extern void mm_team_serve(mm_team *team, int member);
extern void mm_team_dismiss(mm_team *team);
extern void mm_team_destroy(mm_team *team);

#endif /* MM_TEAM_H */
