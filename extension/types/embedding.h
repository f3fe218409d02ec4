/*
 * embedding.h
 *		The embedding type: layout, limits, access and construction.
 *
 * An embedding is a varlena of 1 to 16,000 finite elements, all float32 or
 * all float16 (IEEE binary16 bits).  Storage is MAIN, so a short one may lie
 * on a page behind a 1-byte header, at any address: functions that only read
 * use EmbeddingView, which copies nothing and assumes no alignment.
 *
 * Include postgres.h and fmgr.h before it.
 */
#ifndef MM_EMBEDDING_H
#define MM_EMBEDDING_H

#include "../compat.h"
#include "../distance/distance.h"

/* Dimensions of an embedding, inclusive. */
#define EMBEDDING_MIN_DIMS 1
#define EMBEDDING_MAX_DIMS 16000

/*
 * The datum as it lies on disk.  On disk and in indexes this layout is for
 * ever: flags and space are reserved, written 0 by constructors, kept by
 * every function and not interpreted yet.
 */
typedef struct Embedding
{
	int32 vl_len_;                    /* varlena header: do not touch directly */
	uint16 dims;                      /* number of elements */
	uint8 elem;                       /* MmElem: MM_FLOAT32 or MM_FLOAT16 */
	uint8 flags;                      /* reserved */
	uint32 space;                     /* reserved: identity of the model space, 0 unknown */
	char data[FLEXIBLE_ARRAY_MEMBER]; /* dims elements, 4-byte aligned */
} Embedding;

/* Bytes of the fields between the varlena header and the data. */
#define EMBEDDING_FIELDS_SIZE (offsetof(Embedding, data) - VARHDRSZ)

/* The reserved fields of a value, as they travel from arguments to results. */
typedef struct EmbeddingTag
{
	uint8 flags;
	uint32 space;
} EmbeddingTag;

/*
 * A read-only view of an embedding.  data points into the datum itself, or
 * into a copy made because the datum was compressed or out of line; it has no
 * particular alignment.
 */
typedef struct EmbeddingView
{
	int dims;
	MmElem elem;
	EmbeddingTag tag;
	const void *data; /* dims elements, unaligned */
	void *copy;       /* palloc'd copy that data points into, or NULL */
} EmbeddingView;

/* Datum access.  DatumGetEmbeddingP gives an aligned, uncompressed value. */
#define DatumGetEmbeddingP(d) ((Embedding *) PG_DETOAST_DATUM(d))
#define EmbeddingPGetDatum(e) PointerGetDatum(e)
#define PG_GETARG_EMBEDDING_P(n) DatumGetEmbeddingP(PG_GETARG_DATUM(n))
#define PG_RETURN_EMBEDDING_P(e) return EmbeddingPGetDatum(e)

/* Bytes of an embedding of dims elements, header included. */
static inline Size
embedding_size(int dims, MmElem elem)
{
	return offsetof(Embedding, data) + (Size) dims * mm_elem_size(elem);
}

/*
 * Raise XX001: the bytes of a stored embedding contradict its own header.
 */
extern _Noreturn void embedding_corrupted(void);

/*
 * View the embedding in d without copying it where it is stored plainly.
 * Raises XX001 where its length contradicts its dimensions.
 */
static inline void
embedding_view(Datum d, EmbeddingView *view)
{
	struct varlena *stored = (struct varlena *) DatumGetPointer(d);
	struct varlena *plain = stored;
	const char *body;
	uint16 dims;

	/* Spare the call in the common case. */
	if (unlikely(VARATT_IS_COMPRESSED(stored) || VARATT_IS_EXTERNAL(stored)))
		plain = pg_detoast_datum_packed(stored);
	view->copy = plain == stored ? NULL : plain;

	body = VARDATA_ANY(plain);
	memcpy(&dims, body, sizeof(dims));
	view->dims = dims;
	view->elem = (MmElem) (uint8) body[2];
	view->tag.flags = (uint8) body[3];
	memcpy(&view->tag.space, body + 4, sizeof(view->tag.space));
	view->data = body + EMBEDDING_FIELDS_SIZE;
	if (unlikely((uint8) body[2] > MM_FLOAT16 ||
				 VARSIZE_ANY_EXHDR(plain) !=
					 EMBEDDING_FIELDS_SIZE + (Size) dims * mm_elem_size(view->elem)))
		embedding_corrupted();
}

/* Free the copy behind a view, if there is one. */
static inline void
embedding_view_free(EmbeddingView *view)
{
	if (view->copy)
		pfree(view->copy);
}

/*
 * Allocate an embedding whose elements are zero, with the reserved fields of
 * tag (NULL: zero).  Raises 22000 for dims < 1 and 54000 for dims > 16000.
 */
extern Embedding *embedding_alloc(int dims, MmElem elem, const EmbeddingTag *tag);

/*
 * Make a float32 embedding of values[0 .. dims - 1].  Raises 22000 or 54000
 * for a wrong number of dimensions, 22000 for NaN or infinity.
 */
extern Embedding *embedding_make_float32(int dims, const float *values);

/*
 * Make an embedding of the given element type out of float32 values.  Raises
 * as embedding_make_float32 does, and 22003 where a value does not fit.
 */
extern Embedding *embedding_make(int dims, const float *values, MmElem elem,
								 const EmbeddingTag *tag);

/*
 * Store element i of an embedding, converting it.  Raises 22003 where value
 * does not fit the element type; value is finite.
 */
extern void embedding_set(Embedding *e, int i, float value);

/*
 * Element i of a view, as float32 (exact for either element type).
 */
static inline float
embedding_get(const EmbeddingView *view, int i)
{
	return mm_elem_get(view->elem, view->data, i);
}

/*
 * Write all elements of a view to out[0 .. dims - 1] as float32.
 */
extern void embedding_to_floats(const EmbeddingView *view, float *out);

/*
 * Raise 22000 or 54000 unless dims is within the limits of the type.
 */
extern void embedding_check_dims(int dims);

/* Raise 22000 unless value is finite. */
extern void embedding_check_finite(float value);

/* Raise 22000 for operands of different dimensions. */
extern _Noreturn void embedding_dims_mismatch(int a, int b);

/*
 * The tag of a result made of two values: what both say, or what one says and
 * the other leaves 0; where they contradict each other, 0.
 */
extern EmbeddingTag embedding_merge_tags(EmbeddingTag a, EmbeddingTag b);

/* Typmod: -1, or what the functions below read out of it. */

/* Dimensions that the typmod demands, or -1 for any. */
extern int embedding_typmod_dims(int32 typmod);

/* Element type that the typmod demands; meaningful for typmod >= 0. */
extern MmElem embedding_typmod_elem(int32 typmod);

/*
 * Raise 22000 unless the typmod allows dims dimensions.
 */
extern void embedding_check_typmod(int32 typmod, int dims);

/*
 * e as the typmod demands it: e itself, or a copy with the element type that
 * the typmod names.  Raises 22000 for other dimensions, 22003 for a value that
 * does not fit.
 */
extern Embedding *embedding_apply_typmod(Embedding *e, int32 typmod);

#endif /* MM_EMBEDDING_H */
