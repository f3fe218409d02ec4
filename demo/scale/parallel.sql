-- The nearest rows of a table whose partitions are foreign, all servers at work
-- at the same time: one SELECT with a LIMIT for each partition, under a fence
-- (OFFSET 0) that keeps the planner from merging them one after another.
--
-- condition is SQL, and not for strings that users type.
CREATE FUNCTION nearest_in_parallel(parent regclass, q embedding, k int, condition text DEFAULT 'true')
RETURNS TABLE (id bigint, d float8) LANGUAGE plpgsql STABLE AS $$
DECLARE
	parts text;
BEGIN
	SELECT string_agg(format('(SELECT id, e <=> %L AS d FROM %s WHERE %s ORDER BY d LIMIT %s)',
			q, relid, condition, k), ' UNION ALL ')
		INTO parts FROM pg_partition_tree(parent) WHERE isleaf;
	RETURN QUERY EXECUTE format('SELECT * FROM (SELECT * FROM (%s) AS parts OFFSET 0) AS fence ORDER BY d LIMIT %s',
		parts, k);
END $$;
