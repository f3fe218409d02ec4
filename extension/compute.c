/*-------------------------------------------------------------------------
 *
 * compute.c
 *	  Loading mmodal_compute at first need.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <stdlib.h>

#include "fmgr.h"
#include "miscadmin.h"

#include "compute.h"

typedef const MmComputeApi *(*ComputeApiFn)(void);

/*
 * OpenBLAS starts a thread per core as it is loaded, and a thread inherits the
 * signal mask of its creator: with PostgreSQL's signals open, the kernel could
 * hand a SIGTERM or SIGUSR1 meant for the backend to a thread that knows
 * nothing of it.  So nothing is let through while the library loads; and since
 * it is to compute on the backend's own thread, it is asked not to start any.
 */
static const MmComputeApi *
load_compute(void)
{
	sigset_t all;
	sigset_t saved;
	ComputeApiFn get_api;

	/* A thread in the postmaster would be half there in every child. */
	if (IsPostmasterEnvironment && !IsUnderPostmaster)
		elog(ERROR, "mmodal_compute cannot be loaded in the postmaster");

	setenv("OPENBLAS_NUM_THREADS", "1", 0);
	/* FAISS's threads are to sleep, not to spin, while OpenBLAS's compute */
	setenv("OMP_WAIT_POLICY", "passive", 0);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	PG_TRY();
	{
		get_api = (ComputeApiFn) load_external_function("$libdir/mmodal_compute",
														"mmodal_compute_api", true, NULL);
	}
	PG_FINALLY();
	{
		pthread_sigmask(SIG_SETMASK, &saved, NULL);
	}
	PG_END_TRY();
	return get_api();
}

/*
 * Both libraries are to be of one release, and of one table within it.
 */
static void
check_compute(const MmComputeApi *loaded)
{
	if (strcmp(loaded->version, MMODAL_VERSION) == 0 &&
		loaded->api_version == MMODAL_COMPUTE_API_VERSION)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("library mmodal_compute is version %s but library mmodal is version %s",
					loaded->version, MMODAL_VERSION),
			 errdetail("Their interfaces are numbers %d and %d.", loaded->api_version,
					   MMODAL_COMPUTE_API_VERSION),
			 errhint("Install both libraries from one build, then reconnect (restart the server "
					 "if it preloads mmodal).")));
}

const MmComputeApi *
mm_compute(void)
{
	static const MmComputeApi *api = NULL;

	if (api == NULL)
	{
		const MmComputeApi *loaded = load_compute();

		check_compute(loaded);
		api = loaded;
	}
	return api;
}

const MmFaissApi *
mm_faiss(void)
{
	return mm_compute()->faiss;
}
