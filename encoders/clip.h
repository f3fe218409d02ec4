/*-------------------------------------------------------------------------
 *
 * clip.h
 *	  CLIP (Radford et al. 2021): a vision transformer (Dosovitskiy et al.
 *	  2021) and a causal text transformer into one space.
 *
 * Published weights come in two layouts, whose names and shapes are in
 * clip_tensors.c, and in three kinds of directories, whose configurations are
 * in clip_config.c.  Towers compute from a pack (pack.h), in which weights lie
 * as the kernels read them; clip_pack.c makes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_CLIP_H
#define MM_CLIP_H

#include "checkpoint.h"
#include "clip_bpe.h"
#include "model.h"
#include "pack.h"
#include "quantize.h"
#include "transformer.h"

typedef enum mm_clip_layout
{
	MM_CLIP_HF,    /* Hugging Face's CLIPModel */
	MM_CLIP_OPENAI /* the state dict of OpenAI's code and of open_clip */
} mm_clip_layout;

typedef struct mm_clip_config
{
	mm_clip_layout layout;
	int dims; /* of the joint space */
	mm_activation act;

	int image_size;
	int patch; /* side, pixels */

	int context; /* most tokens of a text */
	int vocab;
} mm_clip_config;

typedef struct mm_clip
{
	mm_clip_config config;
	mm_checkpoint checkpoint;
	uint64_t config_hash; /* of the configuration's bytes */
	mm_bpe *bpe;

	/* image tower; tokens: the class, then patches by row */
	mm_transformer vision;
	const float *class_embedding;  /* width */
	mm_weight patches;             /* patch x patch x 3 -> width, no bias */
	const float *vision_positions; /* tokens x width */
	const float *pre_g, *pre_b;    /* width */
	const float *post_g, *post_b;  /* width */
	mm_weight vision_projection;   /* width -> dims, no bias */

	/* text tower */
	mm_transformer text;
	const float *token_embedding;   /* vocab x width */
	const float *text_positions;    /* context x width */
	const float *final_g, *final_b; /* width */
	mm_weight text_projection;      /* width -> dims, no bias */
} mm_clip;

/* Tokens of a picture. */
static inline int
mm_clip_tokens(const mm_clip_config *c)
{
	int side = c->image_size / c->patch;

	return side * side + 1;
}

/*---- clip_config.c ----*/

/*
 * The shapes of both towers, from a config.json or open_clip_config.json, or,
 * where config is NULL, from the shapes of the tensors; the layout from their
 * names.  The checkpoint is open.
 */
extern mm_status mm_clip_read_config(const cJSON *config, mm_clip *clip, mm_error *err);

/*---- clip_tensors.c ----*/

typedef enum mm_clip_kind
{
	MM_CLIP_VECTOR, /* n */
	MM_CLIP_TABLE,  /* n x k */
	MM_CLIP_LINEAR, /* k -> n */
	MM_CLIP_FLOAT   /* linear, float32 at every precision */
} mm_clip_kind;

/* A tensor of a pack, and where it comes from. */
typedef struct mm_clip_tensor
{
	char name[80]; /* in the pack */
	mm_clip_kind kind;
	int n, k;
	const float **data; /* of a vector or a table: where its pointer goes */
	mm_weight *weight;  /* of a layer */

	/* in the checkpoint: parts that lie one after another */
	char source[3][120];
	int sources;
	int ndim;         /* of each part */
	int64_t shape[4]; /* of each part */
	bool transposed;  /* k x n there */
	bool patches;     /* inputs are channel, row, column there; row, column, channel here */
} mm_clip_tensor;

/* All of them, in the order of the pack; NULL when out of memory. */
extern mm_clip_tensor *mm_clip_tensors(mm_clip *clip, int *n);

/*---- clip_pack.c ----*/

/* Identity of the pack of a checkpoint at a precision; key: 16 digits and a zero. */
extern void mm_clip_pack_key(const mm_clip *clip, mm_precision precision, char key[17]);

/*
 * Write the pack of a precision.  The towers hold float32 weights when another
 * one is wanted, and run is what to try them with.
 */
extern mm_status mm_clip_pack(mm_clip *clip, const mm_run *run, mm_precision precision,
							  mm_pack *pack, mm_error *err);

/* Read every tensor, for what packing would find wrong. */
extern mm_status mm_clip_check(mm_clip *clip, mm_error *err);

/* Point the towers' weights into a pack of that precision. */
extern mm_status mm_clip_bind(mm_clip *clip, const mm_safetensors *pack, mm_precision precision,
							  mm_error *err);

/*---- clip_ranges.c ----*/

/* Try the towers, which hold float32 weights, with made-up inputs. */
extern mm_status mm_clip_find_ranges(const mm_clip *clip, const mm_run *run, mm_ranges *ranges,
									 mm_error *err);

/*---- clip_forward.c ----*/

typedef struct mm_clip_scratch
{
	mm_transformer_scratch vision;
	mm_transformer_scratch text;
	float *patches; /* patches of all pictures of a unit, as rows */
	float *out;     /* rows of padded dims */
	int *starts;    /* of the pictures' tokens */
} mm_clip_scratch;

/* Pictures that go through together. */
extern int mm_clip_unit(const mm_clip_config *config);

extern void mm_clip_take_scratch(const mm_clip *clip, int members, mm_arena *arena,
								 mm_clip_scratch *scratch);

/* pixels: n x image_size x image_size x 3; out: n x dims, of unit length. */
extern mm_status mm_clip_forward_images(const mm_clip *clip, mm_clip_scratch *scratch,
										const mm_run *run, const float *pixels, int n, float *out);

extern mm_status mm_clip_forward_texts(const mm_clip *clip, mm_clip_scratch *scratch,
									   const mm_run *run, const mm_token_batch *batch, float *out);

#endif /* MM_CLIP_H */
