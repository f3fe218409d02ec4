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

#include "image.h"
#include "tower.h"

/* Texts and tokens that a worker takes at a time, unless one text has more. */
#define MM_BATCH_TEXTS 64
#define MM_BATCH_TOKENS 512

struct mm_model;

typedef struct mm_architecture
{
	const char *model_type; /* of config.json */

	/*
	 * Read the configuration (config is config.json, or NULL where there is
	 * none) into info (dims, image_size, context_length, architecture) and into
	 * state, which is zeroed, of state_size bytes.
	 */
	size_t state_size;
	mm_status (*configure)(struct mm_model *model, const char *dir, const cJSON *config,
						   mm_error *err);

	/*
	 * Find the weights and read the tokenizer.  unload frees what configure and
	 * load made.
	 */
	mm_status (*load)(struct mm_model *model, const char *dir, const mm_model_options *opts,
					  mm_error *err);
	void (*unload)(struct mm_model *model);

	/* The name of a pack, and its writing.  NULL: weights are used as they are. */
	void (*pack_name)(const struct mm_model *model, mm_precision precision, char *name,
					  size_t size);
	mm_status (*pack)(struct mm_model *model, const mm_run *run, mm_precision precision, int fd,
					  int64_t *bytes, mm_error *err);

	/* Read all published weights, as packing does.  NULL: they are in use as they are. */
	mm_status (*check_weights)(const struct mm_model *model, mm_error *err);

	/* Whether forward passes deal out the loops of a single input (mm_run's team). */
	bool shares_loops;

	/* Scratch of one worker, whose loops "members" share, taken from the arena. */
	void *(*take_scratch)(const struct mm_model *model, int members, mm_arena *arena);

	/* Ids of a text, at most context_length, within the vocabulary. */
	mm_status (*tokenize)(const struct mm_model *model, mm_slice text, int32_t *ids, int *n,
						  mm_error *err);

	/* How many of the ids have a part in the result.  NULL: all. */
	int (*used_tokens)(const struct mm_model *model, const int32_t *ids, int n);

	/* out: batch->n x dims, of unit length.  Fails only when canceled. */
	mm_status (*forward_texts)(const struct mm_model *model, void *scratch, const mm_run *run,
							   const mm_token_batch *batch, float *out);

	/* Pictures that go through together.  NULL: one. */
	int (*image_unit)(const struct mm_model *model);

	/* pixels: n x image_size x image_size x 3; out: n x dims, of unit length. */
	mm_status (*forward_images)(const struct mm_model *model, void *scratch, const mm_run *run,
								const float *pixels, int n, float *out);

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

/*
 * The precision that opening a directory would choose, and the file name of its
 * pack, empty where the architecture has none.
 */
extern mm_status mm_model_pack_name(const char *dir, const char *asked, mm_precision *precision,
									char *name, size_t size, mm_error *err);

/*
 * mm_encode_texts and mm_encode_images from where tokens and pixels are there:
 * for measuring the towers alone.  Each text has at most context_length ids,
 * within the vocabulary; pixels are as forward_images takes them.
 */
extern mm_status mm_forward_texts(mm_session *session, const mm_token_batch *batch, float *out,
								  mm_error *err);
extern mm_status mm_forward_images(mm_session *session, const float *pixels, int n, float *out,
								   mm_error *err);

static inline int
mm_batch_tokens(const struct mm_model *model)
{
	int context = model->info.context_length;

	return context > MM_BATCH_TOKENS ? context : MM_BATCH_TOKENS;
}

extern const mm_architecture mm_architecture_conse;
extern const mm_architecture mm_architecture_clip;

#endif /* MM_MODEL_H */
