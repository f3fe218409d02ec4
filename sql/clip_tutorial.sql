--
-- The statements of docs/clip-tutorial.md, on a small checkpoint of random weights
--
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
SET client_min_messages = error;
SET mmodal.model_path = '$sharedir/mmodal/checkpoints';
\set model wide-hf-f32-calm

-- Without the small checkpoints of "make checkpoints" there is nothing to try.
SELECT count(*) = 0 AS none FROM mmodal_models() WHERE name = :'model' \gset
\if :none
\quit
\endif
SET mmodal.model = :'model';

-- clip.available_models()
SELECT name, architecture, dims, image_size, context_length, parameters
FROM mmodal_models() WHERE name = :'model';
SELECT dims, image_size AS side FROM mmodal_models() WHERE name = :'model' \gset
SET client_min_messages = warning;

-- clip.load()
SELECT bytes > 1000000 AS filled FROM mmodal_pack_model(:'model');

-- preprocess(Image.open())
\set bytes `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.jpg"`
CREATE TEMP TABLE picture (name text PRIMARY KEY, photo bytea, e embedding(:dims));
INSERT INTO picture VALUES ('orange.jpg', decode(:'bytes', 'base64'));
SELECT array_length(clip_preprocess(photo), 1) AS numbers, 3 * :side * :side AS expected FROM picture;
-- From black to white, in the channel's own scale; one level is 1 / 255 / std
SELECT channel, count(*), bool_and(v >= -mean / std - 1e-6) AS black, bool_and(v <= (1 - mean) / std + 1e-6) AS white,
	   max(abs((v * std + mean) * 255 - round((v * std + mean) * 255))) < 1e-3 AS levels
FROM (SELECT (i - 1) / (:side * :side) AS channel, v::float8
	  FROM picture, unnest(clip_preprocess(photo)) WITH ORDINALITY AS x (v, i)) AS pixel,
	 (VALUES (0, 0.48145466, 0.26862954), (1, 0.4578275, 0.26130258), (2, 0.40821073, 0.27577711)) AS c (n, mean, std)
WHERE n = channel
GROUP BY channel ORDER BY channel;

-- clip.tokenize(): start and end are the last two of the vocabulary, 49406 and 49407 of the published one
SELECT ids[1] AS first, ids[cardinality(ids)] AS last, ids = clip_tokenize('  hello   WORLD!') AS same
FROM clip_tokenize('Hello World!') AS ids;
SELECT cardinality(ids) AS tokens, ids[1] AS first, ids[cardinality(ids)] AS last
FROM clip_tokenize(repeat('word ', 100)) AS ids;

-- model.encode_image(), model.encode_text(), and no norm left to divide by
UPDATE picture SET e = clip_embed(photo);
SELECT name, embedding_dims(e), round(embedding_norm(e)::numeric, 5) AS norm FROM picture;
SELECT t AS text, embedding_dims(clip_embed(t)), round(embedding_norm(clip_embed(t))::numeric, 5) AS norm
FROM unnest(ARRAY['a diagram', 'a dog', 'a cat']) AS t;

-- model(image, text), softmax(dim=-1): the functions, and by hand from the column
CREATE TEMP TABLE by_hand AS
SELECT i, logit, exp(logit) / sum(exp(logit)) OVER () AS probability
FROM picture, unnest(ARRAY['a diagram', 'a dog', 'a cat']) WITH ORDINALITY AS x (t, i),
	 LATERAL (SELECT 100 * (1 - (e <=> clip_embed(t))) AS logit) AS y;
SELECT i, abs(l - logit) < 1e-3 AS logit, abs(p - probability) < 1e-4 AS probability, p BETWEEN 0 AND 1 AS range
FROM by_hand JOIN (SELECT x.* FROM picture,
	unnest(clip_logits(photo, ARRAY['a diagram', 'a dog', 'a cat']), clip_probs(photo, ARRAY['a diagram', 'a dog', 'a cat']))
	WITH ORDINALITY AS x (l, p, i)) AS f USING (i)
ORDER BY i;
SELECT abs(sum(p) - 1) < 1e-6 AS one, cardinality(clip_logits(photo, ARRAY[]::text[])) AS none
FROM picture, unnest(clip_probs(photo, ARRAY['a diagram', 'a dog', 'a cat'])) AS p GROUP BY photo;

-- text_features @ image_features.T, with pictures that a command has read
CREATE TEMP TABLE incoming (name text, base64 text);
\copy incoming FROM PROGRAM 'cd "$PG_ABS_SRCDIR" && for f in tests/data/*.jpg tests/data/*.png; do printf "%s\t%s\n" "$(basename "$f")" "$(base64 -w0 "$f")"; done'
INSERT INTO picture SELECT name, decode(base64, 'base64') FROM incoming WHERE name <> 'orange.jpg';
UPDATE picture SET e = clip_embed(photo) WHERE e IS NULL;
SELECT count(*), count(e) AS embedded FROM picture;
CREATE TEMP TABLE similarity AS
SELECT t, name, 1 - (e <=> clip_embed('This is ' || t)) AS cosine
FROM unnest(ARRAY['a diagram of two encoders', 'a drawing of an orange', 'a cup of coffee on a saucer']) AS t, picture;
SELECT t, name, cosine BETWEEN -1 AND 1 AS cosine
FROM similarity WHERE name IN ('orange.jpg', 'orange_gray.jpg', 'orange_turned.jpg')
ORDER BY t, name \crosstabview
-- It is the matrix of inner products, and every row of it one call of clip_logits()
SELECT count(*), bool_and(abs(cosine + (e <#> clip_embed('This is ' || t))) < 1e-5) AS products,
	   bool_and(abs(100 * cosine - (clip_logits(photo, ARRAY['This is ' || t]))[1]) < 1e-3) AS logits
FROM similarity JOIN picture USING (name);
SELECT kind, hits > 0 AS used FROM mmodal_embed_cache WHERE kind = 'text';

-- Zero-shot classification by the classes of CIFAR-100
CREATE TEMP TABLE cifar100 AS
SELECT label FROM unnest('{apple, aquarium_fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge,
	bus, butterfly, camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch, crab,
	crocodile, cup, dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, keyboard, lamp,
	lawn_mower, leopard, lion, lizard, lobster, man, maple_tree, motorcycle, mountain, mouse, mushroom, oak_tree, orange,
	orchid, otter, palm_tree, pear, pickup_truck, pine_tree, plain, plate, poppy, porcupine, possum, rabbit, raccoon, ray,
	road, rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, snail, snake, spider, squirrel, streetcar, sunflower,
	sweet_pepper, table, tank, telephone, television, tiger, tractor, train, trout, tulip, turtle, wardrobe, whale,
	willow_tree, wolf, woman, worm}'::text[]) AS label;
SELECT count(*), count(DISTINCT label) FROM cifar100;
CREATE TEMP TABLE cosines AS
SELECT label, logit, exp(logit) / sum(exp(logit)) OVER () AS probability, row_number() OVER (ORDER BY logit DESC) AS i
FROM picture, cifar100, LATERAL (SELECT 100 * (1 - (e <=> clip_embed('a photo of a ' || label))) AS logit) AS x
WHERE name = 'orange.jpg';
-- The best five have the five best cosines, in their order (near ties may change places)
SELECT c.i, abs(c.logit - best.logit) < 1e-3 AS in_order, abs(c.logit - own.logit) < 1e-3 AS logit,
	   abs(c.probability - own.probability) < 1e-4 AS probability
FROM picture, clip_classify(photo, ARRAY(SELECT label FROM cifar100)) WITH ORDINALITY AS c (label, probability, logit, i)
	 JOIN cosines AS best USING (i) JOIN cosines AS own ON own.label = c.label
WHERE name = 'orange.jpg' ORDER BY c.i;
SELECT count(*), count(DISTINCT label), abs(sum(probability) - 1) < 1e-5 AS one
FROM picture, clip_classify(photo, ARRAY(SELECT label FROM cifar100), NULL, 'This is a photo of a {}')
WHERE name = 'orange.jpg';

-- What a table adds: an index, which at recall 1 answers as the table does
CREATE TEMP TABLE sequential AS
SELECT name FROM picture ORDER BY e <=> clip_embed('a drawing of an orange') LIMIT 3;
CREATE INDEX picture_e_idx ON picture USING faiss_ivf (e);
SET enable_seqscan = off;
SET enable_sort = off;
SET mmodal.recall = 1;
EXPLAIN (COSTS OFF) SELECT name FROM picture ORDER BY e <=> clip_embed('a drawing of an orange') LIMIT 3;
SELECT (SELECT array_agg(name) FROM (SELECT name FROM picture ORDER BY e <=> clip_embed('a drawing of an orange') LIMIT 3) x)
	= (SELECT array_agg(name) FROM sequential) AS same;
