/*-------------------------------------------------------------------------
 *
 * efficientnet.h
 *	  EfficientNet-Lite (Tan & Le 2019; the "lite" variants have ReLU6 and no
 *	  squeeze-and-excitation), with batch norm folded into the convolutions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_EFFICIENTNET_H
#define MM_EFFICIENTNET_H

#include "tower.h"

#define MM_EFFICIENTNET_MAX_BLOCKS 64

/* One MBConv block (Sandler et al. 2018). */
typedef struct mm_mbconv
{
	int kernel, stride;
	int in, mid, out;   /* channels; mid = expand * in, and mid = in without expansion */
	int size, out_size; /* side of the input and the output map */
	int pad;            /* zeros before the first row and column, as TensorFlow's SAME */
	const float *expand_w, *expand_b;   /* in -> mid, packed; NULL where mid = in */
	const float *dw_w, *dw_b;           /* kernel x kernel x mid */
	const float *project_w, *project_b; /* mid -> out, packed */
} mm_mbconv;

typedef struct mm_efficientnet_config
{
	int image_size; /* side of the input, pixels */
	int stem;       /* channels of the stem */
	int head;       /* channels before pooling */
	int classes;
	int blocks;
} mm_efficientnet_config;

typedef struct mm_efficientnet
{
	mm_efficientnet_config config;
	int stem_size; /* side of the stem's output */
	int stem_pad;
	const float *stem_w, *stem_b; /* 3 x 3 x 3 (row, column, RGB) -> stem, packed */
	mm_mbconv block[MM_EFFICIENTNET_MAX_BLOCKS];
	const float *head_w, *head_b;   /* last block's out -> head, packed */
	const float *class_w, *class_b; /* head -> classes, packed */
} mm_efficientnet;

typedef struct mm_efficientnet_scratch
{
	float *x; /* block input and output: size^2 x padded channels */
	float *y; /* block output, where it is not added to x */
	float *expanded;
	float *filtered;
	float *columns; /* one row of the stem's windows: stem_size x 27 */
	float *pooled;  /* head */
	float *logits;  /* padded classes */
} mm_efficientnet_scratch;

extern mm_status mm_efficientnet_configure(const cJSON *json, mm_efficientnet *net, mm_error *err);
extern mm_status mm_efficientnet_load(const mm_safetensors *st, mm_efficientnet *net,
									  mm_error *err);
extern void mm_efficientnet_take_scratch(const mm_efficientnet *net, mm_arena *arena,
										 mm_efficientnet_scratch *scratch);

/*
 * pixels: image_size x image_size x 3, normalised.  Leaves pooled and logits
 * in the scratch.  MM_ERR_CANCELED is the only failure.
 */
extern mm_status mm_efficientnet_forward(const mm_efficientnet *net,
										 mm_efficientnet_scratch *scratch, const mm_run *run,
										 const float *pixels);

#endif /* MM_EFFICIENTNET_H */
