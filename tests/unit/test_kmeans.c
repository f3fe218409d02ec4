/*-------------------------------------------------------------------------
 *
 * test_kmeans.c
 *	  k-means by FAISS: what it finds, what it makes of odd data, and that the
 *	  threads it starts leave the process its signals.
 *
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <dirent.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <faiss/c_api/Clustering_c.h>
#include <faiss/c_api/IndexFlat_c.h>

#include "faiss/faiss.h"

static const MmFaissApi *const api = &mm_faiss_table;

/* Reproducible values: uniform in [-1, 1), and nearly Gaussian ones. */
static uint32_t state_of_values;

static float
value(void)
{
	state_of_values = state_of_values * 1664525 + 1013904223;
	return (float) ((int32_t) (state_of_values >> 8) - (1 << 23)) / (1 << 23);
}

static float
gaussian(void)
{
	float sum = 0.0f;

	for (int i = 0; i < 12; i++)
		sum += value() / 2;
	return sum;
}

static float *
new_floats(size_t n)
{
	float *x = malloc(n * sizeof(float));

	assert_non_null(x);
	return x;
}

static float *
values(size_t n)
{
	float *x = new_floats(n);

	for (size_t i = 0; i < n; i++)
		x[i] = value();
	return x;
}

static double
squared_distance(const float *a, const float *b, int dims)
{
	double sum = 0.0;

	for (int i = 0; i < dims; i++)
		sum += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
	return sum;
}

static int
nearest(const float *x, const float *centres, int k, int dims)
{
	int best = 0;
	double best_distance = HUGE_VAL;

	for (int i = 0; i < k; i++)
	{
		double d = squared_distance(x, centres + (size_t) i * dims, dims);

		if (d < best_distance)
		{
			best = i;
			best_distance = d;
		}
	}
	return best;
}

static double
mean_squared_distance(const float *x, int n, const float *centres, int k, int dims)
{
	double sum = 0.0;

	for (int i = 0; i < n; i++)
	{
		const float *row = x + (size_t) i * dims;

		sum +=
			squared_distance(row, centres + (size_t) nearest(row, centres, k, dims) * dims, dims);
	}
	return sum / n;
}

/* A whole training; the centres are malloc'd. */
static float *
train(const float *x, int n, int dims, int k, int threads, int64_t seed, int steps)
{
	char error[256] = "";
	MmKmeans *kmeans = api->kmeans_begin(dims, k, n, x, threads, seed, error, sizeof(error));
	size_t size = (size_t) k * dims * sizeof(float);
	float *centres;

	if (kmeans == NULL)
		fail_msg("%s", error);
	for (int i = 0; i < steps; i++)
	{
		if (!api->kmeans_step(kmeans, error, sizeof(error)))
			fail_msg("%s", error);
	}
	centres = new_floats((size_t) k * dims);
	memcpy(centres, api->kmeans_centres(kmeans), size);
	api->kmeans_free(kmeans);
	return centres;
}

#define CLUSTERS 4
#define CLUSTER_DIMS 16

/*
 * Lloyd's algorithm ends in local optima, so the best of several seeds is to
 * have its centres at the true means.
 */
static void
finds_clusters(void **state)
{
	const int n = 4000;
	float means[CLUSTERS * CLUSTER_DIMS];
	float *x = new_floats((size_t) n * CLUSTER_DIMS);
	double best = HUGE_VAL;
	float *best_centres = NULL;
	bool seen[CLUSTERS] = {false};

	(void) state;
	state_of_values = 1;
	for (int i = 0; i < CLUSTERS * CLUSTER_DIMS; i++)
		means[i] = 100 * value();
	for (int i = 0; i < n * CLUSTER_DIMS; i++)
		x[i] = means[i % (CLUSTERS * CLUSTER_DIMS)] + gaussian();
	for (int seed = 1; seed <= 40; seed++)
	{
		float *centres = train(x, n, CLUSTER_DIMS, CLUSTERS, 1, seed, 10);
		double distance = mean_squared_distance(x, n, centres, CLUSTERS, CLUSTER_DIMS);

		if (distance < best)
		{
			best = distance;
			free(best_centres);
			best_centres = centres;
		}
		else
			free(centres);
	}
	for (int i = 0; i < CLUSTERS; i++)
	{
		const float *centre = best_centres + (size_t) i * CLUSTER_DIMS;
		int mean = nearest(centre, means, CLUSTERS, CLUSTER_DIMS);

		assert_true(squared_distance(centre, means + mean * CLUSTER_DIMS, CLUSTER_DIMS) < 0.1);
		seen[mean] = true;
	}
	for (int i = 0; i < CLUSTERS; i++)
		assert_true(seen[i]);
	free(best_centres);
	free(x);
}

/* The textbook, in float64, from the first k vectors. */
static float *
naive_lloyd(const float *x, int n, int dims, int k, int steps)
{
	size_t size = (size_t) k * dims;
	float *centres = new_floats(size);
	double *sums = malloc(size * sizeof(double));
	int *counts = malloc(k * sizeof(int));

	assert_non_null(sums);
	assert_non_null(counts);
	memcpy(centres, x, size * sizeof(float));
	for (int step = 0; step < steps; step++)
	{
		memset(sums, 0, size * sizeof(double));
		memset(counts, 0, k * sizeof(int));
		for (int i = 0; i < n; i++)
		{
			int c = nearest(x + (size_t) i * dims, centres, k, dims);

			counts[c]++;
			for (int j = 0; j < dims; j++)
				sums[(size_t) c * dims + j] += x[(size_t) i * dims + j];
		}
		for (size_t i = 0; i < size; i++)
		{
			if (counts[i / dims] > 0)
				centres[i] = (float) (sums[i] / counts[i / dims]);
		}
	}
	free(sums);
	free(counts);
	return centres;
}

static void
is_as_good_as_the_textbook(void **state)
{
	const int n = 5000, dims = 24, k = 40, steps = 10;
	float *x;
	float *naive;
	double limit;

	(void) state;
	state_of_values = 2;
	x = values((size_t) n * dims);
	naive = naive_lloyd(x, n, dims, k, steps);
	limit = 1.1 * mean_squared_distance(x, n, naive, k, dims);
	for (int threads = 1; threads <= 3; threads++)
	{
		float *centres = train(x, n, dims, k, threads, 7, steps);

		assert_true(mean_squared_distance(x, n, centres, k, dims) <= limit);
		free(centres);
	}
	free(naive);
	free(x);
}

/* N steps are a training of N iterations, a seed tells what comes out. */
static void
steps_make_a_training(void **state)
{
	const int n = 3000, dims = 20, k = 30, steps = 5;
	FaissClusteringParameters params;
	FaissClustering *clustering;
	FaissIndexFlatL2 *index;
	float *x;
	float *stepped, *again, *other;
	float *whole;
	size_t size;

	(void) state;
	state_of_values = 3;
	x = values((size_t) n * dims);
	faiss_ClusteringParameters_init(&params);
	params.niter = steps;
	params.seed = 99;
	assert_int_equal(faiss_Clustering_new_with_params(&clustering, dims, k, &params), 0);
	assert_int_equal(faiss_IndexFlatL2_new_with(&index, dims), 0);
	assert_int_equal(faiss_Clustering_train(clustering, n, x, index), 0);
	faiss_Clustering_centroids(clustering, &whole, &size);
	assert_int_equal(size, k * dims);

	stepped = train(x, n, dims, k, 1, 99, steps);
	again = train(x, n, dims, k, 1, 99, steps);
	other = train(x, n, dims, k, 1, 98, steps);
	assert_memory_equal(stepped, whole, size * sizeof(float));
	assert_memory_equal(stepped, again, size * sizeof(float));
	assert_memory_not_equal(stepped, other, size * sizeof(float));

	free(stepped);
	free(again);
	free(other);
	faiss_Clustering_free(clustering);
	faiss_Index_free(index);
	free(x);
}

/* Far more centres than different vectors. */
static void
takes_equal_vectors(void **state)
{
	const int n = 100000, dims = 8, k = 100;
	float *x = new_floats((size_t) n * dims);

	(void) state;
	for (int zero = 0; zero <= 1; zero++)
	{
		float *centres;

		for (int i = 0; i < n * dims; i++)
			x[i] = zero ? 0.0f : 1.0f + i % dims;
		centres = train(x, n, dims, k, 2, 1, 10);
		for (int i = 0; i < k * dims; i++)
			assert_true(fabsf(centres[i] - x[i % dims]) <= 0.01f * x[i % dims]);
		free(centres);
	}

	/* the least that is not simply copied */
	free(train(x, k + 1, dims, k, 2, 1, 10));
	free(x);
}

static void
takes_as_many_vectors_as_centres(void **state)
{
	const int n = 50, dims = 6;
	float *x, *centres;

	(void) state;
	state_of_values = 4;
	x = values((size_t) n * dims);
	centres = train(x, n, dims, n, 1, 1, 3);
	assert_true(mean_squared_distance(x, n, centres, n, dims) < 1e-12);
	free(centres);
	centres = train(x, 1, dims, 1, 1, 1, 3);
	assert_memory_equal(centres, x, dims * sizeof(float));
	free(centres);
	free(x);
}

static void
takes_one_centre(void **state)
{
	const int n = 1000, dims = 5;
	float *x, *centres;

	(void) state;
	state_of_values = 5;
	x = values((size_t) n * dims);
	centres = train(x, n, dims, 1, 2, 1, 2);
	for (int j = 0; j < dims; j++)
	{
		double sum = 0.0;

		for (int i = 0; i < n; i++)
			sum += x[i * dims + j];
		assert_true(fabs(centres[j] - sum / n) < 1e-5);
	}
	free(centres);
	free(x);
}

/* Squares of these have no float32. */
static void
takes_any_size_of_number(void **state)
{
	const int n = 2000, dims = 10, k = 20, steps = 5;
	const float scales[] = {0x1p120f, 0x1p127f, 0x1p-120f, 0x1p-140f};
	float *x, *scaled, *plain;

	(void) state;
	state_of_values = 6;
	x = values((size_t) n * dims);
	scaled = new_floats((size_t) n * dims);
	plain = train(x, n, dims, k, 1, 1, steps);
	for (size_t s = 0; s < sizeof(scales) / sizeof(scales[0]); s++)
	{
		float *centres;

		for (int i = 0; i < n * dims; i++)
			scaled[i] = x[i] * scales[s];
		centres = train(scaled, n, dims, k, 1, 1, steps);
		for (int i = 0; i < k * dims; i++)
		{
			assert_true(isfinite(centres[i]));
			/* the smallest have few bits of their own */
			if (scales[s] != 0x1p-140f)
				assert_true(fabsf(centres[i] / scales[s] - plain[i]) < 1e-3f);
		}
		free(centres);
	}

	/* a cluster that is split at the very end of the range */
	for (int i = 0; i < n * dims; i++)
		scaled[i] = i % 2 == 0 ? FLT_MAX : -FLT_MAX;
	free(plain);
	plain = train(scaled, n, dims, k, 1, 1, steps);
	for (int i = 0; i < k * dims; i++)
		assert_true(isfinite(plain[i]));
	free(plain);
	free(scaled);
	free(x);
}

static void
tells_errors(void **state)
{
	float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	char error[256] = "";
	char small[4] = "???";
	MmKmeans *kmeans;

	(void) state;
	assert_null(api->kmeans_begin(2, 5, 4, x, 1, 1, error, sizeof(error)));
	assert_non_null(strstr(error, "5 clusters of 4 vectors"));
	assert_null(api->kmeans_begin(2, 0, 4, x, 1, 1, error, sizeof(error)));
	assert_null(api->kmeans_begin(0, 1, 4, x, 1, 1, error, sizeof(error)));
	assert_null(api->kmeans_begin(2, 5, 4, x, 1, 1, small, sizeof(small)));
	assert_string_equal(small, "can");

	/* an exception of FAISS's */
	x[3] = NAN;
	error[0] = '\0';
	kmeans = api->kmeans_begin(2, 2, 4, x, 2, 1, error, sizeof(error));
	assert_non_null(kmeans);
	assert_null(api->kmeans_centres(kmeans));
	assert_false(api->kmeans_step(kmeans, error, sizeof(error)));
	assert_non_null(strstr(error, "NaN"));
	api->kmeans_free(kmeans);
	api->kmeans_free(NULL);
}

/* Bytes of address space in use. */
static size_t
address_space(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu", &pages), 1);
	fclose(file);
	return pages * (size_t) sysconf(_SC_PAGESIZE);
}

/* An exception of the standard library's, at the 128 MB of centres. */
static void
survives_want_of_memory(void **state)
{
	const int n = 1024, dims = 65536, k = 512;
	float *x = calloc((size_t) n * dims, sizeof(float));
	struct rlimit saved, limit;
	char error[256] = "";
	MmKmeans *kmeans;
	bool done;

	(void) state;
	assert_non_null(x);
	kmeans = api->kmeans_begin(dims, k, n, x, 1, 1, error, sizeof(error));
	assert_non_null(kmeans);
	getrlimit(RLIMIT_AS, &saved);
	limit = saved;
	limit.rlim_cur = address_space() + (64 << 20);
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	done = api->kmeans_step(kmeans, error, sizeof(error));
	setrlimit(RLIMIT_AS, &saved);
	assert_false(done);
	/* what a libfaiss_c says of it is less than our provider does */
	assert_int_equal(strncmp(error, "FAISS: ", 7), 0);
	api->kmeans_free(kmeans);
	free(x);
}

/* Signals that a thread of the process blocks, as the kernel tells it. */
static uint64_t
blocked_signals(const char *task)
{
	char path[300];
	char line[256];
	uint64_t mask = 0;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", task);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
	{
		if (strncmp(line, "SigBlk:", 7) == 0)
		{
			mask = strtoull(line + 7, NULL, 16);
			found = true;
		}
	}
	fclose(file);
	assert_true(found);
	return mask;
}

static uint64_t
bit_of(int signal_number)
{
	return UINT64_C(1) << (signal_number - 1);
}

/* The number of threads but the caller's; each must have all blocked. */
static int
check_helpers(void)
{
	/* what nobody can block, and the two that the C library keeps for itself */
	const uint64_t never = bit_of(SIGKILL) | bit_of(SIGSTOP) | bit_of(32) | bit_of(33);
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int helpers = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
	{
		if (!isdigit((unsigned char) entry->d_name[0]) || atoi(entry->d_name) == (int) getpid())
			continue;
		helpers++;
		if ((blocked_signals(entry->d_name) | never) != UINT64_MAX)
			fail_msg("thread %s takes signals", entry->d_name);
	}
	closedir(dir);
	return helpers;
}

static void
leaves_signals_alone(void **state)
{
	const int n = 6000, dims = 64, k = 50;
	char self[32];
	char error[256];
	sigset_t mask, saved;
	uint64_t before;
	MmKmeans *kmeans;
	float *x;

	(void) state;
	state_of_values = 8;
	x = values((size_t) n * dims);
	snprintf(self, sizeof(self), "%d", (int) getpid());
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &mask, &saved);
	before = blocked_signals(self);
	assert_int_equal(before, bit_of(SIGUSR2));

	/* more threads than before in each round, so that each starts some */
	for (int threads = 4; threads <= 6; threads += 2)
	{
		kmeans = api->kmeans_begin(dims, k, n, x, threads, 1, error, sizeof(error));
		assert_non_null(kmeans);
		assert_true(api->kmeans_step(kmeans, error, sizeof(error)));
		assert_int_equal(blocked_signals(self), before);
		assert_true(check_helpers() >= threads - 1);
		api->kmeans_free(kmeans);
	}

	/* nor does an error leave them blocked */
	x[0] = NAN;
	kmeans = api->kmeans_begin(dims, k, n, x, 2, 1, error, sizeof(error));
	assert_non_null(kmeans);
	assert_false(api->kmeans_step(kmeans, error, sizeof(error)));
	assert_int_equal(blocked_signals(self), before);
	api->kmeans_free(kmeans);

	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	free(x);
}

static void
tells_its_version(void **state)
{
	(void) state;
	assert_int_equal(strncmp(api->description(), "FAISS ", 6), 0);
	print_message("%s\n", api->description());
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_its_version),
		cmocka_unit_test(finds_clusters),
		cmocka_unit_test(is_as_good_as_the_textbook),
		cmocka_unit_test(steps_make_a_training),
		cmocka_unit_test(takes_equal_vectors),
		cmocka_unit_test(takes_as_many_vectors_as_centres),
		cmocka_unit_test(takes_one_centre),
		cmocka_unit_test(takes_any_size_of_number),
		cmocka_unit_test(tells_errors),
		cmocka_unit_test(survives_want_of_memory),
		cmocka_unit_test(leaves_signals_alone),
	};

	(void) argc;
	/* OpenBLAS reads it as it is loaded, before main, as it is in a backend */
	if (getenv("OPENBLAS_NUM_THREADS") == NULL)
	{
		setenv("OPENBLAS_NUM_THREADS", "1", 1);
		execv("/proc/self/exe", argv);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
