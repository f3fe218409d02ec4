-- Exact search: plans, order, NULL, zero vectors, empty tables, parallel plans.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;

CREATE TABLE distance_plan_rows (id int, kind int, e embedding(32), h embedding(32, half));
EXPLAIN (COSTS OFF) SELECT id FROM distance_plan_rows ORDER BY e <=> '[1,2]' LIMIT 3;
-- Empty.
SELECT id FROM distance_plan_rows ORDER BY e <=> array_fill(1, ARRAY[32])::embedding LIMIT 3;

INSERT INTO distance_plan_rows
SELECT i, i % 7, v, v FROM (SELECT i, ARRAY(SELECT (i * k * 37) % 101 - 50 FROM generate_series(1, 32) AS k)::embedding AS v
	FROM generate_series(1, 5000) AS i) AS made;
INSERT INTO distance_plan_rows VALUES (0, 0, NULL, NULL),
	(-1, 0, array_fill(0, ARRAY[32])::embedding, array_fill(0, ARRAY[32])::embedding);
ANALYZE distance_plan_rows;
SET max_parallel_workers_per_gather = 0;

-- The nearest are those that a float64 reference finds; ties by id.
CREATE FUNCTION pg_temp.reference(q embedding) RETURNS TABLE (id int, l2 float8, ip float8, l1 float8) LANGUAGE sql AS $$
	SELECT id, sum((x::float8 - y) ^ 2), sum(x::float8 * y), sum(abs(x::float8 - y))
	FROM distance_plan_rows, unnest(e::real[], q::real[]) AS u (x, y) WHERE e IS NOT NULL GROUP BY id $$;
SELECT e AS q FROM distance_plan_rows WHERE id = 1234 \gset
EXPLAIN (COSTS OFF) SELECT id FROM distance_plan_rows ORDER BY e <-> '[1,2]', id LIMIT 5;
SELECT array(SELECT id FROM distance_plan_rows ORDER BY e <-> :'q', id LIMIT 20)
	= array(SELECT id FROM pg_temp.reference(:'q') ORDER BY l2, id LIMIT 20) AS l2,
	array(SELECT id FROM distance_plan_rows ORDER BY h <#> :'q', id LIMIT 20)
	= array(SELECT id FROM pg_temp.reference(:'q') ORDER BY ip DESC, id LIMIT 20) AS ip,
	array(SELECT id FROM distance_plan_rows ORDER BY h <+> :'q', id LIMIT 20)
	= array(SELECT id FROM pg_temp.reference(:'q') ORDER BY l1, id LIMIT 20) AS l1;
SELECT id, e <-> :'q' AS l2, h <=> :'q' AS cosine FROM distance_plan_rows
WHERE kind = 1234 % 7 ORDER BY e <=> :'q', id LIMIT 1;

-- Zero vectors (NaN) after all that have a direction, NULL last.
SELECT id, e <=> :'q' AS cosine FROM distance_plan_rows WHERE id < 1 ORDER BY e <=> :'q';
SELECT id FROM distance_plan_rows ORDER BY e <=> :'q' DESC NULLS LAST LIMIT 1;

-- The query may come from a table, a parameter or a subquery.
PREPARE nearest (embedding) AS SELECT id FROM distance_plan_rows ORDER BY e <-> $1, id LIMIT 2;
EXECUTE nearest (:'q');
SET plan_cache_mode = force_generic_plan;
EXECUTE nearest (:'q');
RESET plan_cache_mode;
SELECT q.id, n.id FROM distance_plan_rows q CROSS JOIN LATERAL
	(SELECT id FROM distance_plan_rows r WHERE r.id <> q.id ORDER BY r.e <-> q.e, r.id LIMIT 1) AS n
WHERE q.id IN (5, 1010) ORDER BY q.id;
SELECT id FROM distance_plan_rows ORDER BY e <-> (SELECT avg(e) FROM distance_plan_rows), id LIMIT 1;
SELECT count(*) FROM distance_plan_rows WHERE e <-> :'q' < 100;

-- Other ways to the rows than a sequential scan, dead rows, updated rows.
CREATE INDEX distance_plan_id ON distance_plan_rows (id);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT id FROM distance_plan_rows WHERE id BETWEEN 1000 AND 2000 ORDER BY e <-> :'q', id LIMIT 1;
RESET enable_seqscan;
RESET enable_bitmapscan;
DELETE FROM distance_plan_rows WHERE id % 3 = 1 AND id > 2;
UPDATE distance_plan_rows SET kind = -1 WHERE id % 5 = 0;
SELECT array(SELECT id FROM distance_plan_rows ORDER BY e <-> :'q', id LIMIT 20)
	= array(SELECT id FROM pg_temp.reference(:'q') ORDER BY l2, id LIMIT 20) AS l2;
VACUUM distance_plan_rows;
SELECT array(SELECT id FROM distance_plan_rows ORDER BY e <-> :'q', id LIMIT 20)
	= array(SELECT id FROM pg_temp.reference(:'q') ORDER BY l2, id LIMIT 20) AS l2;

-- In parallel: the same answer.
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT id FROM distance_plan_rows ORDER BY e <-> '[1,2]', id LIMIT 5;
SELECT array(SELECT id FROM distance_plan_rows ORDER BY e <-> :'q', id LIMIT 20)
	= array(SELECT id FROM pg_temp.reference(:'q') ORDER BY l2, id LIMIT 20) AS l2;
-- Workers use the level that the leader was told to.
SET mmodal.simd = 'scalar';
SELECT array(SELECT id FROM distance_plan_rows ORDER BY e <-> :'q', id LIMIT 20)
	= array(SELECT id FROM pg_temp.reference(:'q') ORDER BY l2, id LIMIT 20) AS l2;
RESET mmodal.simd;
RESET min_parallel_table_scan_size;
RESET parallel_setup_cost;
RESET max_parallel_workers_per_gather;

-- What the planner is told: all immutable, strict, parallel safe, and dearer
-- than a comparison of numbers.
SELECT p.oid::regprocedure, provolatile, proisstrict, proparallel, procost
FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
WHERE oprleft = 'embedding'::regtype AND oprname IN ('<->', '<#>', '<=>', '<+>') ORDER BY 1;
SELECT o.oid::regoperator, o.oprcom = o.oid AS commutes
FROM pg_operator o WHERE oprleft = 'embedding'::regtype AND oprname IN ('<->', '<#>', '<=>', '<+>') ORDER BY 1;

DROP TABLE distance_plan_rows;
