/*-------------------------------------------------------------------------
 *
 * clip.c
 *	  CLIP as an architecture: opening, packing, tokens.
 *
 *-------------------------------------------------------------------------
 */
#include "clip.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "json.h"

/*---- opening ----*/

static mm_status
read_logit_scale(mm_model *model, mm_error *err)
{
	const mm_clip *m = model->state;
	const mm_tensor *t = mm_checkpoint_find(&m->checkpoint, "logit_scale");
	float log_scale;
	mm_status status;

	if (t == NULL)
		return mm_fail(err, MM_ERR_BAD_MODEL, "model has no tensor \"logit_scale\"");

	/* of one element, whether it is called a scalar or not */
	status = mm_checkpoint_read(&m->checkpoint, "logit_scale", t->ndim == 1 ? 1 : 0,
								(int64_t[1]){1}, &log_scale, err);
	if (status != MM_OK)
		return status;
	model->info.logit_scale = expf(log_scale);
	if (isfinite(model->info.logit_scale))
		return MM_OK;
	return mm_fail(err, MM_ERR_BAD_MODEL, "tensor \"logit_scale\" is out of range");
}

static mm_status
clip_configure(mm_model *model, const char *dir, const cJSON *config, mm_error *err)
{
	mm_clip *m = model->state;
	mm_model_info *info = &model->info;
	mm_status status = mm_checkpoint_open(dir, &m->checkpoint, err);

	if (status == MM_OK)
		status = mm_clip_read_config(config, m, err);
	if (status == MM_OK)
		status = read_logit_scale(model, err);
	if (status != MM_OK)
		return status;
	info->dims = m->config.dims;
	info->image_size = m->config.image_size;
	info->context_length = m->config.context;
	info->parameters = mm_checkpoint_parameters(&m->checkpoint);
	info->bytes = mm_checkpoint_bytes(&m->checkpoint);
	snprintf(info->architecture, sizeof(info->architecture), "clip(vit-%dx%d/%d, text-%dx%d)",
			 m->vision.layers, m->vision.width, m->config.patch, m->text.layers, m->text.width);
	return MM_OK;
}

/* The merges as either of those who publish them calls the file. */
static mm_status
load_tokenizer(mm_clip *m, const char *dir, mm_error *err)
{
	const char *name =
		mm_file_exists(dir, "bpe_simple_vocab_16e6.txt") && !mm_file_exists(dir, "merges.txt")
			? "bpe_simple_vocab_16e6.txt"
			: "merges.txt";
	mm_file file;
	mm_status status = mm_file_open(dir, name, false, (size_t) 64 << 20, &file, err);

	if (status != MM_OK)
		return status;
	m->bpe = mm_bpe_create((mm_slice){file.data, file.size}, m->config.vocab, err);
	mm_file_close(&file);
	return m->bpe ? MM_OK : err->status;
}

static mm_status
take_blocks(mm_transformer *t, mm_error *err)
{
	t->block = calloc(t->layers, sizeof(mm_block));
	return t->block ? MM_OK : mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
}

static void
clip_pack_name(const mm_model *model, mm_precision precision, char *name, size_t size)
{
	char key[17];

	mm_clip_pack_key(model->state, precision, key);
	snprintf(name, size, "%s.%s.%s.pack", model->info.name, mm_precision_name(precision), key);
}

/* A pack that another version made, or of other weights, has another name. */
static mm_status
check_pack(const mm_model *model, const mm_safetensors *pack, mm_error *err)
{
	const char *format = mm_safetensors_metadata(pack, "format");
	const char *found = mm_safetensors_metadata(pack, "key");
	char key[17];

	mm_clip_pack_key(model->state, model->info.precision, key);
	if (format && strcmp(format, MM_PACK_FORMAT) == 0 && found && strcmp(found, key) == 0)
		return MM_OK;
	return mm_fail(err, MM_ERR_BAD_PACK, "the pack is not what its name says");
}

/* Opened and bound; MM_ERR_NOT_FOUND where no directory has it. */
static mm_status
open_pack(mm_model *model, const mm_model_options *opts, mm_error *err)
{
	char name[160];
	mm_status status = MM_ERR_NOT_FOUND;

	clip_pack_name(model, model->info.precision, name, sizeof(name));
	for (int i = 0; i < 2 && status == MM_ERR_NOT_FOUND; i++)
	{
		if (opts->pack_dirs[i] == NULL || !mm_file_exists(opts->pack_dirs[i], name))
			continue;
		status = mm_safetensors_open_file(opts->pack_dirs[i], name, true, &model->weights, err);
		if (status == MM_OK)
			status = check_pack(model, &model->weights, err);
		if (status == MM_OK)
			status = mm_clip_bind(model->state, &model->weights, model->info.precision, err);
		if (status == MM_ERR_BAD_MODEL)
			status = err->status = MM_ERR_BAD_PACK;
		if (status != MM_OK)
			mm_fail_detail(err, "Its pack is \"%s\".", name);
	}
	return status;
}

/* Make a pack in memory. */
static mm_status
pack_to_memory(mm_model *model, const mm_run *run, mm_precision precision, mm_safetensors *weights,
			   mm_error *err)
{
	mm_pack pack;
	mm_status status;

	mm_pack_init(&pack, -1);
	status = mm_clip_pack(model->state, run, precision, &pack, err);
	if (status == MM_OK)
		status = mm_safetensors_parse(pack.memory.data, pack.memory.size, weights, err);
	if (status == MM_OK)
	{
		weights->file = pack.memory;
		pack.memory = (mm_file){0};
	}
	mm_pack_free(&pack);
	return status;
}

/*
 * Weights of a precision without a pack: float32 ones first, and the others
 * from those.
 */
static mm_status
make_weights(mm_model *model, const mm_model_options *opts, mm_error *err)
{
	mm_clip *m = model->state;
	mm_poll poll = {.interrupt = opts->interrupt, .interrupt_arg = opts->interrupt_arg};
	mm_run run = {.ops = model->ops, .poll = &poll, .caller = true};
	mm_safetensors float32 = {0};
	mm_status status = pack_to_memory(model, &run, MM_PRECISION_FLOAT32, &float32, err);

	if (status == MM_OK && model->info.precision == MM_PRECISION_FLOAT32)
	{
		model->weights = float32;
		return MM_OK;
	}
	if (status == MM_OK)
		status = mm_clip_bind(m, &float32, MM_PRECISION_FLOAT32, err);
	if (status == MM_OK)
		status = pack_to_memory(model, &run, model->info.precision, &model->weights, err);
	mm_safetensors_close(&float32);
	return status;
}

static mm_status
clip_load(mm_model *model, const char *dir, const mm_model_options *opts, mm_error *err)
{
	mm_clip *m = model->state;
	mm_status status;

	if ((status = load_tokenizer(m, dir, err)) != MM_OK ||
		(status = take_blocks(&m->vision, err)) != MM_OK ||
		(status = take_blocks(&m->text, err)) != MM_OK)
		return status;
	status = open_pack(model, opts, err);
	model->info.packed = status == MM_OK;
	if (status != MM_ERR_NOT_FOUND)
		return status;
	status = make_weights(model, opts, err);
	return status == MM_OK ? mm_clip_bind(m, &model->weights, model->info.precision, err) : status;
}

static void
clip_unload(mm_model *model)
{
	mm_clip *m = model->state;

	mm_bpe_free(m->bpe);
	mm_checkpoint_close(&m->checkpoint);
	free(m->vision.block);
	free(m->text.block);
}

/*---- packing ----*/

/* The model is open at float32, whatever the precision that is wanted. */
static mm_status
clip_pack(mm_model *model, const mm_run *run, mm_precision precision, int fd, int64_t *bytes,
		  mm_error *err)
{
	mm_pack pack;
	mm_status status;

	mm_pack_init(&pack, fd);
	status = mm_clip_pack(model->state, run, precision, &pack, err);
	*bytes = pack.n > 0
				 ? (int64_t) (pack.tensors[pack.n - 1].offset + pack.tensors[pack.n - 1].bytes)
				 : 0;
	mm_pack_free(&pack);
	return status;
}

static mm_status
clip_check_weights(const mm_model *model, mm_error *err)
{
	return mm_clip_check(model->state, err);
}

/*---- running ----*/

static void *
clip_take_scratch(const mm_model *model, int members, mm_arena *arena)
{
	mm_clip_scratch measured;
	mm_clip_scratch *s = mm_arena_alloc(arena, sizeof(mm_clip_scratch));

	mm_clip_take_scratch(model->state, members, arena, s ? s : &measured);
	return s;
}

static mm_status
clip_tokenize(const mm_model *model, mm_slice text, int32_t *ids, int *n, mm_error *err)
{
	const mm_clip *m = model->state;

	return mm_bpe_encode(m->bpe, text, ids, m->config.context, n, err);
}

/*
 * The reference takes the row of the first of the largest ids, which is the
 * end; a token sees none of those after it.
 */
static int
clip_used_tokens(const mm_model *model, const int32_t *ids, int n)
{
	int first = 0;

	(void) model;
	for (int i = 1; i < n; i++)
	{
		if (ids[i] > ids[first])
			first = i;
	}
	return first + 1;
}

static mm_status
clip_forward_texts(const mm_model *model, void *scratch, const mm_run *run,
				   const mm_token_batch *batch, float *out)
{
	return mm_clip_forward_texts(model->state, scratch, run, batch, out);
}

static int
clip_image_unit(const mm_model *model)
{
	const mm_clip *m = model->state;

	return mm_clip_unit(&m->config);
}

static mm_status
clip_forward_images(const mm_model *model, void *scratch, const mm_run *run, const float *pixels,
					int n, float *out)
{
	return mm_clip_forward_images(model->state, scratch, run, pixels, n, out);
}

const mm_architecture mm_architecture_clip = {
	.model_type = "clip",
	.shares_loops = true,
	.state_size = sizeof(mm_clip),
	.configure = clip_configure,
	.load = clip_load,
	.unload = clip_unload,
	.pack_name = clip_pack_name,
	.pack = clip_pack,
	.check_weights = clip_check_weights,
	.take_scratch = clip_take_scratch,
	.tokenize = clip_tokenize,
	.used_tokens = clip_used_tokens,
	.forward_texts = clip_forward_texts,
	.image_unit = clip_image_unit,
	.forward_images = clip_forward_images,
};
