/*-------------------------------------------------------------------------
 *
 * mm_encoders.h
 *	  Public interface of libmmencoders: unimodal and cross-modal encoders that
 *	  turn pictures and text into L2-normalised float32 embeddings.
 *
 * The library knows nothing of PostgreSQL.  It never exits, prints, or keeps
 * state in globals that a second thread could trip on: a model is immutable
 * once opened and may be shared by threads; a session holds the scratch memory
 * of one caller and belongs to one thread at a time.
 *
 * Every function that can fail takes an mm_error, fills it, and returns its
 * status (or NULL).  Messages are lower case, without a full stop, ready for a
 * log line; "detail" adds the facts and may be empty.
 *
 * Strings are UTF-8.  Matrices are row-major.  Embeddings have unit L2 norm.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MM_ENCODERS_H
#define MM_ENCODERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mm_status
{
	MM_OK = 0,
	MM_ERR_NO_MEMORY,
	MM_ERR_CANCELED,         /* the interrupt callback said so */
	MM_ERR_INVALID_ARGUMENT, /* the caller's mistake */
	MM_ERR_NOT_FOUND,        /* no such file or model directory */
	MM_ERR_IO,               /* it exists, but cannot be read */
	MM_ERR_BAD_MODEL,        /* config, weights or vocabulary malformed */
	MM_ERR_BAD_PACK,         /* so is a pack that was made from them */
	MM_ERR_NO_GOLDEN,        /* nothing to compare a model to */
	MM_ERR_UNSUPPORTED,      /* architecture, tower or format that we do not
								 * have */
	MM_ERR_BAD_IMAGE,        /* bytes that are no picture, or a broken one */
	MM_ERR_BAD_TEXT,         /* not valid UTF-8 */
	MM_ERR_LIMIT             /* over a limit of mm_limits */
} mm_status;

/* What an MM_ERR_LIMIT is over: a field of mm_limits, or none of them. */
typedef enum mm_limit
{
	MM_LIMIT_FIXED = 0,
	MM_LIMIT_IMAGE_BYTES,
	MM_LIMIT_IMAGE_PIXELS,
	MM_LIMIT_DECODE_BYTES,
	MM_LIMIT_TEXT_BYTES
} mm_limit;

typedef struct mm_error
{
	mm_status status;
	mm_limit limit;
	char message[256];
	char detail[512];
} mm_error;

/* A piece of caller-owned memory: picture bytes, or text without terminator. */
typedef struct mm_slice
{
	const void *data;
	size_t len; /* bytes */
} mm_slice;

/* Instruction set level of the compute kernels. */
typedef enum mm_isa
{
	MM_ISA_AUTO = 0, /* the best that this CPU has */
	MM_ISA_SCALAR,
	MM_ISA_AVX2,  /* AVX2, FMA, F16C */
	MM_ISA_AVX512 /* AVX-512 F, BW, DQ, VL */
} mm_isa;

/*
 * How the weights of linear layers are held and multiplied.  Everything else is
 * float32 always.
 */
typedef enum mm_precision
{
	MM_PRECISION_FLOAT32 = 0,
	MM_PRECISION_BF16, /* weights, and inputs where the CPU multiplies bf16 */
	MM_PRECISION_INT8  /* 8 bits, weights by output, inputs by row */
} mm_precision;

#define MM_PRECISIONS 3

/* "float32", "bf16", "int8" */
extern const char *mm_precision_name(mm_precision precision);

/* False where the name is no precision's. */
extern bool mm_precision_by_name(const char *name, mm_precision *precision);

/* True where the CPU and the build have this level. */
extern bool mm_isa_available(mm_isa level);

/* The level that MM_ISA_AUTO resolves to; name is "scalar", "avx2", ... */
extern mm_isa mm_isa_best(void);
extern const char *mm_isa_name(mm_isa level);

/* Name, version and kernel of the linear algebra library, for humans. */
extern const char *mm_blas_description(void);

/*
 * Limits on hostile input, checked before anything is decoded.  0 takes the
 * default given here.
 */
typedef struct mm_limits
{
	size_t max_image_bytes;  /* default 64 MiB */
	size_t max_image_pixels; /* width * height; default 100,000,000 */
	size_t max_decode_bytes; /* memory to decode one picture in; default 1 GiB */
	size_t max_text_bytes;   /* default 1 MiB */
} mm_limits;

/* Polled between layers, from the calling thread; true cancels the call. */
typedef bool (*mm_interrupt_fn)(void *arg);

/*-----------------------------------------------------------------
 * Models
 *-----------------------------------------------------------------
 */

typedef struct mm_model mm_model;

typedef struct mm_model_options
{
	/*
	 * Map the weights instead of reading them.  Only for files that nobody
	 * writes in place: touching a mapped page of a file that was truncated
	 * raises SIGBUS.
	 */
	bool map_weights;
	mm_isa isa;

	/*
	 * By name; NULL: what "mmodal_precision" of the configuration says, or
	 * float32.  MM_ERR_UNSUPPORTED where the architecture lacks it.
	 */
	const char *precision;

	/*
	 * Directories that may hold packs (mm_model_pack) and in which nobody writes
	 * in place; NULL after the last, or where there is none.
	 */
	const char *pack_dirs[2];

	/* polled while weights are laid out, for opening and packing; may be NULL */
	mm_interrupt_fn interrupt;
	void *interrupt_arg;
} mm_model_options;

/* What a model directory holds.  Strings live as long as the struct. */
typedef struct mm_model_info
{
	char name[64];         /* last component of the path */
	char architecture[64]; /* e.g. "conse(efficientnet-lite0,bert)" */
	int dims;              /* length of an embedding */
	int image_size;        /* side of the image tower's input, pixels; 0:
								 * no image tower */
	int context_length;    /* most tokens of a text; 0: no text tower */
	int64_t parameters;
	int64_t bytes;      /* size of the weights file(s) */
	double logit_scale; /* factor on the cosine for logits; 100 for CLIP */
	mm_precision precision;
	bool needs_pack; /* its weights have to be laid out anew for the kernels */
	bool packed;     /* opened from a pack; else that was done in memory of its own */
	char path[1024];
} mm_model_info;

/*
 * Read a directory's configuration and weight headers without loading the
 * weights: cheap, for listings.
 */
extern mm_status mm_model_probe(const char *dir, mm_model_info *info, mm_error *err);

/*
 * Open a model directory (configuration, weights, tokenizer files).
 * Returns NULL and fills err on failure.  opts may be NULL.
 */
extern mm_model *mm_model_open(const char *dir, const mm_model_options *opts, mm_error *err);
extern void mm_model_close(mm_model *model);
extern const mm_model_info *mm_model_get_info(const mm_model *model);

/*
 * Lay a model's weights out as the kernels read them, at a precision, in a file
 * of the directory pack_dir that is put in place by rename: NAME.PRECISION.KEY.pack,
 * KEY being the identity of the weights.  Earlier packs of the name and precision
 * are removed.  path, of path_size bytes, gets the name of the file; bytes its
 * size.  Weights that are not finite are found here.
 */
typedef struct mm_pack_request
{
	const char *dir;              /* of the model */
	const mm_model_options *opts; /* the precision wanted, and packs that may help */
	const char *pack_dir;
	bool keep; /* leave a pack that is there already */
} mm_pack_request;

extern mm_status mm_model_pack(const mm_pack_request *request, char *path, size_t path_size,
							   int64_t *bytes, mm_error *err);

/*-----------------------------------------------------------------
 * Sessions
 *-----------------------------------------------------------------
 */

typedef struct mm_session mm_session;

typedef struct mm_session_options
{
	mm_interrupt_fn interrupt; /* may be NULL */
	void *interrupt_arg;
	int threads; /* compute threads for batches; 0 or 1: none
								 * but the caller's */
	mm_limits limits;
} mm_session_options;

/*
 * Create the run state for one caller.  All scratch memory is sized here; the
 * encoding functions allocate only what the decoded picture or the text itself
 * needs.  The model must outlive the session.
 */
extern mm_session *mm_session_create(const mm_model *model, const mm_session_options *opts,
									 mm_error *err);
extern void mm_session_free(mm_session *session);

/*
 * Encode n texts or pictures into out, n x dims floats.  Stops at the first
 * failure; *failed (may be NULL) then holds its index, -1 otherwise, and rows
 * of out are undefined.  A text longer than the context is truncated, as the
 * model's reference does.
 */
extern mm_status mm_encode_texts(mm_session *session, const mm_slice *texts, int n, float *out,
								 int *failed, mm_error *err);
extern mm_status mm_encode_images(mm_session *session, const mm_slice *images, int n, float *out,
								  int *failed, mm_error *err);

/*
 * Token ids of a text as the text tower sees them, special tokens included,
 * without padding.  ids has room for context_length.
 */
extern mm_status mm_tokenize(mm_session *session, mm_slice text, int32_t *ids, int *n,
							 mm_error *err);

/*
 * The tensor that the image tower sees: 3 x image_size x image_size floats,
 * channel-major (RGB planes).
 */
extern mm_status mm_preprocess(mm_session *session, mm_slice image, float *out, mm_error *err);

/*
 * What the image tower computes on the way to the embedding, for parity tests
 * and for regressions on features: the pooled vector before the classifier and
 * the classifier's logits.  Either may be NULL.  MM_ERR_UNSUPPORTED where the
 * tower has no classifier.
 */
extern mm_status mm_image_features(mm_session *session, mm_slice image, float *pooled,
								   float *logits, mm_error *err);
extern int mm_pooled_dims(const mm_model *model);
extern int mm_logit_dims(const mm_model *model);

/* How a model's embeddings compare with the golden ones in its directory. */
typedef struct mm_verification
{
	int texts, images; /* that were compared */
	int ids_differ;    /* texts whose tokens are not the reference's */
	double min_cosine;
	double max_abs_diff;

	/*
	 * float32: cosine >= 0.999999 and no element off by more than 2e-5; other
	 * precisions: cosine >= 0.9995; and all tokens as they should be.
	 */
	bool ok;
} mm_verification;

/*
 * Compute golden.json of the model's directory anew; the session is the model's.
 * Published weights that are not finite are MM_ERR_BAD_MODEL.
 */
extern mm_status mm_verify(mm_session *session, const mm_model *model,
						   mm_verification *verification, mm_error *err);

/*-----------------------------------------------------------------
 * Pictures
 *-----------------------------------------------------------------
 */

typedef enum mm_image_format
{
	MM_IMAGE_UNKNOWN = 0,
	MM_IMAGE_JPEG,
	MM_IMAGE_PNG,
	MM_IMAGE_BMP,
	MM_IMAGE_GIF, /* recognised, not decoded */
	MM_IMAGE_WEBP,
	MM_IMAGE_TIFF /* recognised, not decoded */
} mm_image_format;

/* By signature; decodes nothing.  12 bytes are enough to tell. */
extern mm_image_format mm_image_sniff(const void *data, size_t len);
extern const char *mm_image_format_name(mm_image_format format);

#endif /* MM_ENCODERS_H */
