SELECT e AS q FROM query LIMIT 1 \gset

\echo '\n-- Each server sorts by its index; rows are merged as they come.'
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item ORDER BY e <=> :'q' LIMIT 10;

\echo '\n-- A filter goes along.'
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item WHERE topic <> 'animals' ORDER BY e <=> :'q' LIMIT 10;

\echo '\n-- The servers side by side, ten rows from each.'
EXPLAIN (VERBOSE, COSTS OFF)
SELECT * FROM (
	SELECT * FROM (
		(SELECT id, e <=> :'q' AS d FROM item_scale1 ORDER BY d LIMIT 10) UNION ALL
		(SELECT id, e <=> :'q' AS d FROM item_scale2 ORDER BY d LIMIT 10) UNION ALL
		(SELECT id, e <=> :'q' AS d FROM item_scale3 ORDER BY d LIMIT 10)) AS parts OFFSET 0) AS fence
ORDER BY d LIMIT 10;

\echo '\n-- What is only STABLE is not sent, so that every row comes here to be sorted.  Do not do this.'
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item ORDER BY e <=> clip_embed('a wild animal') LIMIT 10;

\echo '\n-- Computed once, here, and sent as a parameter.'
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item ORDER BY e <=> (SELECT clip_embed('a wild animal')) LIMIT 10;

\echo '\n-- IMMUTABLE, since the model is named: a constant.'
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM item ORDER BY e <=> clip_embed('a wild animal', 'mini') LIMIT 10;
