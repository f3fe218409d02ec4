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

static bool
too_large(size_t max, problem *why)
{
	set_problem(why, "54000", "file is larger than the %zu bytes that are allowed", max);
	return false;
}

static bool
read_open_file(int fd, size_t max, uint8_t **data, size_t *size, problem *why)
{
	struct stat st;
	size_t room, n = 0;

	if (fstat(fd, &st) != 0)
	{
		set_errno_problem(why, "cannot look at it");
		return false;
	}
	if (!S_ISREG(st.st_mode))
	{
		set_problem(why, "58030", "not a regular file");
		return false;
	}
	if ((uint64_t) st.st_size > max)
		return too_large(max, why);
	room = (size_t) st.st_size + 1;
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
			return too_large(max, why);
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
	/* a FIFO would wait for a writer */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	bool good;

	*data = NULL;
	*size = 0;
	if (fd < 0)
	{
		set_errno_problem(why, "cannot open");
		return false;
	}
	good = read_open_file(fd, max, data, size, why);
	close(fd);
	if (!good)
	{
		free(*data);
		*data = NULL;
	}
	return good;
}
