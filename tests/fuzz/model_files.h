/*-------------------------------------------------------------------------
 *
 * model_files.h
 *	  Model directories as small as the towers allow, for targets that read one
 *	  file of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_MODEL_FILES_H
#define FUZZ_MODEL_FILES_H

#include "fuzz.h"

typedef struct file_tensor
{
	char name[96];
	int ndim;
	int64_t shape[4];
} file_tensor;

/* A safetensors file of float32 tensors with small values. */
extern void write_tensors(const fuzz_dir *dir, const char *name, const file_tensor *tensors, int n);

/* Configurations of what follows. */
extern const char clip_config[], open_clip_config[], conse_config[];

/*
 * CLIP: weights and tokenizer, the configuration too.  As Hugging Face publishes
 * it, or in OpenAI's layout with open_clip's configuration.
 */
extern void write_clip(const fuzz_dir *dir, bool openai);

/* The architecture of "mini", with both towers. */
extern void write_conse(const fuzz_dir *dir);

/*
 * Open a model; where that is allowed to succeed and does, encode a text and a
 * picture.  Weights of the files above give embeddings that are finite.
 */
extern void try_model(const fuzz_dir *dir, const char *pack_dir, const char *precision,
					  unsigned allowed, bool finite);

#endif /* FUZZ_MODEL_FILES_H */
