/*
 * ivf_train.h
 *		What a build learns from a sample: mean and centres.
 *
 * Include ivf.h before it.
 */
#ifndef MM_IVF_TRAIN_H
#define MM_IVF_TRAIN_H

/* A sample of a table's vectors. */
typedef struct IvfSample
{
	int rows;
	int max_rows;
	float *values;    /* max_rows rows of dims, of unit length under cosine */
	double heap_rows; /* rows of the table, nearly */
} IvfSample;

/* Lists that fit a number of rows. */
extern int ivf_default_lists(double rows);

/* Read a sample; meta has dims and metric, wanted the number of lists asked for or 0. */
extern IvfSample *ivf_sample_rows(Relation heap, Relation index, IndexInfo *info,
								  const IvfMeta *meta, int wanted);

/*
 * Train mean and centres on a sample: sets meta->lists, trained and seed's
 * consequences; returns the state that encodes rows.  The sample is changed.
 */
extern IvfState *ivf_train(IvfMeta *meta, IvfSample *sample, int wanted);

#endif /* MM_IVF_TRAIN_H */
