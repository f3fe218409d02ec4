/*-------------------------------------------------------------------------
 *
 * test_team.c
 *	  Loops that a team shares: every task runs once, in the loop that it is
 *	  of, however many members there are and whenever they come.
 *
 * Built with CFLAGS="-O1 -g -fsanitize=thread" it shows races too.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "team.h"
#include "testing.h"

#define MAX_MEMBERS 8
#define MAX_TASKS 1000

/* A loop, and how often each of its tasks ran. */
typedef struct loop
{
	int tasks;
	atomic_int ran[MAX_TASKS];
	atomic_int running; /* tasks that have begun and not ended */
	atomic_int by[MAX_MEMBERS];
	bool slow;
	bool over; /* the run has returned: no task may begin any more */
} loop;

static void
short_sleep(long microseconds)
{
	nanosleep(&(struct timespec){.tv_nsec = microseconds * 1000}, NULL);
}

static void
run_task(void *arg, int task, int member)
{
	loop *l = arg;

	/* wrong places would be written to; what is wrong shows in the counts */
	if (task < 0 || task >= MAX_TASKS || member < 0 || member >= MAX_MEMBERS || l->over)
	{
		atomic_fetch_add(&l->ran[0], 1000);
		return;
	}
	atomic_fetch_add(&l->running, 1);
	atomic_fetch_add(&l->ran[task], 1);
	atomic_fetch_add(&l->by[member], 1);
	if (l->slow)
		short_sleep(200);
	atomic_fetch_sub(&l->running, 1);
}

static void
start_loop(loop *l, int tasks)
{
	l->tasks = tasks;
	l->over = false;
	l->slow = false;
	for (int i = 0; i < MAX_TASKS; i++)
		atomic_store_explicit(&l->ran[i], 0, memory_order_relaxed);
	for (int i = 0; i < MAX_MEMBERS; i++)
		atomic_store_explicit(&l->by[i], 0, memory_order_relaxed);
	atomic_store(&l->running, 0);
}

static void
check_loop(loop *l, const char *what)
{
	if (atomic_load(&l->running) != 0)
		fail_msg("%s: %d tasks of %d still run", what, atomic_load(&l->running), l->tasks);
	for (int i = 0; i < MAX_TASKS; i++)
		if (atomic_load(&l->ran[i]) != (i < l->tasks))
			fail_msg("%s: task %d of %d ran %d times", what, i, l->tasks, atomic_load(&l->ran[i]));
}

typedef struct crew
{
	mm_team team;
	int started;
	struct crew_member
	{
		struct crew *crew;
		int number;
		int delay; /* microseconds before it serves */
		pthread_t thread;
	} member[MAX_MEMBERS];
} crew;

static void *
serve(void *arg)
{
	struct crew_member *m = arg;

	if (m->delay > 0)
		short_sleep(m->delay);
	mm_team_serve(&m->crew->team, m->number);
	return NULL;
}

static void
start_member(crew *c, int delay)
{
	struct crew_member *m = &c->member[c->started + 1];

	*m = (struct crew_member){.crew = c, .number = c->started + 1, .delay = delay};
	assert_int_equal(pthread_create(&m->thread, NULL, serve, m), 0);
	c->started++;
}

static void
start_crew(crew *c, int members)
{
	mm_team_init(&c->team, members);
	c->started = 0;
	for (int i = 1; i < members; i++)
		start_member(c, 0);
}

static void
end_crew(crew *c)
{
	mm_team_dismiss(&c->team);
	for (int i = 1; i <= c->started; i++)
		pthread_join(c->member[i].thread, NULL);
	mm_team_destroy(&c->team);
}

/* Loops of all sizes on teams of all sizes, some long enough that members fall asleep. */
static void
every_task_once(void **state)
{
	static const int sizes[] = {1, 0, 2, 3, 0, 7, 8, 9, 64, 1000, 1};
	static loop l;

	(void) state;
	for (int members = 1; members <= MAX_MEMBERS; members++)
	{
		crew c;

		start_crew(&c, members);
		for (int turn = 0; turn < 20; turn++)
			for (int i = 0; i < 11; i++)
			{
				start_loop(&l, sizes[i]);
				mm_team_run(&c.team, run_task, &l, l.tasks);
				check_loop(&l, "loops of all sizes");
				if (turn % 5 == 4 && i == 5)
					short_sleep(3000); /* all but the first are asleep */
			}
		end_crew(&c);
	}
}

/*
 * Loops one right after another, each of another size and with counts of its
 * own: a task that goes to the wrong loop shows in the counts of both.
 */
static void
back_to_back(void **state)
{
	enum
	{
		LOOPS = 4
	};
	static loop loops[LOOPS];

	(void) state;
	for (int members = 2; members <= MAX_MEMBERS; members += 3)
	{
		crew c;
		uint32_t random = 1;

		start_crew(&c, members);
		for (int i = 0; i < LOOPS; i++)
			start_loop(&loops[i], 0);
		for (int turn = 0; turn < 5000; turn++)
		{
			for (int i = 0; i < LOOPS; i++)
			{
				loop *l = &loops[i];

				for (int t = 0; t < l->tasks; t++)
					atomic_store_explicit(&l->ran[t], 0, memory_order_relaxed);
				random = random * 1664525 + 1013904223;
				/* a few tasks after many, and many after a few */
				l->tasks = random >> 31 ? (int) (random >> 24 & 63) : (int) (random >> 24 & 3);
				l->over = false;
			}
			for (int i = 0; i < LOOPS; i++)
			{
				mm_team_run(&c.team, run_task, &loops[i], loops[i].tasks);
				loops[i].over = true;
			}
			for (int i = 0; i < LOOPS; i++)
				check_loop(&loops[i], "back to back");
		}
		end_crew(&c);
	}
}

/* Members come when loops are on, after them, or when all is over. */
static void
late_members(void **state)
{
	static loop l;

	(void) state;
	for (int turn = 0; turn < 50; turn++)
	{
		crew c;

		start_crew(&c, 1);
		start_member(&c, 0);
		for (int i = 0; i < 30; i++)
		{
			if (i % 10 == 5)
				start_member(&c, i * 20);
			start_loop(&l, i);
			mm_team_run(&c.team, run_task, &l, l.tasks);
			check_loop(&l, "late members");
		}
		start_member(&c, 2000);
		end_crew(&c);
	}
}

/* A loop whose tasks take their time is shared. */
static void
shared(void **state)
{
	static loop l;
	crew c;
	int helped = 0;

	(void) state;
	start_crew(&c, 4);
	for (int turn = 0; turn < 10; turn++)
	{
		start_loop(&l, 40);
		l.slow = true;
		mm_team_run(&c.team, run_task, &l, l.tasks);
		check_loop(&l, "slow tasks");
		for (int m = 1; m < 4; m++)
			helped += atomic_load(&l.by[m]);
		short_sleep(1000);
	}
	end_crew(&c);
	assert_true(helped > 0);
}

/* Awake or asleep, members leave a team that never had a loop. */
static void
no_loops(void **state)
{
	(void) state;
	for (int turn = 0; turn < 100; turn++)
	{
		crew c;

		start_crew(&c, 1 + turn % MAX_MEMBERS);
		if (turn % 10 == 0)
			short_sleep(3000);
		end_crew(&c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_task_once), cmocka_unit_test(back_to_back),
		cmocka_unit_test(late_members),    cmocka_unit_test(shared),
		cmocka_unit_test(no_loops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
