/*-------------------------------------------------------------------------
 *
 * compute_main.c
 *	  Module start of mmodal_compute: hands out the table of what it offers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "compute.h"

MM_MODULE_MAGIC("mmodal_compute", MMODAL_VERSION);

extern PGDLLEXPORT const MmComputeApi *mmodal_compute_api(void);

static const MmComputeApi api = {
	.api_version = MMODAL_COMPUTE_API_VERSION,
	.version = MMODAL_VERSION,
	.model_probe = mm_model_probe,
	.model_open = mm_model_open,
	.model_close = mm_model_close,
	.model_get_info = mm_model_get_info,
	.model_pack = mm_model_pack,
	.verify = mm_verify,
	.precision_name = mm_precision_name,
	.session_create = mm_session_create,
	.session_free = mm_session_free,
	.encode_texts = mm_encode_texts,
	.encode_images = mm_encode_images,
	.tokenize = mm_tokenize,
	.preprocess = mm_preprocess,
	.image_sniff = mm_image_sniff,
	.image_format_name = mm_image_format_name,
	.isa_available = mm_isa_available,
	.isa_best = mm_isa_best,
	.isa_name = mm_isa_name,
	.blas_description = mm_blas_description,
	.faiss = &mm_faiss_table,
};

const MmComputeApi *
mmodal_compute_api(void)
{
	return &api;
}
