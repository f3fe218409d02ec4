--
-- Limits: each has an error of its own, before the work begins
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
\set VERBOSITY default
\set jpeg `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.jpg"`
\set bomb `base64 -w0 "$PG_ABS_SRCDIR/tests/golden/pictures/limit_bomb.png"`
\set scans `base64 -w0 "$PG_ABS_SRCDIR/tests/golden/pictures/limit_scans.jpg"`
\set wide `base64 -w0 "$PG_ABS_SRCDIR/tests/golden/pictures/limit_65535.bmp"`
\set animation `base64 -w0 "$PG_ABS_SRCDIR/tests/golden/pictures/unsupported_animation.webp"`
\set rle `base64 -w0 "$PG_ABS_SRCDIR/tests/golden/pictures/bmp_rle8.bmp"`
CREATE TEMP TABLE picture AS SELECT decode(:'jpeg', 'base64') AS jpeg;
CREATE TEMP TABLE backend AS SELECT pg_backend_pid() AS pid;

-- Bytes: what is compressed is not expanded first.  16 MB of zeros in 190 kB, no picture and no text
CREATE TEMP TABLE bomb AS
	SELECT convert_to(repeat('x', 16 * 1024 * 1024), 'UTF8') AS bytes, repeat('x', 16 * 1024 * 1024) AS words;
SELECT pg_column_size(bytes) < 300000 AS bytes, pg_column_size(words) < 300000 AS words FROM bomb;
SET mmodal.max_image_size = '8MB';
SELECT clip_embed(bytes) FROM bomb;
SELECT clip_preprocess(bytes) FROM bomb;
SELECT clip_embed(words) FROM bomb;
SELECT clip_tokenize(words) FROM bomb;
SELECT clip_embed(ARRAY['a', words]) FROM bomb;
SELECT clip_logits(jpeg, ARRAY['a', words]) FROM bomb, picture;
SELECT clip_embed_or_null(words) IS NULL AS null FROM bomb;
SELECT clip_classify(jpeg, ARRAY['a'], 1, words) FROM bomb, picture;
SELECT embedding_from_bytes(bytes, 'float32') FROM bomb;
SELECT embedding_from_bytes('\x00', words) FROM bomb;
SELECT clip_embed('a', words) FROM bomb;
RESET mmodal.max_image_size;

-- Pixels, sides, and memory
SELECT clip_embed(decode(:'wide', 'base64'));
SET mmodal.max_image_pixels = 1000;
SELECT clip_embed(jpeg) FROM picture;
RESET mmodal.max_image_pixels;
SET mmodal.max_decode_memory = '1MB';
SELECT clip_embed(jpeg) FROM picture;
RESET mmodal.max_decode_memory;
SELECT embedding_dims(clip_embed(jpeg)) FROM picture;
-- A header of 1 x 1, and data for much more; more scans than any encoder writes
SELECT clip_embed(decode(:'bomb', 'base64'));
SELECT clip_embed(decode(:'scans', 'base64'));
SELECT clip_embed(decode(:'animation', 'base64'));
SELECT clip_embed(decode(:'rle', 'base64'));

-- Arrays
SET mmodal.max_batch = 3;
SELECT array_length(clip_embed(ARRAY['a', 'b', NULL]), 1);
SELECT clip_embed(ARRAY['a', 'b', NULL, 'c']);
SELECT clip_embed(ARRAY[[jpeg, jpeg], [jpeg, jpeg]]) FROM picture;
SELECT clip_embed_or_null(array_fill(NULL::bytea, ARRAY[4]));
SELECT clip_classify(jpeg, ARRAY['a', 'b', 'c', 'd']) FROM picture;
SELECT clip_probs(jpeg, array_fill(NULL::text, ARRAY[4])) FROM picture;
RESET mmodal.max_batch;
SELECT clip_embed(array_fill(NULL::text, ARRAY[100001]));
SELECT clip_embed(array_fill(NULL::text, ARRAY[10000, 10000]));
SET mmodal.max_batch = 10000000;
SELECT clip_embed(array_fill(NULL::text, ARRAY[1000000]));
RESET mmodal.max_batch;
SELECT array_dims(clip_embed(ARRAY[['a', 'b'], ['c', NULL]]));

-- Templates: a label may stand in many places
SET mmodal.max_text_size = '1kB';
SELECT label FROM clip_classify((SELECT jpeg FROM picture), ARRAY[repeat('x', 102)], 1, repeat('{}', 10));
SELECT label FROM clip_classify((SELECT jpeg FROM picture), ARRAY[repeat('x', 103)], 1, repeat('{}', 10));
SELECT label FROM clip_classify((SELECT jpeg FROM picture), ARRAY['x'], 1, repeat('{}', 513));
RESET mmodal.max_text_size;
SELECT label FROM clip_classify((SELECT jpeg FROM picture), ARRAY['a', 'b'], 1, repeat('no hole ', 100));
-- and a prompt is what it was
SELECT abs(p[1] - c.logit) < 1e-4 AS same
FROM picture, clip_logits(jpeg, ARRAY['red an orange, an orange']) p,
	clip_classify(jpeg, ARRAY['an orange'], 1, 'red {}, {}') c;

-- Names
SELECT clip_embed('a', repeat('m', 100000));
SELECT clip_embed('a', E'mini\n');
SELECT clip_embed('a', 'mini/');
SELECT clip_embed('a', 'mini:');
SELECT clip_embed('a', 'mini:' || repeat('x', 16));
SELECT clip_embed('a', '.mini');
SELECT clip_embed('a', '');
SET mmodal.model = '../../etc/passwd';
SELECT clip_embed('a');
RESET mmodal.model;

-- Settings
\set VERBOSITY sqlstate
SET mmodal.max_encoder_threads = 0;
SET mmodal.max_encoder_threads = 65;
SET mmodal.encoder_threads = 1000;
SET mmodal.max_decode_memory = '1kB';
SET mmodal.max_batch = 0;
SET mmodal.embed_cache = 100001;
SET mmodal.recall = 'NaN';
SET mmodal.recall = 0;
SET mmodal.ivf_spread = 'Infinity';
\set VERBOSITY default
-- more threads than are allowed count as those that are
SET mmodal.max_encoder_threads = 1;
SET mmodal.encoder_threads = 64;
SELECT array_length(clip_embed(ARRAY['c', 'd', 'e']), 1);
RESET mmodal.max_encoder_threads;
RESET mmodal.encoder_threads;

-- The type
SELECT array_fill(1, ARRAY[16001])::embedding;
SELECT array_fill(1, ARRAY[1000000])::embedding;
SELECT (SELECT array_agg(1.5::numeric) FROM generate_series(1, 16001))::embedding;
SELECT ARRAY[[1, 2], [3, 4]]::embedding;
SELECT ARRAY[1, NULL]::embedding;
SELECT array_fill(1, ARRAY[9000])::embedding || array_fill(1, ARRAY[9000])::embedding;
SELECT sum(e) FROM (VALUES ('[3e38]'::embedding), ('[3e38]')) v (e);
SELECT '[3e38]'::embedding + '[3e38]';
\set VERBOSITY terse
SELECT NULL::embedding(16001);
\set VERBOSITY default
SELECT ('[' || repeat('1,', 16000) || '1]')::embedding;
\set VERBOSITY sqlstate
CREATE TEMP TABLE short (e embedding(3));
CREATE INDEX ON short USING faiss_ivf (e) WITH (lists = 100000);
CREATE INDEX ON short USING faiss_ivf (e) WITH (lists = -1);
CREATE INDEX ON short USING faiss_ivf (e) WITH (codec = none);
CREATE INDEX ON short USING faiss_ivf (e) WITH (calibration = '1,2');

SELECT pid = pg_backend_pid() AS same_backend FROM backend;
