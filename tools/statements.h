/*-------------------------------------------------------------------------
 *
 * statements.h
 *	  The SQL of a run, for its table.
 *
 * Every statement is a transaction of its own and needs nothing of the session's,
 * so that a proxy may hand each to another one.  Parameters: $1 hashes, $2 paths
 * as literals of text[], $3 captions, $4 metadata, $5 pictures or embeddings,
 * $6 the model; of rejects and clears texts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STATEMENTS_H
#define STATEMENTS_H

#include "loader.h"

typedef struct statements
{
	char *known;           /* which hashes have an embedding */
	char *merge;           /* add paths, and what was missing, to rows */
	char *insert_pictures; /* gives the hashes it embedded, with their numbers of paths */
	char *insert_picture;  /* of one, which fails as clip_embed() does */
	char *insert_vectors;
	char *copy_vectors;
	char *reject;
	char *clear;
} statements;

extern statements *statements_make(const target *t);
extern void statements_free(statements *s);

#endif /* STATEMENTS_H */
