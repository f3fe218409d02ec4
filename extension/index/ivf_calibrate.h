/*
 * ivf_calibrate.h
 *		Measuring the curve from the stop rule's spread to recall.
 *
 * Include ivf.h before it.
 */
#ifndef MM_IVF_CALIBRATE_H
#define MM_IVF_CALIBRATE_H

/* Neighbours of a query that recall is measured on. */
#define IVF_CALIBRATION_K 10

/* Queries that a build takes from its sample, at most. */
#define IVF_CALIBRATION_ROWS 150

/* Queries to measure with. */
typedef struct IvfCalibration
{
	int nqueries;
	Datum *queries; /* embeddings */
	bool from_base; /* each is a row of the index itself, which does not count as found */
} IvfCalibration;

/*
 * Take queries from a sample of the base, rows of dims float32.  Where enough
 * are left they are taken out of it: *rows falls.
 */
extern IvfCalibration *ivf_calibration_of_sample(float *values, int *rows, int dims,
												 double heap_rows);

/*
 * Measure recall, and rows scanned and reranked a query, at each point of the
 * curve, against searches of the index that read all lists.
 */
extern void ivf_calibrate(Relation index, const IvfCalibration *calibration, float *recall,
						  float *scanned, float *reranked);

/* Measure with rows of the base, into meta's curve. */
extern void ivf_calibrate_build(Relation index, const IvfCalibration *calibration, IvfMeta *meta);

#endif /* MM_IVF_CALIBRATE_H */
