/*-------------------------------------------------------------------------
 *
 * transformer.c
 *	  Residual attention blocks.
 *
 *-------------------------------------------------------------------------
 */
#include "transformer.h"

#include <math.h>
#include <string.h>

void
mm_transformer_take_scratch(const mm_transformer *t, int max_rows, int max_length, int max_k,
							int members, mm_arena *arena, mm_transformer_scratch *s)
{
	size_t rows = max_rows;
	int k = t->ffn > max_k ? t->ffn : max_k;

	/* a hidden layer may be narrower than what is around it */
	k = t->width > k ? t->width : k;
	s->max_length = max_length;
	s->x = mm_arena_floats(arena, rows * t->width);
	s->y = mm_arena_floats(arena, rows * t->width);
	s->qkv = mm_arena_floats(arena, rows * 3 * t->width);
	s->ffn = mm_arena_floats(arena, rows * mm_padded(t->ffn));
	s->pooled = mm_arena_floats(arena, rows * t->width);
	s->scores = mm_arena_floats(arena, (size_t) max_length * max_length * members);
	mm_take_packed_rows(max_rows, k, arena, &s->rows);
}

/* Attention of all heads over all sequences: a task is a head of a sequence. */
typedef struct attention
{
	const mm_transformer *t;
	mm_transformer_scratch *s;
	const mm_run *run;
	const mm_sequences *sequences;
	bool pooled; /* only for the row that is asked for, and into row i of y */
} attention;

/* Softmax over the keys that a query may see; nothing of the others. */
static void
normalize_scores(const attention *a, int first_query, int queries, int keys, float *scores)
{
	float scale = 1 / sqrtf((float) (a->t->width / a->t->heads));

	if (!a->t->causal)
	{
		a->run->ops->softmax(queries, keys, scale, scores, keys);
		return;
	}
	for (int q = 0; q < queries; q++)
	{
		float *row = scores + (size_t) q * keys;
		int seen = first_query + q + 1;

		a->run->ops->softmax(1, seen, scale, row, keys);
		memset(row + seen, 0, sizeof(float) * (keys - seen));
	}
}

static void
attend(void *arg, int task, int member)
{
	const attention *a = arg;
	const mm_transformer *t = a->t;
	int i = task / t->heads, head = task % t->heads;
	int d = t->width / t->heads;
	int ld = 3 * t->width;
	int start = a->sequences->starts[i];
	int length = a->sequences->starts[i + 1] - start;
	int first = a->pooled && t->pool_last ? length - 1 : 0;
	int queries = a->pooled ? 1 : length;
	const float *q = a->s->qkv + (size_t) (start + first) * ld + head * d;  /* queries x d */
	const float *k = a->s->qkv + (size_t) start * ld + t->width + head * d; /* length x d */
	const float *v = k + t->width;                                          /* length x d */
	float *scores = a->s->scores + (size_t) member * a->s->max_length * a->s->max_length;
	float *y = a->s->y + (size_t) (a->pooled ? i : start) * t->width + head * d;

	mm_gemm_nt(queries, length, d, q, ld, k, ld, scores, length);
	normalize_scores(a, first, queries, length, scores);
	mm_gemm_nn(queries, d, length, scores, length, v, ld, y, t->width);
}

/* Rows of a norm are dealt to the team in pieces of this many. */
#define NORM_ROWS 16

typedef struct norm
{
	const mm_run *run;
	int rows, width;
	const float *x, *gamma, *beta;
	float eps;
	float *y;
} norm;

static void
norm_piece(void *arg, int task, int member)
{
	const norm *n = arg;
	int first = task * NORM_ROWS;
	int rows = n->rows - first < NORM_ROWS ? n->rows - first : NORM_ROWS;
	size_t at = (size_t) first * n->width;

	(void) member;
	n->run->ops->layer_norm(rows, n->width, n->x + at, n->gamma, n->beta, n->eps, n->y + at);
}

static void
layer_norm(const mm_transformer *t, const mm_run *run, int rows, const float *x, const float *gamma,
		   const float *beta, float *y)
{
	norm n = {run, rows, t->width, x, gamma, beta, t->eps, y};

	mm_parallel(run, norm_piece, &n, (rows + NORM_ROWS - 1) / NORM_ROWS);
}

/* x += down(act(up(norm2(x)))), over rows of x */
static void
feed_forward(const mm_transformer *t, const mm_block *b, mm_transformer_scratch *s,
			 const mm_run *run, int rows, float *x)
{
	layer_norm(t, run, rows, x, b->norm2_g, b->norm2_b, s->y);
	mm_linear(run, &b->up,
			  &(mm_linear_io){.m = rows,
							  .a = s->y,
							  .lda = t->width,
							  .c = s->ffn,
							  .ldc = mm_padded(t->ffn),
							  .act = t->act},
			  &s->rows);
	mm_linear(run, &b->down,
			  &(mm_linear_io){.m = rows,
							  .a = s->ffn,
							  .lda = mm_padded(t->ffn),
							  .residual = x,
							  .c = x,
							  .ldc = t->width},
			  &s->rows);
}

/*
 * One block.  Of the last one only one row a sequence is asked for, so only
 * keys and values are computed for all.
 */
static void
block_forward(const mm_transformer *t, const mm_block *b, mm_transformer_scratch *s,
			  const mm_run *run, const mm_sequences *sequences, bool last)
{
	int all = sequences->starts[sequences->n];
	int rows = last ? sequences->n : all;
	float *x = last ? s->pooled : s->x;
	attention a = {t, s, run, sequences, last};

	layer_norm(t, run, all, s->x, b->norm1_g, b->norm1_b, s->y);
	mm_linear(
		run, &b->qkv,
		&(mm_linear_io){.m = all, .a = s->y, .lda = t->width, .c = s->qkv, .ldc = 3 * t->width},
		&s->rows);
	for (int i = 0; last && i < sequences->n; i++)
	{
		int row = t->pool_last ? sequences->starts[i + 1] - 1 : sequences->starts[i];

		memcpy(x + (size_t) i * t->width, s->x + (size_t) row * t->width, sizeof(float) * t->width);
	}
	mm_parallel(run, attend, &a, sequences->n * t->heads);
	mm_linear(run, &b->out,
			  &(mm_linear_io){
				  .m = rows, .a = s->y, .lda = t->width, .residual = x, .c = x, .ldc = t->width},
			  &s->rows);
	feed_forward(t, b, s, run, rows, x);
}

mm_status
mm_transformer_forward(const mm_transformer *t, mm_transformer_scratch *s, const mm_run *run,
					   const mm_sequences *sequences)
{
	for (int i = 0; i < t->layers; i++)
	{
		if (mm_canceled(run))
			return MM_ERR_CANCELED;
		block_forward(t, &t->block[i], s, run, sequences, i == t->layers - 1);
	}
	return MM_OK;
}
