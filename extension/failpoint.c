/*
 * failpoint.c
 *		Places where a test can stop the server, or make a statement fail.
 *
 * Superusers set mmodal.failpoint to "NAME:PASS:ACTION": when NAME is passed for
 * the PASS-th time since then,
 *
 *	halt	the backend flushes the log as far as it has written it, says so in
 *			the server's log, and stands still, with all locks that it holds,
 *			until it is killed;
 *	error	it raises an error.
 *
 * mmodal.failpoints lists all names, so that a test can tell that it knows each.
 */
#include "postgres.h"

#ifdef MMODAL_FAILPOINTS

#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "postmaster/postmaster.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"

#include "compat.h"
#include "failpoint.h"

/* What mmodal.failpoint asks for; point is MM_FAILPOINT_COUNT for nothing. */
typedef struct FailpointRequest
{
	MmFailpoint point;
	int pass;
	bool halt;
} FailpointRequest;

static const char *const names[] = {
#define MM_FAILPOINT_NAME(name) #name,
	MM_FAILPOINTS(MM_FAILPOINT_NAME)};

static FailpointRequest request = {.point = MM_FAILPOINT_COUNT};
static int passed;
static char *guc_failpoint;
static char *guc_failpoints;

static bool
check_failpoint(char **newval, void **extra, GucSource source)
{
	FailpointRequest *asked = malloc(sizeof(FailpointRequest));
	Size length = strcspn(*newval, ":");
	const char *rest = *newval + length;
	char *end = NULL;

	(void) source;
	if (asked == NULL)
		return false;
	*asked = (FailpointRequest){.point = MM_FAILPOINT_COUNT};
	*extra = asked;
	if (**newval == '\0')
		return true;
	for (int i = 0; i < MM_FAILPOINT_COUNT; i++)
	{
		if (strlen(names[i]) == length && strncmp(names[i], *newval, length) == 0)
			asked->point = (MmFailpoint) i;
	}
	if (asked->point == MM_FAILPOINT_COUNT || *rest != ':')
		return false;
	asked->pass = (int) strtol(rest + 1, &end, 10);
	asked->halt = strcmp(end, ":halt") == 0;
	return asked->pass > 0 && (asked->halt || strcmp(end, ":error") == 0);
}

static void
assign_failpoint(const char *newval, void *extra)
{
	(void) newval;
	request = *(FailpointRequest *) extra;
	passed = 0;
}

static void
halt(const char *name)
{
	/* What was logged before must survive, or there would be nothing to recover. */
	if (XactLastRecEnd != 0)
		XLogFlush(XactLastRecEnd);
	ereport(LOG, (errmsg("failure point \"%s\" reached", name)));
	/* Interrupts are not looked at; SIGQUIT and SIGKILL end it. */
	while (PostmasterIsAlive())
		pg_usleep(20 * 1000L);
	proc_exit(1);
}

void
mm_failpoint_pass(MmFailpoint point)
{
	if (point != request.point || ++passed != request.pass)
		return;
	if (request.halt)
		halt(names[point]);
	ereport(ERROR, (errmsg("failure point \"%s\" reached", names[point])));
}

void
mm_failpoint_init(void)
{
	static const char all[] =
#define MM_FAILPOINT_LIST(name) " " #name
		MM_FAILPOINTS(MM_FAILPOINT_LIST);

	DefineCustomStringVariable("mmodal.failpoint", "Sets where the server fails, and how.",
							   "NAME:PASS:ACTION, the action being halt or error.", &guc_failpoint,
							   "", PGC_SUSET, 0, check_failpoint, assign_failpoint, NULL);
	DefineCustomStringVariable("mmodal.failpoints", "Lists the failure points.", NULL,
							   &guc_failpoints, all + 1, PGC_INTERNAL, 0, NULL, NULL, NULL);
}

#endif
