/*-------------------------------------------------------------------------
 *
 * records.h
 *	  Records of manifests and of metadata, one after the other: CSV, TSV,
 *	  JSON lines, or a JSON array of objects.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECORDS_H
#define RECORDS_H

#include "load.h"

typedef struct records records;

/*
 * One record.  Of CSV the columns other than path and caption are metadata, as
 * strings; of JSON the whole object is.
 */
typedef struct record
{
	long line; /* where it ends, from 1 */
	char *path, *caption, *metadata;
	uint8_t hash[HASH_SIZE];
	bool has_hash; /* of a column sha256 */
} record;

typedef enum record_status
{
	RECORD_OK,
	RECORD_BAD, /* this one; why says why, and the next may be good */
	RECORD_END,
	RECORD_FATAL, /* nothing can be read any more */
} record_status;

/* The kind is told by the name.  NULL: *why says why. */
extern records *records_open(const char *path, problem *why);
/* Whether records have a path, as far as a header says. */
extern bool records_have_path(const records *r, problem *why);
extern record_status records_next(records *r, record *rec, problem *why);
extern void records_close(records *r);
extern void record_clear(record *rec);

#endif /* RECORDS_H */
