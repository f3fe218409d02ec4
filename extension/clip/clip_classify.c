/*-------------------------------------------------------------------------
 *
 * clip_classify.c
 *	  A picture against texts: logits, probabilities, zero-shot classification
 *	  (Radford et al. 2021, section 3.1).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "clip.h"
#include "distance/distance.h"
#include "guc.h"

PG_FUNCTION_INFO_V1(clip_logits);
PG_FUNCTION_INFO_V1(clip_probs);
PG_FUNCTION_INFO_V1(clip_classify);

/*
 * Logits of a picture against texts: scale * cosine, and 0 with rows[i] NULL
 * for a NULL text.
 */
static double *
image_text_logits(ClipModel *model, Datum image, const ClipArray *texts)
{
	const mm_model_info *info = clip_model_info(model);
	float *image_row = clip_encode_one(model, CLIP_IMAGE, image, CLIP_RAISE);
	float **rows = clip_encode(model, CLIP_TEXT, texts, CLIP_RAISE);
	double *logits = palloc0(sizeof(double) * Max(texts->n, 1));

	for (int i = 0; i < texts->n; i++)
	{
		double dot = 0;

		if (rows[i] == NULL)
			continue;
		for (int k = 0; k < info->dims; k++)
			dot += (double) image_row[k] * rows[i][k];
		logits[i] = info->logit_scale * dot;
	}
	return logits;
}

/* Softmax over the texts that are not NULL, in place. */
static void
softmax(double *x, const bool *nulls, int n)
{
	double max = -INFINITY;
	double sum = 0;

	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			max = Max(max, x[i]);
	}
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			sum += x[i] = exp(x[i] - max);
	}
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			x[i] /= sum;
	}
}

static Datum
logits_or_probs(FunctionCallInfo fcinfo, bool probabilities)
{
	Datum result;
	ClipModel *model;
	ClipArray texts;
	double *x;
	Datum *values;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (clip_memo_lookup(fcinfo, &result))
		return result;
	model = clip_model_get(PG_NARGS() > 2 && !PG_ARGISNULL(2) ? PG_GETARG_TEXT_PP(2) : NULL);
	texts = clip_array(PG_GETARG_ARRAYTYPE_P(1));
	x = image_text_logits(model, PG_GETARG_DATUM(0), &texts);
	if (probabilities)
		softmax(x, texts.nulls, texts.n);

	values = palloc(sizeof(Datum) * Max(texts.n, 1));
	for (int i = 0; i < texts.n; i++)
		values[i] = Float4GetDatum((float4) x[i]);
	result = clip_array_like(&texts, values, texts.nulls, FLOAT4OID);
	return clip_memo_store(fcinfo, result);
}

Datum
clip_logits(PG_FUNCTION_ARGS)
{
	return logits_or_probs(fcinfo, false);
}

Datum
clip_probs(PG_FUNCTION_ARGS)
{
	return logits_or_probs(fcinfo, true);
}

/* Raises 22023 where it has no hole, and 54000 where it is longer than a text may be. */
static ClipTemplate
read_template(Datum value)
{
	ClipTemplate template = {.text = NULL};

	clip_check_size(CLIP_TEXT, value);
	template.text = text_to_cstring(DatumGetTextPP(value));
	for (const char *p = template.text; (p = strstr(p, "{}")) != NULL; p += 2)
		template.holes++;
	if (template.holes == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("template \"%s\" has no place for the label", clip_quoted(template.text)),
				 errhint("Write {} where the label goes, as in 'a photo of a {}'.")));
	return template;
}

/* Holes times label may be much more than either: its size comes first. */
text *
clip_fill_template(const ClipTemplate *template, text *label)
{
	Size label_len = VARSIZE_ANY_EXHDR(label);
	Size len = strlen(template->text) + template->holes * label_len - 2 * (Size) template->holes;
	Size limit = (Size) mm_guc_max_text_size * 1024;
	const char *from = template->text;
	const char *hole;
	text *filled;
	char *to;

	if (len > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("template is too long with its label"),
				 errdetail("A label of %zu bytes, in %d places, makes %zu bytes, where %zu are "
						   "allowed.",
						   label_len, template->holes, len, limit),
				 errhint("The limit is the setting mmodal.max_text_size.")));
	filled = palloc(VARHDRSZ + len);
	SET_VARSIZE(filled, VARHDRSZ + len);
	to = VARDATA(filled);
	while ((hole = strstr(from, "{}")) != NULL)
	{
		memcpy(to, from, hole - from);
		to += hole - from;
		memcpy(to, VARDATA_ANY(label), label_len);
		to += label_len;
		from = hole + 2;
	}
	memcpy(to, from, strlen(from));
	return filled;
}

/* A label's place in the array and its logit and probability. */
typedef struct Candidate
{
	int index;
	double logit;
	double probability;
} Candidate;

/* Best first; the order given decides between equals. */
static int
compare_candidates(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	if (x->logit != y->logit)
		return x->logit > y->logit ? -1 : 1;
	return x->index - y->index;
}

static Candidate *
rank_labels(ClipModel *model, Datum image, const ClipArray *labels, int *n)
{
	double *logits = image_text_logits(model, image, labels);
	double *probabilities = palloc(sizeof(double) * Max(labels->n, 1));
	Candidate *candidates = palloc(sizeof(Candidate) * Max(labels->n, 1));

	memcpy(probabilities, logits, sizeof(double) * labels->n);
	softmax(probabilities, labels->nulls, labels->n);
	*n = 0;
	for (int i = 0; i < labels->n; i++)
	{
		if (!labels->nulls[i])
			candidates[(*n)++] = (Candidate){i, logits[i], probabilities[i]};
	}
	qsort(candidates, *n, sizeof(Candidate), compare_candidates);
	return candidates;
}

/*
 * clip_classify(image, labels, top_k, template, model): rows (label,
 * probability, logit), best first.  top_k NULL returns all.
 */
Datum
clip_classify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int top_k = PG_ARGISNULL(2) ? PG_INT32_MAX : PG_GETARG_INT32(2);
	ClipTemplate template = {.text = "{}", .holes = 1};
	ClipModel *model;
	ClipArray labels;
	Candidate *candidates;
	int n;

	if (top_k < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("top_k must not be negative, but is %d", top_k)));
	if (!PG_ARGISNULL(3))
		template = read_template(PG_GETARG_DATUM(3));
	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;

	model = clip_model_get(PG_ARGISNULL(4) ? NULL : PG_GETARG_TEXT_PP(4));
	labels = clip_array(PG_GETARG_ARRAYTYPE_P(1));
	labels.template = &template;
	candidates = rank_labels(model, PG_GETARG_DATUM(0), &labels, &n);
	for (int i = 0; i < Min(n, top_k); i++)
	{
		Datum values[3] = {labels.values[candidates[i].index],
						   Float4GetDatum((float4) candidates[i].probability),
						   Float4GetDatum((float4) candidates[i].logit)};
		bool nulls[3] = {false, false, false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
