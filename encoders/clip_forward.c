/*-------------------------------------------------------------------------
 *
 * clip_forward.c
 *	  Both towers of CLIP, from pixels and token ids to embeddings.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clip.h"
#include "error.h"

/* Rows that pass through a tower together, unless one input has more. */
#define UNIT_ROWS MM_BATCH_TOKENS

int
mm_clip_unit(const mm_clip_config *c)
{
	int n = UNIT_ROWS / mm_clip_tokens(c);

	return n < 1 ? 1 : n;
}

void
mm_clip_take_scratch(const mm_clip *m, int members, mm_arena *arena, mm_clip_scratch *s)
{
	const mm_clip_config *c = &m->config;
	int unit = mm_clip_unit(c);
	int tokens = mm_clip_tokens(c);
	size_t pixels = 3 * (size_t) c->image_size * c->image_size;
	int texts = UNIT_ROWS > c->context ? UNIT_ROWS : c->context;
	int most = unit > texts ? unit : texts;

	mm_transformer_take_scratch(&m->vision, unit * tokens, tokens, m->patches.k, members, arena,
								&s->vision);
	mm_transformer_take_scratch(&m->text, texts, c->context, 0, members, arena, &s->text);
	s->patches = mm_arena_floats(arena, unit * pixels);
	s->out = mm_arena_floats(arena, (size_t) most * mm_padded(c->dims));
	s->starts = mm_arena_alloc(arena, sizeof(int) * (unit + 1));
}

/* out = x W, of unit length; x: n rows, normed in place */
static void
project(const mm_clip *m, const mm_run *run, const mm_transformer *t, const mm_weight *w,
		const float *gamma, const float *beta, int n, mm_transformer_scratch *scratch,
		float *padded, float *out)
{
	int dims = m->config.dims;
	int ld = mm_padded(dims);

	run->ops->layer_norm(n, t->width, scratch->pooled, gamma, beta, t->eps, scratch->pooled);
	mm_linear(
		run, w,
		&(mm_linear_io){.m = n, .a = scratch->pooled, .lda = t->width, .c = padded, .ldc = ld},
		&scratch->rows);
	for (int i = 0; i < n; i++)
	{
		float *row = out + (size_t) i * dims;

		memcpy(row, padded + (size_t) i * ld, sizeof(float) * dims);
		mm_l2_normalize(dims, row);
	}
}

/* A patch is a row: its pixels by row, column, channel. */
static void
cut_patches(const mm_clip_config *c, const float *pixels, float *rows)
{
	int across = c->image_size / c->patch;
	size_t piece = 3 * (size_t) c->patch;

	for (int py = 0; py < across; py++)
		for (int px = 0; px < across; px++)
			for (int y = 0; y < c->patch; y++, rows += piece)
				memcpy(rows,
					   pixels + 3 * ((size_t) (py * c->patch + y) * c->image_size + px * c->patch),
					   sizeof(float) * piece);
}

/* x = norm([class; patches W] + positions) */
static void
embed_images(const mm_clip *m, mm_clip_scratch *s, const mm_run *run, const float *pixels, int n)
{
	const mm_clip_config *c = &m->config;
	int width = m->vision.width;
	int tokens = mm_clip_tokens(c);
	int k = m->patches.k;

	for (int i = 0; i < n; i++)
	{
		float *rows = s->patches + (size_t) i * (tokens - 1) * k;
		float *x = s->vision.x + (size_t) i * tokens * width;

		cut_patches(c, pixels + 3 * (size_t) i * c->image_size * c->image_size, rows);
		for (int d = 0; d < width; d++)
			x[d] = m->class_embedding[d] + m->vision_positions[d];

		/* positions are what is added to the product: its residual */
		memcpy(x + width, m->vision_positions + width, sizeof(float) * (tokens - 1) * width);
		mm_linear(run, &m->patches,
				  &(mm_linear_io){.m = tokens - 1,
								  .a = rows,
								  .lda = k,
								  .residual = x + width,
								  .c = x + width,
								  .ldc = width},
				  &s->vision.rows);
	}
	run->ops->layer_norm(n * tokens, width, s->vision.x, m->pre_g, m->pre_b, m->vision.eps,
						 s->vision.x);
}

mm_status
mm_clip_forward_images(const mm_clip *m, mm_clip_scratch *s, const mm_run *run, const float *pixels,
					   int n, float *out)
{
	mm_status status;

	embed_images(m, s, run, pixels, n);
	for (int i = 0; i <= n; i++)
		s->starts[i] = i * mm_clip_tokens(&m->config);
	status = mm_transformer_forward(&m->vision, &s->vision, run, &(mm_sequences){n, s->starts});
	if (status == MM_OK)
		project(m, run, &m->vision, &m->vision_projection, m->post_g, m->post_b, n, &s->vision,
				s->out, out);
	return status;
}

/*
 * Tokens after the first one of the largest id have no part in the result, as
 * a token sees none of those after it: the caller left them out.
 */
mm_status
mm_clip_forward_texts(const mm_clip *m, mm_clip_scratch *s, const mm_run *run,
					  const mm_token_batch *batch, float *out)
{
	int width = m->text.width;
	mm_status status;

	for (int i = 0; i < batch->n; i++)
	{
		for (int t = batch->starts[i]; t < batch->starts[i + 1]; t++)
		{
			const float *token = m->token_embedding + (size_t) batch->ids[t] * width;
			const float *position = m->text_positions + (size_t) (t - batch->starts[i]) * width;
			float *x = s->text.x + (size_t) t * width;

			for (int d = 0; d < width; d++)
				x[d] = token[d] + position[d];
		}
	}
	status =
		mm_transformer_forward(&m->text, &s->text, run, &(mm_sequences){batch->n, batch->starts});
	if (status == MM_OK)
		project(m, run, &m->text, &m->text_projection, m->final_g, m->final_b, batch->n, &s->text,
				s->out, out);
	return status;
}
