/*
 * ivf_curve.c
 *		From the recall that is asked for to the spread that gives it.
 *
 * A curve tells the recall@10 that searches reach at a dozen fixed spreads (the
 * factor of the stop rule in ivf_probe.c).  It is measured at build with rows of
 * the base as queries, and again by mmodal_calibrate with queries of the user's;
 * that one is kept as the index option "calibration", so that it survives
 * REINDEX, dump and pg_upgrade.
 */
#include "postgres.h"

#include <math.h>
#include <stdlib.h>

#include "fmgr.h"

#include "ivf.h"

/* The recall that is beyond every curve: read nearly all. */
#define LARGEST_SPREAD 3.0f

static const float spreads[IVF_CURVE_POINTS] = {0.6f, 0.7f,  0.8f, 0.85f, 0.9f,  0.95f,
												1.0f, 1.05f, 1.1f, 1.2f,  1.35f, 1.6f};

/* Image queries on image embeddings, until something is measured. */
static const float default_recall[IVF_CURVE_POINTS] = {0.75f, 0.81f, 0.845f, 0.875f, 0.905f, 0.93f,
													   0.95f, 0.97f, 0.983f, 0.995f, 0.999f, 1.0f};

float
ivf_curve_point(int point)
{
	return spreads[point];
}

float
ivf_curve_spread(const float *recall, double wanted)
{
	float reached = 0;

	for (int i = 0; i < IVF_CURVE_POINTS; i++)
	{
		float before = reached;

		/* Measured curves may dip by chance. */
		reached = Max(reached, recall[i]);
		if (reached < wanted)
			continue;
		if (i == 0 || reached <= before)
			return spreads[i];
		return spreads[i - 1] +
			   (spreads[i] - spreads[i - 1]) * (float) ((wanted - before) / (reached - before));
	}
	return LARGEST_SPREAD;
}

bool
ivf_curve_parse(const char *text, float *recall)
{
	const char *p = text;

	if (text == NULL || *text == '\0')
		return false;
	for (int i = 0; i < IVF_CURVE_POINTS; i++)
	{
		char *end;

		recall[i] = strtof(p, &end);
		if (end == p || !(recall[i] >= 0 && recall[i] <= 1) ||
			*end != (i + 1 < IVF_CURVE_POINTS ? ',' : '\0'))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("invalid value for option \"calibration\": \"%s\"", text),
							errhint("It is set by mmodal_calibrate.")));
		p = end + 1;
	}
	return true;
}

void
ivf_curve_of(Relation index, const IvfMeta *meta, float *recall)
{
	const IvfOptions *options = (const IvfOptions *) index->rd_options;

	if (options && options->calibration != 0 &&
		ivf_curve_parse((const char *) options + options->calibration, recall))
		return;
	memcpy(recall, meta->curve_points ? meta->curve_recall : default_recall,
		   sizeof(default_recall));
}
