\echo 'Which two pictures, laid over each other, fit a sentence best?'
\echo
SELECT a.caption, b.caption
FROM (SELECT * FROM pair ORDER BY e <=> clip_embed('a strawberry and a violin') LIMIT 3) AS found
	JOIN picture AS a ON a.id = found.a JOIN picture AS b ON b.id = found.b;

EXPLAIN (ANALYZE, COSTS OFF)
SELECT a, b FROM pair ORDER BY e <=> clip_embed('a strawberry and a violin') LIMIT 3;

SELECT rows, lists, pg_size_pretty(pg_relation_size('pair_e_idx')) AS index, pg_size_pretty(pg_table_size('pair')) AS table
FROM mmodal_index_stats('pair_e_idx');
