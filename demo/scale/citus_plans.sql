SELECT e AS q FROM query LIMIT 1 \gset
\pset format unaligned
\pset tuples_only on

\echo '\n-- ORDER BY and LIMIT go to each shard, which searches its index.'
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item ORDER BY e <=> :'q' LIMIT 10;

\echo '\n-- So does a filter; all four tasks.'
SET citus.explain_all_tasks = on;
EXPLAIN (COSTS OFF) SELECT id FROM item WHERE topic <> 'animals' ORDER BY e <=> :'q' LIMIT 10;
RESET citus.explain_all_tasks;

\echo '\n-- A parameter.  EXPLAIN EXECUTE would need a type that Citus knows by number; EXPLAIN ANALYZE goes.'
PREPARE nearest_rows(embedding) AS SELECT id FROM item ORDER BY e <=> $1 LIMIT 10;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) EXECUTE nearest_rows(:'q');
SELECT count(*) AS rows FROM (SELECT id FROM item ORDER BY e <=> :'q' LIMIT 10) AS x;

\echo '\n-- What is only STABLE is sent as it is: each shard computes it again, and needs the model.'
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item ORDER BY e <=> clip_embed('a wild animal') LIMIT 10;

\echo '\n-- A sub-select is computed once, here, and its result sent along.'
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item ORDER BY e <=> (SELECT clip_embed('a wild animal')) LIMIT 10;

\echo '\n-- IMMUTABLE, since the model is named: a constant.'
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item ORDER BY e <=> clip_embed('a wild animal', 'mini') LIMIT 10;
