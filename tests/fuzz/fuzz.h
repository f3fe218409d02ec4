/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What fuzz targets share.
 *
 * A target is one file with fuzz_init() and fuzz_one(); it is linked with
 * libfuzzer.c, which makes a libFuzzer of it, or with replay.c, which runs it
 * on given files and needs no clang.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm_encoders.h"

/* Of the target.  The first is called once. */
extern void fuzz_init(void);
extern void fuzz_one(const uint8_t *data, size_t size);

/* fuzz_one(); more than two seconds of CPU time are a finding. */
extern void fuzz_timed(const uint8_t *data, size_t size);

/* Say why an input is a finding, and abort. */
extern _Noreturn void fuzz_found(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define FUZZ_CHECK(condition, ...)                                                                 \
	do                                                                                             \
	{                                                                                              \
		if (!(condition))                                                                          \
			fuzz_found(__FILE__, __LINE__, __VA_ARGS__);                                           \
	} while (0)

/*
 * A status that is not MM_OK has to be one of "allowed" (bits 1 << status), and
 * the error has to say the same, with a message.  Returns whether it is MM_OK.
 */
extern bool fuzz_status(mm_status status, const mm_error *err, unsigned allowed);

/* An error that fuzz_status can tell from one that was filled. */
extern mm_error fuzz_no_error(void);

/*
 * A directory of the process's own, and files in it.  fuzz_directory() may be
 * called more than once, for others.
 */
typedef struct fuzz_dir
{
	char path[200];
} fuzz_dir;

extern fuzz_dir fuzz_directory(void);
extern void fuzz_write(const fuzz_dir *dir, const char *name, const void *data, size_t size);
extern void fuzz_remove(const fuzz_dir *dir, const char *name);

/* A whole file, malloc'd. */
extern uint8_t *fuzz_read(const fuzz_dir *dir, const char *name, size_t *size);

#endif /* FUZZ_H */
