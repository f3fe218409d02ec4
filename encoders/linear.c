/*-------------------------------------------------------------------------
 *
 * linear.c
 *	  Linear layers of any precision, split among the members of a team.
 *
 *-------------------------------------------------------------------------
 */
#include "linear.h"

/*
 * Pieces a member: some more than one, so that a member that starts late or is
 * interrupted does not hold up the others.
 */
#define PIECES 3

void
mm_take_packed_rows(int m, int k, mm_arena *arena, mm_packed_rows *rows)
{
	rows->q = mm_arena_alloc(arena, (size_t) m * (k + 3) * sizeof(uint16_t));
	rows->scale = mm_arena_floats(arena, (size_t) m * mm_groups(k));
	rows->offset = mm_arena_floats(arena, (size_t) m * mm_groups(k));
	rows->start = mm_arena_alloc(arena, (size_t) m * mm_groups(k) * sizeof(int32_t));
	rows->outlier = mm_arena_floats(arena, (size_t) m * MM_OUTLIERS);
}

typedef struct split
{
	void (*kernel)(const mm_linear_args *args);
	mm_linear_args args;
	int panels, pieces;
} split;

static void
run_piece(void *arg, int piece, int member)
{
	const split *s = arg;
	mm_linear_args args = s->args;

	(void) member;
	args.first_panel = (int) ((int64_t) s->panels * piece / s->pieces);
	args.panels = (int) ((int64_t) s->panels * (piece + 1) / s->pieces) - args.first_panel;
	if (args.panels > 0)
		s->kernel(&args);
}

/* Which kernel, and the rows in the form that it reads. */
static void
prepare(const mm_run *run, const mm_weight *w, const mm_linear_io *io, mm_packed_rows *rows,
		split *s)
{
	const mm_ops *ops = run->ops;

	rows->ld = (w->k + 3) / 4 * 4;
	switch (w->precision)
	{
		case MM_PRECISION_BF16:
			s->kernel = ops->linear_bf16;
			ops->pack_rows_bf16(io->m, w->k, io->a, io->lda, w->outliers, w->outlier_columns, rows);
			break;
		case MM_PRECISION_INT8:
			s->kernel = ops->linear_int8;
			ops->pack_rows_int8(io->m, w->k, io->a, io->lda, w->outliers, w->outlier_columns, rows);
			break;
		default:
			s->kernel = ops->linear;
			break;
	}
}

void
mm_linear(const mm_run *run, const mm_weight *w, const mm_linear_io *io, mm_packed_rows *rows)
{
	split s = {.args = {.m = io->m,
						.n = w->n,
						.k = w->k,
						.a = io->a,
						.lda = io->lda,
						.w = w->w,
						.bias = w->bias,
						.residual = io->residual,
						.c = io->c,
						.ldc = io->ldc,
						.act = io->act,
						.rows = rows,
						.scale = w->scale,
						.sum = w->sum,
						.outliers = w->outliers,
						.outlier_w = w->outlier_w}};

	if (run->observe)
		run->observe(run->observe_arg, w, io);
	prepare(run, w, io, rows, &s);
	if (run->team == NULL)
	{
		s.kernel(&s.args);
		return;
	}
	s.panels = (w->n + MM_PANEL - 1) / MM_PANEL;
	s.pieces = run->team->members * PIECES;
	mm_team_run(run->team, run_piece, &s, s.pieces);
}
