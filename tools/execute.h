/*-------------------------------------------------------------------------
 *
 * execute.h
 *	  A worker's statements: run, run again, or told apart from what ends it all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EXECUTE_H
#define EXECUTE_H

#include "loader.h"
#include "wire.h"

#define MAX_PARAMS 6

typedef struct params
{
	int n;
	buffer values[MAX_PARAMS];
	Oid types[MAX_PARAMS];
} params;

typedef enum outcome
{
	OUTCOME_DONE,
	OUTCOME_FAILED,  /* for its data; *why says why */
	OUTCOME_STOPPED, /* the run ends: a signal, or loader_fail() was called */
} outcome;

/* All parameters, and the result, in binary.  *result is set when it is done. */
extern outcome execute(worker *w, const char *sql, const params *p, PGresult **result,
					   problem *why);
extern outcome execute_copy(worker *w, const char *sql, const buffer *rows, problem *why);
extern void params_free(params *p);

#endif /* EXECUTE_H */
