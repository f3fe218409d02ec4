/*-------------------------------------------------------------------------
 *
 * pack.c
 *	  Writing weights in the layout that the kernels read.
 *
 *-------------------------------------------------------------------------
 */
#include "pack.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"

#define ALIGNMENT 64

void
mm_pack_init(mm_pack *pack, int fd)
{
	*pack = (mm_pack){.fd = fd};
}

void
mm_pack_free(mm_pack *pack)
{
	free(pack->tensors);
	free(pack->own);
	mm_file_close(&pack->memory);
	mm_pack_init(pack, -1);
}

mm_status
mm_pack_declare(mm_pack *pack, const char *name, mm_dtype dtype, int ndim, const int64_t *shape,
				mm_error *err)
{
	mm_pack_tensor *t;

	if (pack->n == pack->room)
	{
		int room = pack->room ? 2 * pack->room : 256;
		mm_pack_tensor *more = realloc(pack->tensors, sizeof(more[0]) * room);

		if (more == NULL)
			return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
		pack->tensors = more;
		pack->room = room;
	}
	t = &pack->tensors[pack->n];
	*t = (mm_pack_tensor){.dtype = dtype, .ndim = ndim, .bytes = mm_dtype_size(dtype)};
	strncpy(t->name, name, sizeof(t->name) - 1);
	for (int i = 0; i < ndim; i++)
	{
		t->shape[i] = shape[i];
		t->bytes *= shape[i];
	}

	/* relative to the first until the length of the header is known */
	if (pack->n > 0)
	{
		const mm_pack_tensor *before = t - 1;

		t->offset = (before->offset + before->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	}
	pack->n++;
	return MM_OK;
}

static bool
add_tensor(cJSON *header, const mm_pack_tensor *t)
{
	cJSON *item = cJSON_AddObjectToObject(header, t->name);
	cJSON *shape, *offsets;

	if (item == NULL || cJSON_AddStringToObject(item, "dtype", mm_dtype_name(t->dtype)) == NULL)
		return false;
	shape = cJSON_AddArrayToObject(item, "shape");
	offsets = cJSON_AddArrayToObject(item, "data_offsets");
	if (shape == NULL || offsets == NULL)
		return false;
	for (int i = 0; i < t->ndim; i++)
		cJSON_AddItemToArray(shape, cJSON_CreateNumber((double) t->shape[i]));
	cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double) t->offset));
	cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double) (t->offset + t->bytes)));
	return cJSON_GetArraySize(shape) == t->ndim && cJSON_GetArraySize(offsets) == 2;
}

/* The header's JSON, to be freed by cJSON_free; NULL when out of memory. */
static char *
print_header(const mm_pack *pack, mm_precision precision, const char *key)
{
	cJSON *header = cJSON_CreateObject();
	cJSON *metadata = cJSON_AddObjectToObject(header, "__metadata__");
	char *text = NULL;
	bool ok = metadata != NULL && cJSON_AddStringToObject(metadata, "format", MM_PACK_FORMAT) &&
			  cJSON_AddStringToObject(metadata, "precision", mm_precision_name(precision)) &&
			  cJSON_AddStringToObject(metadata, "key", key);

	for (int i = 0; i < pack->n && ok; i++)
		ok = add_tensor(header, &pack->tensors[i]);
	if (ok)
		text = cJSON_PrintUnformatted(header);
	cJSON_Delete(header);
	return text;
}

static mm_status
write_at(int fd, const void *data, size_t n, uint64_t at, mm_error *err)
{
	const char *p = data;

	while (n > 0)
	{
		ssize_t put = pwrite(fd, p, n, (off_t) at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return mm_fail(err, MM_ERR_IO, "could not write pack: %s",
						   strerror(put < 0 ? errno : ENOSPC));
		p += put;
		at += put;
		n -= put;
	}
	return MM_OK;
}

static mm_status
take_memory(mm_pack *pack, size_t size, mm_error *err)
{
	pack->memory.data =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pack->memory.data == MAP_FAILED)
	{
		pack->memory.data = NULL;
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	pack->memory.size = size;
	pack->memory.mapped = true;
	return MM_OK;
}

/* Of a file: the largest tensor goes through here. */
static mm_status
take_own(mm_pack *pack, mm_error *err)
{
	for (int i = 0; i < pack->n; i++)
	{
		if (pack->tensors[i].bytes > pack->own_size)
			pack->own_size = pack->tensors[i].bytes;
	}
	pack->own = malloc(pack->own_size);
	return pack->own ? MM_OK : mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
}

mm_status
mm_pack_begin(mm_pack *pack, mm_precision precision, const char *key, mm_error *err)
{
	char *json = print_header(pack, precision, key);
	const mm_pack_tensor *last = &pack->tensors[pack->n - 1];
	uint64_t length, start;
	unsigned char *head;
	mm_status status;

	if (json == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	/* padded by blanks, so that the data begins at a page of its own */
	start = (8 + strlen(json) + 4095) / 4096 * 4096;
	length = start - 8;
	head = malloc(start);
	if (head == NULL)
	{
		cJSON_free(json);
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	memset(head, ' ', start);
	for (int i = 0; i < 8; i++)
		head[i] = (unsigned char) (length >> (8 * i));
	memcpy(head + 8, json, strlen(json));
	cJSON_free(json);
	for (int i = 0; i < pack->n; i++)
		pack->tensors[i].offset += start;
	if (pack->fd >= 0)
	{
		status = write_at(pack->fd, head, start, 0, err);
		if (status == MM_OK)
			status = take_own(pack, err);
	}
	else
	{
		status = take_memory(pack, last->offset + last->bytes, err);
		if (status == MM_OK)
			memcpy(pack->memory.data, head, start);
	}
	free(head);
	return status;
}

mm_status
mm_pack_next(mm_pack *pack, const char *name, void **room, mm_error *err)
{
	const mm_pack_tensor *t = &pack->tensors[pack->next];

	if (pack->next >= pack->n || strcmp(t->name, name) != 0)
		return mm_fail(err, MM_ERR_INVALID_ARGUMENT, "tensor \"%s\" is out of its turn", name);
	if (pack->fd < 0)
	{
		*room = (char *) pack->memory.data + t->offset;
		return MM_OK;
	}
	memset(pack->own, 0, t->bytes);
	*room = pack->own;
	return MM_OK;
}

mm_status
mm_pack_put(mm_pack *pack, mm_error *err)
{
	const mm_pack_tensor *t = &pack->tensors[pack->next++];

	return pack->fd < 0 ? MM_OK : write_at(pack->fd, pack->own, t->bytes, t->offset, err);
}
