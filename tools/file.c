/*-------------------------------------------------------------------------
 *
 * file.c
 *	  Read files that may be anything: FIFOs, growing, vanishing, of any size.
 *
 *-------------------------------------------------------------------------
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void
set_size_problem(problem *why, size_t max)
{
	set_problem(why, "54000", "file is larger than the %zu bytes that are allowed", max);
}

/* A descriptor, and what fstat() says; -1: *why says why not. */
static int
open_regular(const char *path, struct stat *st, problem *why)
{
	/* a FIFO would wait for a writer */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
	{
		set_errno_problem(why, "cannot open");
		return -1;
	}
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	set_problem(why, "58030", "not a regular file");
	close(fd);
	return -1;
}

FILE *
open_file(const char *path, problem *why)
{
	struct stat st;
	int fd = open_regular(path, &st, why);
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

	if (fd >= 0 && file == NULL)
	{
		set_errno_problem(why, "cannot open");
		close(fd);
	}
	return file;
}

/* had: its size when it was opened. */
static bool
read_open_file(int fd, off_t had, size_t max, uint8_t **data, size_t *size, problem *why)
{
	size_t room, n = 0;

	if ((uint64_t) had > max)
	{
		set_size_problem(why, max);
		return false;
	}
	room = (size_t) had + 1;
	*data = xmalloc(room + 1);
	for (;;)
	{
		/* one byte more than it had: it may have grown */
		ssize_t got = read(fd, *data + n, room - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
		{
			set_errno_problem(why, "cannot read");
			return false;
		}
		n += (size_t) got;
		if (n > max)
		{
			set_size_problem(why, max);
			return false;
		}
		if (got == 0)
			break;
		if (n == room)
		{
			room *= 2;
			*data = xrealloc(*data, room + 1);
		}
	}
	(*data)[n] = 0;
	*size = n;
	return true;
}

bool
read_file(const char *path, size_t max, uint8_t **data, size_t *size, problem *why)
{
	struct stat st;
	int fd = open_regular(path, &st, why);
	bool good;

	*data = NULL;
	*size = 0;
	if (fd < 0)
		return false;
	good = read_open_file(fd, st.st_size, max, data, size, why);
	close(fd);
	if (!good)
	{
		free(*data);
		*data = NULL;
	}
	return good;
}
