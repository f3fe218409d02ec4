-- The aggregates sum and avg.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;

SELECT sum(e), avg(e) FROM unnest(ARRAY['[1,2,3]'::embedding, '[3,5,7]']) AS e;
SELECT sum(e), avg(e) FROM unnest(ARRAY['[1,2,3]'::embedding, NULL, '[3,5,7]', NULL]) AS e;
SELECT sum(e), avg(e) FROM unnest(ARRAY[NULL, NULL]::embedding[]) AS e;
SELECT sum(e), avg(e) FROM unnest(ARRAY[]::embedding[]) AS e;
SELECT sum(e) FILTER (WHERE embedding_dims(e) = 2), avg(DISTINCT e) FILTER (WHERE embedding_dims(e) = 1)
FROM unnest(ARRAY['[1,2]'::embedding, '[3]', '[3]', '[5]', '[1,1]']) AS e;

-- Sums are kept in float64: only the result must fit float32.
SELECT avg(e) FROM unnest(ARRAY['[3e38]'::embedding, '[3e38]']) AS e;
SELECT sum(e) FROM unnest(ARRAY['[3e38]'::embedding, '[3e38]', '[-3e38]']) AS e;
SELECT sum(e) FROM unnest(ARRAY['[16777216]'::embedding, '[1]', '[1]']) AS e;
SELECT sum(e) AS tenths FROM (SELECT '[0.1]'::embedding FROM generate_series(1, 100000)) AS v (e);

-- Halves give float32: neither range nor digits are lost.
SELECT sum(e), avg(e), pg_column_size(avg(e)) AS size
FROM unnest(ARRAY['[65504,1]'::embedding(2, half), '[65504,1.001]'::embedding(2, half)]) AS e;

\set VERBOSITY sqlstate
SELECT sum(e) FROM unnest(ARRAY['[3e38]'::embedding, '[3e38]']) AS e;
SELECT sum(e) FROM unnest(ARRAY['[1,2]'::embedding, '[3]']) AS e;
SELECT avg(e) FROM unnest(ARRAY['[1,2]'::embedding, '[3]']) AS e;
\set VERBOSITY default
SELECT avg(e) FROM unnest(ARRAY['[1,2]'::embedding, '[3]']) AS e;

-- As a window function, where states are used again after a final result.
SELECT i, sum(e) OVER (ORDER BY i), avg(e) OVER (ORDER BY i ROWS 1 PRECEDING)
FROM (SELECT i, ARRAY[i, -i]::embedding FROM generate_series(1, 4) AS i) AS v (i, e);

-- Groups, hashed and sorted.
SELECT g, sum(e) FROM (SELECT i % 3, ARRAY[i, 1]::embedding FROM generate_series(1, 9) AS i) AS v (g, e)
GROUP BY ROLLUP (g) ORDER BY g;

-- In parallel: partial states travel from workers.
CREATE TABLE type_aggregate_rows (id int, e embedding(3, half));
INSERT INTO type_aggregate_rows SELECT i, ARRAY[1, i % 10, -0.5]::embedding FROM generate_series(1, 20000) AS i;
INSERT INTO type_aggregate_rows VALUES (0, NULL);
ANALYZE type_aggregate_rows;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT sum(e), avg(e), count(*) FROM type_aggregate_rows;
SELECT sum(e), avg(e), count(*) FROM type_aggregate_rows;
SELECT sum(e), avg(e) FROM type_aggregate_rows WHERE id < 0;
SELECT id % 2 AS odd, sum(e) FROM type_aggregate_rows GROUP BY 1 ORDER BY 1;
\set VERBOSITY sqlstate
SELECT sum(CASE WHEN id = 20000 THEN '[1]'::embedding ELSE e END) FROM type_aggregate_rows;
\set VERBOSITY default
SET max_parallel_workers_per_gather = 0;
SELECT sum(e), avg(e), count(*) FROM type_aggregate_rows;
RESET max_parallel_workers_per_gather;
RESET min_parallel_table_scan_size;
RESET parallel_tuple_cost;
RESET parallel_setup_cost;
DROP TABLE type_aggregate_rows;
