/*-------------------------------------------------------------------------
 *
 * compute.h
 *	  The boundary between the light library (mmodal.so) and the heavy one
 *	  (mmodal_compute.so), which holds the encoders, FAISS and OpenBLAS.
 *
 * The light library never links against the heavy one: it loads it at first
 * need and calls it through this table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MMODAL_COMPUTE_H
#define MMODAL_COMPUTE_H

#include "faiss/faiss.h"
#include "mm_encoders.h"

/* Raised with every change of the table: both libraries must agree. */
#define MMODAL_COMPUTE_API_VERSION 4

typedef struct MmComputeApi
{
	/* These two stay first, for the versions to know each other by. */
	int api_version;
	const char *version;

	mm_status (*model_probe)(const char *dir, mm_model_info *info, mm_error *err);
	mm_model *(*model_open)(const char *dir, const mm_model_options *opts, mm_error *err);
	void (*model_close)(mm_model *model);
	const mm_model_info *(*model_get_info)(const mm_model *model);

	mm_status (*model_pack)(const mm_pack_request *request, char *path, size_t path_size,
							int64_t *bytes, mm_error *err);
	mm_status (*verify)(mm_session *session, const mm_model *model, mm_verification *verification,
						mm_error *err);
	const char *(*precision_name)(mm_precision precision);

	mm_session *(*session_create)(const mm_model *model, const mm_session_options *opts,
								  mm_error *err);
	void (*session_free)(mm_session *session);
	mm_status (*encode_texts)(mm_session *session, const mm_slice *texts, int n, float *out,
							  int *failed, mm_error *err);
	mm_status (*encode_images)(mm_session *session, const mm_slice *images, int n, float *out,
							   int *failed, mm_error *err);
	mm_status (*tokenize)(mm_session *session, mm_slice text, int32_t *ids, int *n, mm_error *err);
	mm_status (*preprocess)(mm_session *session, mm_slice image, float *out, mm_error *err);

	mm_image_format (*image_sniff)(const void *data, size_t len);
	const char *(*image_format_name)(mm_image_format format);

	bool (*isa_available)(mm_isa level);
	mm_isa (*isa_best)(void);
	const char *(*isa_name)(mm_isa level);
	const char *(*blas_description)(void);

	const MmFaissApi *faiss;
} MmComputeApi;

/*
 * The heavy library's table, loading it at the first call in this backend.
 * Raises an error where it cannot be loaded, is of another version, or the
 * caller is the postmaster.
 */
extern const MmComputeApi *mm_compute(void);

#endif /* MMODAL_COMPUTE_H */
