/*-------------------------------------------------------------------------
 *
 * clip_pack.c
 *	  From a checkpoint of CLIP to a pack, and from a pack to the towers.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clip.h"
#include "error.h"
#include "hash.h"
#include "quantize.h"

static mm_precision
precision_of(const mm_clip_tensor *t, mm_precision precision)
{
	return t->kind == MM_CLIP_LINEAR ? precision : MM_PRECISION_FLOAT32;
}

static bool
is_layer(const mm_clip_tensor *t)
{
	return t->kind == MM_CLIP_LINEAR || t->kind == MM_CLIP_FLOAT;
}

void
mm_clip_pack_key(const mm_clip *m, mm_precision precision, char key[17])
{
	uint64_t hash = mm_checkpoint_hash(&m->checkpoint);

	hash = mm_hash(hash, &m->config_hash, sizeof(m->config_hash));
	hash = mm_hash(hash, MM_PACK_FORMAT, strlen(MM_PACK_FORMAT));
	hash = mm_hash(hash, &precision, sizeof(precision));
	snprintf(key, 17, "%016llx", (unsigned long long) hash);
}

/*---- tensors of a pack ----*/

/*
 * The tensors that hold a layer at a precision.  First the weights; beside those
 * that are not float32 the columns that are (the first number tells how many)
 * and their weights; beside int8 ones their scales and sums.
 */
typedef struct part
{
	const char *suffix;
	mm_dtype dtype;
	int ndim;
	int64_t shape[3];
} part;

#define MAX_PARTS 5

static int
parts_of(const mm_clip_tensor *t, mm_precision precision, part parts[MAX_PARTS])
{
	int64_t panels = mm_padded(t->n) / MM_PANEL;
	int n = 0;

	if (!is_layer(t))
	{
		if (t->kind == MM_CLIP_TABLE)
			parts[n++] = (part){"", MM_DTYPE_F32, 2, {t->n, t->k}};
		else
			parts[n++] = (part){"", MM_DTYPE_F32, 1, {mm_padded(t->n)}};
		return n;
	}
	switch (precision_of(t, precision))
	{
		case MM_PRECISION_BF16:
			parts[n++] = (part){"", MM_DTYPE_BF16, 3, {panels, (t->k + 1) / 2, 2 * MM_PANEL}};
			break;
		case MM_PRECISION_INT8:
			parts[n++] = (part){"", MM_DTYPE_I8, 3, {panels, (t->k + 3) / 4, 4 * MM_PANEL}};
			break;
		default:
			parts[n++] = (part){"", MM_DTYPE_F32, 3, {panels, t->k, MM_PANEL}};
			return n;
	}
	parts[n++] = (part){".outliers", MM_DTYPE_I32, 1, {1 + MM_OUTLIERS}};
	parts[n++] = (part){".outlier_weights", MM_DTYPE_F32, 3, {panels, MM_OUTLIERS, MM_PANEL}};
	if (precision == MM_PRECISION_INT8)
	{
		const int64_t shape[2] = {mm_groups(t->k), panels * MM_PANEL};

		parts[n++] = (part){".scale", MM_DTYPE_F32, 2, {shape[0], shape[1]}};
		parts[n++] = (part){".sum", MM_DTYPE_F32, 2, {shape[0], shape[1]}};
	}
	return n;
}

static void
part_name(const mm_clip_tensor *t, const part *p, char name[120])
{
	snprintf(name, 120, "%s%s", t->name, p->suffix);
}

static mm_status
declare(const mm_clip_tensor *tensors, int n, mm_precision precision, mm_pack *pack, mm_error *err)
{
	for (int i = 0; i < n; i++)
	{
		part parts[MAX_PARTS];
		int count = parts_of(&tensors[i], precision, parts);

		for (int p = 0; p < count; p++)
		{
			char name[120];
			mm_status status;

			part_name(&tensors[i], &parts[p], name);
			status =
				mm_pack_declare(pack, name, parts[p].dtype, parts[p].ndim, parts[p].shape, err);
			if (status != MM_OK)
				return status;
		}
	}
	return MM_OK;
}

static mm_status
bind_outliers(const mm_clip_tensor *t, const int32_t *columns, const float *weights, mm_error *err)
{
	bool ok = columns[0] >= 0 && columns[0] <= MM_OUTLIERS;

	/* rows are put back column by column, so none may be there twice */
	for (int o = 1; ok && o < columns[0]; o++)
		ok = columns[1 + o] > columns[o];
	t->weight->outliers = columns[0];
	t->weight->outlier_columns = columns + 1;
	t->weight->outlier_w = weights;
	for (int o = 0; o < MM_OUTLIERS; o++)
		ok &= columns[1 + o] >= 0 && columns[1 + o] < t->k;
	return ok ? MM_OK
			  : mm_fail(err, MM_ERR_BAD_MODEL, "tensor \"%s\" has an impossible outlier column",
						t->name);
}

mm_status
mm_clip_bind(mm_clip *m, const mm_safetensors *pack, mm_precision precision, mm_error *err)
{
	int n;
	mm_clip_tensor *tensors = mm_clip_tensors(m, &n);
	mm_status status = MM_OK;

	if (tensors == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	for (int i = 0; i < n && status == MM_OK; i++)
	{
		const mm_clip_tensor *t = &tensors[i];
		const void *data[MAX_PARTS] = {NULL};
		part parts[MAX_PARTS];
		int count = parts_of(t, precision, parts);

		for (int p = 0; p < count && status == MM_OK; p++)
		{
			char name[120];

			part_name(t, &parts[p], name);
			status = mm_safetensors_get_typed(pack, name, parts[p].dtype, parts[p].ndim,
											  parts[p].shape, &data[p], err);
		}
		if (status != MM_OK)
			break;
		if (!is_layer(t))
		{
			*t->data = data[0];
			continue;
		}
		t->weight->precision = precision_of(t, precision);
		t->weight->n = t->n;
		t->weight->k = t->k;
		t->weight->w = data[0];
		t->weight->scale = data[3];
		t->weight->sum = data[4];
		t->weight->outliers = 0;
		if (count > 1)
			status = bind_outliers(t, data[1], data[2], err);
	}
	free(tensors);
	return status;
}

/*---- from a checkpoint to float32 ----*/

/*
 * All that will be read is there.  Room for a pack is as large as the
 * configuration says, so it is only taken for one that the tensors bear out.
 */
static mm_status
check_sources(const mm_clip *m, const mm_clip_tensor *tensors, int n, mm_error *err)
{
	for (int i = 0; i < n; i++)
	{
		const mm_clip_tensor *t = &tensors[i];

		for (int s = 0; s < t->sources; s++)
		{
			mm_status status =
				mm_checkpoint_check(&m->checkpoint, t->source[s], t->ndim, t->shape, err);

			if (status != MM_OK)
				return status;
		}
	}
	return MM_OK;
}

/*
 * The rows of a layer as they are in the checkpoint, all parts of it: n x k,
 * whichever way they lie there.
 */
static mm_status
read_source(const mm_clip *m, const mm_clip_tensor *t, float *out, mm_error *err)
{
	size_t size = 1;

	for (int d = 0; d < t->ndim; d++)
		size *= t->shape[d];
	for (int i = 0; i < t->sources; i++)
	{
		mm_status status = mm_checkpoint_read(&m->checkpoint, t->source[i], t->ndim, t->shape,
											  out + i * size, err);

		if (status != MM_OK)
			return status;
	}
	return MM_OK;
}

mm_status
mm_clip_check(mm_clip *m, mm_error *err)
{
	int n;
	mm_clip_tensor *tensors = mm_clip_tensors(m, &n);
	size_t largest = 0;
	float *values;
	mm_status status = MM_OK;

	for (int i = 0; tensors != NULL && i < n; i++)
	{
		size_t count = (size_t) tensors[i].n * (tensors[i].k > 0 ? tensors[i].k : 1);

		largest = count > largest ? count : largest;
	}
	values = malloc(sizeof(float) * largest);
	if (tensors == NULL || values == NULL)
		status = mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	for (int i = 0; status == MM_OK && i < n; i++)
		status = read_source(m, &tensors[i], values, err);
	free(values);
	free(tensors);
	return status;
}

/* Where weight (o, k) of a layer lies among its source's values. */
static size_t
source_index(const mm_clip *m, const mm_clip_tensor *t, int o, int k)
{
	int side = m->config.patch;

	if (t->transposed)
		return (size_t) k * t->n + o;
	if (t->patches) /* k is (row, column, channel) */
		return (size_t) o * t->k + (size_t) (k % 3) * side * side + k / 3;
	return (size_t) o * t->k + k;
}

static mm_status
pack_float32(const mm_clip *m, const mm_clip_tensor *t, float *room, mm_error *err)
{
	size_t count = (size_t) t->n * t->k;
	float *values;
	mm_status status;

	if (!is_layer(t))
		return read_source(m, t, room, err);
	values = malloc(sizeof(float) * count);
	if (values == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	status = read_source(m, t, values, err);
	for (int o = 0; o < t->n && status == MM_OK; o++)
	{
		float *to = room + (size_t) (o / MM_PANEL) * t->k * MM_PANEL + o % MM_PANEL;

		for (int k = 0; k < t->k; k++)
			to[(size_t) k * MM_PANEL] = values[source_index(m, t, o, k)];
	}
	free(values);
	return status;
}

/*---- from float32 to the others ----*/

static mm_status
put_part(const mm_clip_tensor *t, const part *p, mm_pack *pack, const void *data, mm_error *err)
{
	size_t bytes = mm_dtype_size(p->dtype);
	char name[120];
	void *room;
	mm_status status;

	for (int d = 0; d < p->ndim; d++)
		bytes *= p->shape[d];
	part_name(t, p, name);
	status = mm_pack_next(pack, name, &room, err);
	if (status != MM_OK)
		return status;
	memcpy(room, data, bytes);
	return mm_pack_put(pack, err);
}

/* From the float32 weights that the layer has now. */
static mm_status
pack_quantized(const mm_clip_tensor *t, mm_precision precision, const float *ranges, mm_pack *pack,
			   mm_error *err)
{
	mm_quantized q;
	part parts[MAX_PARTS];
	int count = parts_of(t, precision, parts);
	int32_t columns[1 + MM_OUTLIERS];
	const void *data[MAX_PARTS];
	mm_status status = MM_OK;

	if (!mm_quantize(precision, t->n, t->k, t->weight->w, ranges, &q))
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	columns[0] = q.outliers;
	memcpy(columns + 1, q.columns, sizeof(q.columns));
	data[0] = q.w;
	data[1] = columns;
	data[2] = q.outlier_w;
	data[3] = q.scale;
	data[4] = q.sum;
	for (int p = 0; p < count && status == MM_OK; p++)
		status = put_part(t, &parts[p], pack, data[p], err);
	mm_quantized_free(&q);
	return status;
}

/* Of a pack of another precision everything but the layers is as in float32. */
static mm_status
pack_tensor(const mm_clip *m, const mm_clip_tensor *t, mm_precision precision, const float *ranges,
			mm_pack *pack, mm_error *err)
{
	void *room;
	mm_status status;

	if (precision_of(t, precision) != MM_PRECISION_FLOAT32)
		return pack_quantized(t, precision, ranges, pack, err);
	status = mm_pack_next(pack, t->name, &room, err);
	if (status == MM_OK)
		status = pack_float32(m, t, room, err);
	return status == MM_OK ? mm_pack_put(pack, err) : status;
}

mm_status
mm_clip_pack(mm_clip *m, const mm_run *run, mm_precision precision, mm_pack *pack, mm_error *err)
{
	int n;
	char key[17];
	mm_clip_tensor *tensors = mm_clip_tensors(m, &n);
	mm_ranges ranges = {0};
	mm_status status;

	if (tensors == NULL)
		return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	mm_clip_pack_key(m, precision, key);
	status = check_sources(m, tensors, n, err);
	if (status == MM_OK)
		status = declare(tensors, n, precision, pack, err);
	if (status == MM_OK)
		status = mm_pack_begin(pack, precision, key, err);
	if (status == MM_OK && precision != MM_PRECISION_FLOAT32)
		status = mm_clip_find_ranges(m, run, &ranges, err);
	for (int i = 0; i < n && status == MM_OK; i++)
	{
		if (mm_canceled(run))
			status = mm_fail(err, MM_ERR_CANCELED, "canceled");
		else
			status = pack_tensor(m, &tensors[i], precision,
								 mm_ranges_of(&ranges, tensors[i].weight), pack, err);
	}
	mm_ranges_free(&ranges);
	free(tensors);
	return status;
}
