/*-------------------------------------------------------------------------
 *
 * stub.h
 *	  What stands for the server under the functions of a type.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_STUB_H
#define FUZZ_STUB_H

#include <setjmp.h>

/* ereport(ERROR) jumps there, with the SQLSTATE in stub_sqlstate. */
extern sigjmp_buf stub_escape;
extern char stub_sqlstate[6];

/* Free all that palloc gave. */
extern void stub_free_all(void);

#endif /* FUZZ_STUB_H */
