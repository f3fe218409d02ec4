/*-------------------------------------------------------------------------
 *
 * model_pack.c
 *	  Putting the pack of a model into a directory.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "file.h"
#include "model.h"

static mm_status
file_error(mm_error *err, const char *what, const char *path)
{
	return mm_fail(err, errno == ENOENT ? MM_ERR_NOT_FOUND : MM_ERR_IO,
				   "could not %s \"%.180s\": %s", what, path, strerror(errno));
}

/* A rename lasts when its directory has been written. */
static mm_status
sync_directory(const char *dir, mm_error *err)
{
	int fd = open(dir, O_RDONLY | O_CLOEXEC);
	mm_status status = MM_OK;

	if (fd < 0)
		return file_error(err, "open directory", dir);
	if (fsync(fd) != 0)
		status = file_error(err, "write directory", dir);
	close(fd);
	return status;
}

/* Seconds without a write after which nobody is at work on a pack any more. */
#define ABANDONED 3600

static bool
is_abandoned(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && time(NULL) - st.st_mtime > ABANDONED;
}

/*
 * Packs of the same model and precision that are not the one just made, and
 * what is left of one whose making was cut off.  Who has one mapped keeps it.
 */
static void
remove_earlier(const char *dir, const char *name)
{
	DIR *d = opendir(dir);
	/* NAME.PRECISION. is what all of them begin with; the key is of one length */
	size_t len = strlen(name);
	size_t prefix = len - strlen("0123456789abcdef.pack");
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL)
	{
		const char *found = entry->d_name;
		char path[1400];

		if (strlen(found) < len || strncmp(found, name, prefix) != 0 ||
			strncmp(found + len - 5, ".pack", 5) != 0 || strcmp(found, name) == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, found);
		if (found[len] == '\0' ||
			(strcmp(found + strlen(found) - 4, ".tmp") == 0 && is_abandoned(path)))
			unlink(path);
	}
	if (d != NULL)
		closedir(d);
}

static mm_status
write_pack(mm_model *model, const mm_run *run, mm_precision precision, const char *dir,
		   const char *name, int64_t *bytes, mm_error *err)
{
	char path[1400], temporary[1400];
	int fd;
	mm_status status;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if ((size_t) snprintf(temporary, sizeof(temporary), "%s/%s.%ld.tmp", dir, name,
						  (long) getpid()) >= sizeof(temporary))
		return mm_fail(err, MM_ERR_INVALID_ARGUMENT,
					   "path of pack directory \"%.180s\" is too long", dir);
	fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return file_error(err, "create", temporary);
	status = model->architecture->pack(model, run, precision, fd, bytes, err);
	if (status == MM_OK && (fchmod(fd, 0444) != 0 || fsync(fd) != 0))
		status = file_error(err, "write", temporary);
	close(fd);
	if (status == MM_OK && rename(temporary, path) != 0)
		status = file_error(err, "rename", temporary);
	if (status != MM_OK)
	{
		unlink(temporary);
		return status;
	}
	return sync_directory(dir, err);
}

/*
 * What packs are made from.  An earlier float32 pack saves time for the others,
 * but one that is damaged must not stand in the way of a new one.
 */
static mm_model *
open_float32(const char *dir, mm_model_options options, mm_precision wanted, mm_error *err)
{
	mm_model *model = NULL;

	options.precision = mm_precision_name(MM_PRECISION_FLOAT32);
	if (wanted != MM_PRECISION_FLOAT32)
	{
		model = mm_model_open(dir, &options, err);
		if (model != NULL || err->status != MM_ERR_BAD_PACK)
			return model;
	}
	options.pack_dirs[0] = options.pack_dirs[1] = NULL;
	return mm_model_open(dir, &options, err);
}

mm_status
mm_model_pack(const mm_pack_request *request, char *path, size_t path_size, int64_t *bytes,
			  mm_error *err)
{
	mm_model_options options = request->opts ? *request->opts : (mm_model_options){0};
	mm_poll poll = {.interrupt = options.interrupt, .interrupt_arg = options.interrupt_arg};
	mm_run run = {.poll = &poll, .caller = true};
	mm_precision precision;
	mm_error unseen;
	mm_model *model;
	char name[160];
	mm_status status;

	if (err == NULL)
		err = &unseen;
	status =
		mm_model_pack_name(request->dir, options.precision, &precision, name, sizeof(name), err);
	if (status != MM_OK)
		return status;
	if (name[0] == '\0')
		return mm_fail(err, MM_ERR_UNSUPPORTED, "model needs no pack");
	snprintf(path, path_size, "%s/%s", request->pack_dir, name);
	*bytes = mm_file_size(request->pack_dir, name);
	if (request->keep && *bytes > 0)
		return MM_OK;
	model = open_float32(request->dir, options, precision, err);
	if (model == NULL)
		return err->status;
	run.ops = model->ops;
	status = write_pack(model, &run, precision, request->pack_dir, name, bytes, err);
	if (status == MM_OK)
		remove_earlier(request->pack_dir, name);
	mm_model_close(model);
	return status;
}
