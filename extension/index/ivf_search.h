/*
 * ivf_search.h
 *		Nearest neighbours in a faiss_ivf index, row after row.
 *
 * A search does not know how many rows will be asked of it.  It works in
 * rounds, each for K rows in all, four times those of the round before, and
 * gives out only rows that are among the K best found once the stop rule holds
 * for K: so the n-th row out was searched for as if k = n had been asked.  See
 * README.md, "Search".
 *
 * Include ivf.h before it.
 */
#ifndef MM_IVF_SEARCH_H
#define MM_IVF_SEARCH_H

/* Rows of the first round. */
#define IVF_FIRST_ROUND 10

/* What a search is to do. */
typedef struct IvfSearchOptions
{
	float spread;  /* factor of the spread that the stop rule reckons with; <= 0: from recall */
	double recall; /* 0 < recall <= 1; 1: every row with proven bounds */
	int probes;    /* lists of the first round, fixed; 0: by the stop rule */
	double error_bound; /* standard deviations of the scan codes' error that are allowed for */
	double max_rows;    /* rows to scan at most; 0: no limit */
	int first_round;    /* K of the first round */
} IvfSearchOptions;

/* A row given out. */
typedef struct IvfHit
{
	float similarity; /* best estimate so far; in an exact search its proven upper bound */
	float slack;      /* that the estimate may be off, nearly surely */
	float scale;      /* of the 8-bit code */
	uint32 segment;
	uint16 row;
	bool final; /* nothing finer is to be had */
	bool out;   /* given out already */
	ItemPointerData tid;
} IvfHit;

/* Rows of one list on one page whose scan codes were read. */
typedef struct IvfSegment
{
	BlockNumber block;
	uint32 list;
	uint32 generation;
	uint32 start; /* where the search's arrays have its rows */
	uint16 first_row;
	uint16 rows;
	bool tail;
	BlockNumber code[IVF_UNIT_CODE_PAGES];
	BlockNumber refine[IVF_UNIT_REFINE_PAGES];
} IvfSegment;

#define IVF_MEMORY_BLOCKS 16

/* What a search did, for statistics. */
typedef struct IvfSearchStats
{
	int64 lists;
	int64 scanned;
	int64 reranked;
	int64 refined;
	int64 rounds;
} IvfSearchStats;

/* What a scan did: all of its searches, of which each rescan begins one. */
typedef struct IvfScanStats
{
	Oid index;
	int64 searches;
	double recall; /* of the last one, as are exact and lists */
	bool exact;
	uint32 lists;
	IvfSearchStats work;
	int64 rows; /* given to the executor */
} IvfScanStats;

/* The arrays of a search, to be used again by the next one: they are large. */
typedef struct IvfMemory
{
	MemoryContext context;
	void *block[IVF_MEMORY_BLOCKS];
	Size size[IVF_MEMORY_BLOCKS];
} IvfMemory;

/* Which array is in which block. */
typedef enum IvfBlock
{
	IVF_LISTS,
	IVF_CENTRES,
	IVF_SPREADS,
	IVF_WEIGHTS,
	IVF_BASES,
	IVF_ORDER,
	IVF_KEYS,
	IVF_SIMILARITIES,
	IVF_UPPERS,
	IVF_BIASES,
	IVF_SEGMENTS,
	IVF_FOUND,
	IVF_TOP,
	IVF_HITS,
	IVF_HIT_VALUES,
	IVF_QUEUE,
	IVF_BLOCK_COUNT
} IvfBlock;

/* The block with room for size bytes; what it held before is kept. */
extern void *ivf_memory(IvfMemory *memory, IvfBlock block, Size size);

typedef enum IvfPhase
{
	IVF_RANKED,    /* rows in order of similarity */
	IVF_ZERO_ROWS, /* then those without a direction */
	IVF_NULL_ROWS, /* then those without a value */
	IVF_DONE
} IvfPhase;

typedef struct IvfSearch
{
	Relation index;
	const IvfState *state; /* fetched anew at every call from outside */
	IvfSearchOptions options;
	MemoryContext context;
	IvfMemory *memory;
	IvfQuery *query; /* NULL: rows in any order, for a NULL or zero query */
	bool exact;
	IvfSearchStats stats;

	/* Lists, the pseudo lists last; the arrays below are for real ones. */
	IvfList *lists;
	uint32 nlists;
	float *centre;  /* expected similarity of a list's rows */
	float *spread;  /* how much that varies, but for a factor */
	float *weight;  /* rows */
	float *base;    /* similarity of the centre; precise once probed */
	uint32 *order;  /* lists, most promising first */
	uint32 probed;  /* so many of order have been read */
	bool overflow;  /* the list being read has similarities that float32 cannot hold */
	double squares; /* sum of ((similarity - centre) / spread)^2 over rows read */
	double squares_rows;

	/* Rows read, and not reranked yet; those that were are at -infinity. */
	float *similarity;
	float *upper;
	float *bias; /* L2 only */
	uint32 nrows;
	uint32 max_rows;
	uint32 unranked; /* rows not reranked */
	IvfSegment *segments;
	uint32 nsegments;

	/* The largest estimates, at least the top_want largest ones. */
	float *top;
	int ntop;
	int max_top;
	int top_want;
	float top_threshold;

	IvfHit *hits;
	uint32 nhits;

	/* Indexes into hits of the rows to give out, in order. */
	uint32 *queue;
	uint32 nqueue;
	uint32 queue_next;
	double round; /* K */
	double total; /* rows in all lists, nearly: more than that is never asked for */
	IvfPhase phase;

	/* Where the walk over side pages stands. */
	BlockNumber side_block;
	uint32 side_seq;
	ItemPointerData *side;
	int nside;
	int side_next;
} IvfSearch;

/*
 * Begin; value is ignored where isnull.  The search is in the current context;
 * its arrays are in memory's own, those of the search that was begun there
 * before, whose context may be gone.
 */
extern IvfSearch *ivf_search_begin(Relation index, Datum value, bool isnull,
								   const IvfSearchOptions *options, IvfMemory *memory);

/*
 * The next row.  Returns false after the last one.  Sets *distance to what the
 * operator gives, nearly, or in an exact search to a lower bound of it;
 * *has_distance is false for rows without one, which come last.
 */
extern bool ivf_search_next(IvfSearch *search, ItemPointer tid, double *distance,
							bool *has_distance);

/*
 * Read all lists for the k best rows, before the first one is asked for; no more
 * than these follow.  Holds few of the other rows at a time, however many there
 * are.  Not for exact searches.
 */
extern void ivf_search_all(IvfSearch *search, int k);

/* Options as the settings and the index's calibration tell. */
extern IvfSearchOptions ivf_search_options(Relation index);

/* What a scan has done so far, and what the one did that this backend ended last. */
extern IvfScanStats ivf_scan_stats(IndexScanDesc scan);
extern IvfScanStats ivf_last_scan(void);

/* ivf_probe.c */
extern void ivf_probe_begin(IvfSearch *search);

/* Read the next lists of order until so many have been read. */
extern void ivf_probe(IvfSearch *search, uint32 upto);

/*
 * How many lists must be read so that no more than a small share of the k
 * best rows, of which the worst has similarity worst, is likely to be missed.
 */
extern uint32 ivf_probes_needed(const IvfSearch *search, float worst, double k);

/* The k-th largest of values[0 .. n - 1], which are reordered; n >= k >= 1. */
extern float ivf_kth_largest(float *values, int n, int k);

/* Keep track of at least the want largest estimates from now on. */
extern void ivf_top_restart(IvfSearch *search, int want);

/* The k-th largest estimate, or -infinity where there are fewer; k <= top_want. */
extern float ivf_top_kth(IvfSearch *search, int k);

/* ivf_rerank.c */

/* Rerank the rows whose estimate, or with by_upper the upper bound of it, reaches threshold. */
extern void ivf_rerank(IvfSearch *search, float threshold, bool by_upper);

/* Refine hits whose upper bound reaches threshold. */
extern void ivf_refine(IvfSearch *search, float threshold);

/* Refine one hit. */
extern void ivf_refine_hit(IvfSearch *search, IvfHit *hit);

#endif /* MM_IVF_SEARCH_H */
