/*-------------------------------------------------------------------------
 *
 * bert.h
 *	  BERT (Devlin et al. 2019) as a sentence encoder (Reimers & Gurevych
 *	  2019): the mean of the last layer over all tokens, L2-normalised.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_BERT_H
#define MM_BERT_H

#include "tower.h"

#define MM_BERT_MAX_LAYERS 48

typedef struct mm_bert_config
{
	int layers;
	int width;
	int heads;
	int ffn; /* width of the hidden layer of the feed-forward part */
	int vocab;
	int context; /* most tokens of a text */
	float eps;   /* of the layer norms */
} mm_bert_config;

/* Weights of linear layers are packed as ops.h says. */
typedef struct mm_bert_layer
{
	const float *qkv_w, *qkv_b;     /* width -> 3 width: queries, keys, values */
	const float *out_w, *out_b;     /* width -> width */
	const float *norm1_g, *norm1_b; /* width */
	const float *up_w, *up_b;       /* width -> ffn */
	const float *down_w, *down_b;   /* ffn -> width */
	const float *norm2_g, *norm2_b; /* width */
} mm_bert_layer;

typedef struct mm_bert
{
	mm_bert_config config;
	const float *word;     /* vocab x width */
	const float *position; /* context x width */
	const float *type;     /* width: token type 0 */
	const float *norm_g, *norm_b;
	mm_bert_layer layer[MM_BERT_MAX_LAYERS];
} mm_bert;

/* Scratch of one worker, for max_tokens rows. */
typedef struct mm_bert_scratch
{
	int max_tokens;
	float *x;      /* max_tokens x width: the residual stream */
	float *y;      /* max_tokens x width */
	float *qkv;    /* max_tokens x 3 width */
	float *ffn;    /* max_tokens x ffn */
	float *scores; /* context x context */
} mm_bert_scratch;

/* Read the "text_tower" object of a configuration. */
extern mm_status mm_bert_configure(const cJSON *json, mm_bert_config *config, mm_error *err);

/* Find the weights ("text.*") in a file. */
extern mm_status mm_bert_load(const mm_safetensors *st, mm_bert *bert, mm_error *err);

extern void mm_bert_take_scratch(const mm_bert_config *config, int max_tokens, mm_arena *arena,
								 mm_bert_scratch *scratch);

/*
 * out: n x width, L2-normalised.  The batch has at most scratch's max_tokens,
 * and ids are within the vocabulary.  MM_ERR_CANCELED is the only failure.
 */
extern mm_status mm_bert_forward(const mm_bert *bert, mm_bert_scratch *scratch, const mm_run *run,
								 const mm_token_batch *batch, float *out);

#endif /* MM_BERT_H */
