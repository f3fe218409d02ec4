/*
 * kmeans.c
 *		k-means by FAISS, through its C API.
 *
 * A step is a whole training of one iteration: FAISS begins each training with
 * the centres that the clustering holds and empties the index that assigns to
 * them, so N steps of one iteration give what a training of N iterations gives.
 *
 * OpenMP and OpenBLAS start their threads within a call and keep them for the
 * next one.  A thread inherits the signal mask of its creator, and PostgreSQL's
 * signals must reach the backend's own thread; so all are blocked around the
 * calls that compute, and what comes in meanwhile is delivered after them.
 */
#include "faiss/faiss.h"

#include <cblas.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <faiss/c_api/Clustering_c.h>
#include <faiss/c_api/IndexFlat_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>

/*
 * The C API tells its version from FAISS 1.9 on.  Ours does for every version,
 * and only ours has the mark.
 */
extern const char *faiss_get_version(void) __attribute__((weak));
extern const char mm_faiss_provider __attribute__((weak));

/*
 * FAISS computes squared distances in float32, and where they overflow it
 * counts members of a centre number -1, outside its arrays.  Vectors whose
 * largest coordinate is beyond 2^40, or below 2^-40 where squares would vanish,
 * are therefore trained on as a copy scaled by a power of two.
 */
#define MAX_EXPONENT 40

struct MmKmeans
{
	FaissClustering *clustering;
	FaissIndexFlatL2 *index; /* assigns vectors to centres */
	const float *vectors;    /* the caller's, or scaled */
	float *scaled;           /* a copy of our own, or NULL */
	float *centres;          /* with it: the centres, scaled back */
	int exponent;            /* with it: vectors = caller's / 2^exponent */
	int64_t n;
	int dims;
	int k;
	int threads;
	bool interrupted; /* by a signal, in the last step */
};

static void set_error(char *error, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void
set_error(char *error, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
}

static void
set_faiss_error(char *error, size_t size)
{
	const char *message = faiss_get_last_error();

	set_error(error, size, "FAISS: %s", message != NULL ? message : "unknown error");
}

static void
begin_threads(int threads, sigset_t *saved)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, saved);
	omp_set_num_threads(threads);
	openblas_set_num_threads(threads);
}

/* The encoders count on an OpenBLAS that computes on the thread that calls it. */
static void
end_threads(const sigset_t *saved)
{
	omp_set_num_threads(1);
	openblas_set_num_threads(1);
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/* Whether a signal that stops a training waits to be let through. */
static bool
signals_wait(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 &&
		   (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
			sigismember(&pending, SIGQUIT) || sigismember(&pending, SIGALRM));
}

static const char *
kmeans_description(void)
{
	static char text[64];

	snprintf(text, sizeof(text), "FAISS %s (%s)",
			 faiss_get_version != NULL ? faiss_get_version() : "before 1.9",
			 &mm_faiss_provider != NULL ? "C API built in" : "libfaiss_c");
	return text;
}

static void
kmeans_free(MmKmeans *kmeans)
{
	if (kmeans == NULL)
		return;
	if (kmeans->clustering != NULL)
		faiss_Clustering_free(kmeans->clustering);
	if (kmeans->index != NULL)
		faiss_Index_free(kmeans->index);
	free(kmeans->scaled);
	free(kmeans->centres);
	free(kmeans);
}

/* The power of two to divide by, 0 in all but the oddest data. */
static int
scaling_exponent(const float *vectors, size_t count)
{
	float largest = 0.0f;
	int exponent;

	for (size_t i = 0; i < count; i++)
	{
		float size = fabsf(vectors[i]);

		largest = size > largest ? size : largest;
	}
	/* what is not finite is for FAISS to refuse */
	if (largest == 0.0f || !isfinite(largest))
		return 0;
	exponent = ilogbf(largest);
	return abs(exponent) > MAX_EXPONENT ? exponent : 0;
}

static bool
scale_vectors(MmKmeans *kmeans)
{
	size_t count = (size_t) kmeans->n * kmeans->dims;

	kmeans->exponent = scaling_exponent(kmeans->vectors, count);
	if (kmeans->exponent == 0)
		return true;
	kmeans->scaled = malloc(count * sizeof(float));
	kmeans->centres = malloc((size_t) kmeans->k * kmeans->dims * sizeof(float));
	if (kmeans->scaled == NULL || kmeans->centres == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
		kmeans->scaled[i] = ldexpf(kmeans->vectors[i], -kmeans->exponent);
	kmeans->vectors = kmeans->scaled;
	return true;
}

static bool
make_clustering(MmKmeans *kmeans, int64_t seed)
{
	FaissClusteringParameters params;

	faiss_ClusteringParameters_init(&params);
	params.niter = 1;
	params.nredo = 1;
	params.verbose = 0;
	params.seed = (int) (((uint64_t) seed ^ ((uint64_t) seed >> 32)) & INT_MAX);
	/* neither a warning on stderr for few vectors nor a sample of many */
	params.min_points_per_centroid = 1;
	params.max_points_per_centroid = INT_MAX;
	return faiss_Clustering_new_with_params(&kmeans->clustering, kmeans->dims, kmeans->k,
											&params) == 0 &&
		   faiss_IndexFlatL2_new_with(&kmeans->index, kmeans->dims) == 0;
}

static MmKmeans *
kmeans_begin(int dims, int k, int64_t n, const float *vectors, int threads, int64_t seed,
			 char *error, size_t error_size)
{
	MmKmeans *kmeans;

	/* FAISS numbers the vectors with an int in places */
	if (dims < 1 || k < 1 || n < k || n > INT_MAX)
	{
		set_error(error, error_size, "cannot make %d clusters of %lld vectors of %d dimensions", k,
				  (long long) n, dims);
		return NULL;
	}
	kmeans = calloc(1, sizeof(MmKmeans));
	if (kmeans == NULL)
	{
		set_error(error, error_size, "out of memory");
		return NULL;
	}
	kmeans->vectors = vectors;
	kmeans->n = n;
	kmeans->dims = dims;
	kmeans->k = k;
	kmeans->threads = threads > 1 ? threads : 1;
	if (!scale_vectors(kmeans))
	{
		set_error(error, error_size, "out of memory");
		kmeans_free(kmeans);
		return NULL;
	}
	if (!make_clustering(kmeans, seed))
	{
		set_faiss_error(error, error_size);
		kmeans_free(kmeans);
		return NULL;
	}
	return kmeans;
}

static bool
kmeans_step(MmKmeans *kmeans, char *error, size_t error_size)
{
	sigset_t saved;
	int status;

	begin_threads(kmeans->threads, &saved);
	status = faiss_Clustering_train(kmeans->clustering, kmeans->n, kmeans->vectors, kmeans->index);
	kmeans->interrupted = status != 0 && signals_wait();
	end_threads(&saved);
	if (status != 0)
		set_faiss_error(error, error_size);
	return status == 0;
}

/* NULL before the first step, which chooses them. */
static bool
kmeans_interrupted(const MmKmeans *kmeans)
{
	return kmeans->interrupted;
}

static const float *
kmeans_centres(MmKmeans *kmeans)
{
	float *centres;
	size_t count;

	faiss_Clustering_centroids(kmeans->clustering, &centres, &count);
	if (count == 0)
		return NULL;
	if (kmeans->scaled == NULL)
		return centres;

	/* FAISS moves the halves of a split cluster apart, maybe out of range */
	for (size_t i = 0; i < count; i++)
	{
		float value = ldexpf(centres[i], kmeans->exponent);

		kmeans->centres[i] = isinf(value) ? copysignf(FLT_MAX, value) : value;
	}
	return kmeans->centres;
}

const MmFaissApi mm_faiss_table = {
	.description = kmeans_description,
	.kmeans_begin = kmeans_begin,
	.kmeans_step = kmeans_step,
	.kmeans_interrupted = kmeans_interrupted,
	.kmeans_centres = kmeans_centres,
	.kmeans_free = kmeans_free,
};
