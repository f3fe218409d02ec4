/*-------------------------------------------------------------------------
 *
 * tower.h
 *	  What towers and models have in common: the tables of architectures, and
 *	  how a call polls for interrupts.
 *
 * A model is made of an image tower and a text tower.  Weights (struct
 * mm_bert, mm_efficientnet) are pointers into the model's file and read-only;
 * run state is scratch of a session's worker.  A new architecture is one file
 * and one row in model.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_TOWER_H
#define MM_TOWER_H

#include <cjson/cJSON.h>
#include <stdatomic.h>

#include "arena.h"
#include "mm_encoders.h"
#include "ops.h"
#include "safetensors.h"
#include "team.h"

/*
 * Interrupts: the callback is the caller's and runs on its thread alone; other
 * workers look at the flag.
 */
typedef struct mm_poll
{
	mm_interrupt_fn interrupt;
	void *interrupt_arg;
	atomic_bool canceled;
} mm_poll;

struct mm_weight;
struct mm_linear_io;

/* What a tower gets to run: kernels, polling, and whose thread this is. */
typedef struct mm_run
{
	const mm_ops *ops;
	mm_poll *poll;
	bool caller;   /* on the caller's thread */
	mm_team *team; /* who shares the loops of this pass; NULL: nobody */

	/* sees the inputs of every mm_linear before it runs; NULL: nobody looks */
	void (*observe)(void *arg, const struct mm_weight *w, const struct mm_linear_io *io);
	void *observe_arg;
} mm_run;

/* Run fn for the tasks 0 to n - 1, on the team where there is one. */
static inline void
mm_parallel(const mm_run *run, mm_task_fn fn, void *arg, int n)
{
	if (run->team)
		mm_team_run(run->team, fn, arg, n);
	else
		for (int task = 0; task < n; task++)
			fn(arg, task, 0);
}

/* True when the call is to end. */
static inline bool
mm_canceled(const mm_run *run)
{
	mm_poll *poll = run->poll;

	if (run->caller && poll->interrupt && poll->interrupt(poll->interrupt_arg))
		atomic_store(&poll->canceled, true);
	return atomic_load_explicit(&poll->canceled, memory_order_relaxed);
}

/* Texts side by side: the ids of all, one after another, without padding. */
typedef struct mm_token_batch
{
	int n;              /* texts */
	const int32_t *ids; /* starts[n] of them */
	const int *starts;  /* n + 1: text i has the ids from starts[i] to starts[i + 1] */
} mm_token_batch;

#endif /* MM_TOWER_H */
