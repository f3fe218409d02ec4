/*-------------------------------------------------------------------------
 *
 * clip.h
 *	  What the files of this room share: models open in this backend, the
 *	  caches over them, and input and error conversion.
 *
 * Lifetimes: a ClipModel pointer is good until the next call of
 * clip_model_get; functions take it once, at their start.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MMODAL_CLIP_H
#define MMODAL_CLIP_H

#include "common/sha2.h"
#include "fmgr.h"
#include "utils/array.h"

#include "compat.h"
#include "compute.h"
#include "registry.h"

/* A model directory that this backend has opened. */
typedef struct ClipModel ClipModel;

/*---- clip_model.c: the models open in this backend ----*/

/*
 * The named model, or for NULL that of mmodal.model, opened when it is not
 * yet.  A directory that was replaced since the statement began to use it is
 * opened anew at the next statement.  Raises 58P01 where mmodal.model_path
 * holds no such model.
 */
extern ClipModel *clip_model_get(text *name);

extern const mm_model_info *clip_model_info(const ClipModel *model);
extern const mm_model *clip_model_handle(const ClipModel *model);
extern mm_session *clip_model_session(const ClipModel *model);

/* Identity of this opening of the model; never 0, never used again. */
extern uint32 clip_model_serial(const ClipModel *model);

/* Raise 0A000 where the model lacks the tower. */
extern void clip_require_image_tower(const ClipModel *model);
extern void clip_require_text_tower(const ClipModel *model);

/*
 * Changes whenever a call with the same arguments may have another answer:
 * mmodal.model, model_path or simd was set, or a model was opened anew.
 */
extern uint64 clip_model_epoch(void);

/*
 * How a model is opened or packed under the present settings.  cache_dir, of
 * MAXPGPATH, and name hold strings of the result; cache identifies the former.
 */
extern mm_model_options clip_model_options(const ClipModelName *name, const char *dir,
										   char *cache_dir, FileIdentity *cache);

typedef enum ClipKind
{
	CLIP_TEXT,
	CLIP_IMAGE
} ClipKind;

/*---- clip_error.c ----*/

/* Raise what an encoder reported; context (may be NULL) becomes a detail. */
extern void clip_report(int elevel, const mm_error *err, const char *context);

/* SQLSTATE, and facts as a sentence (NULL: none; palloc'd), of what an encoder reported. */
extern int clip_error_sqlstate(const mm_error *err);
extern char *clip_error_detail(const mm_error *err, const char *context);

/* Is it the fault of the picture or text, rather than of the model or us? */
extern bool clip_is_data_error(const mm_error *err);

/* A string for a message, cut to a length that a log can bear; palloc'd. */
extern char *clip_quoted(const char *s);

/*---- clip_input.c ----*/

/*
 * Whether a text or picture is within its limit, as its header tells: before
 * what is compressed grows to its own size.  False, and a filled err, if not.
 */
extern bool clip_try_size(ClipKind kind, Datum value, mm_error *err);

/* The same, but raises 54000. */
extern void clip_check_size(ClipKind kind, Datum value);

/*
 * A text's bytes in UTF-8.  Raises 0A000 where the server encoding has no
 * conversion, and 22023 for text that is the hex form of a picture.
 */
extern mm_slice clip_text_slice(text *t);
extern mm_slice clip_bytea_slice(bytea *b);

/* The same, but false and a filled err instead of the picture-in-hex error. */
extern bool clip_try_text_slice(text *t, mm_slice *slice, mm_error *err);

/* A prompt with a hole, or several, for a label. */
typedef struct ClipTemplate
{
	const char *text;
	int holes;
} ClipTemplate;

/* An array's elements; its shape comes along for results of the same shape. */
typedef struct ClipArray
{
	Datum *values; /* n */
	bool *nulls;   /* n */
	int n;
	ArrayType *source;
	const ClipTemplate *template; /* what texts are put into; NULL: they stay as they are */
	mm_error *errors;             /* n, under CLIP_COLLECT: why there is no row */
} ClipArray;

/* Raises 54000 for more elements than mmodal.max_batch. */
extern ClipArray clip_array(ArrayType *array);

/* An array of the shape of src, made of n values of an element type. */
extern Datum clip_array_like(const ClipArray *src, Datum *values, bool *nulls, Oid element_type);

/*---- clip_encode.c: encoding with the backend's caches in front ----*/

/* What to do with a picture or text that cannot be encoded. */
typedef enum ClipOnError
{
	CLIP_RAISE,
	CLIP_WARN,   /* a WARNING, and no row */
	CLIP_COLLECT /* what is in errors of the input, and no row */
} ClipOnError;

/*
 * Encode the non-NULL elements into rows of the model's dims, palloc'd.
 * rows[i] is NULL for a NULL element and, but under CLIP_RAISE, for one that
 * cannot be encoded.
 */
extern float **clip_encode(ClipModel *model, ClipKind kind, const ClipArray *input,
						   ClipOnError on_error);

/* One datum. */
extern float *clip_encode_one(ClipModel *model, ClipKind kind, Datum value, ClipOnError on_error);

/*---- clip_classify.c ----*/

/* The label in every hole of the template; raises 54000 over mmodal.max_text_size. */
extern text *clip_fill_template(const ClipTemplate *template, text *label);

/*---- clip_memo.c: one encoding for an argument repeated in a query ----*/

/* Result of the call before, when the arguments and the epoch are the same. */
extern bool clip_memo_lookup(FunctionCallInfo fcinfo, Datum *result);

/* Remember a varlena result for the call that comes next; returns it. */
extern Datum clip_memo_store(FunctionCallInfo fcinfo, Datum result);

/*---- clip_cache.c: embeddings kept for use again ----*/

/* Identity of an input to a model. */
typedef struct ClipCacheKey
{
	uint32 serial; /* of the model; no padding follows: hashed as bytes */
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
} ClipCacheKey;

extern ClipCacheKey clip_cache_key(const ClipModel *model, mm_slice input);

/* Copies the row out: a later insert may evict the entry. */
extern bool clip_cache_lookup(ClipKind kind, const ClipCacheKey *key, float *row, int dims);
extern void clip_cache_insert(ClipKind kind, const ClipCacheKey *key, const float *row, int dims);

#endif /* MMODAL_CLIP_H */
