--
-- clip_embed: pictures and texts to embeddings
--
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;
\set jpeg `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.jpg"`
\set progressive `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange_progressive.jpg"`
\set turned `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange_turned.jpg"`
\set gray `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange_gray.jpg"`
\set png `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.png"`
\set palette `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange_palette.png"`
\set alpha `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange_alpha.png"`
\set bmp `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.bmp"`
\set webp `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.webp"`

CREATE TEMP TABLE picture (name text PRIMARY KEY, data bytea);
INSERT INTO picture VALUES
	('jpeg', decode(:'jpeg', 'base64')),
	('progressive', decode(:'progressive', 'base64')),
	('turned', decode(:'turned', 'base64')),
	('gray', decode(:'gray', 'base64')),
	('png', decode(:'png', 'base64')),
	('palette', decode(:'palette', 'base64')),
	('alpha', decode(:'alpha', 'base64')),
	('bmp', decode(:'bmp', 'base64')),
	('webp', decode(:'webp', 'base64'));

-- Both kinds share a space and have unit length.
SELECT embedding_dims(clip_embed('an orange')) AS dims,
	   abs(embedding_norm(clip_embed('an orange')) - 1) < 1e-6 AS unit;
SELECT name, embedding_dims(clip_embed(data)) AS dims,
	   abs(embedding_norm(clip_embed(data)) - 1) < 1e-6 AS unit
FROM picture ORDER BY name;

-- The same scene in another coding is almost the same embedding.
SELECT name, (clip_embed(data) <=> (SELECT clip_embed(data) FROM picture WHERE name = 'jpeg')) < 0.2 AS near
FROM picture WHERE name NOT IN ('gray', 'alpha') ORDER BY name;

-- An untyped literal is text; a model may be named; NULL names the default.
SELECT pg_typeof(clip_embed('x')), pg_typeof(clip_embed('x', 'mini'));
SELECT clip_embed('a dog') = clip_embed('a dog', 'mini') AS same,
	   clip_embed('a dog') = clip_embed('a dog', NULL) AS same_default,
	   clip_embed('a dog') = clip_embed_text('a dog') AS by_name,
	   clip_embed('a dog') = clip_embed('A Dog') AS uncased,
	   clip_embed('a dog') = clip_embed('a cat') AS other;
SELECT bool_and(clip_embed(data) = clip_embed_image(data)) AS by_name,
	   bool_and(clip_embed(data) = clip_embed_image(data, 'mini')) AS by_name_and_model
FROM picture;

-- NULL in, NULL out
SELECT clip_embed(NULL::text) IS NULL AS a, clip_embed(NULL::bytea) IS NULL AS b,
	   clip_embed(NULL::text, 'mini') IS NULL AS c, clip_embed(NULL::bytea[], 'mini') IS NULL AS d,
	   clip_embed(NULL::text[]) IS NULL AS e, clip_embed_image(NULL, NULL) IS NULL AS f;

-- Texts that are odd, and yet texts
SELECT s AS text, embedding_dims(clip_embed(s)) AS dims
FROM unnest(ARRAY['', ' ', '!', 'Ünïcödé', '東京', '🍓', repeat('word ', 3)]) s;
SELECT clip_embed(repeat('word ', 500)) = clip_embed(repeat('word ', 5000)) AS truncated_alike;

-- Arrays: the same embeddings as one by one, NULLs and shape kept
SELECT array_length(clip_embed(ARRAY['a', 'b', 'c']), 1) AS n, clip_embed('{}'::text[]) AS empty,
	   clip_embed('{}'::bytea[], 'mini') AS empty_images;
SELECT (clip_embed(ARRAY['one dog', NULL, 'two cats']))[1] = clip_embed('one dog') AS first,
	   (clip_embed(ARRAY['one dog', NULL, 'two cats']))[2] IS NULL AS second,
	   (clip_embed(ARRAY['one dog', NULL, 'two cats']))[3] = clip_embed('two cats') AS third;
SELECT array_dims(clip_embed(ARRAY[['a', 'b', 'c'], ['d', 'e', NULL]])) AS shape,
	   array_dims(clip_embed('[5:6]={a,b}'::text[])) AS bounds;
-- Another number of threads opens the model anew, so nothing below comes from
-- the cache of what was encoded before.
CREATE TEMP TABLE batch AS
	SELECT w, e FROM (SELECT array_agg(repeat('word ', i) || i ORDER BY i) AS words FROM generate_series(1, 75) i) a,
		 unnest(words, clip_embed(words)) u(w, e);
CREATE TEMP TABLE picture_batch AS
	SELECT p, e FROM (SELECT array_agg(data ORDER BY name) AS pictures FROM picture) a,
		 unnest(pictures, clip_embed(pictures)) u(p, e);
SET mmodal.encoder_threads = 2;
SELECT count(*) AS n, bool_and(e = clip_embed(w)) AS batch_is_single FROM batch;
SELECT count(*) AS n, bool_and(e = clip_embed(p)) AS batch_is_single FROM picture_batch;
SET mmodal.encoder_threads = 3;
SELECT bool_and(b.e = u.e) AS threads_make_no_difference
FROM (SELECT array_agg(w ORDER BY w) AS words FROM batch) a, unnest(words, clip_embed(words)) u(w, e) JOIN batch b USING (w);
SELECT bool_and(b.e = u.e) AS threads_make_no_difference
FROM (SELECT array_agg(p) AS pictures FROM picture_batch) a, unnest(pictures, clip_embed(pictures)) u(p, e) JOIN picture_batch b USING (p);
RESET mmodal.encoder_threads;

-- Columns: half by typmod, generated columns, triggers' usual forms
CREATE TEMP TABLE dish (
	id int PRIMARY KEY, title text,
	e embedding(384, half) GENERATED ALWAYS AS (clip_embed(title, 'mini')) STORED);
INSERT INTO dish (id, title) VALUES (1, 'a bowl of strawberries'), (2, 'roast chicken'), (3, 'a wool sweater'), (4, NULL);
SELECT id, embedding_dims(e) AS dims, e IS NULL AS empty FROM dish ORDER BY id;
SELECT title FROM dish ORDER BY e <=> clip_embed('fresh red berries') LIMIT 1;
SELECT title FROM dish ORDER BY e <=> clip_embed('warm clothing') LIMIT 1;
-- the one-argument form depends on a setting
CREATE TEMP TABLE refused (t text, e embedding GENERATED ALWAYS AS (clip_embed(t)) STORED);

-- The wrong dimensions are refused by the column.
CREATE TEMP TABLE narrow (e embedding(3));
INSERT INTO narrow VALUES (clip_embed('x'));

-- A repeated argument costs one encoding: 20,000 of them would take minutes.
SET statement_timeout = '20s';
SELECT count(clip_embed('the same text')) AS n FROM generate_series(1, 20000);
SELECT count(clip_embed(data)) AS n FROM (SELECT data FROM picture WHERE name = 'jpeg') p, generate_series(1, 20000);
SELECT count((SELECT e FROM picture_batch LIMIT 1) <=> clip_embed((SELECT data FROM picture WHERE name = 'jpeg'))) AS n
FROM generate_series(1, 20000);
RESET statement_timeout;
SELECT count(DISTINCT clip_embed('the same ' || (i % 3)::text || ' again')) AS distinct_embeddings
FROM generate_series(1, 1000) i;

-- PL/pgSQL evaluates one expression again and again, with other values.
DO $$
DECLARE
	words text[] := '{cat,dog,cat,bird}';
	w text;
	e embedding;
BEGIN
	FOREACH w IN ARRAY words LOOP
		e := clip_embed(w);
		IF e <> (clip_embed(ARRAY[w]))[1] THEN
			RAISE EXCEPTION 'stale embedding of %', w;
		END IF;
	END LOOP;
END $$;
PREPARE p(text) AS SELECT clip_embed($1) = (clip_embed(ARRAY[$1]))[1] AS same;
SET plan_cache_mode = force_generic_plan;
EXECUTE p('a horse');
EXECUTE p('a house');
RESET plan_cache_mode;
