/*
 * ivf_page.h
 *		What faiss_ivf writes to disk, and nothing else.
 *
 * Every page is a standard page.  Its head tells what it is and which list it
 * serves; pd_lower lies past its last byte, because GenericXLog does
 * not keep what lies between pd_lower and pd_upper.  README.md tells how the
 * pages hang together and who may write them.
 *
 * A change of anything in here raises IVF_VERSION.
 *
 * Include postgres.h before it.
 */
#ifndef MM_IVF_PAGE_H
#define MM_IVF_PAGE_H

#include "access/transam.h"
#include "storage/block.h"
#include "storage/bufpage.h"
#include "storage/itemptr.h"

#define IVF_MAGIC 0x4956464d /* "MFVI" in memory */
#define IVF_VERSION 2
#define IVF_METAPAGE_BLKNO 0

/* Identifies our pages to tools, as the last two bytes of a page. */
#define IVF_PAGE_ID 0xFF8A

/* The special space, which holds nothing else. */
typedef struct IvfSpecial
{
	uint16 unused[3];
	uint16 page_id; /* IVF_PAGE_ID */
} IvfSpecial;

typedef enum IvfPageKind
{
	IVF_META = 1, /* block 0: IvfMeta */
	IVF_MEAN,     /* float32 elements of the mean, in order */
	IVF_CENTRE,   /* rows of centres: IvfCentre and its codes */
	IVF_LIST,     /* IvfList entries, in order of list */
	IVF_SCAN,     /* IvfUnit, then columns of scan codes: see IvfLayout */
	IVF_CODE,     /* rows of IvfCode and 8-bit codes */
	IVF_REFINE,   /* rows of 4-bit codes */
	IVF_TAIL,     /* rows of IvfRow, as they were inserted */
	IVF_SIDE      /* IvfSide: rows that have no direction */
} IvfPageKind;

/* The page's content is no longer part of the index; see retired. */
#define IVF_RETIRED 0x01
/* A tail page that takes no rows any more. */
#define IVF_SEALED 0x02

/*
 * Head of every page.  Not in the special space, so that a search that looks
 * at it has one cache line to wait for: this and PageHeaderData make 64 bytes.
 */
typedef struct IvfHead
{
	FullTransactionId retired; /* with IVF_RETIRED: the next XID at that time */
	uint32 first_list;         /* lists whose rows are here, inclusive */
	uint32 last_list;
	uint32 generation; /* SCAN, CODE, REFINE: of the lists' packed part; TAIL, SIDE: place in the
						* chain */
	BlockNumber next;  /* next page of the same kind, or InvalidBlockNumber */
	uint8 kind;        /* IvfPageKind */
	uint8 flags;       /* IVF_RETIRED, IVF_SEALED */
	uint16 unused[7];
} IvfHead;

/* Points of the recall curve that calibration measures. */
#define IVF_CURVE_POINTS 12

/* The metapage's content.  Written at build and never again, but for generation. */
typedef struct IvfMeta
{
	uint32 magic;
	uint32 version;
	uint32 am;               /* 1: faiss_ivf */
	uint32 codec;            /* IvfCodecId */
	uint32 metric;           /* MmMetric: MM_COSINE, MM_L2_SQUARED or MM_INNER_PRODUCT */
	uint32 space;            /* reserved: identity of the model space, 0 unknown */
	uint64 seed;             /* of the rotation */
	uint32 dims;             /* of the column */
	uint32 elem;             /* MmElem of the column; the flat codec's rows are of it */
	uint32 pdims;            /* dims, padded: bytes of an 8-bit row */
	uint32 lists;            /* besides these there are IVF_SIDE_LISTS */
	uint32 attribute_bytes;  /* reserved for columns to filter by: 0 */
	uint32 scan_bytes;       /* scan code of a row */
	uint32 code_bytes;       /* 8-bit code of a row, with its IvfCode; 0: none */
	uint32 refine_bytes;     /* 4-bit code of a row; 0: none */
	uint32 row_bytes;        /* IvfRow with all codes */
	uint32 unit_rows;        /* rows of a scan page */
	uint32 unit_code_rows;   /* rows of a code page */
	uint32 unit_refine_rows; /* rows of a refinement page */
	uint32 generation;       /* last one given to a rewritten list */
	BlockNumber mean_start;
	BlockNumber centre_start;
	BlockNumber list_start;
	uint32 trained;         /* whether centres were trained: 0 for one list around the origin */
	uint32 curve_points;    /* points measured at build; 0: none */
	double rows;            /* rows indexed at build */
	double residual_square; /* mean squared length of residuals at build */
	float curve_recall[IVF_CURVE_POINTS];   /* recall@10 at each spread of ivf_curve.h */
	float curve_scanned[IVF_CURVE_POINTS];  /* rows scanned a query, as a share of all */
	float curve_reranked[IVF_CURVE_POINTS]; /* rows reranked a query */
	uint32 checksum; /* CRC-32C of all above but for generation, of the mean and of the centres */
	uint32 unused;
} IvfMeta;

/* Pseudo lists, after the real ones: rows with NULL, and with a zero vector under cosine. */
#define IVF_ZERO_LIST 0
#define IVF_NULL_LIST 1
#define IVF_SIDE_LISTS 2

/* A list: a packed part, which never changes but for tombstones, and a tail. */
typedef struct IvfList
{
	BlockNumber first_block; /* scan page where the packed part begins */
	uint32 first_row;        /* row in that page */
	uint32 packed;           /* rows of the packed part, dead ones included */
	uint32 dead;             /* of these, dead ones, when last vacuumed */
	uint32 generation;       /* of the packed part's pages */
	BlockNumber tail_first;  /* chain of tail pages; Invalid: none */
	BlockNumber tail_last;   /* the only one that takes rows */
	uint32 tail_first_seq;   /* generation of tail_first */
	uint32 tail_last_seq;    /* generation of tail_last */
	float radius;            /* root mean square of residuals' lengths */
} IvfList;

/* A centre; pdims int8 follow: the centre is scale times these. */
typedef struct IvfCentre
{
	float scale;
	float unused;
} IvfCentre;

/* Pages that go with a scan page, at most. */
#define IVF_UNIT_CODE_PAGES 8
#define IVF_UNIT_REFINE_PAGES 4

/*
 * Head of a scan page.  Row i's 8-bit code is row i % unit_code_rows of
 * code[i / unit_code_rows], and its refinement likewise.
 */
typedef struct IvfUnit
{
	uint32 rows;      /* rows in use */
	uint32 unused[3]; /* codes begin at a multiple of 64 bytes */
	BlockNumber code[IVF_UNIT_CODE_PAGES];
	BlockNumber refine[IVF_UNIT_REFINE_PAGES];
} IvfUnit;

/* A row of a code page; pdims int8 follow, the codes. */
typedef struct IvfCode
{
	ItemPointerData tid; /* invalid: a tombstone */
	uint16 list;         /* list - first_list of the page */
	float scale;         /* of the codes */
} IvfCode;

/* A row of a tail page, and of what passes between build, insert and vacuum. */
typedef struct IvfRow
{
	ItemPointerData tid; /* invalid: a tombstone */
	uint16 unused;
	float scan_scale;
	float code_scale;
	float bias;
	/* followed by the scan code, the 8-bit code and the refinement */
} IvfRow;

/* A row of a side page, and what goes with each row in a scan page without code pages. */
typedef struct IvfSide
{
	ItemPointerData tid; /* invalid: a tombstone */
	uint16 list;         /* list - first_list of the page */
} IvfSide;

#define IvfPageGetHead(page) ((IvfHead *) PageGetContents(page))
#define IvfPageGetContent(page) (PageGetContents(page) + sizeof(IvfHead))
#define IvfPageGetMeta(page) ((IvfMeta *) IvfPageGetContent(page))

/* Where a page's content begins. */
#define IVF_CONTENT_START (MAXALIGN(SizeOfPageHeaderData) + sizeof(IvfHead))

/* Bytes of a page between its head and its special space. */
#define IVF_PAGE_ROOM (BLCKSZ - IVF_CONTENT_START - MAXALIGN(sizeof(IvfSpecial)))

#define IVF_MEAN_PER_PAGE (IVF_PAGE_ROOM / sizeof(float))
#define IVF_LISTS_PER_PAGE (IVF_PAGE_ROOM / sizeof(IvfList))
#define IVF_SIDES_PER_PAGE (IVF_PAGE_ROOM / sizeof(IvfSide))

#endif /* MM_IVF_PAGE_H */
