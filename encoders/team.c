/*-------------------------------------------------------------------------
 *
 * team.c
 *	  Threads that share the loops of one forward pass.
 *
 * A pass has a hundred loops of a fraction of a millisecond, so members spin
 * before they sleep.
 *
 *-------------------------------------------------------------------------
 */
#include "team.h"

#include <sched.h>

/* Some 50 microseconds. */
#define SPINS 2000

static inline void
relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

void
mm_team_init(mm_team *team, int members)
{
	team->members = members;
	atomic_init(&team->ticket, 0);
	atomic_init(&team->fn, NULL);
	atomic_init(&team->arg, NULL);
	atomic_init(&team->tasks, 0);
	atomic_init(&team->unfinished, 0);
	atomic_init(&team->over, false);
	atomic_init(&team->sleepers, 0);
	pthread_mutex_init(&team->mutex, NULL);
	pthread_cond_init(&team->wake, NULL);
}

void
mm_team_destroy(mm_team *team)
{
	pthread_mutex_destroy(&team->mutex);
	pthread_cond_destroy(&team->wake);
}

/* Take tasks of the loop that is on until there are none left. */
static void
take_tasks(mm_team *team, int member)
{
	uint64_t ticket = atomic_load_explicit(&team->ticket, memory_order_acquire);
	const uint64_t loop = ticket >> 32;
	mm_task_fn fn = atomic_load(&team->fn);
	void *arg = atomic_load(&team->arg);
	int tasks = atomic_load(&team->tasks);

	/*
	 * fn and the rest may be those of a later loop already.  It began when this
	 * one had no tasks left, so the ticket is not what it was when this one had,
	 * and the exchange fails.
	 */
	while (ticket >> 32 == loop && (uint32_t) ticket > 0)
	{
		if (!atomic_compare_exchange_weak(&team->ticket, &ticket, ticket - 1))
			continue;
		fn(arg, tasks - (int) (uint32_t) ticket, member);
		atomic_fetch_sub_explicit(&team->unfinished, 1, memory_order_release);
		ticket = atomic_load(&team->ticket);
	}
}

static void
wake_sleepers(mm_team *team)
{
	if (atomic_load(&team->sleepers) == 0)
		return;
	pthread_mutex_lock(&team->mutex);
	pthread_cond_broadcast(&team->wake);
	pthread_mutex_unlock(&team->mutex);
}

void
mm_team_run(mm_team *team, mm_task_fn fn, void *arg, int tasks)
{
	int spins = 0;

	if (tasks <= 0)
		return;
	atomic_store(&team->fn, fn);
	atomic_store(&team->arg, arg);
	atomic_store(&team->tasks, tasks);
	atomic_store(&team->unfinished, tasks);
	atomic_store(&team->ticket, ((atomic_load(&team->ticket) >> 32) + 1) << 32 | (uint32_t) tasks);
	wake_sleepers(team);
	take_tasks(team, 0);
	while (atomic_load_explicit(&team->unfinished, memory_order_acquire) > 0)
	{
		relax();
		if (++spins > SPINS)
			sched_yield();
	}
}

/* Until there is another loop than the one seen last, or no more. */
static void
await_loop(mm_team *team, uint64_t seen)
{
	for (int spins = 0; spins < SPINS; spins++)
	{
		if (atomic_load(&team->ticket) >> 32 != seen || atomic_load(&team->over))
			return;
		relax();
	}
	pthread_mutex_lock(&team->mutex);

	/* counted before the last look, so that whoever starts a loop after it wakes us */
	atomic_fetch_add(&team->sleepers, 1);
	while (atomic_load(&team->ticket) >> 32 == seen && !atomic_load(&team->over))
		pthread_cond_wait(&team->wake, &team->mutex);
	atomic_fetch_sub(&team->sleepers, 1);
	pthread_mutex_unlock(&team->mutex);
}

void
mm_team_serve(mm_team *team, int member)
{
	uint64_t seen = 0;

	while (!atomic_load(&team->over))
	{
		await_loop(team, seen);
		seen = atomic_load(&team->ticket) >> 32;
		take_tasks(team, member);
	}
}

void
mm_team_dismiss(mm_team *team)
{
	atomic_store(&team->over, true);
	wake_sleepers(team);
}
