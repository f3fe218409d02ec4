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

static void
set_name(mm_model_info *info, const char *dir)
{
	const char *slash = strrchr(dir, '/');

	snprintf(info->name, sizeof(info->name), "%s", slash ? slash + 1 : dir);
	snprintf(info->path, sizeof(info->path), "%s", dir);
}

/* The part of opening that needs no weights. */
static mm_status
configure(mm_model *model, const char *dir, mm_error *err)
{
	cJSON *config;
	mm_status status = mm_json_load(dir, "config.json", &config, err);

	if (status != MM_OK)
		return status;
	set_name(&model->info, dir);
	status = find_architecture(config, &model->architecture, err);
	if (status == MM_OK)
	{
		model->state = calloc(1, model->architecture->state_size);
		if (model->state == NULL)
			status = mm_fail(err, MM_ERR_NO_MEMORY, "out of memory");
	}
	if (status == MM_OK)
		status = mm_json_double(config, "logit_scale", 100.0, &model->info.logit_scale, err);
	if (status == MM_OK)
		status = model->architecture->configure(model, config, err);
	cJSON_Delete(config);
	return status;
}

static void
count_weights(mm_model *model)
{
	model->info.parameters = mm_safetensors_parameters(&model->weights);
	model->info.bytes = (int64_t) model->weights.file.size;
}

mm_status
mm_model_probe(const char *dir, mm_model_info *info, mm_error *err)
{
	mm_model model = {0};
	mm_status status = configure(&model, dir, err);

	if (status == MM_OK)
		status = mm_safetensors_open_header(dir, &model.weights, err);
	if (status == MM_OK)
	{
		count_weights(&model);
		*info = model.info;
		mm_safetensors_close(
			&(mm_safetensors){.n = model.weights.n, .tensors = model.weights.tensors});
	}
	free(model.state);
	return status;
}

mm_model *
mm_model_open(const char *dir, const mm_model_options *opts, mm_error *err)
{
	mm_model_options options = opts ? *opts : (mm_model_options){0};
	mm_model *model;
	mm_status status;

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
	status = configure(model, dir, err);
	if (status == MM_OK && model->info.image_size > 0)
		status = mm_transform_read(dir, model->info.image_size, false, &model->transform, err);
	if (status == MM_OK)
		status = mm_safetensors_open(dir, options.map_weights, &model->weights, err);
	if (status == MM_OK)
	{
		count_weights(model);
		status = model->architecture->load(model, dir, err);
	}
	if (status != MM_OK)
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
	if (model->state != NULL)
		model->architecture->unload(model);
	free(model->state);
	mm_safetensors_close(&model->weights);
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
