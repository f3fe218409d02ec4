/*
 * ivf.h
 *		What the files of faiss_ivf share.  README.md is the guide to them.
 *
 * Similarity: all metrics become one number that is larger for nearer rows.
 * With y the query and v a row, both less the mean and rotated: for cosine
 * (on unit vectors) and inner product it is the inner product itself, for L2
 * it is -|y - v|^2 / 2.
 *
 * Include postgres.h and fmgr.h before it.
 */
#ifndef MM_IVF_H
#define MM_IVF_H

#include "access/amapi.h"
#include "access/generic_xlog.h"
#include "access/genam.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "../types/embedding.h"
#include "ivf_kernels.h"
#include "ivf_page.h"

/* Limits of the options and defaults. */
#define IVF_MAX_LISTS 32768
#define IVF_DEFAULT_LISTS 0 /* a function of the number of rows: ivf_default_lists */

typedef enum IvfCodecId
{
	IVF_CODEC_REFINED = 1, /* 2-bit scan codes, 8-bit rerank, 4 bits more near the end */
	IVF_CODEC_COMPACT = 2, /* the same without the last step */
	IVF_CODEC_FLAT = 3     /* the vectors themselves */
} IvfCodecId;

/* WITH (...) of an index. */
typedef struct IvfOptions
{
	int32 vl_len_;
	int lists;
	int codec;
	int calibration; /* offset of a string: see ivf_curve.h */
} IvfOptions;

/* Where things lie in pages, computed from the metapage. */
typedef struct IvfLayout
{
	Size scan_scale; /* offsets of a scan page's columns, from the page's content */
	Size scan_bias;  /* 0: no such column */
	Size scan_tid;   /* 0: no such column, code pages have TIDs */
	Size row_scan;   /* offsets in an IvfRow */
	Size row_code;
	Size row_refine;
	int centres_per_page;
	int rows_per_tail;
} IvfLayout;

typedef struct IvfCodec IvfCodec;

/*
 * What a backend keeps of an index: its metapage and all that never changes.
 * One chunk of memory.
 */
typedef struct IvfState
{
	IvfMeta meta;
	IvfLayout layout;
	const IvfCodec *codec;
	const IvfRotation *rotation;
	const float *mean;         /* dims */
	const int8 *centres;       /* lists rows of pdims */
	const float *centre_scale; /* lists */
	const float *centre_half;  /* lists: |c|^2 / 2 */
	Buffer *recent;            /* where blocks were seen last; 0: not yet */
	BlockNumber nrecent;       /* blocks that recent has a place for */
} IvfState;

/* A row's vector on its way into the index. */
typedef struct IvfVector
{
	const EmbeddingView *view; /* as it came */
	const float *residual;     /* pdims: rotated, less the centre; padded with zeros */
	float centre_dot;          /* centre . residual */
} IvfVector;

/* A query, prepared. */
typedef struct IvfQuery
{
	MmMetric metric;
	int pdims;
	float *y;     /* pdims: rotated; under L2 less the mean first */
	int16 *y16;   /* y = step16 * y16, nearly */
	int8 *y_high; /* y16 = 256 * y_high + something within -128 .. 127 */
	int8 *y8;     /* y = step8 * y8, nearly */
	float step16;
	float step8;
	float sum_high; /* of y_high */
	float sum8;     /* of y8 */
	float norm;     /* of y */
	float constant; /* similarity = constant + y.c [- |c|^2/2] + y.r [+ bias] */
	EmbeddingView view;
	void *value; /* holds view's data */
} IvfQuery;

/*
 * A codec: one row of the table in ivf_codec.c, one file.
 */
struct IvfCodec
{
	IvfCodecId id;
	const char *name;
	/* Fill in scan_bytes, code_bytes and refine_bytes of meta. */
	void (*layout)(IvfMeta *meta);
	/* Write scales, bias and codes of row; tid is the caller's. */
	void (*encode)(const IvfState *state, const IvfVector *vector, IvfRow *row);
	/*
	 * Similarity of rows first .. first + count - 1 of a scan page's columns as
	 * the scan codes tell it, and an upper bound of it that holds in nearly all
	 * cases (error_bound standard deviations); returns the sum of squares of
	 * similarity - base - bias, which tells how far rows lie from their centres in the
	 * query's direction.
	 */
	double (*scan)(const IvfState *state, const IvfQuery *query, const char *content, int first,
				   int count, float base, float error_bound, float *similarity, float *upper);
	/* The same for one IvfRow of a tail page. */
	double (*scan_row)(const IvfState *state, const IvfQuery *query, const IvfRow *row, float base,
					   float error_bound, float *similarity, float *upper);
};

/* Build, insert, scan: ivf_build.c and the files named for them. */
extern IndexBuildResult *ivf_build(Relation heap, Relation index, IndexInfo *info);
extern void ivf_buildempty(Relation index);
extern bool ivf_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
					   IndexUniqueCheck check_unique, bool index_unchanged, IndexInfo *info);
extern IndexBulkDeleteResult *ivf_bulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
											 IndexBulkDeleteCallback callback, void *state);
extern IndexBulkDeleteResult *ivf_vacuumcleanup(IndexVacuumInfo *info,
												IndexBulkDeleteResult *stats);
extern void ivf_costestimate(PlannerInfo *root, IndexPath *path, double loop_count,
							 Cost *startup_cost, Cost *total_cost, Selectivity *selectivity,
							 double *correlation, double *pages);
extern IndexScanDesc ivf_beginscan(Relation index, int nkeys, int norderbys);
extern void ivf_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
					   int norderbys);
extern bool ivf_gettuple(IndexScanDesc scan, ScanDirection direction);
extern void ivf_endscan(IndexScanDesc scan);

/* Phases of a build, as pg_stat_progress_create_index names them; 1 is core's. */
#define IVF_PHASE_SAMPLE 2
#define IVF_PHASE_TRAIN 3
#define IVF_PHASE_ENCODE 4
#define IVF_PHASE_WRITE 5
#define IVF_PHASE_MEASURE 6

/* ivf_handler.c */

/* Register the options of WITH (...); called once, when the library is loaded. */
extern void ivf_init_options(void);

/* Lines and an option of EXPLAIN, where the server has hooks for them; once, from _PG_init. */
extern void ivf_init_explain(void);

/* Raise 42809 unless index is one of ours; the caller holds a lock. */
extern void ivf_check_relation(Relation index);

/* The metric of the index's operator class. */
extern MmMetric ivf_metric(Relation index);

/* ivf_state.c */

/* Compute layout and strides of a metapage whose dims, elem, metric and codec are set. */
extern void ivf_meta_layout(IvfMeta *meta);

/* The checksum that the metapage has of what never changes. */
extern uint32 ivf_state_checksum(const IvfState *state);

/* Set where the fixed pages lie: they follow the metapage. */
extern void ivf_place_fixed_pages(IvfMeta *meta, const IvfLayout *layout);

/* Dimensions and elements of the index's column, from its type modifier; dims -1: none. */
extern int ivf_column(Relation index, uint32 *elem);

/* The state, cached with the relation: valid until the next lock is taken. */
extern const IvfState *ivf_state(Relation index);

/* The state in memory of the caller's own, in the current context. */
extern IvfState *ivf_state_load(Relation index);

/*
 * A state for meta with the given mean and centres (NULL: zeros), not from
 * disk, in the current context.
 */
extern IvfState *ivf_state_make(const IvfMeta *meta, const float *mean, const int8 *centres,
								const float *centre_scale);

/* Lock the page that has a list's entry, and check that it is what it should be. */
extern Buffer ivf_lock_list_page(Relation index, const IvfMeta *meta, uint32 list, int mode);

/* Copy all list entries, pseudo lists last, into lists[0 .. meta->lists + 1]. */
extern void ivf_read_lists(Relation index, const IvfMeta *meta, IvfList *lists);

/* One list's entry.  What entries tell has been checked against the index's size. */
extern IvfList ivf_read_list(Relation index, const IvfMeta *meta, uint32 list);

/* Block and offset in the page's content of a list's entry. */
extern BlockNumber ivf_list_block(const IvfMeta *meta, uint32 list);
extern IvfList *ivf_list_entry(Page page, uint32 list);

/* ivf_pages.c */

/* Make page an empty one of a kind; its content is zero. */
extern void ivf_page_init(Page page, IvfPageKind kind, uint32 first_list, uint32 last_list,
						  uint32 generation);

/* Count all of the page's content as used. */
extern void ivf_page_fill(Page page);

/* A new page at the end of a fork, pinned and locked exclusively. */
extern Buffer ivf_extend(Relation index, ForkNumber fork);

/*
 * A page to write: a recycled one, or a new one at the end; pinned and locked
 * exclusively.  heap is the table, or NULL where it is not at hand.
 */
extern Buffer ivf_new_buffer(Relation index, Relation heap);

/* Whether the index has such a block; nothing else may be asked of the buffer manager. */
extern bool ivf_block_exists(Relation index, BlockNumber block);

/*
 * Whether a page has the form of ours: what its header says of its content can
 * be relied on.
 */
extern bool ivf_page_is_ours(Page page);

/*
 * Whether a page is what was expected at the end of a hop: of that kind,
 * serving that list, of that generation.
 */
extern bool ivf_page_is(Page page, IvfPageKind kind, uint32 list, uint32 generation);

/*
 * Raise for a page that is not what was expected: in recovery the standby's
 * conflict error (40001), otherwise XX002.
 */
extern _Noreturn void ivf_page_unexpected(Relation index, BlockNumber block);

/* Read a page and lock it in a mode, raising as above if it is not as expected. */
extern Buffer ivf_lock_page(Relation index, BlockNumber block, IvfPageKind kind, uint32 list,
							uint32 generation, int mode);

/* The same, for reading. */
extern Buffer ivf_read_page(Relation index, BlockNumber block, IvfPageKind kind, uint32 list,
							uint32 generation);

/*
 * The same, with a guess where the page is in shared buffers, which spares the
 * look-up in their hash table.
 */
extern Buffer ivf_read_hot(const IvfState *state, Relation index, BlockNumber block,
						   IvfPageKind kind, uint32 list, uint32 generation);

/* Have bytes fetched that will be read soon. */
static inline void
ivf_prefetch_bytes(const char *from, Size bytes)
{
	for (Size at = 0; at < bytes; at += 64)
		__builtin_prefetch(from + at);
}

/*
 * Have what leads into a block's page fetched, if it is still where it was seen
 * last: buffer header, page header and IvfHead.  Returns the page, or NULL.  A
 * hint only: nothing is pinned, so the page may be another by now.
 */
static inline const char *
ivf_prefetch_page(const IvfState *state, BlockNumber block)
{
	const char *page;

	if (block >= state->nrecent || state->recent[block] <= 0)
		return NULL;
	__builtin_prefetch(GetBufferDescriptor(state->recent[block] - 1), 1);
	page = (const char *) BufferGetPage(state->recent[block]);
	__builtin_prefetch(page);
	return page;
}

/*
 * Begin a new page at the end of a list's tail (or of a pseudo list's chain)
 * and put content, size bytes, at its start.  The entry must still have
 * expected_last as its last page, else nothing happens and false is returned.
 */
extern bool ivf_extend_tail(Relation index, Relation heap, const IvfMeta *meta, uint32 list,
							BlockNumber expected_last, const void *content, Size size);

/* Rows of a tail page, and one of them. */
static inline int
ivf_tail_rows(const IvfState *state, Page page)
{
	return (int) ((((PageHeader) page)->pd_lower - IVF_CONTENT_START) / state->meta.row_bytes);
}

static inline IvfRow *
ivf_tail_row(const IvfState *state, Page page, int row)
{
	return (IvfRow *) (IvfPageGetContent(page) + (Size) row * state->meta.row_bytes);
}

/* Rows that a list's tail holds at most. */
static inline uint32
ivf_tail_most(const IvfState *state, const IvfList *entry)
{
	if (entry->tail_first == InvalidBlockNumber)
		return 0;
	return (entry->tail_last_seq - entry->tail_first_seq + 1) * state->layout.rows_per_tail;
}

/* Whether a chain has ended before the page with number seq, and the entry knows of that or later ones. */
static inline bool
ivf_chain_is_cut(const IvfList *entry, uint32 seq)
{
	return entry->tail_first != InvalidBlockNumber && (int32) (entry->tail_last_seq - seq) >= 0;
}

/* Rows of a side page. */
static inline int
ivf_side_rows(Page page)
{
	return (int) ((((PageHeader) page)->pd_lower - IVF_CONTENT_START) / sizeof(IvfSide));
}

/*
 * Rows of a page that holds rows' TIDs, and the TID and list of one of them;
 * 0 for pages of other kinds.  Slots not in use look like tombstones.
 */
extern int ivf_page_rows(const IvfState *state, Page page);
extern ItemPointer ivf_page_tid(const IvfState *state, Page page, int row, uint32 *list);

/*
 * Round to the nearest integer, ties to even; |x| < 2^22.  Inline at every
 * instruction set, which rintf is not.
 */
static inline float
ivf_round(float x)
{
	return (x + 12582912.0f) - 12582912.0f;
}

/* ivf_vector.c */

/*
 * Prepare a value for the index: y[0 .. pdims - 1] = rotated, less the mean,
 * of unit length before that under cosine; zeros after dims.  False, with y
 * undefined, for a zero vector under cosine.  Raises 22000 for other dims.
 */
extern bool ivf_rotate_value(const IvfState *state, const EmbeddingView *view, float *y);

/* The list whose centre is nearest to y. */
extern uint32 ivf_nearest_list(const IvfState *state, const float *y);

/* Turn y into the residual to a list's centre, in place, and return centre . residual. */
extern float ivf_residual(const IvfState *state, uint32 list, float *y);

/* Quantise a float vector to steps: q[i] = round(x[i] / *step), |q[i]| <= limit. */
extern void ivf_quantise_query(IvfQuery *query);

/* Prepare a query; under cosine its zero vector is the caller's to sort out. */
extern IvfQuery *ivf_query_make(const IvfState *state, Datum value);

/* y . centre of one list, from the 16-bit query. */
extern float ivf_centre_dot(const IvfState *state, const IvfQuery *query, uint32 list);

/* Distance, as the index's operator gives it, of a similarity. */
extern double ivf_distance(MmMetric metric, double similarity);

/* Whether an index of so many rows should be trained anew. */
extern bool ivf_training_is_stale(const IvfMeta *meta, double rows);

/* ivf_curve.c */

/* The spread that gives a recall, by a curve of IVF_CURVE_POINTS recalls. */
extern float ivf_curve_spread(const float *recall, double wanted);

/* The spread of each point of a curve. */
extern float ivf_curve_point(int point);

/* The curve that a calibration option tells; false where it is empty. Raises 22023. */
extern bool ivf_curve_parse(const char *text, float *recall);

/* The curve that holds for an index: its option's, else that of its build, else a default. */
extern void ivf_curve_of(Relation index, const IvfMeta *meta, float *recall);

/* ivf_codec.c */
extern const IvfCodec *ivf_codec(uint32 id);
extern const IvfCodec ivf_codec_refined;
extern const IvfCodec ivf_codec_compact;
extern const IvfCodec ivf_codec_flat;

/* y . residual by the 8-bit code, and what the refinement adds to that. */
extern float ivf_code_dot(const IvfQuery *query, float scale, const int8 *code);
extern float ivf_refine_dot(const IvfQuery *query, float scale, const uint8 *refine);

/* ivf_walk.c */

/* Called for a row, tombstones included, that lies (its TID does) on that block. */
typedef void (*IvfRowVisitor)(const IvfRow *row, BlockNumber block, void *arg);

/*
 * Visit all rows of a list as its entry tells: the packed part, then the tail
 * up to entry->tail_last, or to its end where that is invalid.  No page is
 * locked during a visit.
 */
extern void ivf_walk_list(Relation index, const IvfState *state, uint32 list, const IvfList *entry,
						  IvfRowVisitor visit, void *arg);

/* The same for a pseudo list. */
extern void ivf_walk_side(Relation index, uint32 list, const IvfList *entry, IvfRowVisitor visit,
						  void *arg);

/* ivf_pack.c: packed parts */
typedef struct IvfPacker IvfPacker;

/*
 * Begin to write packed parts of a generation.  For a build pages are new and
 * not logged; otherwise they may be recycled ones, and are logged if the index is.
 */
extern IvfPacker *ivf_packer_begin(Relation index, Relation heap, const IvfState *state,
								   uint32 generation, bool build);

/* Begin the next list; lists come in ascending order.  Fills in first_block and first_row. */
extern void ivf_packer_list(IvfPacker *packer, uint32 list, IvfList *entry);

/* Add a row to the list begun last. */
extern void ivf_packer_add(IvfPacker *packer, const IvfRow *row);

/* Write what is left, and free. */
extern void ivf_packer_end(IvfPacker *packer);

/* Copy row number `row` of a scan page and of its unit's pages into out. */
extern void ivf_unpack_row(const IvfState *state, Page scan, int row, Page code, Page refine,
						   IvfRow *out);

#endif /* MM_IVF_H */
