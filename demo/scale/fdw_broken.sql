SELECT e AS q FROM query LIMIT 1 \gset
\set VERBOSITY verbose

\echo '\n-- A query that needs the server fails; it never gives a part of the answer.'
SELECT id FROM item ORDER BY e <=> :'q' LIMIT 10;

\echo '\n-- Those that do not need it go on: a row by its key, and the partitions that are there.'
SELECT id AS there FROM item_scale1 LIMIT 1 \gset
SELECT id FROM item WHERE id = :there;
SELECT count(*) FROM (SELECT id FROM item_scale1 ORDER BY e <=> :'q' LIMIT 10) AS x;
SELECT * FROM (
	SELECT * FROM (
		(SELECT id, e <=> :'q' AS d FROM item_scale1 ORDER BY d LIMIT 3) UNION ALL
		(SELECT id, e <=> :'q' AS d FROM item_scale3 ORDER BY d LIMIT 3)) AS parts OFFSET 0) AS fence
ORDER BY d LIMIT 3;
