/*-------------------------------------------------------------------------
 *
 * model.h
 *	  Inside of a model: what is common to all, and what its architecture adds.
 *
 * A new architecture is one file with an mm_architecture and one row of the
 * table in model.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_MODEL_H
#define MM_MODEL_H

#include "bert.h"
#include "image.h"
#include "tower.h"

/* Tokens that a worker takes at a time. */
#define MM_BATCH_TOKENS 512

struct mm_model;

typedef struct mm_architecture
{
	const char *model_type; /* of config.json */

	/*
	 * Read config.json into info (dims, image_size, context_length,
	 * architecture) and into state, which is zeroed, of state_size bytes.
	 */
	size_t state_size;
	mm_status (*configure)(struct mm_model *model, const cJSON *config, mm_error *err);

	/* Find the weights and read the tokenizer.  unload frees what load made. */
	mm_status (*load)(struct mm_model *model, const char *dir, mm_error *err);
	void (*unload)(struct mm_model *model);

	/* Scratch of one worker, taken from the arena. */
	void *(*take_scratch)(const struct mm_model *model, mm_arena *arena);

	/* Ids of a text, at most context_length, within the vocabulary. */
	mm_status (*tokenize)(const struct mm_model *model, mm_slice text, int32_t *ids, int *n,
						  mm_error *err);

	/* out: batch->n x dims, of unit length.  Fails only when canceled. */
	mm_status (*forward_texts)(const struct mm_model *model, void *scratch, const mm_run *run,
							   const mm_token_batch *batch, float *out);

	/* pixels: image_size x image_size x 3; out: dims, of unit length. */
	mm_status (*forward_image)(const struct mm_model *model, void *scratch, const mm_run *run,
							   const float *pixels, float *out);

	/* Of the picture that went through last.  NULL without a classifier. */
	void (*features)(const struct mm_model *model, const void *scratch, const float **pooled,
					 const float **logits);
} mm_architecture;

struct mm_model
{
	mm_model_info info;
	int pooled_dims; /* 0 without a classifier */
	int logit_dims;
	const mm_architecture *architecture;
	void *state; /* the architecture's: configuration and weights */
	mm_safetensors weights;
	mm_transform transform;
	const mm_ops *ops;
};

extern const mm_architecture mm_architecture_conse;

#endif /* MM_MODEL_H */
