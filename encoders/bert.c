/*-------------------------------------------------------------------------
 *
 * bert.c
 *	  BERT as a sentence encoder.
 *
 *-------------------------------------------------------------------------
 */
#include "bert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "json.h"

mm_status
mm_bert_configure(const cJSON *json, mm_bert_config *config, mm_error *err)
{
	double eps;
	mm_status status;

	if ((status = mm_json_int(json, "num_hidden_layers", 1, MM_BERT_MAX_LAYERS, -1, &config->layers,
							  err)) != MM_OK ||
		(status = mm_json_int(json, "hidden_size", 16, 16000, -1, &config->width, err)) != MM_OK ||
		(status = mm_json_int(json, "num_attention_heads", 1, 1000, -1, &config->heads, err)) !=
			MM_OK ||
		(status = mm_json_int(json, "intermediate_size", 16, 100000, -1, &config->ffn, err)) !=
			MM_OK ||
		(status = mm_json_int(json, "vocab_size", 3, 10000000, -1, &config->vocab, err)) != MM_OK ||
		(status = mm_json_int(json, "context_length", 2, 8192, -1, &config->context, err)) !=
			MM_OK ||
		(status = mm_json_double(json, "layer_norm_eps", 1e-12, &eps, err)) != MM_OK)
		return status;
	/* it is added to a variance, of which the root is divided by */
	if (!(eps >= 1e-30 && eps <= 1))
		return mm_fail(err, MM_ERR_BAD_MODEL,
					   "model configuration: \"layer_norm_eps\" must be from 1e-30 to 1");
	config->eps = (float) eps;
	if (config->width % config->heads != 0 || config->width % MM_PANEL != 0 ||
		config->ffn % MM_PANEL != 0)
		return mm_fail(err, MM_ERR_UNSUPPORTED,
					   "text tower of width %d with %d heads and %d hidden units is not supported",
					   config->width, config->heads, config->ffn);
	return MM_OK;
}

/* A tensor that a layer needs: where its pointer goes, and its shape. */
typedef struct weight
{
	const char *name;
	const float **data;
	int ndim;
	int64_t shape[3];
} weight;

static mm_status
get_weights(const mm_safetensors *st, const char *prefix, const weight *weights, int n,
			mm_error *err)
{
	for (int i = 0; i < n; i++)
	{
		char name[128];
		mm_status status;

		snprintf(name, sizeof(name), "%s%s", prefix, weights[i].name);
		status =
			mm_safetensors_get(st, name, weights[i].ndim, weights[i].shape, weights[i].data, err);
		if (status != MM_OK)
			return status;
	}
	return MM_OK;
}

#define COUNT(a) ((int) (sizeof(a) / sizeof((a)[0])))

static mm_status
load_layer(const mm_safetensors *st, const mm_bert_config *c, int i, mm_bert_layer *l,
		   mm_error *err)
{
	char prefix[64];
	const weight weights[] = {
		{"qkv.weight", &l->qkv_w, 3, {3 * c->width / MM_PANEL, c->width, MM_PANEL}},
		{"qkv.bias", &l->qkv_b, 1, {3 * c->width}},
		{"output.weight", &l->out_w, 3, {c->width / MM_PANEL, c->width, MM_PANEL}},
		{"output.bias", &l->out_b, 1, {c->width}},
		{"norm1.weight", &l->norm1_g, 1, {c->width}},
		{"norm1.bias", &l->norm1_b, 1, {c->width}},
		{"up.weight", &l->up_w, 3, {c->ffn / MM_PANEL, c->width, MM_PANEL}},
		{"up.bias", &l->up_b, 1, {c->ffn}},
		{"down.weight", &l->down_w, 3, {c->width / MM_PANEL, c->ffn, MM_PANEL}},
		{"down.bias", &l->down_b, 1, {c->width}},
		{"norm2.weight", &l->norm2_g, 1, {c->width}},
		{"norm2.bias", &l->norm2_b, 1, {c->width}},
	};

	snprintf(prefix, sizeof(prefix), "text.layers.%d.", i);
	return get_weights(st, prefix, weights, COUNT(weights), err);
}

mm_status
mm_bert_load(const mm_safetensors *st, mm_bert *bert, mm_error *err)
{
	const mm_bert_config *c = &bert->config;
	const weight weights[] = {
		{"word.weight", &bert->word, 2, {c->vocab, c->width}},
		{"position.weight", &bert->position, 2, {c->context, c->width}},
		{"token_type.weight", &bert->type, 1, {c->width}},
		{"norm.weight", &bert->norm_g, 1, {c->width}},
		{"norm.bias", &bert->norm_b, 1, {c->width}},
	};
	mm_status status = get_weights(st, "text.embeddings.", weights, COUNT(weights), err);

	for (int i = 0; i < c->layers && status == MM_OK; i++)
		status = load_layer(st, c, i, &bert->layer[i], err);
	return status;
}

void
mm_bert_take_scratch(const mm_bert_config *c, int max_tokens, mm_arena *arena, mm_bert_scratch *s)
{
	size_t rows = max_tokens;

	s->max_tokens = max_tokens;
	s->x = mm_arena_floats(arena, rows * c->width);
	s->y = mm_arena_floats(arena, rows * c->width);
	s->qkv = mm_arena_floats(arena, rows * 3 * c->width);
	s->ffn = mm_arena_floats(arena, rows * c->ffn);
	s->scores = mm_arena_floats(arena, (size_t) c->context * c->context);
}

/* x = norm(word + position + token type) */
static void
embed(const mm_bert *bert, mm_bert_scratch *s, const mm_run *run, const mm_token_batch *batch)
{
	const mm_bert_config *c = &bert->config;

	for (int i = 0; i < batch->n; i++)
	{
		for (int t = batch->starts[i]; t < batch->starts[i + 1]; t++)
		{
			const float *word = bert->word + (size_t) batch->ids[t] * c->width;
			const float *position = bert->position + (size_t) (t - batch->starts[i]) * c->width;
			float *x = s->x + (size_t) t * c->width;

			for (int k = 0; k < c->width; k++)
				x[k] = word[k] + bert->type[k] + position[k];
		}
	}
	run->ops->layer_norm(batch->starts[batch->n], c->width, s->x, bert->norm_g, bert->norm_b,
						 c->eps, s->x);
}

/* y = softmax(q k^T / sqrt(d)) v, for the tokens of one text; L x L a head */
static void
attend(const mm_bert_config *c, mm_bert_scratch *s, const mm_run *run, int start, int length)
{
	int d = c->width / c->heads;
	int ld = 3 * c->width;

	for (int h = 0; h < c->heads; h++)
	{
		const float *q = s->qkv + (size_t) start * ld + h * d; /* L x d */
		const float *k = q + c->width;                         /* L x d */
		const float *v = k + c->width;                         /* L x d */

		mm_gemm_nt(length, length, d, q, ld, k, ld, s->scores, length);
		run->ops->softmax(length, length, 1 / sqrtf((float) d), s->scores, length);
		mm_gemm_nn(length, d, length, s->scores, length, v, ld,
				   s->y + (size_t) start * c->width + h * d, c->width);
	}
}

/* One encoder layer, norms after the residuals ("post-LN"). */
static void
layer_forward(const mm_bert_config *c, const mm_bert_layer *l, mm_bert_scratch *s,
			  const mm_run *run, const mm_token_batch *batch)
{
	const mm_ops *ops = run->ops;
	int rows = batch->starts[batch->n];
	int width = c->width, ffn = c->ffn;

	ops->linear(&(mm_linear_args){.m = rows,
								  .n = 3 * width,
								  .k = width,
								  .a = s->x,
								  .lda = width,
								  .w = l->qkv_w,
								  .bias = l->qkv_b,
								  .c = s->qkv,
								  .ldc = 3 * width});
	for (int i = 0; i < batch->n; i++)
		attend(c, s, run, batch->starts[i], batch->starts[i + 1] - batch->starts[i]);
	ops->linear(&(mm_linear_args){.m = rows,
								  .n = width,
								  .k = width,
								  .a = s->y,
								  .lda = width,
								  .w = l->out_w,
								  .bias = l->out_b,
								  .residual = s->x,
								  .c = s->x,
								  .ldc = width});
	ops->layer_norm(rows, width, s->x, l->norm1_g, l->norm1_b, c->eps, s->x);

	ops->linear(&(mm_linear_args){.m = rows,
								  .n = ffn,
								  .k = width,
								  .a = s->x,
								  .lda = width,
								  .w = l->up_w,
								  .bias = l->up_b,
								  .c = s->ffn,
								  .ldc = ffn,
								  .act = MM_ACT_GELU});
	ops->linear(&(mm_linear_args){.m = rows,
								  .n = width,
								  .k = ffn,
								  .a = s->ffn,
								  .lda = ffn,
								  .w = l->down_w,
								  .bias = l->down_b,
								  .residual = s->x,
								  .c = s->x,
								  .ldc = width});
	ops->layer_norm(rows, width, s->x, l->norm2_g, l->norm2_b, c->eps, s->x);
}

/* out[i] = the mean of text i's rows of x, normalised */
static void
pool(const mm_bert_config *c, const mm_bert_scratch *s, const mm_token_batch *batch, float *out)
{
	for (int i = 0; i < batch->n; i++, out += c->width)
	{
		int length = batch->starts[i + 1] - batch->starts[i];

		memset(out, 0, sizeof(float) * c->width);
		for (int t = batch->starts[i]; t < batch->starts[i + 1]; t++)
		{
			for (int k = 0; k < c->width; k++)
				out[k] += s->x[(size_t) t * c->width + k];
		}
		for (int k = 0; k < c->width; k++)
			out[k] /= length;
		mm_l2_normalize(c->width, out);
	}
}

mm_status
mm_bert_forward(const mm_bert *bert, mm_bert_scratch *s, const mm_run *run,
				const mm_token_batch *batch, float *out)
{
	embed(bert, s, run, batch);
	for (int i = 0; i < bert->config.layers; i++)
	{
		if (mm_canceled(run))
			return MM_ERR_CANCELED;
		layer_forward(&bert->config, &bert->layer[i], s, run, batch);
	}
	pool(&bert->config, s, batch, out);
	return MM_OK;
}
