/*-------------------------------------------------------------------------
 *
 * fuzz.c
 *	  What fuzz targets share.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SLOW 2.0 /* seconds */

#define UNTOUCHED ((mm_status) 1000)

void
fuzz_found(const char *file, int line, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: finding: ", file, line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

static double
cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

/* By CPU time, so that a machine with other work to do raises no alarm. */
void
fuzz_timed(const uint8_t *data, size_t size)
{
	double start = cpu_seconds(), taken;

	fuzz_one(data, size);
	taken = cpu_seconds() - start;
	FUZZ_CHECK(taken < SLOW, "slow: %.1f s of CPU time for %zu bytes", taken, size);
}

mm_error
fuzz_no_error(void)
{
	mm_error err = {.status = UNTOUCHED};

	memset(err.message, 'x', sizeof(err.message));
	memset(err.detail, 'x', sizeof(err.detail));
	return err;
}

bool
fuzz_status(mm_status status, const mm_error *err, unsigned allowed)
{
	if (status == MM_OK)
		return true;
	FUZZ_CHECK(status > MM_OK && status <= MM_ERR_LIMIT, "status %d is none", (int) status);
	FUZZ_CHECK(err->status == status, "status %d, but that of the error is %d", (int) status,
			   (int) err->status);
	FUZZ_CHECK(memchr(err->message, 0, sizeof(err->message)) != NULL, "message has no end");
	FUZZ_CHECK(memchr(err->detail, 0, sizeof(err->detail)) != NULL, "detail has no end");
	FUZZ_CHECK(err->message[0] != '\0', "status %d has no message", (int) status);
	FUZZ_CHECK(allowed >> status & 1, "unexpected status %d: %s (%s)", (int) status, err->message,
			   err->detail);
	return false;
}

/*---- files ----*/

static void
path_of(const fuzz_dir *dir, const char *name, char *path, size_t size)
{
	FUZZ_CHECK((size_t) snprintf(path, size, "%s/%s", dir->path, name) < size, "path is too long");
}

/* Where scripts/fuzz says, which also removes them. */
fuzz_dir
fuzz_directory(void)
{
	const char *base = getenv("MMODAL_FUZZ_DIR");
	fuzz_dir dir;

	FUZZ_CHECK((size_t) snprintf(dir.path, sizeof(dir.path), "%s/XXXXXX", base ? base : "/tmp") <
				   sizeof(dir.path),
			   "path is too long");
	FUZZ_CHECK(mkdtemp(dir.path) != NULL, "cannot make directory %s", dir.path);
	return dir;
}

void
fuzz_write(const fuzz_dir *dir, const char *name, const void *data, size_t size)
{
	char path[400];
	int fd;

	path_of(dir, name, path, sizeof(path));
	unlink(path); /* packs are read-only */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	FUZZ_CHECK(fd >= 0, "cannot create %s", path);
	FUZZ_CHECK(write(fd, data, size) == (ssize_t) size, "cannot write %s", path);
	close(fd);
}

void
fuzz_remove(const fuzz_dir *dir, const char *name)
{
	char path[400];

	path_of(dir, name, path, sizeof(path));
	unlink(path);
}

uint8_t *
fuzz_read(const fuzz_dir *dir, const char *name, size_t *size)
{
	char path[400];
	struct stat st;
	uint8_t *data;
	int fd;

	path_of(dir, name, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && fstat(fd, &st) == 0, "cannot open %s", path);
	*size = (size_t) st.st_size;
	data = malloc(*size > 0 ? *size : 1);
	FUZZ_CHECK(data != NULL && read(fd, data, *size) == (ssize_t) *size, "cannot read %s", path);
	close(fd);
	return data;
}
