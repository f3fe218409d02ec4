--
-- A picture against texts
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;
\set jpeg `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.jpg"`
\set alpha `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange_alpha.png"`
CREATE TEMP TABLE picture AS
	SELECT decode(:'jpeg', 'base64') AS jpeg, decode(:'alpha', 'base64') AS alpha;

-- Logits are scale times cosine, probabilities their softmax.
SELECT bool_and(abs(l - s.logit_scale * (1 - (clip_embed(jpeg) <=> clip_embed(t)))) < 1e-3 * s.logit_scale) AS logits_are_cosines
FROM picture, (VALUES (ARRAY['an orange', 'a fork', 'a tall ship'])) v(texts),
	 LATERAL unnest(texts, clip_logits(jpeg, texts)) u(t, l),
	 LATERAL (SELECT round(((clip_logits(jpeg, ARRAY['an orange']))[1]
						   / (1 - (clip_embed(jpeg) <=> clip_embed('an orange'))))::numeric, 1)::float8 AS logit_scale) s;
SELECT bool_and(abs(p - exp(l - m) / z) < 1e-5) AS softmax, abs(sum(p) - 1) < 1e-5 AS sums_to_one
FROM (SELECT l, p, max(l) OVER () AS m, sum(exp(l - (SELECT max(x) FROM unnest(clip_logits(jpeg, texts)) x))) OVER () AS z
	  FROM picture, (VALUES (ARRAY['an orange', 'a fork', 'a tall ship', 'a zebra'])) v(texts),
		   LATERAL unnest(clip_logits(jpeg, texts), clip_probs(jpeg, texts)) u(l, p)) s;
SELECT clip_logits(jpeg, ARRAY['a', 'b']) = clip_logits(jpeg, ARRAY['a', 'b'], 'mini') AS named,
	   clip_probs(jpeg, ARRAY['a', 'b']) = clip_probs(jpeg, ARRAY['a', 'b'], NULL) AS default_model
FROM picture;

-- NULLs, empty arrays, duplicates
SELECT clip_logits(NULL, ARRAY['a']) IS NULL AS no_image, clip_logits(jpeg, NULL) IS NULL AS no_texts,
	   clip_logits(jpeg, '{}') AS empty, clip_probs(jpeg, '{}') AS empty_probs,
	   clip_probs(jpeg, ARRAY['only one']) AS certain,
	   array_positions(clip_logits(jpeg, ARRAY['a', NULL, 'b']), NULL) AS null_at,
	   (SELECT sum(p) BETWEEN 0.999 AND 1.001 FROM unnest(clip_probs(jpeg, ARRAY['a', NULL, 'b'])) p) AS sum_without_null
FROM picture;

-- clip_classify: best first, as many as asked for
-- (what mini sees in the drawing is a ball)
SELECT label FROM picture, clip_classify(jpeg, ARRAY['sports car', 'ball', 'wolf', 'church'], 1);
SELECT count(*) AS n, bool_and(probability <= lag) IS NOT FALSE AS descending
FROM (SELECT probability, lag(probability) OVER () AS lag
	  FROM picture, clip_classify(jpeg, ARRAY['apple', 'pear', 'plum', 'fig', 'lemon', 'lime', 'banana'])) s;
SELECT top_k, (SELECT count(*) FROM picture, clip_classify(jpeg, ARRAY['apple', 'pear', 'plum'], top_k)) AS n
FROM unnest(ARRAY[0, 1, 3, 10, NULL]) top_k;
-- the probabilities are over all labels, not only those returned
SELECT round(sum(probability)::numeric, 4) AS all, max(probability) < 1 AS not_certain
FROM picture, clip_classify(jpeg, ARRAY['apple', 'pear', 'plum'], 3);
-- ties keep the order given, NULL labels drop out
SELECT label, ordinality FROM picture, clip_classify(jpeg, ARRAY['same', 'same', NULL, 'same']) WITH ORDINALITY;
SELECT count(*) FROM picture, clip_classify(NULL, ARRAY['a']);
SELECT count(*) FROM picture, clip_classify(jpeg, NULL);
SELECT count(*) FROM picture, clip_classify(jpeg, '{}');
-- the template goes around the label
SELECT (SELECT logit FROM clip_classify(jpeg, ARRAY['orange'])) = (clip_logits(jpeg, ARRAY['a photo of a orange']))[1] AS default_template,
	   (SELECT logit FROM clip_classify(jpeg, ARRAY['orange'], template => '{}')) = (clip_logits(jpeg, ARRAY['orange']))[1] AS bare,
	   (SELECT logit FROM clip_classify(jpeg, ARRAY['orange'], template => '{} on a {}')) = (clip_logits(jpeg, ARRAY['orange on a orange']))[1] AS twice,
	   (SELECT label FROM clip_classify(jpeg, ARRAY['orange'], template => 'one {}', model => 'mini')) AS label
FROM picture;
SELECT * FROM picture, clip_classify(jpeg, ARRAY['a'], template => 'no place');
SELECT * FROM picture, clip_classify(jpeg, ARRAY['a'], -1);
