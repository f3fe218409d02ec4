-- Answers of every table to every query, to be compared.

-- The k nearest rows of a table.  The vector goes into the statement as a constant.
CREATE FUNCTION nearest(source regclass, q embedding, k int, condition text DEFAULT 'true')
RETURNS TABLE (id bigint, d float8) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT id, e <=> %1$L AS d FROM %2$s WHERE %3$s ORDER BY d LIMIT %4$s',
		q, source, condition, k);
END $$;

CREATE TABLE answer (
	run text NOT NULL,
	query int NOT NULL REFERENCES query,
	ids bigint[] NOT NULL,	-- nearest first; of equally near ones the smallest id
	ds float8[] NOT NULL
);

CREATE TABLE asked (run text PRIMARY KEY, ms float8 NOT NULL);

-- Ask all queries by a function such as nearest, and keep the answers as a run.
CREATE PROCEDURE ask(run text, source regclass, by text DEFAULT 'nearest', condition text DEFAULT 'true')
LANGUAGE plpgsql AS $$
DECLARE
	started timestamptz := clock_timestamp();
BEGIN
	EXECUTE format('INSERT INTO answer
		SELECT %1$L, q.id, array_agg(n.id ORDER BY n.d, n.id), array_agg(n.d ORDER BY n.d, n.id)
		FROM query AS q, LATERAL %2$I(%3$L, q.e, 10, %4$L) AS n GROUP BY q.id', run, by, source, condition);
	INSERT INTO asked VALUES (run, extract(epoch FROM clock_timestamp() - started) * 1000);
END $$;

-- Two runs, query by query: the same distances to the last bit, the same rows.
CREATE FUNCTION compare(one text, other text)
RETURNS TABLE (queries bigint, same_distances bigint, same_rows bigint) LANGUAGE sql AS $$
	SELECT count(*), count(*) FILTER (WHERE a.ds = b.ds), count(*) FILTER (WHERE a.ids = b.ids)
	FROM answer AS a JOIN answer AS b USING (query) WHERE a.run = one AND b.run = other
$$;

-- Share of the ten nearest that runs found; a row as near as the tenth is one of them.
CREATE FUNCTION recall_of(exact text, VARIADIC runs text[])
RETURNS TABLE (run text, text numeric, picture numeric, ms numeric) LANGUAGE sql AS $$
	SELECT f.run, round(avg(s.share) FILTER (WHERE q.kind = 'text'), 4),
		round(avg(s.share) FILTER (WHERE q.kind = 'picture'), 4),
		round((SELECT a.ms FROM asked AS a WHERE a.run = f.run)::numeric / count(*), 1)
	FROM answer AS f JOIN answer AS x USING (query) JOIN query AS q ON q.id = f.query,
		LATERAL (SELECT count(*) / 10.0 AS share FROM unnest(f.ds) AS d WHERE d <= x.ds[10]) AS s
	WHERE f.run = ANY (runs) AND x.run = exact
	GROUP BY f.run ORDER BY array_position(runs, f.run)
$$;
