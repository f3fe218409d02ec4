/*-------------------------------------------------------------------------
 *
 * clip_tensors.c
 *	  The tensors of CLIP: their names in a pack and in both published layouts.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clip.h"

/* A row of the tables below; names of parts are divided by '|'. */
typedef struct tensor_row
{
	const char *name;
	mm_clip_kind kind;
	int n, k;
	const float **data;
	mm_weight *weight;
	const char *hf;
	const char *openai;
	bool transposed; /* in OpenAI's layout */
} tensor_row;

#define COUNT(a) ((int) (sizeof(a) / sizeof((a)[0])))

/* tensors outside of the blocks */
#define OTHERS 13
#define A_BLOCK 12

typedef struct tensor_list
{
	mm_clip_layout layout;
	int n;
	mm_clip_tensor *tensors;
} tensor_list;

static void
split_names(mm_clip_tensor *t, const char *prefix, const char *names)
{
	while (*names != '\0')
	{
		size_t len = strcspn(names, "|");

		snprintf(t->source[t->sources], sizeof(t->source[0]), "%s%.*s", prefix, (int) len, names);
		t->sources++;
		names += len + (names[len] == '|');
	}
}

static void
add_rows(tensor_list *list, const char *prefix, const char *source_prefix, const tensor_row *rows,
		 int n)
{
	for (int i = 0; i < n; i++)
	{
		const tensor_row *row = &rows[i];
		mm_clip_tensor *t = &list->tensors[list->n++];
		bool openai = list->layout == MM_CLIP_OPENAI;

		snprintf(t->name, sizeof(t->name), "%s%s", prefix, row->name);
		t->kind = row->kind;
		t->n = row->n;
		t->k = row->k;
		t->data = row->data;
		t->weight = row->weight;
		t->transposed = openai && row->transposed;
		split_names(t, source_prefix, openai ? row->openai : row->hf);
		t->ndim = row->kind == MM_CLIP_VECTOR ? 1 : 2;
		t->shape[0] = t->transposed ? row->k : row->n / t->sources;
		t->shape[1] = t->transposed ? row->n : row->k;
	}
}

static void
add_block(tensor_list *list, const mm_transformer *t, int i, const char *name,
		  const char *source_prefix)
{
	mm_block *b = &t->block[i];
	int w = t->width, f = t->ffn;
	char prefix[40], source[80];
	const tensor_row rows[A_BLOCK] = {
		{"norm1.weight", MM_CLIP_VECTOR, w, 0, &b->norm1_g, NULL, "layer_norm1.weight",
		 "ln_1.weight", false},
		{"norm1.bias", MM_CLIP_VECTOR, w, 0, &b->norm1_b, NULL, "layer_norm1.bias", "ln_1.bias",
		 false},
		{"qkv", MM_CLIP_LINEAR, 3 * w, w, NULL, &b->qkv,
		 "self_attn.q_proj.weight|self_attn.k_proj.weight|self_attn.v_proj.weight",
		 "attn.in_proj_weight", false},
		{"qkv.bias", MM_CLIP_VECTOR, 3 * w, 0, &b->qkv.bias, NULL,
		 "self_attn.q_proj.bias|self_attn.k_proj.bias|self_attn.v_proj.bias", "attn.in_proj_bias",
		 false},
		{"out", MM_CLIP_LINEAR, w, w, NULL, &b->out, "self_attn.out_proj.weight",
		 "attn.out_proj.weight", false},
		{"out.bias", MM_CLIP_VECTOR, w, 0, &b->out.bias, NULL, "self_attn.out_proj.bias",
		 "attn.out_proj.bias", false},
		{"norm2.weight", MM_CLIP_VECTOR, w, 0, &b->norm2_g, NULL, "layer_norm2.weight",
		 "ln_2.weight", false},
		{"norm2.bias", MM_CLIP_VECTOR, w, 0, &b->norm2_b, NULL, "layer_norm2.bias", "ln_2.bias",
		 false},
		{"up", MM_CLIP_LINEAR, f, w, NULL, &b->up, "mlp.fc1.weight", "mlp.c_fc.weight", false},
		{"up.bias", MM_CLIP_VECTOR, f, 0, &b->up.bias, NULL, "mlp.fc1.bias", "mlp.c_fc.bias",
		 false},
		{"down", MM_CLIP_LINEAR, w, f, NULL, &b->down, "mlp.fc2.weight", "mlp.c_proj.weight",
		 false},
		{"down.bias", MM_CLIP_VECTOR, w, 0, &b->down.bias, NULL, "mlp.fc2.bias", "mlp.c_proj.bias",
		 false},
	};

	snprintf(prefix, sizeof(prefix), "%s.%d.", name, i);
	snprintf(source, sizeof(source), "%s%d.", source_prefix, i);
	add_rows(list, prefix, source, rows, A_BLOCK);
}

mm_clip_tensor *
mm_clip_tensors(mm_clip *m, int *n)
{
	const mm_clip_config *c = &m->config;
	bool openai = c->layout == MM_CLIP_OPENAI;
	int v = m->vision.width, t = m->text.width;
	tensor_list list = {.layout = c->layout};
	const tensor_row others[OTHERS] = {
		{"vision.class", MM_CLIP_VECTOR, v, 0, &m->class_embedding, NULL,
		 "vision_model.embeddings.class_embedding", "visual.class_embedding", false},
		/* an error of a patch is there in every layer, and this is a hundredth of the work */
		{"vision.patches", MM_CLIP_FLOAT, v, 3 * c->patch * c->patch, NULL, &m->patches,
		 "vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight", false},
		{"vision.positions", MM_CLIP_TABLE, mm_clip_tokens(c), v, &m->vision_positions, NULL,
		 "vision_model.embeddings.position_embedding.weight", "visual.positional_embedding", false},
		{"vision.pre.weight", MM_CLIP_VECTOR, v, 0, &m->pre_g, NULL,
		 "vision_model.pre_layrnorm.weight", "visual.ln_pre.weight", false},
		{"vision.pre.bias", MM_CLIP_VECTOR, v, 0, &m->pre_b, NULL, "vision_model.pre_layrnorm.bias",
		 "visual.ln_pre.bias", false},
		{"vision.post.weight", MM_CLIP_VECTOR, v, 0, &m->post_g, NULL,
		 "vision_model.post_layernorm.weight", "visual.ln_post.weight", false},
		{"vision.post.bias", MM_CLIP_VECTOR, v, 0, &m->post_b, NULL,
		 "vision_model.post_layernorm.bias", "visual.ln_post.bias", false},
		{"vision.projection", MM_CLIP_FLOAT, c->dims, v, NULL, &m->vision_projection,
		 "visual_projection.weight", "visual.proj", true},
		{"text.tokens", MM_CLIP_TABLE, c->vocab, t, &m->token_embedding, NULL,
		 "text_model.embeddings.token_embedding.weight", "token_embedding.weight", false},
		{"text.positions", MM_CLIP_TABLE, c->context, t, &m->text_positions, NULL,
		 "text_model.embeddings.position_embedding.weight", "positional_embedding", false},
		{"text.final.weight", MM_CLIP_VECTOR, t, 0, &m->final_g, NULL,
		 "text_model.final_layer_norm.weight", "ln_final.weight", false},
		{"text.final.bias", MM_CLIP_VECTOR, t, 0, &m->final_b, NULL,
		 "text_model.final_layer_norm.bias", "ln_final.bias", false},
		{"text.projection", MM_CLIP_FLOAT, c->dims, t, NULL, &m->text_projection,
		 "text_projection.weight", "text_projection", true},
	};

	list.tensors =
		calloc(OTHERS + A_BLOCK * (m->vision.layers + m->text.layers), sizeof(mm_clip_tensor));
	if (list.tensors == NULL)
		return NULL;
	add_rows(&list, "", "", others, OTHERS);
	for (int i = 0; i < list.n; i++)
	{
		mm_clip_tensor *p = &list.tensors[i];

		if (p->weight != &m->patches)
			continue;
		p->patches = true;
		p->ndim = 4;
		memcpy(p->shape, (int64_t[4]){v, 3, c->patch, c->patch}, sizeof(p->shape));
	}
	for (int i = 0; i < m->vision.layers; i++)
		add_block(&list, &m->vision, i, "vision",
				  openai ? "visual.transformer.resblocks." : "vision_model.encoder.layers.");
	for (int i = 0; i < m->text.layers; i++)
		add_block(&list, &m->text, i, "text",
				  openai ? "transformer.resblocks." : "text_model.encoder.layers.");
	*n = list.n;
	return list.tensors;
}
