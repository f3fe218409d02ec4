/*-------------------------------------------------------------------------
 *
 * clip_config.c
 *	  What shape a CLIP checkpoint has: from its configuration, or, of a bare
 *	  state dict, from its tensors.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clip.h"
#include "error.h"
#include "hash.h"
#include "json.h"

#define MAX_SIDE 4096 /* of a picture, pixels */
#define MAX_WIDTH 16384
#define MAX_FFN 65536

/* Scratch has their square. */
#define MAX_TOKENS 4097

static mm_status
unsupported(mm_error *err, const char *what)
{
	mm_fail(err, MM_ERR_UNSUPPORTED, "unsupported architecture: %s", what);
	mm_fail_detail(err, "CLIP models whose image tower is a vision transformer are supported.");
	return MM_ERR_UNSUPPORTED;
}

static mm_status
read_activation(const cJSON *json, mm_activation *act, mm_error *err)
{
	const char *name;
	mm_status status = mm_json_text(json, "hidden_act", &name, err);

	if (status != MM_OK)
		return status;
	*act = MM_ACT_QUICK_GELU;
	if (name == NULL || strcmp(name, "quick_gelu") == 0)
		return MM_OK;
	*act = MM_ACT_GELU;
	if (strcmp(name, "gelu") == 0)
		return MM_OK;
	return mm_fail(err, MM_ERR_UNSUPPORTED,
				   "model configuration: \"hidden_act\" \"%.40s\" is not supported", name);
}

/*---- Hugging Face's config.json ----*/

static mm_status
read_hf_tower(const cJSON *json, mm_transformer *t, mm_activation *act, mm_error *err)
{
	double eps;
	mm_status status;

	if ((status = mm_json_int(json, "num_hidden_layers", 1, MM_MAX_LAYERS, 12, &t->layers, err)) !=
			MM_OK ||
		(status = mm_json_int(json, "hidden_size", 16, MAX_WIDTH, t->width, &t->width, err)) !=
			MM_OK ||
		(status = mm_json_int(json, "num_attention_heads", 1, 1024, t->heads, &t->heads, err)) !=
			MM_OK ||
		(status = mm_json_int(json, "intermediate_size", 16, MAX_FFN, t->ffn, &t->ffn, err)) !=
			MM_OK ||
		(status = mm_json_double(json, "layer_norm_eps", 1e-5, &eps, err)) != MM_OK)
		return status;
	/* it is added to a variance, of which the root is divided by */
	if (!(eps >= 1e-30 && eps <= 1))
		return mm_fail(err, MM_ERR_BAD_MODEL,
					   "model configuration: \"layer_norm_eps\" must be from 1e-30 to 1");
	t->eps = (float) eps;
	return read_activation(json, act, err);
}

/*
 * "text_config_dict" was how old versions spelt "text_config"; where it has
 * anything it is what counts, as in the reference.
 */
static const cJSON *
hf_tower(const cJSON *config, const char *key, const char *old_key)
{
	const cJSON *old = cJSON_GetObjectItemCaseSensitive(config, old_key);

	return cJSON_GetArraySize(old) > 0 ? old : cJSON_GetObjectItemCaseSensitive(config, key);
}

static mm_status
read_hf(const cJSON *config, mm_clip *m, mm_error *err)
{
	mm_clip_config *c = &m->config;
	const cJSON *text = hf_tower(config, "text_config", "text_config_dict");
	const cJSON *vision = hf_tower(config, "vision_config", "vision_config_dict");
	mm_activation text_act;
	mm_status status;

	/* what the reference takes for what is not said: ViT-B/32 */
	m->vision.width = 768;
	m->vision.heads = 12;
	m->vision.ffn = 3072;
	m->text.width = 512;
	m->text.heads = 8;
	m->text.ffn = 2048;
	if ((status = read_hf_tower(vision, &m->vision, &m->vision.act, err)) != MM_OK ||
		(status = read_hf_tower(text, &m->text, &text_act, err)) != MM_OK ||
		(status = mm_json_int(config, "projection_dim", 1, 16000, 512, &c->dims, err)) != MM_OK ||
		(status = mm_json_int(vision, "image_size", 1, MAX_SIDE, 224, &c->image_size, err)) !=
			MM_OK ||
		(status = mm_json_int(vision, "patch_size", 1, MAX_SIDE, 32, &c->patch, err)) != MM_OK ||
		(status = mm_json_int(text, "max_position_embeddings", 2, 8192, 77, &c->context, err)) !=
			MM_OK ||
		(status = mm_json_int(text, "vocab_size", 515, 10000000, 49408, &c->vocab, err)) != MM_OK)
		return status;
	m->text.act = text_act;
	return MM_OK;
}

/*---- open_clip_config.json ----*/

/* Keys that change the towers into something else, unless false, null or absent. */
static const char *const vision_extras[] = {
	"timm_model_name",     "attentional_pool", "attn_pooler_queries", "no_ln_pre", "ls_init_value",
	"final_ln_after_pool", "act_kwargs",       "norm_kwargs",         NULL};
static const char *const text_extras[] = {
	"hf_model_name", "ls_init_value", "embed_cls",         "no_causal_mask",
	"act_kwargs",    "norm_kwargs",   "hf_tokenizer_name", NULL};

static mm_status
refuse_extras(const cJSON *json, const char *const *keys, mm_error *err)
{
	for (; *keys != NULL; keys++)
	{
		const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, *keys);

		if (item != NULL && !cJSON_IsNull(item) && !cJSON_IsFalse(item))
		{
			char what[80];

			snprintf(what, sizeof(what), "\"%s\"", *keys);
			return unsupported(err, what);
		}
	}
	return MM_OK;
}

static mm_status
require_pool(const cJSON *json, const char *wanted, mm_error *err)
{
	const char *pool = mm_json_string(json, "pool_type");

	if (pool == NULL || strcmp(pool, wanted) == 0)
		return MM_OK;
	return mm_fail(err, MM_ERR_UNSUPPORTED, "unsupported architecture: \"pool_type\" \"%.40s\"",
				   pool);
}

/* Width and layers are there; the hidden layer's width by "mlp_ratio". */
static mm_status
read_open_clip_tower(const cJSON *json, int default_width, mm_transformer *t, mm_error *err)
{
	double ratio;
	mm_status status;

	if ((status = mm_json_int(json, "layers", 1, MM_MAX_LAYERS, 12, &t->layers, err)) != MM_OK ||
		(status = mm_json_int(json, "width", 16, MAX_WIDTH, default_width, &t->width, err)) !=
			MM_OK ||
		(status = mm_json_double(json, "mlp_ratio", 4, &ratio, err)) != MM_OK)
		return status;
	/* truncated, as the reference does */
	if (!(ratio * t->width >= 16 && ratio * t->width <= MAX_FFN))
		return mm_fail(err, MM_ERR_BAD_MODEL,
					   "model configuration: \"mlp_ratio\" must be 16/width to %d/width", MAX_FFN);
	t->ffn = (int) (t->width * ratio);
	t->eps = 1e-5f;
	return MM_OK;
}

static mm_status
read_open_clip(const cJSON *file, mm_clip *m, mm_error *err)
{
	mm_clip_config *c = &m->config;
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(file, "model_cfg");
	const cJSON *vision, *text;
	int head_width;
	mm_status status;

	if (config == NULL)
		config = file;
	vision = cJSON_GetObjectItemCaseSensitive(config, "vision_cfg");
	text = cJSON_GetObjectItemCaseSensitive(config, "text_cfg");
	if (!cJSON_IsObject(vision) || !cJSON_IsObject(text))
		return mm_fail(err, MM_ERR_BAD_MODEL,
					   "model configuration has no \"vision_cfg\" and \"text_cfg\"");
	if (cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(vision, "layers")))
		return unsupported(err, "ResNet image tower");
	if (cJSON_HasObjectItem(config, "multimodal_cfg"))
		return unsupported(err, "\"multimodal_cfg\"");
	if ((status = refuse_extras(vision, vision_extras, err)) != MM_OK ||
		(status = refuse_extras(text, text_extras, err)) != MM_OK ||
		(status = require_pool(vision, "tok", err)) != MM_OK ||
		(status = require_pool(text, "argmax", err)) != MM_OK ||
		(status = read_open_clip_tower(vision, 768, &m->vision, err)) != MM_OK ||
		(status = read_open_clip_tower(text, 512, &m->text, err)) != MM_OK ||
		(status = mm_json_int(config, "embed_dim", 1, 16000, -1, &c->dims, err)) != MM_OK ||
		(status = mm_json_int(vision, "image_size", 1, MAX_SIDE, 224, &c->image_size, err)) !=
			MM_OK ||
		(status = mm_json_int(vision, "patch_size", 1, MAX_SIDE, 16, &c->patch, err)) != MM_OK ||
		(status = mm_json_int(vision, "head_width", 1, MAX_WIDTH, 64, &head_width, err)) != MM_OK ||
		(status = mm_json_int(text, "heads", 1, 1024, 8, &m->text.heads, err)) != MM_OK ||
		(status = mm_json_int(text, "context_length", 2, 8192, 77, &c->context, err)) != MM_OK ||
		(status = mm_json_int(text, "vocab_size", 515, 10000000, 49408, &c->vocab, err)) != MM_OK)
		return status;
	m->vision.heads = m->vision.width / head_width;
	m->vision.act = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(config, "quick_gelu"))
						? MM_ACT_QUICK_GELU
						: MM_ACT_GELU;
	m->text.act = m->vision.act;
	return MM_OK;
}

/*---- the shapes of OpenAI's state dict ----*/

static mm_status
size_of(const mm_clip *m, const char *name, int ndim, int dim, int max, int *size, mm_error *err)
{
	const mm_tensor *t = mm_checkpoint_find(&m->checkpoint, name);

	if (t == NULL)
		return mm_fail(err, MM_ERR_BAD_MODEL, "model has no tensor \"%s\"", name);
	if (t->ndim != ndim || t->shape[dim] < 1 || t->shape[dim] > max)
	{
		mm_fail(err, MM_ERR_BAD_MODEL, "tensor \"%s\" has an impossible shape", name);
		mm_fail_detail(err, "%d dimensions and dimension %d from 1 to %d are wanted.", ndim,
					   dim + 1, max);
		return MM_ERR_BAD_MODEL;
	}
	*size = (int) t->shape[dim];
	return MM_OK;
}

static int
count_blocks(const mm_clip *m, const char *prefix)
{
	int n = 0;
	char name[80];

	do
		snprintf(name, sizeof(name), "%s%d.ln_1.weight", prefix, n);
	while (mm_checkpoint_find(&m->checkpoint, name) != NULL && ++n <= MM_MAX_LAYERS);
	return n;
}

static mm_status
read_shapes(mm_clip *m, mm_error *err)
{
	mm_clip_config *c = &m->config;
	int positions, side;
	mm_status status;

	if ((status = size_of(m, "visual.conv1.weight", 4, 0, MAX_WIDTH, &m->vision.width, err)) !=
			MM_OK ||
		(status = size_of(m, "visual.conv1.weight", 4, 3, MAX_SIDE, &c->patch, err)) != MM_OK ||
		(status = size_of(m, "visual.positional_embedding", 2, 0, 1 << 20, &positions, err)) !=
			MM_OK ||
		(status = size_of(m, "visual.proj", 2, 1, 16000, &c->dims, err)) != MM_OK ||
		(status = size_of(m, "token_embedding.weight", 2, 0, 10000000, &c->vocab, err)) != MM_OK ||
		(status = size_of(m, "token_embedding.weight", 2, 1, MAX_WIDTH, &m->text.width, err)) !=
			MM_OK ||
		(status = size_of(m, "positional_embedding", 2, 0, 8192, &c->context, err)) != MM_OK ||
		(status = size_of(m, "visual.transformer.resblocks.0.mlp.c_fc.weight", 2, 0, MAX_FFN,
						  &m->vision.ffn, err)) != MM_OK ||
		(status = size_of(m, "transformer.resblocks.0.mlp.c_fc.weight", 2, 0, MAX_FFN, &m->text.ffn,
						  err)) != MM_OK)
		return status;
	side = (int) lround(sqrt(positions - 1));
	if (side < 1 || side * side != positions - 1) /* of 2^20 at most */
		return mm_fail(err, MM_ERR_BAD_MODEL,
					   "tensor \"visual.positional_embedding\" is for no square of patches");
	if (side * (int64_t) c->patch > MAX_SIDE)
		return mm_fail(err, MM_ERR_UNSUPPORTED,
					   "tensor \"visual.positional_embedding\" is for pictures of more than %d "
					   "pixels a side",
					   MAX_SIDE);
	c->image_size = side * c->patch;
	if (c->context < 2)
		return mm_fail(err, MM_ERR_UNSUPPORTED,
					   "tensor \"positional_embedding\" has no room for the two ends of a text");
	m->vision.layers = count_blocks(m, "visual.transformer.resblocks.");
	m->text.layers = count_blocks(m, "transformer.resblocks.");
	/* as OpenAI's own code takes it */
	m->vision.heads = m->vision.width / 64;
	m->text.heads = m->text.width / 64;
	m->vision.eps = m->text.eps = 1e-5f;
	m->vision.act = m->text.act = MM_ACT_QUICK_GELU;
	return MM_OK;
}

/*---- all of them ----*/

static mm_status
find_layout(const cJSON *config, mm_clip *m, mm_error *err)
{
	const mm_checkpoint *cp = &m->checkpoint;

	if (mm_checkpoint_find(cp, "visual.layer1.0.conv1.weight") != NULL)
		return unsupported(err, "ResNet image tower");
	if (mm_checkpoint_find(cp, "vision_model.embeddings.patch_embedding.weight") != NULL)
		m->config.layout = MM_CLIP_HF;
	else if (mm_checkpoint_find(cp, "visual.conv1.weight") != NULL)
		m->config.layout = MM_CLIP_OPENAI;
	else if (config == NULL)
		return mm_fail(err, MM_ERR_NOT_FOUND, "model has no config.json");
	else
	{
		mm_fail(err, MM_ERR_UNSUPPORTED, "weights are not CLIP's");
		mm_fail_detail(err,
					   "There is neither tensor \"vision_model.embeddings.patch_embedding.weight\" "
					   "nor \"visual.conv1.weight\".");
		return MM_ERR_UNSUPPORTED;
	}
	return MM_OK;
}

static mm_status
check_tower(const char *which, const mm_transformer *t, mm_error *err)
{
	if (t->layers >= 1 && t->layers <= MM_MAX_LAYERS && t->heads >= 1 && t->width % t->heads == 0 &&
		t->width % MM_PANEL == 0)
		return MM_OK;
	mm_fail(err, MM_ERR_UNSUPPORTED, "%s tower of this shape is not supported", which);
	mm_fail_detail(err,
				   "It has %d layers (1 to %d are supported), a width of %d in %d heads, and %d "
				   "hidden units; the width must be a multiple of the heads and of %d.",
				   t->layers, MM_MAX_LAYERS, t->width, t->heads, t->ffn, MM_PANEL);
	return MM_ERR_UNSUPPORTED;
}

mm_status
mm_clip_read_config(const cJSON *config, mm_clip *m, mm_error *err)
{
	mm_clip_config *c = &m->config;
	mm_status status = find_layout(config, m, err);

	if (status != MM_OK)
		return status;
	m->text.causal = m->text.pool_last = true;
	if (config != NULL)
	{
		char *text = cJSON_PrintUnformatted(config);

		if (text == NULL)
			return mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
		m->config_hash = mm_hash(MM_HASH_SEED, text, strlen(text));
		cJSON_free(text);
	}
	if (config == NULL && c->layout == MM_CLIP_HF)
		status = mm_fail(err, MM_ERR_NOT_FOUND, "model has no config.json");
	else if (config == NULL)
		status = read_shapes(m, err);
	else if (mm_json_string(config, "model_type") != NULL)
		status = read_hf(config, m, err);
	else
		status = read_open_clip(config, m, err);
	if (status == MM_OK)
		status = check_tower("image", &m->vision, err);
	if (status == MM_OK)
		status = check_tower("text", &m->text, err);
	if (status == MM_OK && (c->image_size < c->patch || c->image_size % c->patch != 0))
		status =
			mm_fail(err, MM_ERR_UNSUPPORTED, "image size %d is no multiple of the patch size %d",
					c->image_size, c->patch);
	if (status == MM_OK && mm_clip_tokens(c) > MAX_TOKENS)
		status = mm_fail(err, MM_ERR_UNSUPPORTED, "image tower of %d tokens is not supported",
						 mm_clip_tokens(c));
	return status;
}
