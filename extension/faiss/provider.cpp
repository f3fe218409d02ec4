/*
 * provider.cpp
 *		The part of FAISS's C API that kmeans.c uses, for systems that package
 *		FAISS without it.
 *
 * Left out of the link where there is a libfaiss_c.  Names and signatures are
 * those of FAISS's own headers, which the compiler holds them to.  No exception
 * leaves a function here: the callers are C, and PostgreSQL below them.
 */
#include <csignal>
#include <cstdio>
#include <exception>

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/impl/AuxIndexStructures.h>

#include <faiss/c_api/Clustering_c.h>
#include <faiss/c_api/IndexFlat_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/impl/FaissException.h>

#define TEXT(x) #x
#define VERSION(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

namespace
{

/* Kept without allocating, since what failed may be just that. */
thread_local char last_error[1024];

int
keep_error(FaissErrorCode code, const char *message)
{
	std::snprintf(last_error, sizeof(last_error), "%s", message);
	return code;
}

/* Run an action, with its exceptions turned into the C API's codes. */
template <typename Action>
int
guarded(Action action) noexcept
{
	try
	{
		action();
		return OK;
	}
	catch (const faiss::FaissException &e)
	{
		return keep_error(FAISS_EXCEPT, e.what());
	}
	catch (const std::exception &e)
	{
		return keep_error(STD_EXCEPT, e.what());
	}
	catch (...)
	{
		return keep_error(UNKNOWN_EXCEPT, "unknown exception");
	}
}

faiss::Clustering *
cpp(FaissClustering *clustering)
{
	return reinterpret_cast<faiss::Clustering *>(clustering);
}

faiss::Index *
cpp(FaissIndex *index)
{
	return reinterpret_cast<faiss::Index *>(index);
}

/* The same members in both, but not the same types. */
faiss::ClusteringParameters
cpp(const FaissClusteringParameters &from)
{
	faiss::ClusteringParameters to;

	to.niter = from.niter;
	to.nredo = from.nredo;
	to.verbose = from.verbose != 0;
	to.spherical = from.spherical != 0;
	to.int_centroids = from.int_centroids != 0;
	to.update_index = from.update_index != 0;
	to.frozen_centroids = from.frozen_centroids != 0;
	to.min_points_per_centroid = from.min_points_per_centroid;
	to.max_points_per_centroid = from.max_points_per_centroid;
	to.seed = from.seed;
	to.decode_block_size = from.decode_block_size;
	return to;
}

/*
 * Stops a training when a signal waits for its end: the caller, who has blocked
 * all signals, may be asked to cancel or to shut down.
 */
class SignalsPending : public faiss::InterruptCallback
{
  public:
	bool
	want_interrupt() override
	{
		sigset_t pending;

		return sigpending(&pending) == 0 &&
			   (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
				sigismember(&pending, SIGQUIT) || sigismember(&pending, SIGALRM));
	}
};

void
watch_signals()
{
	if (!faiss::InterruptCallback::instance)
		faiss::InterruptCallback::instance.reset(new SignalsPending);
}

} /* namespace */

extern "C"
{

	/* What kmeans.c knows this provider by. */
	extern const char mm_faiss_provider;
	const char mm_faiss_provider = 1;

	/* Not in the headers of every version. */
	const char *faiss_get_version();

	const char *
	faiss_get_version()
	{
		return VERSION(FAISS_VERSION_MAJOR, FAISS_VERSION_MINOR, FAISS_VERSION_PATCH);
	}

	const char *
	faiss_get_last_error()
	{
		return last_error;
	}

	void
	faiss_ClusteringParameters_init(FaissClusteringParameters *params)
	{
		const faiss::ClusteringParameters from;

		params->niter = from.niter;
		params->nredo = from.nredo;
		params->verbose = from.verbose;
		params->spherical = from.spherical;
		params->int_centroids = from.int_centroids;
		params->update_index = from.update_index;
		params->frozen_centroids = from.frozen_centroids;
		params->min_points_per_centroid = from.min_points_per_centroid;
		params->max_points_per_centroid = from.max_points_per_centroid;
		params->seed = from.seed;
		params->decode_block_size = from.decode_block_size;
	}

	int
	faiss_Clustering_new_with_params(FaissClustering **p_clustering, int d, int k,
									 const FaissClusteringParameters *cp)
	{
		return guarded(
			[=] {
				*p_clustering =
					reinterpret_cast<FaissClustering *>(new faiss::Clustering(d, k, cpp(*cp)));
			});
	}

	int
	faiss_Clustering_train(FaissClustering *clustering, idx_t n, const float *x, FaissIndex *index)
	{
		return guarded(
			[=]
			{
				watch_signals();
				cpp(clustering)->train(n, x, *cpp(index));
			});
	}

	void
	faiss_Clustering_centroids(FaissClustering *clustering, float **centroids, size_t *size)
	{
		if (centroids != nullptr)
			*centroids = cpp(clustering)->centroids.data();
		if (size != nullptr)
			*size = cpp(clustering)->centroids.size();
	}

	void
	faiss_Clustering_free(FaissClustering *clustering)
	{
		delete cpp(clustering);
	}

	int
	faiss_IndexFlatL2_new_with(FaissIndexFlatL2 **p_index, idx_t d)
	{
		return guarded(
			[=]
			{
				/* through the base: the handle stands for an Index */
				faiss::Index *index = new faiss::IndexFlatL2(d);

				*p_index = reinterpret_cast<FaissIndexFlatL2 *>(index);
			});
	}

	void
	faiss_Index_free(FaissIndex *index)
	{
		delete cpp(index);
	}

} /* extern "C" */
