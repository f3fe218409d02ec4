-- Retrieval of the default model on real photographs: recall@k, in both
-- directions, of captions and their pictures.  picture(name, topic, caption,
-- photo) holds them; see bench/retrieval.
--
-- A picture's answer is right when it is the picture's caption; a caption's when
-- it is any of the pictures that bear it.
\set ON_ERROR_STOP 1
\set QUIET 1

SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
CREATE TEMP TABLE photo AS
	SELECT row_number() OVER () AS id, topic, caption, clip_embed(photo, 'mini') AS e FROM picture;
CREATE TEMP TABLE caption AS
	SELECT caption AS text, clip_embed(caption, 'mini') AS e
	FROM (SELECT DISTINCT caption FROM picture) AS t;

-- The sets: all of them, and two topics.  A set is searched in itself.
CREATE TEMP TABLE subset (n int, name text, topic text);
INSERT INTO subset VALUES (1, 'all photos', '%'), (2, 'animals', 'animals'), (3, 'food', 'food');

-- Rank of the right answer: one more than the wrong answers that are nearer.
CREATE TEMP TABLE rank_of_caption AS
	SELECT s.n, p.id,
		(SELECT 1 + count(*) FROM caption c
			WHERE c.e <=> p.e < own.e <=> p.e AND c.text IN
				(SELECT q.caption FROM photo q WHERE q.topic LIKE s.topic)) AS rank
	FROM subset s JOIN photo p ON p.topic LIKE s.topic JOIN caption own ON own.text = p.caption;
CREATE TEMP TABLE rank_of_photo AS
	SELECT s.n, c.text,
		(SELECT 1 + count(*) FROM photo p
			WHERE p.topic LIKE s.topic AND p.e <=> c.e <
				(SELECT min(own.e <=> c.e) FROM photo own WHERE own.caption = c.text AND own.topic LIKE s.topic)
		) AS rank
	FROM subset s JOIN caption c ON c.text IN (SELECT p.caption FROM photo p WHERE p.topic LIKE s.topic);

\unset QUIET
WITH photos AS (
	SELECT n, count(*) AS photos, avg((rank <= 1)::int) AS r1, avg((rank <= 5)::int) AS r5,
		avg((rank <= 10)::int) AS r10
	FROM rank_of_caption GROUP BY n
), captions AS (
	SELECT n, count(*) AS captions, avg((rank <= 1)::int) AS r1, avg((rank <= 5)::int) AS r5,
		avg((rank <= 10)::int) AS r10
	FROM rank_of_photo GROUP BY n
)
SELECT s.name, p.photos, c.captions,
	format('%s / %s / %s %%', round(100 * p.r1), round(100 * p.r5), round(100 * p.r10))
		AS "image -> text R@1/5/10",
	format('%s / %s / %s %%', round(100 * c.r1), round(100 * c.r5), round(100 * c.r10))
		AS "text -> image R@1/5/10"
FROM subset s JOIN photos p USING (n) JOIN captions c USING (n) ORDER BY n;
