/*-------------------------------------------------------------------------
 *
 * conse.c
 *	  The joint space of a classifier and a sentence encoder: a picture is the
 *	  mean of the text embeddings of the class names, weighted by the class
 *	  probabilities (ConSE: Norouzi et al. 2014).
 *
 * config.json: "text_tower" (bert.h), and "image_tower" (efficientnet.h) with
 * the tensor "labels.weight", classes x dims.  Without "image_tower" the model
 * has texts alone.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "bert.h"
#include "efficientnet.h"
#include "error.h"
#include "file.h"
#include "json.h"
#include "model.h"
#include "wordpiece.h"

typedef struct conse
{
	mm_bert bert;
	mm_efficientnet net;
	mm_wordpiece *wordpiece;
	const float *labels; /* classes x dims */
} conse;

typedef struct conse_scratch
{
	mm_bert_scratch bert;
	mm_efficientnet_scratch net;
	float *probabilities; /* classes */
} conse_scratch;

/* A tower of another kind has other weights under other names. */
static mm_status
check_tower(const cJSON *tower, const char *key, const char *wanted, mm_error *err)
{
	const char *type = mm_json_string(tower, "model_type");

	if (type == NULL || strcmp(type, wanted) != 0)
	{
		mm_fail(err, MM_ERR_UNSUPPORTED, "unsupported architecture \"%.80s\"", type ? type : "");
		mm_fail_detail(err, "\"%s\" must be of type \"%s\"", key, wanted);
		return MM_ERR_UNSUPPORTED;
	}
	return MM_OK;
}

static mm_status
conse_configure(mm_model *model, const char *dir, const cJSON *config, mm_error *err)
{
	conse *m = model->state;
	const cJSON *text = cJSON_GetObjectItemCaseSensitive(config, "text_tower");
	const cJSON *image = cJSON_GetObjectItemCaseSensitive(config, "image_tower");
	mm_status status;

	(void) dir;
	if (!cJSON_IsObject(text))
		return mm_fail(err, MM_ERR_BAD_MODEL, "model configuration has no \"text_tower\"");
	status = check_tower(text, "text_tower", "bert", err);
	if (status == MM_OK)
		status = mm_bert_configure(text, &m->bert.config, err);
	if (status != MM_OK)
		return status;
	model->info.dims = m->bert.config.width;
	model->info.context_length = m->bert.config.context;
	snprintf(model->info.architecture, sizeof(model->info.architecture), "bert-%dx%d",
			 m->bert.config.layers, m->bert.config.width);
	if (image == NULL)
		return MM_OK;
	status = check_tower(image, "image_tower", "efficientnet-lite", err);
	if (status == MM_OK)
		status = mm_efficientnet_configure(image, &m->net, err);
	if (status != MM_OK)
		return status;
	model->info.image_size = m->net.config.image_size;
	model->pooled_dims = m->net.config.head;
	model->logit_dims = m->net.config.classes;
	snprintf(model->info.architecture, sizeof(model->info.architecture),
			 "conse(efficientnet-lite, bert-%dx%d)", m->bert.config.layers, m->bert.config.width);
	return MM_OK;
}

static mm_status
load_wordpiece(conse *m, const char *dir, mm_error *err)
{
	mm_file file;
	mm_status status = mm_file_open(dir, "vocab.txt", false, (size_t) 64 << 20, &file, err);

	if (status != MM_OK)
		return status;
	m->wordpiece = mm_wordpiece_create((mm_slice){file.data, file.size}, err);
	mm_file_close(&file);
	if (m->wordpiece == NULL)
		return err->status;
	if (mm_wordpiece_vocab_size(m->wordpiece) > m->bert.config.vocab)
		return mm_fail(err, MM_ERR_BAD_MODEL, "vocabulary has %d tokens, where the model knows %d",
					   mm_wordpiece_vocab_size(m->wordpiece), m->bert.config.vocab);
	return MM_OK;
}

static mm_status
conse_load(mm_model *model, const char *dir, const mm_model_options *opts, mm_error *err)
{
	conse *m = model->state;
	const int64_t labels_shape[2] = {m->net.config.classes, model->info.dims};
	mm_status status = mm_safetensors_open(dir, opts->map_weights, &model->weights, err);

	if (status == MM_OK)
		status = load_wordpiece(m, dir, err);
	if (status == MM_OK)
		status = mm_bert_load(&model->weights, &m->bert, err);
	if (status == MM_OK && model->info.image_size > 0)
		status = mm_efficientnet_load(&model->weights, &m->net, err);
	if (status == MM_OK && model->info.image_size > 0)
		status =
			mm_safetensors_get(&model->weights, "labels.weight", 2, labels_shape, &m->labels, err);
	return status;
}

static void
conse_unload(mm_model *model)
{
	conse *m = model->state;

	mm_wordpiece_free(m->wordpiece);
}

static void *
conse_take_scratch(const mm_model *model, int members, mm_arena *arena)
{
	const conse *m = model->state;
	conse_scratch measured;
	conse_scratch *s = mm_arena_alloc(arena, sizeof(conse_scratch));
	conse_scratch *into = s ? s : &measured;

	(void) members;
	mm_bert_take_scratch(&m->bert.config, mm_batch_tokens(model), arena, &into->bert);
	if (model->info.image_size > 0)
	{
		mm_efficientnet_take_scratch(&m->net, arena, &into->net);
		into->probabilities = mm_arena_floats(arena, m->net.config.classes);
	}
	return s;
}

static mm_status
conse_tokenize(const mm_model *model, mm_slice text, int32_t *ids, int *n, mm_error *err)
{
	const conse *m = model->state;

	return mm_wordpiece_encode(m->wordpiece, text, ids, m->bert.config.context, n, err);
}

static mm_status
conse_forward_texts(const mm_model *model, void *scratch, const mm_run *run,
					const mm_token_batch *batch, float *out)
{
	const conse *m = model->state;
	conse_scratch *s = scratch;

	return mm_bert_forward(&m->bert, &s->bert, run, batch, out);
}

/* out = softmax(logits) V, normalised */
static mm_status
conse_forward_images(const mm_model *model, void *scratch, const mm_run *run, const float *pixels,
					 int n, float *out)
{
	const conse *m = model->state;
	conse_scratch *s = scratch;
	int classes = m->net.config.classes;
	int dims = model->info.dims;
	mm_status status = mm_efficientnet_forward(&m->net, &s->net, run, pixels);

	(void) n; /* one */
	if (status != MM_OK)
		return status;
	memcpy(s->probabilities, s->net.logits, sizeof(float) * classes);
	run->ops->softmax(1, classes, 1.0f, s->probabilities, classes);
	memset(out, 0, sizeof(float) * dims);
	for (int c = 0; c < classes; c++)
	{
		const float *label = m->labels + (size_t) c * dims;

		for (int k = 0; k < dims; k++)
			out[k] += s->probabilities[c] * label[k];
	}
	mm_l2_normalize(dims, out);
	return MM_OK;
}

static void
conse_features(const mm_model *model, const void *scratch, const float **pooled,
			   const float **logits)
{
	const conse_scratch *s = scratch;

	(void) model;
	*pooled = s->net.pooled;
	*logits = s->net.logits;
}

const mm_architecture mm_architecture_conse = {
	.model_type = "conse",
	.state_size = sizeof(conse),
	.configure = conse_configure,
	.load = conse_load,
	.unload = conse_unload,
	.take_scratch = conse_take_scratch,
	.tokenize = conse_tokenize,
	.forward_texts = conse_forward_texts,
	.forward_images = conse_forward_images,
	.features = conse_features,
};
