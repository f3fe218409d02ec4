--
-- mmodal_last_scan: what a scan did
--
SET client_min_messages = warning;
CREATE FUNCTION vec3(i int) RETURNS embedding LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(sin(i * (j + 1) * 0.7) + sin(i % 17 * j))::float8[]::embedding(24) FROM generate_series(1, 24) j
$$;
CREATE TABLE told (id int PRIMARY KEY, e embedding(24));
INSERT INTO told SELECT i, vec3(i) FROM generate_series(1, 2000) i;
CREATE INDEX told_idx ON told USING faiss_ivf (e) WITH (lists = 50);
CREATE INDEX told_l2_idx ON told USING faiss_ivf (e embedding_l2_ops) WITH (lists = 20);
VACUUM ANALYZE told;
\c
SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;

-- nothing at first, and nothing of a plan that was not run
SELECT count(*) FROM mmodal_last_scan();
EXPLAIN (COSTS OFF) SELECT id FROM told ORDER BY e <=> array_fill(1, ARRAY[24])::embedding LIMIT 3;
SELECT count(*) FROM mmodal_last_scan();

SELECT id FROM told ORDER BY e <=> vec3(7) LIMIT 1;
SELECT index, searches, recall, exact, lists, lists_probed BETWEEN 1 AND 49 AS probed,
	candidates BETWEEN 10 AND 1999 AS candidates, reranked BETWEEN 10 AND candidates AS reranked,
	refined BETWEEN 1 AND reranked AS refined, rounds, rows FROM mmodal_last_scan();
-- ... stays until the next one
SELECT index, rows FROM mmodal_last_scan();

-- one that asks for more
SET mmodal.recall = 0.5;
SELECT count(*) FROM (SELECT id FROM told ORDER BY e <-> vec3(7) LIMIT 100) x;
SELECT index, recall, lists, rounds > 1 AS rounds, rows FROM mmodal_last_scan();
-- all rows, exactly
SET mmodal.recall = 1;
SELECT count(*) FROM (SELECT id FROM told ORDER BY e <=> vec3(7)) x;
SELECT index, recall, exact, lists, lists_probed, candidates, reranked, rows FROM mmodal_last_scan();
RESET mmodal.recall;

-- a nested loop searches once for each outer row, and the counts add up
SET mmodal.ivf_probes = 4;
SELECT count(*) FROM generate_series(1, 5) i, LATERAL (SELECT id FROM told ORDER BY e <=> vec3(i) LIMIT 2) x;
SELECT searches, lists, lists_probed, rounds, rows FROM mmodal_last_scan();
RESET mmodal.ivf_probes;

-- a cursor counts when it is closed; a scan that fails does not
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM told ORDER BY e <=> vec3(9);
MOVE 3 FROM c;
SELECT searches FROM mmodal_last_scan();
CLOSE c;
SELECT searches, rows FROM mmodal_last_scan();
COMMIT;
SELECT 1 / (id - id) FROM told ORDER BY e <=> vec3(9) LIMIT 1;
SELECT rows FROM mmodal_last_scan();
-- an index that is gone
DROP INDEX told_idx;
SELECT index::text ~ '^[0-9]+$' AS number FROM mmodal_last_scan();
DROP TABLE told;
DROP FUNCTION vec3;
