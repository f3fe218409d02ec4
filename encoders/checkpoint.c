/*-------------------------------------------------------------------------
 *
 * checkpoint.c
 *	  The published weights of a model, in one safetensors file or many.
 *
 *-------------------------------------------------------------------------
 */
#include "checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "half.h"
#include "hash.h"
#include "json.h"

#define INDEX_FILE "model.safetensors.index.json"

/* Elements converted at a time. */
#define CHUNK 16384

static mm_status
open_shard(mm_checkpoint *cp, const char *dir, const char *name, mm_error *err)
{
	mm_shard *shard = &cp->shards[cp->n];
	char path[1280];
	mm_status status = mm_safetensors_open_header_of(dir, name, &shard->st, err);

	if (status != MM_OK)
		return status;
	snprintf(shard->name, sizeof(shard->name), "%s", name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	shard->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (shard->fd < 0)
	{
		mm_safetensors_close(&shard->st);
		return mm_fail(err, MM_ERR_IO, "could not open model file \"%s\": %s", name,
					   strerror(errno));
	}
	cp->n++;
	return MM_OK;
}

/* A file of the same directory, whatever the index says. */
static bool
plain_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL && strlen(name) < 256;
}

static const mm_shard *
shard_of(const mm_checkpoint *cp, const char *file)
{
	for (int i = 0; i < cp->n; i++)
	{
		if (strcmp(cp->shards[i].name, file) == 0)
			return &cp->shards[i];
	}
	return NULL;
}

/* Every tensor of the index must be in the file that it names. */
static mm_status
open_index(mm_checkpoint *cp, const char *dir, mm_error *err)
{
	cJSON *index;
	const cJSON *map, *item;
	mm_status status = mm_json_load(dir, INDEX_FILE, &index, err);

	if (status != MM_OK)
		return status;
	map = cJSON_GetObjectItemCaseSensitive(index, "weight_map");
	if (!cJSON_IsObject(map))
		status = mm_fail(err, MM_ERR_BAD_MODEL, "%s has no \"weight_map\"", INDEX_FILE);
	cJSON_ArrayForEach(item, map)
	{
		if (status != MM_OK)
			break;
		if (!cJSON_IsString(item) || !plain_name(item->valuestring))
			status = mm_fail(err, MM_ERR_BAD_MODEL,
							 "%s: tensor \"%.100s\" is in no file of the directory", INDEX_FILE,
							 item->string);
		else if (shard_of(cp, item->valuestring) == NULL)
			status = cp->n < MM_MAX_SHARDS
						 ? open_shard(cp, dir, item->valuestring, err)
						 : mm_fail(err, MM_ERR_UNSUPPORTED, "model has more than %d weight files",
								   MM_MAX_SHARDS);
		if (status == MM_OK &&
			mm_safetensors_find(&shard_of(cp, item->valuestring)->st, item->string) == NULL)
			status = mm_fail(err, MM_ERR_BAD_MODEL, "tensor \"%.100s\" is not in file \"%.100s\"",
							 item->string, item->valuestring);
	}
	cJSON_Delete(index);
	return status;
}

mm_status
mm_checkpoint_open(const char *dir, mm_checkpoint *cp, mm_error *err)
{
	mm_status status;

	cp->n = 0;
	cp->shards = calloc(MM_MAX_SHARDS, sizeof(mm_shard));
	if (cp->shards == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	if (mm_file_exists(dir, "model.safetensors"))
		status = open_shard(cp, dir, "model.safetensors", err);
	else if (mm_file_exists(dir, INDEX_FILE))
		status = open_index(cp, dir, err);
	else if (mm_file_exists(dir, "open_clip_model.safetensors"))
		status = open_shard(cp, dir, "open_clip_model.safetensors", err);
	else
	{
		status = mm_fail(err, MM_ERR_NOT_FOUND, "model has no weights");
		mm_fail_detail(err,
					   "The directory holds none of model.safetensors, %s and "
					   "open_clip_model.safetensors.",
					   INDEX_FILE);
	}
	if (status != MM_OK)
		mm_checkpoint_close(cp);
	return status;
}

void
mm_checkpoint_close(mm_checkpoint *cp)
{
	for (int i = 0; i < cp->n; i++)
	{
		close(cp->shards[i].fd);
		mm_safetensors_close(&cp->shards[i].st);
	}
	free(cp->shards);
	*cp = (mm_checkpoint){0};
}

static const mm_tensor *
find(const mm_checkpoint *cp, const char *name, const mm_shard **shard)
{
	for (int i = 0; i < cp->n; i++)
	{
		const mm_tensor *t = mm_safetensors_find(&cp->shards[i].st, name);

		*shard = &cp->shards[i];
		if (t != NULL)
			return t;
	}
	return NULL;
}

const mm_tensor *
mm_checkpoint_find(const mm_checkpoint *cp, const char *name)
{
	const mm_shard *shard;

	return find(cp, name, &shard);
}

static mm_status
read_bytes(const mm_shard *shard, const mm_tensor *t, uint64_t at, void *into, size_t n,
		   mm_error *err)
{
	char *p = into;

	while (n > 0)
	{
		ssize_t got = pread(shard->fd, p, n, (off_t) at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return mm_fail(err, MM_ERR_IO, "could not read tensor \"%.100s\": %s", t->name,
						   strerror(errno));
		if (got == 0)
		{
			mm_fail(err, MM_ERR_BAD_MODEL, "could not read tensor \"%.100s\"", t->name);
			mm_fail_detail(err, "File \"%.100s\" has become shorter.", shard->name);
			return MM_ERR_BAD_MODEL;
		}
		p += got;
		at += got;
		n -= got;
	}
	return MM_OK;
}

/* Widen n elements in place of "out"; false where one is not finite. */
static bool
widen(const uint16_t *in, mm_dtype dtype, int64_t n, float *out)
{
	bool finite = true;

	for (int64_t i = 0; i < n; i++)
	{
		if (dtype != MM_DTYPE_F32)
			out[i] = dtype == MM_DTYPE_F16 ? mm_f16_to_float(in[i]) : mm_bf16_to_float(in[i]);
		finite &= isfinite(out[i]) != 0;
	}
	return finite;
}

static mm_status
read_tensor(const mm_shard *shard, const mm_tensor *t, float *out, mm_error *err)
{
	int size = mm_dtype_size(t->dtype);
	uint16_t buffer[CHUNK];

	for (int64_t i = 0; i < t->count; i += CHUNK)
	{
		int64_t n = t->count - i < CHUNK ? t->count - i : CHUNK;
		void *into = t->dtype == MM_DTYPE_F32 ? (void *) (out + i) : (void *) buffer;
		mm_status status = read_bytes(shard, t, t->offset + i * size, into, n * size, err);

		if (status != MM_OK)
			return status;
		if (!widen(buffer, t->dtype, n, out + i))
			return mm_fail(err, MM_ERR_BAD_MODEL,
						   "tensor \"%.100s\" has a value that is not finite", t->name);
	}
	return MM_OK;
}

mm_status
mm_checkpoint_check(const mm_checkpoint *cp, const char *name, int ndim, const int64_t *shape,
					mm_error *err)
{
	const mm_tensor *t = mm_checkpoint_find(cp, name);
	mm_status status;

	if (t == NULL)
		return mm_fail(err, MM_ERR_BAD_MODEL, "model has no tensor \"%s\"", name);
	status = mm_tensor_check(t, ndim, shape, err);
	if (status != MM_OK)
		return status;
	if (t->dtype != MM_DTYPE_F32 && t->dtype != MM_DTYPE_F16 && t->dtype != MM_DTYPE_BF16)
		return mm_fail(err, MM_ERR_UNSUPPORTED, "tensor \"%s\" is not float32, float16 or bfloat16",
					   name);
	return MM_OK;
}

mm_status
mm_checkpoint_read(const mm_checkpoint *cp, const char *name, int ndim, const int64_t *shape,
				   float *out, mm_error *err)
{
	const mm_shard *shard = NULL;
	const mm_tensor *t = find(cp, name, &shard);
	mm_status status = mm_checkpoint_check(cp, name, ndim, shape, err);

	return status == MM_OK ? read_tensor(shard, t, out, err) : status;
}

int64_t
mm_checkpoint_parameters(const mm_checkpoint *cp)
{
	int64_t sum = 0;

	for (int i = 0; i < cp->n; i++)
	{
		const mm_safetensors *st = &cp->shards[i].st;

		/* whole numbers are notes on the model (position_ids), not weights */
		for (int k = 0; k < st->n; k++)
			sum += st->tensors[k].dtype == MM_DTYPE_OTHER ? 0 : st->tensors[k].count;
	}
	return sum;
}

int64_t
mm_checkpoint_bytes(const mm_checkpoint *cp)
{
	int64_t sum = 0;

	for (int i = 0; i < cp->n; i++)
		sum += (int64_t) cp->shards[i].st.file.size;
	return sum;
}

uint64_t
mm_checkpoint_hash(const mm_checkpoint *cp)
{
	uint64_t hash = MM_HASH_SEED;

	for (int i = 0; i < cp->n; i++)
	{
		const mm_shard *shard = &cp->shards[i];

		for (int k = 0; k < shard->st.n; k++)
		{
			const mm_tensor *t = &shard->st.tensors[k];
			char sample[64] = {0};
			size_t n = t->bytes < sizeof(sample) ? t->bytes : sizeof(sample);

			hash = mm_hash(hash, t->name, strlen(t->name) + 1);
			hash = mm_hash(hash, &t->dtype, sizeof(t->dtype));
			hash = mm_hash(hash, t->shape, sizeof(t->shape[0]) * t->ndim);
			/* what cannot be read is noticed by whoever reads all of it */
			(void) read_bytes(shard, t, t->offset + (t->bytes - n) / 2, sample, n, NULL);
			hash = mm_hash(hash, sample, sizeof(sample));
		}
	}
	return hash;
}
