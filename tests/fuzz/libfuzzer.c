/*-------------------------------------------------------------------------
 *
 * libfuzzer.c
 *	  A target as libFuzzer wants it.
 *
 * MMODAL_FUZZ_CPU is the CPU time in seconds after which the run ends well:
 * libFuzzer's own limit is of elapsed time, which on a busy machine means
 * little.  Its handler of SIGINT prints the count of executions and leaves.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

extern int LLVMFuzzerInitialize(int *argc, char ***argv);
extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
end_after(long seconds)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGINT};
	struct itimerspec when = {.it_value = {.tv_sec = seconds}};
	timer_t timer;

	FUZZ_CHECK(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) == 0 &&
				   timer_settime(timer, 0, &when, NULL) == 0,
			   "no timer");
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *seconds = getenv("MMODAL_FUZZ_CPU");

	(void) argc;
	(void) argv;
	fuzz_init();
	if (seconds != NULL)
		end_after(atol(seconds));
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_timed(data, size);
	return 0;
}
