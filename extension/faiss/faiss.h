/*
 * faiss.h
 *		What the index access methods want of FAISS.
 *
 * FAISS lives in mmodal_compute, behind this table: mmodal.so does not link
 * it.  The functions know nothing of PostgreSQL: no error is raised in them,
 * no exception leaves them, and what threads they start have every signal
 * blocked.
 */
#ifndef MM_FAISS_H
#define MM_FAISS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A training of k-means, in steps, so that the caller can be interrupted. */
typedef struct MmKmeans MmKmeans;

typedef struct MmFaissApi
{
	/* FAISS's version, and whether its C API is the system's or our provider. */
	const char *(*description)(void);

	/*
	 * Begin k-means (Lloyd, Euclidean) on n vectors of dims float32 each, which
	 * stay the caller's and must outlive the training; n >= k >= 1.  threads
	 * is the number that may compute.  Returns NULL, with a message in
	 * error[0 .. error_size - 1], where memory or FAISS fails.
	 */
	MmKmeans *(*kmeans_begin)(int dims, int k, int64_t n, const float *vectors, int threads,
							  int64_t seed, char *error, size_t error_size);

	/* One iteration.  Returns false, with a message, where FAISS fails. */
	bool (*kmeans_step)(MmKmeans *kmeans, char *error, size_t error_size);

	/*
	 * Whether the last step failed only because a signal arrived meanwhile
	 * (SIGINT, SIGTERM, SIGQUIT or SIGALRM): it can be repeated.
	 */
	bool (*kmeans_interrupted)(const MmKmeans *kmeans);

	/* The centres so far: k rows of dims float32; valid until the next call. */
	const float *(*kmeans_centres)(MmKmeans *kmeans);

	/* Free a training; NULL is allowed. */
	void (*kmeans_free)(MmKmeans *kmeans);
} MmFaissApi;

/* The table itself, for mmodal_compute alone. */
extern const MmFaissApi mm_faiss_table;

/*
 * The table, loading mmodal_compute at the first call in this backend.  Raises
 * an error where it cannot be loaded.
 */
extern const MmFaissApi *mm_faiss(void);

#endif /* MM_FAISS_H */
