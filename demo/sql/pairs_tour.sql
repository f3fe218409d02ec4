\echo 'Which two pictures, laid over each other, fit a sentence best?'
\echo
SELECT a.caption, b.caption
FROM (SELECT * FROM pair ORDER BY e <=> clip_embed('a strawberry and a violin') LIMIT 3) AS found
	JOIN picture AS a ON a.id = found.a JOIN picture AS b ON b.id = found.b;

EXPLAIN (ANALYZE, COSTS OFF)
SELECT a, b FROM pair ORDER BY e <=> clip_embed('a strawberry and a violin') LIMIT 3;

\echo 'How many of the ten nearest rows does the index find by text, at mmodal.recall = 0.95?'
\echo 'It was built from pictures alone; then it is told what texts are like.'
\echo
SELECT round(mmodal_recall('pair_e_idx', ARRAY(SELECT clip_embed(title) FROM recipe WHERE id % 2 = 0), 10)::numeric, 3) AS before;
SELECT count(*) AS points FROM mmodal_calibrate('pair_e_idx', ARRAY(SELECT clip_embed(title) FROM recipe WHERE id % 2 = 1));
SELECT round(mmodal_recall('pair_e_idx', ARRAY(SELECT clip_embed(title) FROM recipe WHERE id % 2 = 0), 10)::numeric, 3) AS after;

SELECT rows, lists, pg_size_pretty(pg_relation_size('pair_e_idx')) AS index, pg_size_pretty(pg_table_size('pair')) AS table
FROM mmodal_index_stats('pair_e_idx');
