SELECT e AS q FROM query LIMIT 1 \gset
\set VERBOSITY verbose

\echo '\n-- A query that needs the worker fails; it never gives a part of the answer.'
SELECT id FROM item ORDER BY e <=> :'q' LIMIT 10;

\echo '\n-- Of rows by their key, those on the other worker are there.'
SELECT s.id FROM single AS s WHERE get_shard_id_for_distribution_column('item', s.id) IN (
	SELECT shardid FROM citus_shards WHERE table_name = 'item'::regclass AND nodename =
		(SELECT min(nodename) FROM pg_dist_node WHERE groupid = 1)) LIMIT 1 \gset there_
SELECT id FROM item WHERE id = :there_id;
