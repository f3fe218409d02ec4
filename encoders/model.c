/*-------------------------------------------------------------------------
 *
 * model.c
 *	  Opening a model directory.
 *
 *-------------------------------------------------------------------------
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "json.h"

static const mm_architecture *const architectures[] = {
	&mm_architecture_conse,
	&mm_architecture_clip,
};

static mm_status
find_architecture(const cJSON *config, const mm_architecture **architecture, mm_error *err)
{
	const char *type = mm_json_string(config, "model_type");

	if (type == NULL)
		return mm_fail(err, MM_ERR_BAD_MODEL, "model configuration has no \"model_type\"");
	for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++)
	{
		if (strcmp(architectures[i]->model_type, type) == 0)
		{
			*architecture = architectures[i];
			return MM_OK;
		}
	}
	return mm_fail(err, MM_ERR_UNSUPPORTED, "unsupported architecture \"%.80s\"", type);
}

static const char *const precision_names[MM_PRECISIONS] = {
	[MM_PRECISION_FLOAT32] = "float32",
	[MM_PRECISION_BF16] = "bf16",
	[MM_PRECISION_INT8] = "int8",
};

const char *
mm_precision_name(mm_precision precision)
{
	return (unsigned) precision < MM_PRECISIONS ? precision_names[precision] : "unknown";
}

bool
mm_precision_by_name(const char *name, mm_precision *precision)
{
	for (int i = 0; i < MM_PRECISIONS; i++)
	{
		if (strcmp(precision_names[i], name) == 0)
		{
			*precision = (mm_precision) i;
			return true;
		}
	}
	return false;
}

/* What was asked for, else what the configuration says, else float32. */
static mm_status
choose_precision(mm_model *model, const cJSON *config, const char *asked, mm_error *err)
{
	const char *name = asked;

	if (asked == NULL)
	{
		mm_status status = mm_json_text(config, "mmodal_precision", &name, err);

		if (status != MM_OK)
			return status;
	}
	if (name == NULL)
		return MM_OK;
	if (!mm_precision_by_name(name, &model->info.precision))
	{
		if (asked)
			return mm_fail(err, MM_ERR_INVALID_ARGUMENT, "unknown precision \"%.40s\"", name);
		return mm_fail(err, MM_ERR_BAD_MODEL,
					   "model configuration: \"mmodal_precision\" \"%.40s\" is no precision", name);
	}
	if (model->info.precision != MM_PRECISION_FLOAT32 && model->architecture->pack == NULL)
		return mm_fail(err, MM_ERR_UNSUPPORTED, "model has no weights of precision %s", name);
	return MM_OK;
}

static void
set_name(mm_model_info *info, const char *dir)
{
	size_t end = strlen(dir), begin;

	/* slashes at the end are no part of it */
	while (end > 1 && dir[end - 1] == '/')
		end--;
	begin = end;
	while (begin > 0 && dir[begin - 1] != '/')
		begin--;
	snprintf(info->name, sizeof(info->name), "%.*s", (int) (end - begin), dir + begin);
	snprintf(info->path, sizeof(info->path), "%s", dir);
}

/*
 * The configuration, and whose it is.  Directories without a config.json are of
 * open_clip, or hold the bare weights that OpenAI published.
 */
static mm_status
read_config(const char *dir, cJSON **config, const mm_architecture **architecture, mm_error *err)
{
	mm_status status;

	*config = NULL;
	*architecture = &mm_architecture_clip;
	if (!mm_file_exists(dir, "config.json"))
	{
		if (mm_file_exists(dir, "open_clip_config.json"))
			return mm_json_load(dir, "open_clip_config.json", config, err);
		if (mm_file_exists(dir, "model.safetensors"))
			return MM_OK;
	}
	status = mm_json_load(dir, "config.json", config, err);
	return status == MM_OK ? find_architecture(*config, architecture, err) : status;
}

/* The part of opening that needs no weights. */
static mm_status
configure(mm_model *model, const char *dir, const char *precision, mm_error *err)
{
	cJSON *config;
	const mm_architecture *architecture;
	mm_status status = read_config(dir, &config, &architecture, err);

	set_name(&model->info, dir);
	if (status == MM_OK)
	{
		model->architecture = architecture;
		model->state = calloc(1, architecture->state_size);
		if (model->state == NULL)
			status = mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	if (status == MM_OK)
		status = mm_json_double(config, "logit_scale", 100.0, &model->info.logit_scale, err);
	if (status == MM_OK)
		status = choose_precision(model, config, precision, err);
	if (status == MM_OK)
		status = architecture->configure(model, dir, config, err);
	model->info.needs_pack = model->architecture != NULL && model->architecture->pack != NULL;
	cJSON_Delete(config);
	return status;
}

static void
unload(mm_model *model)
{
	if (model->state != NULL)
		model->architecture->unload(model);
	free(model->state);
	mm_safetensors_close(&model->weights);
}

mm_status
mm_model_probe(const char *dir, mm_model_info *info, mm_error *err)
{
	mm_model model = {0};
	mm_status status = configure(&model, dir, NULL, err);

	/* an architecture that has opened its weights has counted them */
	if (status == MM_OK && model.info.bytes == 0)
	{
		status = mm_safetensors_open_header(dir, &model.weights, err);
		model.info.parameters = mm_safetensors_parameters(&model.weights);
		model.info.bytes = (int64_t) model.weights.file.size;
		model.weights.file = (mm_file){0};
	}
	if (status == MM_OK)
		*info = model.info;
	unload(&model);
	return status;
}

mm_status
mm_model_pack_name(const char *dir, const char *asked, mm_precision *precision, char *name,
				   size_t size, mm_error *err)
{
	mm_model model = {0};
	mm_status status = configure(&model, dir, asked, err);

	name[0] = '\0';
	*precision = model.info.precision;
	if (status == MM_OK && model.architecture->pack_name)
		model.architecture->pack_name(&model, *precision, name, size);
	unload(&model);
	return status;
}

static mm_status
load(mm_model *model, const char *dir, const mm_model_options *options, mm_error *err)
{
	mm_status status = configure(model, dir, options->precision, err);

	if (status == MM_OK && model->info.image_size > 0)
		status =
			mm_transform_read(dir, model->info.image_size,
							  model->architecture == &mm_architecture_clip, &model->transform, err);
	if (status == MM_OK)
		status = model->architecture->load(model, dir, options, err);
	if (status == MM_OK && model->info.bytes == 0)
	{
		model->info.parameters = mm_safetensors_parameters(&model->weights);
		model->info.bytes = (int64_t) model->weights.file.size;
	}
	return status;
}

mm_model *
mm_model_open(const char *dir, const mm_model_options *opts, mm_error *err)
{
	mm_model_options options = opts ? *opts : (mm_model_options){0};
	mm_error unseen;
	mm_model *model;

	if (err == NULL)
		err = &unseen; /* some of what is called reads the status there */
	if (!mm_isa_available(options.isa))
	{
		mm_fail(err, MM_ERR_UNSUPPORTED, "instruction set %s is not available",
				mm_isa_name(options.isa));
		return NULL;
	}
	model = calloc(1, sizeof(mm_model));
	if (model == NULL)
	{
		mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	model->ops = mm_ops_for(options.isa);
	if (load(model, dir, &options, err) != MM_OK)
	{
		mm_model_close(model);
		return NULL;
	}
	return model;
}

void
mm_model_close(mm_model *model)
{
	if (model == NULL)
		return;
	unload(model);
	free(model);
}

const mm_model_info *
mm_model_get_info(const mm_model *model)
{
	return &model->info;
}

int
mm_pooled_dims(const mm_model *model)
{
	return model->pooled_dims;
}

int
mm_logit_dims(const mm_model *model)
{
	return model->logit_dims;
}
