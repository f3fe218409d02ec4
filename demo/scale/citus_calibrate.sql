-- Each shard by itself: its index is found by its table, and the queries go along.
SELECT array_agg(e)::text AS queries FROM query WHERE kind = 'text' AND id % 2 = 0 \gset
SELECT success, count(*) AS shards, min(result) AS result
FROM run_command_on_placements('item', format(
	$$SELECT count(*) FROM pg_index, mmodal_calibrate(indexrelid, %L) WHERE indrelid = '%%s'::regclass$$, :'queries'))
GROUP BY success;
SELECT count(*) AS single FROM mmodal_calibrate('single_e_idx', :'queries');
