/*-------------------------------------------------------------------------
 *
 * model_files.c
 *	  Model directories as small as the towers allow.
 *
 *-------------------------------------------------------------------------
 */
#include "model_files.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clip.h"
#include "pack.h"

const char clip_config[] =
	"{\"model_type\":\"clip\",\"projection_dim\":8,"
	"\"text_config\":{\"hidden_size\":16,\"intermediate_size\":16,\"num_hidden_layers\":1,"
	"\"num_attention_heads\":1,\"max_position_embeddings\":6,\"vocab_size\":515,"
	"\"layer_norm_eps\":1e-05,\"hidden_act\":\"quick_gelu\"},"
	"\"vision_config\":{\"hidden_size\":16,\"intermediate_size\":16,\"num_hidden_layers\":1,"
	"\"num_attention_heads\":1,\"image_size\":4,\"patch_size\":2,"
	"\"layer_norm_eps\":1e-05,\"hidden_act\":\"gelu\"}}";

const char open_clip_config[] =
	"{\"model_cfg\":{\"embed_dim\":8,\"quick_gelu\":true,"
	"\"vision_cfg\":{\"image_size\":4,\"patch_size\":2,\"layers\":1,\"width\":16,"
	"\"head_width\":16,\"mlp_ratio\":1.0},"
	"\"text_cfg\":{\"context_length\":6,\"vocab_size\":515,\"layers\":1,\"width\":16,\"heads\":1,"
	"\"mlp_ratio\":1.0}},\"preprocess_cfg\":{\"size\":4,\"mode\":\"RGB\"}}";

const char conse_config[] =
	"{\"model_type\":\"conse\",\"text_tower\":{\"model_type\":\"bert\",\"num_hidden_layers\":1,"
	"\"hidden_size\":16,\"num_attention_heads\":2,\"intermediate_size\":16,\"vocab_size\":8,"
	"\"context_length\":6,\"layer_norm_eps\":1e-12},"
	"\"image_tower\":{\"model_type\":\"efficientnet-lite\",\"image_size\":32,\"stem_channels\":16,"
	"\"head_channels\":16,\"num_classes\":3,\"stages\":[[3,1,1,16,1],[3,2,1,16,1]]}}";

static const char transform_config[] =
	"{\"transform\":\"letterbox\",\"mean\":[127,127,127],\"std\":[128,128,128]}";

static const char vocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\nc\n";
static const char merges[] = "#version: 0.2\na b</w>\n";

/* Values that differ, of a few tenths. */
static void
fill(float *out, int64_t n, uint32_t seed)
{
	for (int64_t i = 0; i < n; i++)
	{
		seed = seed * 1664525u + 1013904223u;
		out[i] = (float) (seed >> 16) / 65536.0f - 0.4f;
	}
}

/* A pack is a safetensors file. */
void
write_tensors(const fuzz_dir *dir, const char *name, const file_tensor *tensors, int n)
{
	mm_error err = fuzz_no_error();
	mm_pack pack;

	mm_pack_init(&pack, -1);
	for (int i = 0; i < n; i++)
		fuzz_status(mm_pack_declare(&pack, tensors[i].name, MM_DTYPE_F32, tensors[i].ndim,
									tensors[i].shape, &err),
					&err, 0);
	fuzz_status(mm_pack_begin(&pack, MM_PRECISION_FLOAT32, "", &err), &err, 0);
	for (int i = 0; i < n; i++)
	{
		void *room;

		fuzz_status(mm_pack_next(&pack, tensors[i].name, &room, &err), &err, 0);
		fill(room, (int64_t) (pack.tensors[i].bytes / sizeof(float)), (uint32_t) i);
		fuzz_status(mm_pack_put(&pack, &err), &err, 0);
	}
	fuzz_write(dir, name, pack.memory.data, pack.memory.size);
	mm_pack_free(&pack);
}

/*---- CLIP ----*/

/* Its tensors are in a table of the library, by their names in both layouts. */
void
write_clip(const fuzz_dir *dir, bool openai)
{
	mm_block blocks[2];
	mm_clip clip = {.config = {.layout = openai ? MM_CLIP_OPENAI : MM_CLIP_HF,
							   .dims = 8,
							   .image_size = 4,
							   .patch = 2,
							   .context = 6,
							   .vocab = 515}};
	int n, count = 0;
	mm_clip_tensor *tensors;
	file_tensor *wanted;

	clip.vision.layers = clip.text.layers = 1;
	clip.vision.width = clip.text.width = clip.vision.ffn = clip.text.ffn = 16;
	clip.vision.block = &blocks[0];
	clip.text.block = &blocks[1];
	tensors = mm_clip_tensors(&clip, &n);
	wanted = calloc((size_t) n * 3 + 1, sizeof(file_tensor));
	FUZZ_CHECK(tensors != NULL && wanted != NULL, "out of memory");
	for (int i = 0; i < n; i++)
	{
		for (int s = 0; s < tensors[i].sources; s++)
		{
			file_tensor *t = &wanted[count++];

			snprintf(t->name, sizeof(t->name), "%s", tensors[i].source[s]);
			t->ndim = tensors[i].ndim;
			memcpy(t->shape, tensors[i].shape, sizeof(t->shape));
		}
	}
	wanted[count++] = (file_tensor){"logit_scale", 0, {0}};
	write_tensors(dir, openai ? "open_clip_model.safetensors" : "model.safetensors", wanted, count);
	free(tensors);
	free(wanted);
	fuzz_write(dir, "merges.txt", merges, sizeof(merges) - 1);
	if (openai)
		fuzz_write(dir, "open_clip_config.json", open_clip_config, sizeof(open_clip_config) - 1);
	else
		fuzz_write(dir, "config.json", clip_config, sizeof(clip_config) - 1);
	if (!openai)
		fuzz_write(dir, "preprocessor_config.json", "{\"crop_size\":4,\"size\":4}", 24);
}

/*---- "mini" ----*/

void
write_conse(const fuzz_dir *dir)
{
	static const file_tensor tensors[] = {
		{"text.embeddings.word.weight", 2, {8, 16}},
		{"text.embeddings.position.weight", 2, {6, 16}},
		{"text.embeddings.token_type.weight", 1, {16}},
		{"text.embeddings.norm.weight", 1, {16}},
		{"text.embeddings.norm.bias", 1, {16}},
		{"text.layers.0.qkv.weight", 3, {3, 16, 16}},
		{"text.layers.0.qkv.bias", 1, {48}},
		{"text.layers.0.output.weight", 3, {1, 16, 16}},
		{"text.layers.0.output.bias", 1, {16}},
		{"text.layers.0.norm1.weight", 1, {16}},
		{"text.layers.0.norm1.bias", 1, {16}},
		{"text.layers.0.up.weight", 3, {1, 16, 16}},
		{"text.layers.0.up.bias", 1, {16}},
		{"text.layers.0.down.weight", 3, {1, 16, 16}},
		{"text.layers.0.down.bias", 1, {16}},
		{"text.layers.0.norm2.weight", 1, {16}},
		{"text.layers.0.norm2.bias", 1, {16}},
		{"image.stem.weight", 3, {1, 27, 16}},
		{"image.stem.bias", 1, {16}},
		{"image.blocks.0.depthwise.weight", 3, {3, 3, 16}},
		{"image.blocks.0.depthwise.bias", 1, {16}},
		{"image.blocks.0.project.weight", 3, {1, 16, 16}},
		{"image.blocks.0.project.bias", 1, {16}},
		{"image.blocks.1.depthwise.weight", 3, {3, 3, 16}},
		{"image.blocks.1.depthwise.bias", 1, {16}},
		{"image.blocks.1.project.weight", 3, {1, 16, 16}},
		{"image.blocks.1.project.bias", 1, {16}},
		{"image.head.weight", 3, {1, 16, 16}},
		{"image.head.bias", 1, {16}},
		{"image.classifier.weight", 3, {1, 16, 16}},
		{"image.classifier.bias", 1, {16}},
		{"labels.weight", 2, {3, 16}},
	};

	write_tensors(dir, "model.safetensors", tensors, sizeof(tensors) / sizeof(tensors[0]));
	fuzz_write(dir, "config.json", conse_config, sizeof(conse_config) - 1);
	fuzz_write(dir, "vocab.txt", vocabulary, sizeof(vocabulary) - 1);
	fuzz_write(dir, "preprocessor_config.json", transform_config, sizeof(transform_config) - 1);
}

/*---- running ----*/

/* 2 x 2 pixels of 24 bits. */
static const uint8_t picture[70] = {
	'B', 'M', 70, 0, 0, 0,  0, 0, 0,  0,   54, 0,  0, 0, 40, 0, 0,   0,  2,  0,  0, 0, 2,
	0,   0,   0,  1, 0, 24, 0, 0, 0,  0,   0,  16, 0, 0, 0,  0, 0,   0,  0,  0,  0, 0, 0,
	0,   0,   0,  0, 0, 0,  0, 0, 10, 200, 30, 0,  0, 0, 0,  0, 255, 90, 80, 70, 0, 0};

static void
check_embedding(const mm_model_info *info, const float *e)
{
	double sum = 0;

	for (int i = 0; i < info->dims; i++)
		sum += (double) e[i] * e[i];
	FUZZ_CHECK(fabs(sum - 1) < 1e-3, "an embedding of length %g", sqrt(sum));
}

static void
encode(const mm_model *model, bool finite)
{
	const mm_model_info *info = mm_model_get_info(model);
	const mm_session_options options = {.threads = 1};
	const mm_slice text = {"ab c a", 6}, image = {picture, sizeof(picture)};
	mm_error err = fuzz_no_error();
	mm_session *session = mm_session_create(model, &options, &err);
	float *e = malloc(sizeof(float) * (size_t) info->dims);

	FUZZ_CHECK(session != NULL && e != NULL, "no session: %s", err.message);
	fuzz_status(mm_encode_texts(session, &text, 1, e, NULL, &err), &err, 0);
	if (finite)
		check_embedding(info, e);
	if (fuzz_status(mm_encode_images(session, &image, 1, e, NULL, &err), &err,
					1u << MM_ERR_UNSUPPORTED) &&
		finite)
		check_embedding(info, e);
	mm_session_free(session);
	free(e);
}

void
try_model(const fuzz_dir *dir, const char *pack_dir, const char *precision, unsigned allowed,
		  bool finite)
{
	const mm_model_options options = {
		.isa = MM_ISA_SCALAR, .precision = precision, .pack_dirs = {pack_dir, NULL}};
	mm_error err = fuzz_no_error();
	mm_model *model = mm_model_open(dir->path, &options, &err);

	if (!fuzz_status(model ? MM_OK : err.status, &err, allowed))
		return;
	encode(model, finite);
	mm_model_close(model);
}
