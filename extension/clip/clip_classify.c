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
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "clip.h"
#include "distance/distance.h"

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

/* The label put in the place of every {} of the template. */
static text *
fill_template(const char *template, text *label)
{
	StringInfoData filled;
	const char *hole;

	initStringInfo(&filled);
	while ((hole = strstr(template, "{}")) != NULL)
	{
		appendBinaryStringInfo(&filled, template, hole - template);
		appendBinaryStringInfo(&filled, VARDATA_ANY(label), VARSIZE_ANY_EXHDR(label));
		template = hole + 2;
	}
	appendStringInfoString(&filled, template);
	return cstring_to_text_with_len(filled.data, filled.len);
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

/* The prompts that go with the labels; NULL stays NULL. */
static ClipArray
make_prompts(const ClipArray *labels, const char *template)
{
	ClipArray prompts = *labels;

	prompts.values = palloc0(sizeof(Datum) * Max(labels->n, 1));
	for (int i = 0; i < labels->n; i++)
	{
		if (!labels->nulls[i])
			prompts.values[i] =
				PointerGetDatum(fill_template(template, DatumGetTextPP(labels->values[i])));
	}
	return prompts;
}

static Candidate *
rank_labels(ClipModel *model, Datum image, const ClipArray *prompts, int *n)
{
	double *logits = image_text_logits(model, image, prompts);
	double *probabilities = palloc(sizeof(double) * Max(prompts->n, 1));
	Candidate *candidates = palloc(sizeof(Candidate) * Max(prompts->n, 1));

	memcpy(probabilities, logits, sizeof(double) * prompts->n);
	softmax(probabilities, prompts->nulls, prompts->n);
	*n = 0;
	for (int i = 0; i < prompts->n; i++)
	{
		if (!prompts->nulls[i])
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
	char *template = PG_ARGISNULL(3) ? "{}" : text_to_cstring(PG_GETARG_TEXT_PP(3));
	ClipModel *model;
	ClipArray labels;
	ClipArray prompts;
	Candidate *candidates;
	int n;

	if (top_k < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("top_k must not be negative, but is %d", top_k)));
	if (strstr(template, "{}") == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("template \"%s\" has no place for the label", template),
						errhint("Write {} where the label goes, as in 'a photo of a {}'.")));
	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;

	model = clip_model_get(PG_ARGISNULL(4) ? NULL : PG_GETARG_TEXT_PP(4));
	labels = clip_array(PG_GETARG_ARRAYTYPE_P(1));
	prompts = make_prompts(&labels, template);
	candidates = rank_labels(model, PG_GETARG_DATUM(0), &prompts, &n);
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
