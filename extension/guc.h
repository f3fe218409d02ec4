/*
 * guc.h
 *		The settings of mmodal (mmodal.*).
 *
 * Every setting of the extension is declared here and defined in guc.c's
 * table.  Include postgres.h before it.
 */
#ifndef MM_GUC_H
#define MM_GUC_H

/*
 * mmodal.simd: the MmSimdLevel asked for, or MM_SIMD_AUTO.  The distance
 * kernels follow it through its assign hook: nothing else needs to read it.
 */
extern int mm_guc_simd;

/* mmodal.model: name of the model that functions use when none is named. */
extern char *mm_guc_model;

/* mmodal.model_path: directories with models, apart by colons; superuser only. */
extern char *mm_guc_model_path;

/* mmodal.cache_dir: where packs of models are kept; relative to the data directory. */
extern char *mm_guc_cache_dir;

/* mmodal.embed_cache: embeddings of texts that a backend keeps; 0: none. */
extern int mm_guc_embed_cache;

/*
 * mmodal.encoder_threads: compute threads for arrays, 1 to 64; and what users
 * can have of them, whatever they ask for.
 */
extern int mm_guc_encoder_threads;
extern int mm_guc_max_encoder_threads;

/*
 * Limits on what is encoded: kB of a picture's file, its pixels, kB of memory
 * to decode it in, kB of text, elements of an array.
 */
extern int mm_guc_max_image_size;
extern int mm_guc_max_image_pixels;
extern int mm_guc_max_decode_memory;
extern int mm_guc_max_text_size;
extern int mm_guc_max_batch;

/* mmodal.recall: recall@k that index scans are to reach; 1 is exact. */
extern double mm_guc_recall;

/* mmodal.max_scan_tuples: rows that an index scan reads at most; 0: no limit. */
extern int mm_guc_max_scan_tuples;

/*
 * For experts: lists that faiss_ivf reads a round (0: as mmodal.recall needs),
 * the stop rule's factor (0: by calibration), and the standard deviations of
 * scan codes' error that reranking allows for.
 */
extern int mm_guc_ivf_probes;
extern double mm_guc_ivf_spread;
extern double mm_guc_ivf_error_bound;

/*
 * Define all settings and reserve the prefix "mmodal".  Called once, from
 * _PG_init.
 */
extern void mm_guc_init(void);

#endif /* MM_GUC_H */
