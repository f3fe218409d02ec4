/*-------------------------------------------------------------------------
 *
 * test_linear.c
 *	  Linear layers of every precision at every table of kernels that this CPU
 *	  has, against float64, at sizes on both sides of every block; and their
 *	  promise that an output depends on its row and its weights alone.
 *
 * "make -C encoders emulate" runs it with the tables that need AVX-512 or VNNI
 * on a CPU with AVX2.
 *
 *-------------------------------------------------------------------------
 */
#include "golden.h"

#include "layers.h"
#include "testing.h"

/* 2^-24: half a unit in the last place of a float32 */
#define U 5.9604644775390625e-8

/* A layer, its inputs, and what is made of them. */
typedef struct layer
{
	mm_precision precision;
	int m, n, k;
	int lda, ldc;
	float *a; /* rows lda apart, the last without what follows it */
	float *w; /* n x k */
	float *packed;
	float *bias, *residual, *c;
	mm_quantized q;
	mm_packed_rows rows;
	mm_linear_args args;
} layer;

static size_t
c_size(const layer *l)
{
	return (size_t) (l->m - 1) * l->ldc + mm_padded(l->n);
}

static size_t
a_size(const layer *l)
{
	return (size_t) (l->m - 1) * l->lda + l->k;
}

static void
make_layer(layer *l, mm_precision precision, int m, int n, int k)
{
	*l = (layer){.precision = precision, .m = m, .n = n, .k = k};
	l->lda = k + 3;
	l->ldc = mm_padded(n) + 16;
	l->a = layer_values(a_size(l));
	l->w = layer_values((size_t) n * k);
	l->bias = layer_values(mm_padded(n));
	l->residual = layer_values(c_size(l));
	l->c = layer_values(c_size(l));
	l->rows = layer_rows(m, k);
}

/* Weights as kernels read them; columns as in mm_quantize. */
static void
prepare(layer *l, const float *ranges, mm_activation act, bool with_residual)
{
	l->packed = layer_pack(l->n, l->k, l->w);
	l->args = (mm_linear_args){.m = l->m,
							   .n = l->n,
							   .k = l->k,
							   .a = l->a,
							   .lda = l->lda,
							   .w = l->packed,
							   .bias = l->bias,
							   .residual = with_residual ? l->residual : NULL,
							   .c = l->c,
							   .ldc = l->ldc,
							   .act = act,
							   .rows = &l->rows};
	if (l->precision == MM_PRECISION_FLOAT32)
		return;
	assert_true(mm_quantize(l->precision, l->n, l->k, l->packed, ranges, &l->q));
	l->args.w = l->q.w;
	l->args.scale = l->q.scale;
	l->args.sum = l->q.sum;
	l->args.outliers = l->q.outliers;
	l->args.outlier_w = l->q.outlier_w;
}

static void
free_layer(layer *l)
{
	free(l->a), free(l->w), free(l->packed), free(l->bias), free(l->residual), free(l->c);
	mm_quantized_free(&l->q);
	layer_rows_free(&l->rows);
}

static void
run_args(const mm_ops *ops, const layer *l, const mm_linear_args *args)
{
	mm_packed_rows *rows = (mm_packed_rows *) args->rows;
	void (*kernel)(const mm_linear_args *) = ops->linear;

	if (l->precision == MM_PRECISION_BF16)
	{
		ops->pack_rows_bf16(args->m, args->k, args->a, args->lda, l->q.outliers, l->q.columns,
							rows);
		kernel = ops->linear_bf16;
	}
	else if (l->precision == MM_PRECISION_INT8)
	{
		ops->pack_rows_int8(args->m, args->k, args->a, args->lda, l->q.outliers, l->q.columns,
							rows);
		kernel = ops->linear_int8;
	}
	kernel(args);
}

/* The table that multiplies bf16. */
static bool
has_bf16(const mm_ops *ops)
{
	return strcmp(ops->name, "bf16512") == 0;
}

/*
 * How far the step of an int8 input's levels lets a row be off, its group's
 * weights all at their worst: half a step each, a little more for the rounding
 * of the scale itself.  Then the roundings of the group's sum, which is as large
 * as if all inputs were as far from zero as the group's range is wide, since the
 * zero point is taken off at the end.
 */
static double
int8_bound(const layer *l, const float *x, int o)
{
	double bound = 0;

	for (int begin = 0; begin < l->k; begin += MM_GROUP)
	{
		int end = begin + MM_GROUP < l->k ? begin + MM_GROUP : l->k;
		double low = 0, high = 0, weights = 0, step, widest;

		for (int i = begin; i < end; i++)
		{
			if (layer_is_outlier(&l->q, i))
				continue;
			low = fmin(low, x[i]);
			high = fmax(high, x[i]);
			weights += fabs(layer_weight(&l->q, l->precision, l->n, l->k, o, i));
		}
		widest = high - low;
		step = widest / 255;
		bound += weights * (0.501 * step + 16 * U * widest);
		/* steps that are no normal numbers are not taken: the group is nothing */
		if (step < 1.2e-38)
			bound += weights * widest;
	}
	return bound;
}

/* What output o of a row ought to be, and by how much it may differ. */
static double
expected(const mm_ops *ops, const layer *l, const float *x, int o, double *bound)
{
	double sum = l->bias[o], size = fabs(sum);

	for (int i = 0; i < l->k; i++)
	{
		double w = l->precision == MM_PRECISION_FLOAT32
					   ? l->w[(size_t) o * l->k + i]
					   : layer_weight(&l->q, l->precision, l->n, l->k, o, i);

		sum += x[i] * w;
		size += fabs(x[i] * w);
	}
	/* every sum of k products in whatever order is within k U of their sizes */
	*bound = size * U * (l->k + 16);
	if (l->precision == MM_PRECISION_INT8)
		*bound = int8_bound(l, x, o) + size * U * (mm_groups(l->k) + 32);
	if (l->precision == MM_PRECISION_BF16 && has_bf16(ops))
		*bound += size / 256; /* inputs are rounded to eight bits */
	return sum;
}

static void
check_values(const mm_ops *ops, const layer *l)
{
	for (int r = 0; r < l->m; r++)
		for (int o = 0; o < l->n; o++)
		{
			double bound;
			double sum = expected(ops, l, l->a + (size_t) r * l->lda, o, &bound);
			double want = layer_activated(sum, l->args.act);
			float got = l->c[(size_t) r * l->ldc + o];

			/* no activation is steeper than 1.13; theirs are good to some 3e-7 */
			bound = 1.13 * bound;
			if (l->args.act != MM_ACT_NONE)
				bound += 1e-6 * (1 + fabs(sum));
			if (l->args.residual)
			{
				want += l->residual[(size_t) r * l->ldc + o];
				bound += U * fabs(want);
			}
			if (!(fabs(got - want) <= bound))
				fail_msg("%s, %s of %d x %d x %d, act %d: [%d][%d] is %.9g, not %.9g, off by more "
						 "than %g",
						 ops->name, mm_precision_name(l->precision), l->m, l->n, l->k, l->args.act,
						 r, o, got, want, bound);
		}
}

static void
expect_same(const mm_ops *ops, const layer *l, const float *a, const float *b, size_t n,
			const char *what)
{
	if (memcmp(a, b, n * sizeof(float)) != 0)
		fail_msg("%s, %s of %d x %d x %d: %s", ops->name, mm_precision_name(l->precision), l->m,
				 l->n, l->k, what);
}

/* Rows one by one, from a place of their own. */
static void
check_alone(const mm_ops *ops, const layer *l)
{
	float *row = malloc(sizeof(float) * l->k), *out = malloc(sizeof(float) * mm_padded(l->n));
	mm_packed_rows rows = layer_rows(1, l->k);

	for (int r = 0; r < l->m; r++)
	{
		mm_linear_args alone = l->args;

		memcpy(row, l->a + (size_t) r * l->lda, sizeof(float) * l->k);
		alone.m = 1;
		alone.a = row;
		alone.lda = l->k;
		alone.rows = &rows;
		alone.c = out;
		if (alone.residual)
			alone.residual += (size_t) r * l->ldc;
		run_args(ops, l, &alone);
		expect_same(ops, l, out, l->c + (size_t) r * l->ldc, l->n, "a row alone has other bits");
	}
	layer_rows_free(&rows);
	free(row), free(out);
}

/* The same in pieces of all sizes, as members of a team compute it. */
static void
check_panels(const mm_ops *ops, layer *l)
{
	int panels = mm_padded(l->n) / MM_PANEL;
	float *whole = l->c;

	for (int step = 1; step < panels; step++)
	{
		l->c = layer_values(c_size(l));
		for (int first = 0; first < panels; first += step)
		{
			mm_linear_args piece = l->args;

			piece.c = l->c;
			piece.first_panel = first;
			piece.panels = first + step < panels ? step : panels - first;
			run_args(ops, l, &piece);
		}
		for (int r = 0; r < l->m; r++)
			expect_same(ops, l, l->c + (size_t) r * l->ldc, whole + (size_t) r * l->ldc, l->n,
						"panels in pieces have other bits");
		free(l->c);
	}
	l->c = whole;
}

/* What a layer adds to may be where the result goes. */
static void
check_in_place(const mm_ops *ops, layer *l)
{
	mm_linear_args args = l->args;

	if (args.residual == NULL)
		return;
	args.c = l->residual;
	run_args(ops, l, &args);
	for (int r = 0; r < l->m; r++)
		expect_same(ops, l, l->residual + (size_t) r * l->ldc, l->c + (size_t) r * l->ldc, l->n,
					"in place it has other bits");
}

/* A layer is made, run and looked at from all sides. */
static void
check_layer(const mm_ops *ops, layer *l)
{
	float *a = malloc(sizeof(float) * a_size(l)), *c = malloc(sizeof(float) * c_size(l));

	memcpy(a, l->a, sizeof(float) * a_size(l));
	memcpy(c, l->c, sizeof(float) * c_size(l));
	run_args(ops, l, &l->args);
	expect_same(ops, l, l->a, a, a_size(l), "the inputs have changed");
	for (int r = 0; r + 1 < l->m; r++)
	{
		size_t end = (size_t) r * l->ldc + mm_padded(l->n);

		expect_same(ops, l, l->c + end, c + end, 16, "something was written between rows");
	}
	check_values(ops, l);
	check_alone(ops, l);
	check_panels(ops, l);
	check_in_place(ops, l);
	free(a), free(c);
}

static void
check_size(const mm_ops *ops, mm_precision precision, int m, int n, int k)
{
	/* all of them come about, with a residual and without */
	static int turn;
	mm_activation act = (mm_activation) (turn % 4);
	layer l;

	make_layer(&l, precision, m, n, k);
	prepare(&l, NULL, act, turn / 4 % 2);
	check_layer(ops, &l);
	free_layer(&l);
	turn++;
}

/* Every count of rows of a block, every remainder of panels, spans and groups. */
static void
check_sizes(mm_precision precision)
{
	static const int outputs[] = {1, 15, 16, 17, 33, 48, 50, 80, 100};
	static const int inputs[] = {1, 2, 3, 4, 5, 7, 16, 31, 127, 128, 129, 257, 258, 259, 515};
	static const int long_inputs[] = {1023, 1024, 1025, 1280, 2047, 2049, 3072};
	static const int many[] = {191, 192, 193, 385};
	const mm_ops *ops;

	layer_seed = 1;
	for (int i = 0; (ops = mm_ops_nth(i)) != NULL; i++)
	{
		for (int m = 1; m <= 20; m++)
			for (int k = 0; k < 15; k++)
				check_size(ops, precision, m, outputs[(m + k) % 9], inputs[k]);
		for (int k = 0; k < 7; k++)
		{
			check_size(ops, precision, 1 + k, 33, long_inputs[k]);
			check_size(ops, precision, 9 + k, 64, long_inputs[k]);
		}
		for (int m = 0; m < 4; m++)
		{
			check_size(ops, precision, many[m], 49, 37);
			check_size(ops, precision, many[m], 16, 1030);
		}
	}
}

static void
float32(void **state)
{
	(void) state;
	check_sizes(MM_PRECISION_FLOAT32);
}

static void
bf16(void **state)
{
	(void) state;
	check_sizes(MM_PRECISION_BF16);
}

static void
int8(void **state)
{
	(void) state;
	check_sizes(MM_PRECISION_INT8);
}

/* Columns 0, 1, 16 and the last a thousand times the others. */
static void
outliers(void **state)
{
	static const int inputs[] = {20, 34, 255, 256, 270, 530};
	const mm_ops *ops;

	(void) state;
	layer_seed = 2;
	for (int i = 0; (ops = mm_ops_nth(i)) != NULL; i++)
		for (int p = MM_PRECISION_BF16; p < MM_PRECISIONS; p++)
			for (int c = 0; c < 6; c++)
			{
				int k = inputs[c];
				const int columns[4] = {0, 1, 16, k - 1};
				float *ranges = malloc(sizeof(float) * k);
				layer l;

				make_layer(&l, (mm_precision) p, 1 + c, 35, k);
				for (int j = 0; j < k; j++)
					ranges[j] = 1;
				for (int j = 0; j < 4; j++)
				{
					ranges[columns[j]] = 1000;
					for (int r = 0; r < l.m; r++)
						l.a[(size_t) r * l.lda + columns[j]] *= 1000;
				}
				prepare(&l, ranges, MM_ACT_NONE, true);
				assert_int_equal(l.q.outliers, 4);
				for (int j = 0; j < 4; j++)
					assert_int_equal(l.q.columns[j], columns[j]);
				check_layer(ops, &l);
				free_layer(&l);
				free(ranges);
			}
}

/* Rows that are zero, of one value, of one sign, huge, tiny, or next to nothing. */
static void
odd_values(void **state)
{
	static const float sizes[] = {1, 1e30f, 1e-30f, 1e-36f, 1e-44f, 3e38f};
	const mm_ops *ops;

	(void) state;
	layer_seed = 3;
	for (int i = 0; (ops = mm_ops_nth(i)) != NULL; i++)
		for (int p = 0; p < MM_PRECISIONS; p++)
			for (int s = 0; s < 6; s++)
			{
				/* 3e38 times 1e-3 or so, summed, is within range */
				float by = sizes[s] > 1e31f ? 1e-4f : 1;
				layer l;

				make_layer(&l, (mm_precision) p, 6, 20, 261);
				for (int j = 0; j < l.k; j++)
				{
					l.a[j] = 0;
					l.a[l.lda + j] = sizes[s];
					l.a[2 * l.lda + j] = -sizes[s];
					l.a[3 * l.lda + j] *= sizes[s];
					l.a[4 * l.lda + j] = fabsf(l.a[4 * l.lda + j]) * sizes[s];
					l.a[5 * l.lda + j] = j == 7 ? sizes[s] : 0;
				}
				for (int j = 0; j < l.n * l.k; j++)
					l.w[j] *= by;
				/* what rounds to nothing is off by no more than this, beside the bias */
				prepare(&l, NULL, MM_ACT_NONE, false);
				for (int o = 0; o < l.n; o++)
					l.bias[o] = sizes[s] < 1e-33f ? 1e-30f : l.bias[o];
				check_layer(ops, &l);
				for (int o = 0; o < l.n; o++)
					assert_true(l.c[o] == l.bias[o]); /* zeros are exact */
				free_layer(&l);
			}
}

/* Weights that are all zero, of one value, tiny or huge. */
static void
odd_weights(void **state)
{
	static const float sizes[] = {0, 1, 1e30f, 1e-30f, 1e-37f, 1e-44f};
	const mm_ops *ops;

	(void) state;
	layer_seed = 4;
	for (int i = 0; (ops = mm_ops_nth(i)) != NULL; i++)
		for (int p = 0; p < MM_PRECISIONS; p++)
			for (int s = 0; s < 6; s++)
			{
				layer l;

				make_layer(&l, (mm_precision) p, 3, 18, 260);
				for (int j = 0; j < l.n * l.k; j++)
					l.w[j] = j < l.k ? sizes[s] : l.w[j] * sizes[s];
				prepare(&l, NULL, MM_ACT_NONE, false);
				for (int o = 0; o < l.n; o++)
					l.bias[o] = sizes[s] < 1e-33f ? 1e-30f : l.bias[o];
				check_layer(ops, &l);
				free_layer(&l);
			}
}

/*
 * Inputs and weights that are all at the ends of their ranges, in every
 * arrangement of two: their sums must not saturate.
 */
static void
extremes(void **state)
{
	const mm_ops *ops;

	(void) state;
	layer_seed = 5;
	for (int i = 0; (ops = mm_ops_nth(i)) != NULL; i++)
	{
		layer l;

		make_layer(&l, MM_PRECISION_INT8, 6, 16, 3 * MM_GROUP + 5);
		for (int r = 0; r < l.m; r++)
			for (int j = 0; j < l.k; j++)
			{
				const float patterns[] = {1,     -1,       j % 2 ? 1 : -1,
										  j % 2, -(j % 2), j % 4 < 2 ? 1 : -1};

				l.a[(size_t) r * l.lda + j] = patterns[r];
			}
		for (int o = 0; o < l.n; o++)
			for (int j = 0; j < l.k; j++)
				l.w[(size_t) o * l.k + j] = (o >> j % 4) & 1 ? 1 : -1;
		prepare(&l, NULL, MM_ACT_NONE, false);
		check_layer(ops, &l);
		free_layer(&l);
	}
}

static int
list_tables(void **state)
{
	(void) state;
	for (int i = 0; mm_ops_nth(i) != NULL; i++)
		print_message("kernels: %s\n", mm_ops_nth(i)->name);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(float32),  cmocka_unit_test(bf16),       cmocka_unit_test(int8),
		cmocka_unit_test(outliers), cmocka_unit_test(odd_values), cmocka_unit_test(odd_weights),
		cmocka_unit_test(extremes),
	};

	return cmocka_run_group_tests(tests, list_tables, NULL);
}
