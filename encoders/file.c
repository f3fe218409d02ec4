/*-------------------------------------------------------------------------
 *
 * file.c
 *	  Whole files, read or mapped.
 *
 *-------------------------------------------------------------------------
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

static mm_status
io_error(mm_error *err, const char *what, const char *path)
{
	int saved = errno;
	char text[128];

	/* the POSIX form: strerror shares a buffer with other threads */
	if (strerror_r(saved, text, sizeof(text)) != 0)
		snprintf(text, sizeof(text), "error %d", saved);
	mm_fail(err, saved == ENOENT || saved == ENOTDIR ? MM_ERR_NOT_FOUND : MM_ERR_IO,
			"could not %s model file \"%s\"", what, strrchr(path, '/') + 1);
	/* no path: whoever may embed is told this, and the server's paths are not for all */
	mm_fail_detail(err, "%s", text);
	return saved == ENOENT || saved == ENOTDIR ? MM_ERR_NOT_FOUND : MM_ERR_IO;
}

static mm_status
read_all(int fd, const char *path, mm_file *file, mm_error *err)
{
	size_t done = 0;

	/* aligned like a page, so that tensors are as a mapping has them */
	file->data = aligned_alloc(4096, (file->size + 4095) & ~(size_t) 4095);
	if (file->data == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	while (done < file->size)
	{
		ssize_t n = read(fd, (char *) file->data + done, file->size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			if (n == 0)
				errno = EIO; /* shorter than a moment ago */
			return io_error(err, "read", path);
		}
		done += n;
	}
	return MM_OK;
}

static mm_status
regular_size(int fd, const char *path, size_t *size, mm_error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return io_error(err, "stat", path);
	if (!S_ISREG(st.st_mode))
	{
		mm_fail(err, MM_ERR_IO, "could not read model file \"%s\"", strrchr(path, '/') + 1);
		mm_fail_detail(err, "It is no regular file");
		return MM_ERR_IO;
	}
	*size = st.st_size;
	return MM_OK;
}

static mm_status
map_all(int fd, const char *path, mm_file *file, mm_error *err)
{
	file->data = mmap(NULL, file->size, PROT_READ, MAP_SHARED, fd, 0);
	if (file->data == MAP_FAILED)
	{
		file->data = NULL;
		return io_error(err, "map", path);
	}
	file->mapped = true;
	return MM_OK;
}

static mm_status
open_path(const char *dir, const char *name, char *path, size_t path_size, int *fd, mm_error *err)
{
	if ((size_t) snprintf(path, path_size, "%s/%s", dir, name) >= path_size)
		return mm_fail(err, MM_ERR_INVALID_ARGUMENT, "path of model file \"%s\" is too long", name);
	/* not to wait for a writer, should the name be a pipe's */
	do
		*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	while (*fd < 0 && errno == EINTR);
	return *fd < 0 ? io_error(err, "open", path) : MM_OK;
}

mm_status
mm_file_open(const char *dir, const char *name, bool map, size_t max_size, mm_file *file,
			 mm_error *err)
{
	char path[1280];
	int fd;
	mm_status status;

	*file = (mm_file){0};
	status = open_path(dir, name, path, sizeof(path), &fd, err);
	if (status != MM_OK)
		return status;
	status = regular_size(fd, path, &file->size, err);
	if (status == MM_OK && file->size > max_size)
	{
		status = mm_fail(err, MM_ERR_BAD_MODEL, "model file \"%s\" is too large", name);
		mm_fail_detail(err, "%zu bytes, where at most %zu make sense", file->size, max_size);
	}
	else if (status == MM_OK && file->size > 0)
		status = map ? map_all(fd, path, file, err) : read_all(fd, path, file, err);
	close(fd);
	if (status != MM_OK)
		mm_file_close(file);
	return status;
}

mm_status
mm_file_read_head(const char *dir, const char *name, size_t n, mm_file *file, size_t *file_size,
				  mm_error *err)
{
	char path[1280];
	int fd;
	mm_status status;

	*file = (mm_file){0};
	status = open_path(dir, name, path, sizeof(path), &fd, err);
	if (status != MM_OK)
		return status;
	status = regular_size(fd, path, file_size, err);
	if (status == MM_OK)
	{
		file->size = n < *file_size ? n : *file_size;
		status = read_all(fd, path, file, err);
	}
	close(fd);
	if (status != MM_OK)
		mm_file_close(file);
	return status;
}

void
mm_file_close(mm_file *file)
{
	if (file->mapped)
		munmap(file->data, file->size);
	else
		free(file->data);
	*file = (mm_file){0};
}

bool
mm_file_exists(const char *dir, const char *name)
{
	char path[1280];
	struct stat st;

	return (size_t) snprintf(path, sizeof(path), "%s/%s", dir, name) < sizeof(path) &&
		   stat(path, &st) == 0;
}

int64_t
mm_file_size(const char *dir, const char *name)
{
	char path[1280];
	struct stat st;

	if ((size_t) snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path) ||
		stat(path, &st) != 0)
		return 0;
	return st.st_size;
}
