--
-- CLIP checkpoints of every layout, precisions, packs, verification, the cache
--
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
SET client_min_messages = error;
SET mmodal.model_path = '$sharedir/mmodal/checkpoints';

-- Without the small checkpoints of "make checkpoints" there is nothing to try.
SELECT count(*) = 0 AS none FROM mmodal_models() WHERE name LIKE 'tiny%' \gset
\if :none
\quit
\endif
RESET client_min_messages;

\set png `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.png"`
\set webp `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.webp"`
CREATE TEMP TABLE picture (name text PRIMARY KEY, data bytea);
INSERT INTO picture VALUES ('png', decode(:'png', 'base64')), ('webp', decode(:'webp', 'base64'));

-- A tower that is no transformer is listed by a warning, and refused.
SELECT name, architecture, dims, image_size, context_length, parameters
FROM mmodal_models()
WHERE name IN ('tiny-quick-hf-f32', 'tiny-quick-openai-f32', 'tiny-quick-open_clip-bf16',
	'tiny-gelu-hf-sharded-f16', 'tiny-h-open_clip-f32', 'tiny-336-hf-f32', 'wide-hf-f32-calm')
ORDER BY name;
SELECT clip_embed('an orange', 'rn50-like');

-- Without a pack a session lays out the weights for itself, and says so once.
SET client_min_messages = notice;
SELECT embedding_dims(clip_embed('an orange', 'tiny-quick-hf-f32'));
SELECT embedding_dims(clip_embed('a lemon', 'tiny-quick-hf-f32'));
SET client_min_messages = warning;

-- The same numbers in every layout are the same model.
SELECT m AS model,
	   (clip_embed('two oranges on a table', m) <=> clip_embed('two oranges on a table', 'tiny-quick-hf-f32')) < 1e-6 AS same_text,
	   (clip_embed(data, m) <=> clip_embed(data, 'tiny-quick-hf-f32')) < 1e-6 AS same_image,
	   abs(embedding_norm(clip_embed(data, m)) - 1) < 1e-6 AS unit
FROM picture, unnest(ARRAY['tiny-quick-hf-sharded-f32', 'tiny-quick-openai-f32', 'tiny-quick-open_clip-f32',
	'tiny-quick-hf-f32-old-config']) m
WHERE name = 'png';

-- 16 bits in the file are a little off.
SELECT m AS model, (clip_embed(data, m) <=> clip_embed(data, 'tiny-quick-hf-f32')) BETWEEN 1e-9 AND 1e-3 AS near
FROM picture, unnest(ARRAY['tiny-quick-hf-f16', 'tiny-quick-hf-bf16']) m
WHERE name = 'png';

-- Tokens: those of OpenAI's tokenizer, with this vocabulary's 486 merges.
SELECT clip_tokenize('A photo of a d&amp;ouml;g', 'tiny-quick-hf-f32');
SELECT clip_tokenize('', 'tiny-quick-hf-f32'), array_length(clip_tokenize(repeat('word ', 100), 'tiny-gelu-hf-f32'), 1);
-- What comes after the first end has no part in the result.
SELECT clip_embed('a dog<|endoftext|>and a cat', 'tiny-quick-hf-f32') = clip_embed('a dog', 'tiny-quick-hf-f32') AS cut;

-- The tensor: 3 x 32 x 32; a picture in another lossless coding has the same.
SELECT array_length(clip_preprocess(data, 'tiny-quick-hf-f32'), 1) FROM picture WHERE name = 'png';

-- Scale, logits and probabilities agree.
SELECT abs(l - 100 * (1 - (clip_embed(data, 'wide-hf-f32-calm') <=> clip_embed('an orange', 'wide-hf-f32-calm')))) < 1e-3 AS scaled
FROM picture, unnest(clip_logits(data, ARRAY['an orange'], 'wide-hf-f32-calm')) l
WHERE name = 'png';
SELECT abs(sum(p) - 1) < 1e-6 AS one, count(*)
FROM picture, unnest(clip_probs(data, ARRAY['an orange', 'a lemon', 'a car'], 'wide-hf-f32-calm')) p
WHERE name = 'png';
SELECT count(*), abs(sum(probability) - 1) < 1e-6 AS one
FROM picture, clip_classify(data, ARRAY['orange', 'lemon', 'car'], model => 'wide-hf-f32-calm')
WHERE name = 'webp';

-- Precision is part of the name.
SELECT p AS precision,
	   (clip_embed('an orange', 'wide-hf-f32-calm:' || p) <=> clip_embed('an orange', 'wide-hf-f32-calm')) < 5e-4 AS near,
	   clip_embed('an orange', 'wide-hf-f32-calm:' || p) = clip_embed('an orange', 'wide-hf-f32-calm') AS same
FROM unnest(ARRAY['float32', 'bf16', 'int8']) p;
SELECT clip_embed('an orange', 'wide-hf-f32-calm:int4');
SELECT clip_embed('an orange', 'wide-hf-f32-calm:');
SELECT clip_embed('an orange', 'wide-hf-f32-calm:int8:int8');
SET mmodal.model = 'wide-hf-f32-calm:int8';
SELECT clip_embed('an orange') = clip_embed('an orange', 'wide-hf-f32-calm:int8') AS by_setting;
RESET mmodal.model;

-- Parity with the reference, by golden vectors beside the model.
SELECT p AS asked, v.precision, texts, images, min_cosine > 0.9995 AS near, max_abs_diff > 0 AS differs, ok
FROM unnest(ARRAY['', ':float32', ':bf16', ':int8']) p, mmodal_verify_model('wide-hf-f32-calm' || p) v;
SELECT mmodal_verify_model('tiny-quick-hf-f32');

-- Packing is for administrators; a packed model has the same embeddings.
CREATE TEMP TABLE unpacked AS
SELECT p, clip_embed('an orange', 'wide-hf-f32-calm' || p) AS e FROM unnest(ARRAY['', ':bf16', ':int8']) p;
CREATE ROLE mmodal_test_nobody;
SET ROLE mmodal_test_nobody;
SELECT mmodal_pack_model('wide-hf-f32-calm');
RESET ROLE;
DROP ROLE mmodal_test_nobody;
SELECT p, regexp_replace(path, '^.*/(.*)\.[0-9a-f]{16}\.pack$', '\1') AS pack, bytes > 1000000 AS filled
FROM unnest(ARRAY['', ':bf16', ':int8']) p, mmodal_pack_model('wide-hf-f32-calm' || p);
SET client_min_messages = notice;
SELECT p, e = clip_embed('an orange', 'wide-hf-f32-calm' || p) AS same FROM unpacked;
SELECT count(*) AS packs FROM pg_ls_dir(current_setting('mmodal.cache_dir')) f WHERE f LIKE 'wide%';
SELECT mmodal_pack_model('mini');
SET mmodal.model_path = '$sharedir/mmodal/models';
SELECT mmodal_pack_model('mini');
SET mmodal.model_path = '$sharedir/mmodal/checkpoints';
SET mmodal.cache_dir = '';
SET client_min_messages = warning;

-- Texts are kept for use again, as many as mmodal.embed_cache says.
\c
SET client_min_messages = warning;
SET mmodal.model_path = '$sharedir/mmodal/checkpoints';
SET mmodal.embed_cache = 2;
SELECT count(clip_embed(t, 'tiny-quick-hf-f32')) FROM unnest(ARRAY['a', 'b', 'a', 'c', 'b']) t;
SELECT * FROM mmodal_embed_cache;
SELECT count(clip_embed(t, 'tiny-quick-hf-f32')) FROM unnest(ARRAY['b', 'c']) t;
SELECT * FROM mmodal_embed_cache WHERE kind = 'text';
SET mmodal.embed_cache = 0;
SELECT count(clip_embed(t, 'tiny-quick-hf-f32')) FROM unnest(ARRAY['b', 'b']) t;
SELECT * FROM mmodal_embed_cache WHERE kind = 'text';
SET mmodal.embed_cache = -1;
