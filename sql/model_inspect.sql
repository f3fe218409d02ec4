--
-- Looking inside: models, token ids, input tensors, versions
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;
\set bmp `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.bmp"`
\set turned `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange_turned.jpg"`

SELECT name, dims, image_size, context_length, parameters > 20000000 AS has_parameters, bytes > 80000000 AS has_bytes,
	   architecture <> '' AS has_architecture, path LIKE '%/mini' AS has_path
FROM mmodal_models() WHERE name = 'mini';

-- Paths are shown to those who may see the setting.
CREATE ROLE regress_mmodal_user;
SET ROLE regress_mmodal_user;
SELECT name, path IS NULL AS hidden FROM mmodal_models() WHERE name = 'mini';
SELECT embedding_dims(clip_embed('x')) AS dims;
\set VERBOSITY sqlstate
SHOW mmodal.model_path;
\set VERBOSITY default
SET mmodal.model_path = '/tmp';
SHOW mmodal.model;
RESET ROLE;
DROP ROLE regress_mmodal_user;

SELECT clip_tokenize('Café naïve 東京 crème brûlée');
SELECT clip_tokenize('Café naïve 東京 crème brûlée', 'mini') = clip_tokenize('Café naïve 東京 crème brûlée') AS same,
	   clip_tokenize('') AS empty, clip_tokenize(NULL) IS NULL AS no_text,
	   array_length(clip_tokenize(repeat('word ', 1000)), 1) AS at_most;

-- 40 x 30 pixels in a 224 x 224 square: 224 x 168, white above and below
SELECT cardinality(clip_preprocess(decode(:'bmp', 'base64'))) = 3 * 224 * 224 AS size;
SELECT n AS row, bool_and(x = 1) AS white
FROM (VALUES (0), (27), (28), (100), (195), (196), (223)) r(n),
	 (SELECT clip_preprocess(decode(:'bmp', 'base64')) AS t OFFSET 0) p,
	 LATERAL unnest(t[n * 224 + 1 : n * 224 + 224]) x
GROUP BY n ORDER BY n;
SELECT min(x) >= -127 / 128.0::real AS low, max(x) <= 1 AS high
FROM unnest(clip_preprocess(decode(:'turned', 'base64'))) x;
SELECT clip_preprocess(NULL) IS NULL AS no_image;

SELECT mmodal_version() ~ '^mmodal \d+\.\d+\.\d+, PostgreSQL \d+.*, FAISS .*, OpenBLAS .*, SIMD (scalar|avx2|avx512|neon)' AS version;
