/*-------------------------------------------------------------------------
 *
 * safetensors.c
 *	  Reading the safetensors format.
 *
 *-------------------------------------------------------------------------
 */
#include "safetensors.h"

#include <cjson/cJSON.h>
#include <stdio.h>
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
	{"I32", MM_DTYPE_I32, 4},    {"U32", MM_DTYPE_OTHER, 4}, {"I16", MM_DTYPE_OTHER, 2},
	{"U16", MM_DTYPE_OTHER, 2},  {"I8", MM_DTYPE_I8, 1},     {"U8", MM_DTYPE_OTHER, 1},
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

/*
 * Where the tensors' bytes lie: "size" of them from "start" on in the file, and
 * at "data" in memory; NULL where only the header is wanted.
 */
typedef struct body
{
	const char *data;
	uint64_t start;
	uint64_t size;
} body;

static mm_status
parse_tensor(const cJSON *item, const body *body, mm_tensor *t, mm_error *err)
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
	if (begin > end || end > body->size)
		return bad(err, "data_offsets lie outside of the file", t->name);
	if (end - begin != (uint64_t) t->count * row->size)
		return bad(err, "data_offsets do not fit the shape", t->name);
	t->bytes = end - begin;
	t->offset = body->start + begin;
	t->data = body->data != NULL ? body->data + begin : NULL;
	return MM_OK;
}

static int
compare_tensors(const void *a, const void *b)
{
	return strcmp(((const mm_tensor *) a)->name, ((const mm_tensor *) b)->name);
}

static int
compare_offsets(const void *a, const void *b)
{
	const mm_tensor *x = *(const mm_tensor *const *) a, *y = *(const mm_tensor *const *) b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->count > y->count) - (x->count < y->count);
}

/* No byte belongs to two tensors, as the format has it. */
static mm_status
check_overlap(const mm_safetensors *st, mm_error *err)
{
	const mm_tensor **order = malloc(sizeof(order[0]) * (st->n > 0 ? st->n : 1));
	mm_status status = MM_OK;
	uint64_t end = 0;

	if (order == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	for (int i = 0; i < st->n; i++)
		order[i] = &st->tensors[i];
	qsort(order, st->n, sizeof(order[0]), compare_offsets);
	for (int i = 0; i < st->n && status == MM_OK; i++)
	{
		if (order[i]->count > 0 && order[i]->offset < end)
			status = bad(err, "data_offsets overlap another tensor's", order[i]->name);
		else if (order[i]->count > 0)
			end = order[i]->offset + order[i]->bytes;
	}
	free(order);
	return status;
}

static mm_status
parse_header(cJSON *header, const body *body, mm_safetensors *st, mm_error *err)
{
	const cJSON *item;
	int room = 0;

	/* counted by hand: cJSON_GetArraySize of a hostile length costs the same */
	st->metadata = cJSON_DetachItemFromObjectCaseSensitive(header, "__metadata__");
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

		t->name = strdup(item->string);
		if (t->name == NULL)
			return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
		st->n++;
		status = parse_tensor(item, body, t, err);
		if (status != MM_OK)
			return status;
	}
	qsort(st->tensors, st->n, sizeof(mm_tensor), compare_tensors);
	for (int i = 1; i < st->n; i++)
	{
		if (strcmp(st->tensors[i - 1].name, st->tensors[i].name) == 0)
			return bad(err, "there twice", st->tensors[i].name);
	}
	return check_overlap(st, err);
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

static mm_status
parse(const char *json, size_t length, const body *body, mm_safetensors *st, mm_error *err)
{
	cJSON *header = cJSON_ParseWithLength(json, length);
	mm_status status;

	st->n = 0;
	st->tensors = NULL;
	st->metadata = NULL;
	if (cJSON_IsObject(header))
		status = parse_header(header, body, st, err);
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
	st->metadata = NULL;
	if (status != MM_OK)
		return status;
	return parse(s + 8, length, &(body){s + 8 + length, 8 + length, size - 8 - length}, st, err);
}

mm_status
mm_safetensors_open_header(const char *dir, mm_safetensors *st, mm_error *err)
{
	return mm_safetensors_open_header_of(dir, "model.safetensors", st, err);
}

mm_status
mm_safetensors_open_header_of(const char *dir, const char *file, mm_safetensors *st, mm_error *err)
{
	mm_file head;
	uint64_t length;
	size_t file_size;
	mm_status status;

	*st = (mm_safetensors){0};
	status = mm_file_read_head(dir, file, 8, &head, &file_size, err);
	if (status != MM_OK)
		return status;
	status = header_length(head.data, file_size, &length, err);
	mm_file_close(&head);
	if (status != MM_OK)
		return status;
	status = mm_file_read_head(dir, file, 8 + length, &head, &file_size, err);
	if (status != MM_OK)
		return status;
	if (head.size == 8 + length) /* it may have shrunk meanwhile */
		status = parse((const char *) head.data + 8, length,
					   &(body){NULL, 8 + length, file_size - 8 - length}, st, err);
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
	return mm_safetensors_open_file(dir, "model.safetensors", map, st, err);
}

mm_status
mm_safetensors_open_file(const char *dir, const char *file, bool map, mm_safetensors *st,
						 mm_error *err)
{
	mm_status status = MM_OK;

	*st = (mm_safetensors){0};
	/* what is to be read whole, gigabytes perhaps, must first look like weights */
	if (!map)
	{
		status = mm_safetensors_open_header_of(dir, file, st, err);
		if (status == MM_OK)
			mm_safetensors_close(st);
	}
	if (status == MM_OK)
		status = mm_file_open(dir, file, map, MAX_FILE_BYTES, &st->file, err);
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
	cJSON_Delete(st->metadata);
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

int
mm_dtype_size(mm_dtype dtype)
{
	for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]) && dtype != MM_DTYPE_OTHER; i++)
	{
		if (dtypes[i].dtype == dtype)
			return dtypes[i].size;
	}
	return 0;
}

const char *
mm_dtype_name(mm_dtype dtype)
{
	for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]) && dtype != MM_DTYPE_OTHER; i++)
	{
		if (dtypes[i].dtype == dtype)
			return dtypes[i].name;
	}
	return "another type";
}

const char *
mm_safetensors_metadata(const mm_safetensors *st, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(st->metadata, key);

	return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* "[512, 768]" */
static void
print_shape(char *out, size_t size, int ndim, const int64_t *shape)
{
	size_t at = snprintf(out, size, "[");

	for (int i = 0; i < ndim && at < size; i++)
		at += snprintf(out + at, size - at, "%s%lld", i ? ", " : "", (long long) shape[i]);
	if (at < size)
		snprintf(out + at, size - at, "]");
}

mm_status
mm_tensor_check(const mm_tensor *t, int ndim, const int64_t *shape, mm_error *err)
{
	char wanted[120], found[120];

	if (t->ndim == ndim && memcmp(t->shape, shape, sizeof(shape[0]) * ndim) == 0)
		return MM_OK;
	print_shape(wanted, sizeof(wanted), ndim, shape);
	print_shape(found, sizeof(found), t->ndim, t->shape);
	mm_fail(err, MM_ERR_BAD_MODEL, "tensor \"%.100s\" is not what the configuration says", t->name);
	mm_fail_detail(err, "Its shape is %s, where %s is wanted.", found, wanted);
	return MM_ERR_BAD_MODEL;
}

mm_status
mm_safetensors_get_typed(const mm_safetensors *st, const char *name, mm_dtype dtype, int ndim,
						 const int64_t *shape, const void **data, mm_error *err)
{
	const mm_tensor *t = mm_safetensors_find(st, name);
	mm_status status;

	if (t == NULL)
		return mm_fail(err, MM_ERR_BAD_MODEL, "model has no tensor \"%s\"", name);
	status = mm_tensor_check(t, ndim, shape, err);
	if (status != MM_OK)
		return status;
	if (t->dtype != dtype)
	{
		mm_fail(err, MM_ERR_BAD_MODEL, "tensor \"%s\" is not what the configuration says", name);
		mm_fail_detail(err, "Its type is %s, where %s is wanted.", mm_dtype_name(t->dtype),
					   mm_dtype_name(dtype));
		return MM_ERR_BAD_MODEL;
	}
	if ((uintptr_t) t->data % mm_dtype_size(dtype) != 0)
		return mm_fail(err, MM_ERR_BAD_MODEL, "tensor \"%s\" is not aligned", name);
	*data = t->data;
	return MM_OK;
}

mm_status
mm_safetensors_get(const mm_safetensors *st, const char *name, int ndim, const int64_t *shape,
				   const float **data, mm_error *err)
{
	const void *p = NULL;
	mm_status status = mm_safetensors_get_typed(st, name, MM_DTYPE_F32, ndim, shape, &p, err);

	*data = p;
	return status;
}
