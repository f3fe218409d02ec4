/*-------------------------------------------------------------------------
 *
 * efficientnet.c
 *	  EfficientNet-Lite.
 *
 *-------------------------------------------------------------------------
 */
#include "efficientnet.h"

#include <stdio.h>
#include <string.h>

#include "error.h"
#include "json.h"

/* Output side and padding before, of TensorFlow's SAME for a square map. */
static void
same_padding(int size, int kernel, int stride, int *out_size, int *before)
{
	int total;

	*out_size = (size + stride - 1) / stride;
	total = (*out_size - 1) * stride + kernel - size;
	*before = total > 0 ? total / 2 : 0;
}

/* A stage of the configuration: [kernel, stride, expand, channels, repeats]. */
static mm_status
add_stage(const cJSON *stage, mm_efficientnet *net, int *channels, int *size, mm_error *err)
{
	static const int min[5] = {1, 1, 1, 1, 1};
	static const int max[5] = {9, 2, 16, 4096, MM_EFFICIENTNET_MAX_BLOCKS};
	int v[5];

	for (int i = 0; i < 5; i++)
	{
		const cJSON *item = cJSON_GetArrayItem(stage, i);

		if (!cJSON_IsNumber(item) || item->valueint < min[i] || item->valueint > max[i])
			return mm_fail(err, MM_ERR_BAD_MODEL,
						   "model configuration: a stage must be [kernel, stride, expand, "
						   "channels, repeats]");
		v[i] = item->valueint;
	}
	for (int i = 0; i < v[4]; i++)
	{
		mm_mbconv *b = &net->block[net->config.blocks];

		if (net->config.blocks == MM_EFFICIENTNET_MAX_BLOCKS)
			return mm_fail(err, MM_ERR_UNSUPPORTED, "image tower has too many blocks");
		b->kernel = v[0];
		b->stride = i == 0 ? v[1] : 1;
		b->in = *channels;
		b->mid = *channels * v[2];
		b->out = v[3];
		b->size = *size;
		same_padding(b->size, b->kernel, b->stride, &b->out_size, &b->pad);
		if (b->mid % MM_PANEL != 0)
			return mm_fail(err, MM_ERR_UNSUPPORTED,
						   "image tower with %d channels in a block is not supported", b->mid);
		*channels = b->out;
		*size = b->out_size;
		net->config.blocks++;
	}
	return MM_OK;
}

mm_status
mm_efficientnet_configure(const cJSON *json, mm_efficientnet *net, mm_error *err)
{
	mm_efficientnet_config *c = &net->config;
	const cJSON *stages = cJSON_GetObjectItemCaseSensitive(json, "stages");
	const cJSON *stage;
	int channels, size;
	mm_status status;

	if ((status = mm_json_int(json, "image_size", 32, 1024, -1, &c->image_size, err)) != MM_OK ||
		(status = mm_json_int(json, "stem_channels", 1, 4096, -1, &c->stem, err)) != MM_OK ||
		(status = mm_json_int(json, "head_channels", 1, 65536, -1, &c->head, err)) != MM_OK ||
		(status = mm_json_int(json, "num_classes", 1, 1000000, -1, &c->classes, err)) != MM_OK)
		return status;
	if (c->stem % MM_PANEL != 0 || c->head % MM_PANEL != 0)
		return mm_fail(err, MM_ERR_UNSUPPORTED,
					   "image tower of %d and %d channels is not supported", c->stem, c->head);
	if (!cJSON_IsArray(stages) || stages->child == NULL)
		return mm_fail(err, MM_ERR_BAD_MODEL, "model configuration: \"stages\" must be an array");
	same_padding(c->image_size, 3, 2, &net->stem_size, &net->stem_pad);
	channels = c->stem;
	size = net->stem_size;
	c->blocks = 0;
	cJSON_ArrayForEach(stage, stages)
	{
		status = add_stage(stage, net, &channels, &size, err);
		if (status != MM_OK)
			return status;
	}
	return MM_OK;
}

/* A packed linear layer and its bias: "<prefix>.weight" and "<prefix>.bias". */
static mm_status
get_linear(const mm_safetensors *st, const char *prefix, int k, int n, const float **w,
		   const float **b, mm_error *err)
{
	char name[96];
	const int64_t shape[3] = {mm_padded(n) / MM_PANEL, k, MM_PANEL};
	const int64_t bias_shape[1] = {mm_padded(n)};
	mm_status status;

	snprintf(name, sizeof(name), "%s.weight", prefix);
	status = mm_safetensors_get(st, name, 3, shape, w, err);
	if (status != MM_OK)
		return status;
	snprintf(name, sizeof(name), "%s.bias", prefix);
	return mm_safetensors_get(st, name, 1, bias_shape, b, err);
}

static mm_status
load_block(const mm_safetensors *st, int i, mm_mbconv *b, mm_error *err)
{
	char name[96];
	const int64_t dw_shape[3] = {b->kernel, b->kernel, b->mid};
	const int64_t dw_bias_shape[1] = {b->mid};
	mm_status status = MM_OK;

	if (b->mid != b->in)
	{
		snprintf(name, sizeof(name), "image.blocks.%d.expand", i);
		status = get_linear(st, name, b->in, b->mid, &b->expand_w, &b->expand_b, err);
	}
	if (status == MM_OK)
	{
		snprintf(name, sizeof(name), "image.blocks.%d.depthwise.weight", i);
		status = mm_safetensors_get(st, name, 3, dw_shape, &b->dw_w, err);
	}
	if (status == MM_OK)
	{
		snprintf(name, sizeof(name), "image.blocks.%d.depthwise.bias", i);
		status = mm_safetensors_get(st, name, 1, dw_bias_shape, &b->dw_b, err);
	}
	if (status == MM_OK)
	{
		snprintf(name, sizeof(name), "image.blocks.%d.project", i);
		status = get_linear(st, name, b->mid, b->out, &b->project_w, &b->project_b, err);
	}
	return status;
}

mm_status
mm_efficientnet_load(const mm_safetensors *st, mm_efficientnet *net, mm_error *err)
{
	const mm_efficientnet_config *c = &net->config;
	int last = net->block[c->blocks - 1].out;
	mm_status status = get_linear(st, "image.stem", 27, c->stem, &net->stem_w, &net->stem_b, err);

	for (int i = 0; i < c->blocks && status == MM_OK; i++)
		status = load_block(st, i, &net->block[i], err);
	if (status == MM_OK)
		status = get_linear(st, "image.head", last, c->head, &net->head_w, &net->head_b, err);
	if (status == MM_OK)
		status = get_linear(st, "image.classifier", c->head, c->classes, &net->class_w,
							&net->class_b, err);
	return status;
}

static size_t
larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

void
mm_efficientnet_take_scratch(const mm_efficientnet *net, mm_arena *arena,
							 mm_efficientnet_scratch *s)
{
	const mm_efficientnet_config *c = &net->config;
	size_t map = (size_t) net->stem_size * net->stem_size * mm_padded(c->stem);
	size_t expanded = 0;
	size_t filtered = 0;
	int size = net->stem_size;

	for (int i = 0; i < c->blocks; i++)
	{
		const mm_mbconv *b = &net->block[i];

		expanded = larger(expanded, (size_t) b->size * b->size * b->mid);
		filtered = larger(filtered, (size_t) b->out_size * b->out_size * b->mid);
		map = larger(map, (size_t) b->out_size * b->out_size * mm_padded(b->out));
		size = b->out_size;
	}
	expanded = larger(expanded, (size_t) size * size * c->head);
	s->x = mm_arena_floats(arena, map);
	s->y = mm_arena_floats(arena, map);
	s->expanded = mm_arena_floats(arena, expanded);
	s->filtered = mm_arena_floats(arena, filtered);
	s->columns = mm_arena_floats(arena, (size_t) net->stem_size * 27);
	s->pooled = mm_arena_floats(arena, c->head);
	s->logits = mm_arena_floats(arena, mm_padded(c->classes));
}

/* x = relu6(conv 3x3, stride 2), a row of windows at a time */
static void
stem_forward(const mm_efficientnet *net, mm_efficientnet_scratch *s, const mm_run *run,
			 const float *pixels)
{
	int size = net->config.image_size;
	int out = net->stem_size;

	for (int oy = 0; oy < out; oy++)
	{
		for (int ox = 0; ox < out; ox++)
		{
			float *column = s->columns + (size_t) ox * 27;

			for (int ky = 0; ky < 3; ky++)
			{
				int y = oy * 2 - net->stem_pad + ky;

				for (int kx = 0; kx < 3; kx++, column += 3)
				{
					int x = ox * 2 - net->stem_pad + kx;

					if (y < 0 || y >= size || x < 0 || x >= size)
						memset(column, 0, 3 * sizeof(float));
					else
						memcpy(column, pixels + ((size_t) y * size + x) * 3, 3 * sizeof(float));
				}
			}
		}
		run->ops->linear(&(mm_linear_args){.m = out,
										   .n = net->config.stem,
										   .k = 27,
										   .a = s->columns,
										   .lda = 27,
										   .w = net->stem_w,
										   .bias = net->stem_b,
										   .c = s->x + (size_t) oy * out * net->config.stem,
										   .ldc = net->config.stem,
										   .act = MM_ACT_RELU6});
	}
}

/* One MBConv block: reads s->x, leaves its output there. */
static void
block_forward(const mm_mbconv *b, mm_efficientnet_scratch *s, const mm_run *run)
{
	const float *wide = s->x;
	bool skip = b->stride == 1 && b->in == b->out;
	float *swap;

	if (b->expand_w)
	{
		run->ops->linear(&(mm_linear_args){.m = b->size * b->size,
										   .n = b->mid,
										   .k = b->in,
										   .a = s->x,
										   .lda = mm_padded(b->in),
										   .w = b->expand_w,
										   .bias = b->expand_b,
										   .c = s->expanded,
										   .ldc = b->mid,
										   .act = MM_ACT_RELU6});
		wide = s->expanded;
	}
	run->ops->depthwise(&(mm_depthwise_args){.height = b->size,
											 .width = b->size,
											 .channels = b->mid,
											 .kernel = b->kernel,
											 .stride = b->stride,
											 .pad_top = b->pad,
											 .pad_left = b->pad,
											 .out_height = b->out_size,
											 .out_width = b->out_size,
											 .in = wide,
											 .w = b->dw_w,
											 .bias = b->dw_b,
											 .out = s->filtered});
	run->ops->linear(&(mm_linear_args){.m = b->out_size * b->out_size,
									   .n = b->out,
									   .k = b->mid,
									   .a = s->filtered,
									   .lda = b->mid,
									   .w = b->project_w,
									   .bias = b->project_b,
									   .residual = skip ? s->x : NULL,
									   .c = skip ? s->x : s->y,
									   .ldc = mm_padded(b->out)});
	if (!skip)
	{
		swap = s->x;
		s->x = s->y;
		s->y = swap;
	}
}

/* pooled = mean over the map of relu6(conv 1x1); logits = classifier(pooled) */
static void
head_forward(const mm_efficientnet *net, mm_efficientnet_scratch *s, const mm_run *run)
{
	const mm_efficientnet_config *c = &net->config;
	const mm_mbconv *last = &net->block[c->blocks - 1];
	int n = last->out_size * last->out_size;

	run->ops->linear(&(mm_linear_args){.m = n,
									   .n = c->head,
									   .k = last->out,
									   .a = s->x,
									   .lda = mm_padded(last->out),
									   .w = net->head_w,
									   .bias = net->head_b,
									   .c = s->expanded,
									   .ldc = c->head,
									   .act = MM_ACT_RELU6});
	memset(s->pooled, 0, sizeof(float) * c->head);
	for (int i = 0; i < n; i++)
	{
		for (int k = 0; k < c->head; k++)
			s->pooled[k] += s->expanded[(size_t) i * c->head + k];
	}
	for (int k = 0; k < c->head; k++)
		s->pooled[k] /= n;
	run->ops->linear(&(mm_linear_args){.m = 1,
									   .n = c->classes,
									   .k = c->head,
									   .a = s->pooled,
									   .lda = c->head,
									   .w = net->class_w,
									   .bias = net->class_b,
									   .c = s->logits,
									   .ldc = mm_padded(c->classes)});
}

mm_status
mm_efficientnet_forward(const mm_efficientnet *net, mm_efficientnet_scratch *s, const mm_run *run,
						const float *pixels)
{
	stem_forward(net, s, run, pixels);
	for (int i = 0; i < net->config.blocks; i++)
	{
		if (mm_canceled(run))
			return MM_ERR_CANCELED;
		block_forward(&net->block[i], s, run);
	}
	head_forward(net, s, run);
	return MM_OK;
}
