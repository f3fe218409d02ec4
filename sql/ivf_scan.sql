-- faiss_ivf: how scans behave.
SET client_min_messages = warning;
\set VERBOSITY terse

-- Cosine distances to spiral2(-20000) grow with id, by more than rounding.
CREATE FUNCTION spiral2(id int) RETURNS embedding LANGUAGE sql IMMUTABLE AS $$
	SELECT (ARRAY[cos(id / 40000.0 * pi()), sin(id / 40000.0 * pi()), 0.25]::float8[]
			|| array_fill(0::float8, ARRAY[253]))::embedding(256)
$$;
CREATE TABLE scanned (id int PRIMARY KEY, kind int, e embedding(256));
INSERT INTO scanned SELECT i, i % 100, spiral2(i) FROM generate_series(1, 20000) i;
INSERT INTO scanned VALUES (20001, 1, NULL), (20002, 1, array_fill(0::float8, ARRAY[256]));
CREATE INDEX scanned_idx ON scanned USING faiss_ivf (e);
ANALYZE scanned;

-- Plans by cost: the index for a few rows, not for all, not without ORDER BY,
-- not for a filter that leaves few rows.
SET plan_cache_mode = force_generic_plan;
PREPARE p1(embedding) AS SELECT id FROM scanned ORDER BY e <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE p1(NULL);
PREPARE p2(embedding) AS SELECT id FROM scanned ORDER BY e <=> $1;
EXPLAIN (COSTS OFF) EXECUTE p2(NULL);
PREPARE p3(embedding) AS SELECT id FROM scanned WHERE id < 50 ORDER BY e <=> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE p3(NULL);
PREPARE p4(embedding) AS SELECT id FROM scanned WHERE kind = 1 ORDER BY e <=> $1 LIMIT 150;
EXPLAIN (COSTS OFF) EXECUTE p4(NULL);
PREPARE p5(embedding) AS SELECT id FROM scanned ORDER BY e <-> $1 LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE p5(NULL);
PREPARE p6(embedding) AS SELECT id FROM scanned ORDER BY e <=> $1 DESC LIMIT 10;
EXPLAIN (COSTS OFF) EXECUTE p6(NULL);
EXPLAIN (COSTS OFF) SELECT count(*) FROM scanned;
RESET plan_cache_mode;

SET enable_indexscan = off;
CREATE TEMP TABLE sorted AS SELECT id, row_number() OVER () AS n FROM
	(SELECT id FROM scanned ORDER BY e <=> spiral2(-20000)) x;
RESET enable_indexscan;
SET enable_seqscan = off;
SET enable_sort = off;
-- All rows come, in order, those without a direction last.
SELECT count(*), count(DISTINCT id), max(id) FILTER (WHERE n <= 20000) FROM
	(SELECT id, row_number() OVER () AS n FROM (SELECT id FROM scanned ORDER BY e <=> spiral2(-20000)) x) y;
SELECT id FROM (SELECT id FROM scanned ORDER BY e <=> spiral2(-20000) OFFSET 20000) x;
SELECT count(*), max(id) <= 50 AS near FROM (SELECT id FROM scanned ORDER BY e <=> spiral2(-20000) LIMIT 5) x;
-- Exact, with the order that a sort gives.
SET mmodal.recall = 1;
SELECT count(*) FROM
	(SELECT id, row_number() OVER () AS n FROM (SELECT id FROM scanned ORDER BY e <=> spiral2(-20000)) x) y
	JOIN sorted USING (id, n);
SELECT id FROM (SELECT id FROM scanned ORDER BY e <=> spiral2(-20000) OFFSET 20000) x;
RESET mmodal.recall;

-- A filter still gets its rows.
SELECT count(*), max(id) <= 1000 AS near FROM (SELECT id FROM scanned WHERE kind = 7 ORDER BY e <=> spiral2(-20000) LIMIT 5) x;
SELECT count(*) FROM (SELECT id FROM scanned WHERE id + 0 > 19990 ORDER BY e <=> spiral2(-20000) LIMIT 3) x;

-- NULL and zero queries: every row, in any order.
SELECT count(*) FROM (SELECT id FROM scanned ORDER BY e <=> NULL) x;
SELECT count(*) FROM (SELECT id FROM scanned ORDER BY e <=> spiral2(1) - spiral2(1)) x;
SET mmodal.recall = 1;
SELECT count(*) FROM (SELECT id FROM scanned ORDER BY e <=> NULL) x;
SELECT count(*) FROM (SELECT id FROM scanned ORDER BY e <=> spiral2(1) - spiral2(1)) x;
RESET mmodal.recall;
CREATE INDEX scanned_flat ON scanned USING faiss_ivf (e embedding_l2_ops) WITH (codec = flat);
SELECT count(*) FROM (SELECT id FROM scanned ORDER BY e <-> NULL) x;
DROP INDEX scanned_flat;
SELECT id FROM scanned ORDER BY e <=> '[1,2]' LIMIT 1;

-- Cursors, prepared statements, LATERAL, LIMIT within.
SET mmodal.recall = 1;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM scanned ORDER BY e <=> spiral2(-20000);
FETCH 3 FROM c;
DELETE FROM scanned WHERE id = 5;
FETCH 3 FROM c;
MOVE 100 IN c;
FETCH 1 FROM c;
ROLLBACK;
PREPARE nearest(embedding, int) AS SELECT id FROM scanned ORDER BY e <=> $1 LIMIT $2;
EXECUTE nearest(spiral2(-20000), 2);
EXECUTE nearest(spiral2(-19000), 1);
SET plan_cache_mode = force_generic_plan;
EXECUTE nearest(spiral2(-19000), 1);
EXPLAIN (COSTS OFF) EXECUTE nearest(spiral2(-19000), 1);
RESET plan_cache_mode;
EXPLAIN (COSTS OFF) SELECT q.id, n.id FROM (VALUES (1, spiral2(100)), (2, spiral2(15000))) q(id, e),
	LATERAL (SELECT id FROM scanned ORDER BY e <=> q.e LIMIT 1) n;
SELECT q.id, abs(n.id - q.at) < 3 AS near FROM (VALUES (1, 100, spiral2(100)), (2, 15000, spiral2(15000))) q(id, at, e),
	LATERAL (SELECT id FROM scanned ORDER BY e <=> q.e LIMIT 1) n;

RESET mmodal.recall;

-- Expert settings, and every instruction set.
SET mmodal.ivf_probes = 1;
SELECT count(*), max(id) <= 50 AS near FROM (SELECT id FROM scanned ORDER BY e <=> spiral2(-20000) LIMIT 3) x;
SELECT count(*) FROM (SELECT id FROM scanned ORDER BY e <=> spiral2(-20000)) x;
RESET mmodal.ivf_probes;
SET mmodal.max_scan_tuples = 100;
SELECT count(*) BETWEEN 100 AND 5000 FROM (SELECT id FROM scanned ORDER BY e <=> spiral2(-20000)) x;
RESET mmodal.max_scan_tuples;
SET mmodal.simd = scalar;
SELECT count(*), max(id) <= 50 AS near FROM (SELECT id FROM scanned ORDER BY e <=> spiral2(-20000) LIMIT 5) x;
SELECT mmodal_index_check('scanned_idx');
RESET mmodal.simd;
SET mmodal.recall = 0;
SET mmodal.recall = 1.1;
