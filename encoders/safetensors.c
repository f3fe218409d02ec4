/*-------------------------------------------------------------------------
 *
 * safetensors.c
 *	  Reading the safetensors format.
 *
 *-------------------------------------------------------------------------
 */
#include "safetensors.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* As the reference implementation has it. */
#define MAX_HEADER_BYTES (100u * 1000 * 1000)
#define MAX_TENSORS 100000
#define MAX_FILE_BYTES ((size_t) 1 << 40)

typedef struct dtype_row
{
	const char *name;
	mm_dtype dtype;
	int size; /* bytes */
} dtype_row;

static const dtype_row dtypes[] = {
	{"F32", MM_DTYPE_F32, 4},    {"F16", MM_DTYPE_F16, 2},   {"BF16", MM_DTYPE_BF16, 2},
	{"F64", MM_DTYPE_OTHER, 8},  {"I64", MM_DTYPE_OTHER, 8}, {"U64", MM_DTYPE_OTHER, 8},
	{"I32", MM_DTYPE_OTHER, 4},  {"U32", MM_DTYPE_OTHER, 4}, {"I16", MM_DTYPE_OTHER, 2},
	{"U16", MM_DTYPE_OTHER, 2},  {"I8", MM_DTYPE_OTHER, 1},  {"U8", MM_DTYPE_OTHER, 1},
	{"BOOL", MM_DTYPE_OTHER, 1},
};

static mm_status
bad(mm_error *err, const char *detail, const char *name)
{
	mm_fail(err, MM_ERR_BAD_MODEL, "malformed safetensors file");
	if (name)
		mm_fail_detail(err, "tensor \"%.100s\": %s", name, detail);
	else
		mm_fail_detail(err, "%s", detail);
	return MM_ERR_BAD_MODEL;
}

/* A JSON number that is a whole one within [0, 2^53]. */
static bool
whole_number(const cJSON *item, uint64_t *value)
{
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
		item->valuedouble > 9007199254740992.0)
		return false;
	*value = (uint64_t) item->valuedouble;
	return (double) *value == item->valuedouble;
}

static mm_status
parse_shape(const cJSON *item, mm_tensor *t, mm_error *err)
{
	const cJSON *dim;

	t->count = 1;
	if (!cJSON_IsArray(item))
		return bad(err, "no shape", t->name);
	cJSON_ArrayForEach(dim, item)
	{
		uint64_t n;

		if (t->ndim == MM_TENSOR_MAX_DIMS)
			return bad(err, "too many dimensions", t->name);
		if (!whole_number(dim, &n) || n > INT32_MAX)
			return bad(err, "a dimension is no size", t->name);
		if (n != 0 && t->count > (INT64_MAX >> 8) / (int64_t) n)
			return bad(err, "more elements than any file holds", t->name);
		t->shape[t->ndim++] = (int64_t) n;
		t->count *= (int64_t) n;
	}
	return MM_OK;
}

/* data is where the tensors' bytes begin, size how many there are. */
static mm_status
parse_tensor(const cJSON *item, const char *data, uint64_t size, mm_tensor *t, mm_error *err)
{
	const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
	const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
	const dtype_row *row = NULL;
	uint64_t begin, end;
	mm_status status;

	if (!cJSON_IsString(dtype))
		return bad(err, "no dtype", t->name);
	for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++)
	{
		if (strcmp(dtypes[i].name, dtype->valuestring) == 0)
			row = &dtypes[i];
	}
	if (row == NULL)
		return bad(err, "unknown dtype", t->name);
	t->dtype = row->dtype;
	status = parse_shape(cJSON_GetObjectItemCaseSensitive(item, "shape"), t, err);
	if (status != MM_OK)
		return status;
	if (cJSON_GetArraySize(offsets) != 2 || !whole_number(cJSON_GetArrayItem(offsets, 0), &begin) ||
		!whole_number(cJSON_GetArrayItem(offsets, 1), &end))
		return bad(err, "no data_offsets", t->name);
	if (begin > end || end > size)
		return bad(err, "data_offsets lie outside of the file", t->name);
	if (end - begin != (uint64_t) t->count * row->size)
		return bad(err, "data_offsets do not fit the shape", t->name);
	t->data = data != NULL ? data + begin : NULL;
	return MM_OK;
}

static int
compare_tensors(const void *a, const void *b)
{
	return strcmp(((const mm_tensor *) a)->name, ((const mm_tensor *) b)->name);
}

static mm_status
parse_header(const cJSON *header, const char *data, uint64_t size, mm_safetensors *st,
			 mm_error *err)
{
	const cJSON *item;
	int room = 0;

	/* counted by hand: cJSON_GetArraySize of a hostile length costs the same */
	cJSON_ArrayForEach(item, header) room++;
	if (room > MAX_TENSORS)
		return bad(err, "too many tensors", NULL);
	st->tensors = calloc(room > 0 ? room : 1, sizeof(mm_tensor));
	if (st->tensors == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	cJSON_ArrayForEach(item, header)
	{
		mm_tensor *t = &st->tensors[st->n];
		mm_status status;

		if (strcmp(item->string, "__metadata__") == 0)
			continue;
		t->name = strdup(item->string);
		if (t->name == NULL)
			return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
		st->n++;
		status = parse_tensor(item, data, size, t, err);
		if (status != MM_OK)
			return status;
	}
	qsort(st->tensors, st->n, sizeof(mm_tensor), compare_tensors);
	for (int i = 1; i < st->n; i++)
	{
		if (strcmp(st->tensors[i - 1].name, st->tensors[i].name) == 0)
			return bad(err, "there twice", st->tensors[i].name);
	}
	return MM_OK;
}

/* The length of the header, of which the first 8 bytes of a file tell. */
static mm_status
header_length(const unsigned char *bytes, size_t file_size, uint64_t *length, mm_error *err)
{
	*length = 0;
	if (file_size < 8)
		return bad(err, "shorter than its own header", NULL);
	for (int i = 7; i >= 0; i--)
		*length = *length << 8 | bytes[i];
	if (*length > MAX_HEADER_BYTES || *length > file_size - 8)
		return bad(err, "header is longer than the file", NULL);
	return MM_OK;
}

/* data: the tensors' bytes, or NULL where only the header is wanted. */
static mm_status
parse(const char *json, size_t length, const char *data, uint64_t size, mm_safetensors *st,
	  mm_error *err)
{
	cJSON *header = cJSON_ParseWithLength(json, length);
	mm_status status;

	st->n = 0;
	st->tensors = NULL;
	if (cJSON_IsObject(header))
		status = parse_header(header, data, size, st, err);
	else
		status = bad(err, "header is no JSON object", NULL);
	cJSON_Delete(header);
	return status;
}

mm_status
mm_safetensors_parse(const void *bytes, size_t size, mm_safetensors *st, mm_error *err)
{
	const char *s = bytes;
	uint64_t length;
	mm_status status = header_length(bytes, size, &length, err);

	st->n = 0;
	st->tensors = NULL;
	if (status != MM_OK)
		return status;
	return parse(s + 8, length, s + 8 + length, size - 8 - length, st, err);
}

mm_status
mm_safetensors_open_header(const char *dir, mm_safetensors *st, mm_error *err)
{
	mm_file head;
	uint64_t length;
	size_t file_size;
	mm_status status;

	*st = (mm_safetensors){0};
	status = mm_file_read_head(dir, "model.safetensors", 8, &head, &file_size, err);
	if (status != MM_OK)
		return status;
	status = header_length(head.data, file_size, &length, err);
	mm_file_close(&head);
	if (status != MM_OK)
		return status;
	status = mm_file_read_head(dir, "model.safetensors", 8 + length, &head, &file_size, err);
	if (status != MM_OK)
		return status;
	if (head.size == 8 + length) /* it may have shrunk meanwhile */
		status = parse((const char *) head.data + 8, length, NULL, file_size - 8 - length, st, err);
	else
		status = bad(err, "header is longer than the file", NULL);
	mm_file_close(&head);
	st->file.size = file_size;
	if (status != MM_OK)
		mm_safetensors_close(st);
	return status;
}

mm_status
mm_safetensors_open(const char *dir, bool map, mm_safetensors *st, mm_error *err)
{
	mm_status status;

	*st = (mm_safetensors){0};
	status = mm_file_open(dir, "model.safetensors", map, MAX_FILE_BYTES, &st->file, err);
	if (status == MM_OK)
		status = mm_safetensors_parse(st->file.data, st->file.size, st, err);
	if (status != MM_OK)
		mm_safetensors_close(st);
	return status;
}

void
mm_safetensors_close(mm_safetensors *st)
{
	for (int i = 0; i < st->n; i++)
		free(st->tensors[i].name);
	free(st->tensors);
	mm_file_close(&st->file);
	*st = (mm_safetensors){0};
}

int64_t
mm_safetensors_parameters(const mm_safetensors *st)
{
	int64_t sum = 0;

	for (int i = 0; i < st->n; i++)
		sum += st->tensors[i].count;
	return sum;
}

const mm_tensor *
mm_safetensors_find(const mm_safetensors *st, const char *name)
{
	mm_tensor key = {.name = (char *) name};

	return bsearch(&key, st->tensors, st->n, sizeof(mm_tensor), compare_tensors);
}

mm_status
mm_safetensors_get(const mm_safetensors *st, const char *name, int ndim, const int64_t *shape,
				   const float **data, mm_error *err)
{
	const mm_tensor *t = mm_safetensors_find(st, name);
	bool fits;

	if (t == NULL)
	{
		mm_fail(err, MM_ERR_BAD_MODEL, "model has no tensor \"%s\"", name);
		return MM_ERR_BAD_MODEL;
	}
	fits = t->dtype == MM_DTYPE_F32 && t->ndim == ndim &&
		   memcmp(t->shape, shape, sizeof(shape[0]) * ndim) == 0;
	if (!fits)
	{
		mm_fail(err, MM_ERR_BAD_MODEL, "tensor \"%s\" is not what the configuration says", name);
		mm_fail_detail(
			err, "wanted float32 with %d dimensions, the first %lld; it has %d, the first %lld",
			ndim, (long long) shape[0], t->ndim, (long long) (t->ndim ? t->shape[0] : 0));
		return MM_ERR_BAD_MODEL;
	}
	if ((uintptr_t) t->data % sizeof(float) != 0)
	{
		mm_fail(err, MM_ERR_BAD_MODEL, "tensor \"%s\" is not aligned", name);
		return MM_ERR_BAD_MODEL;
	}
	*data = t->data;
	return MM_OK;
}
