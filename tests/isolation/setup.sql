-- What the specs share.  Every plan that can use a faiss_ivf index does, and
-- at recall 1 its order is that of the distance.
CREATE EXTENSION mmodal;
ALTER DATABASE :"DBNAME" SET enable_seqscan = off;
ALTER DATABASE :"DBNAME" SET enable_sort = off;
ALTER DATABASE :"DBNAME" SET mmodal.recall = 1;
ALTER DATABASE :"DBNAME" SET default_statistics_target = 1;

-- A point on a line, for tables whose order can be seen.
CREATE FUNCTION at(x float8) RETURNS embedding LANGUAGE sql IMMUTABLE AS
$$ SELECT ARRAY[x, 0]::embedding(2) $$;

-- Something like an embedding of 24 dimensions.
CREATE FUNCTION vec(i int) RETURNS embedding LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(sin(i * (j + 1) * 0.7) + sin(i % 17 * j))::float8[]::embedding(24)
	FROM generate_series(1, 24) j
$$;

-- Read what is left of a cursor of ids: how many, how many different ones, and their sum.
CREATE FUNCTION drain(name text, OUT n bigint, OUT different bigint, OUT total bigint)
LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := name;
	id int;
	ids int[] := '{}';
BEGIN
	LOOP
		FETCH c INTO id;
		EXIT WHEN NOT FOUND;
		ids := ids || id;
	END LOOP;
	SELECT count(*), count(DISTINCT i), sum(i) INTO n, different, total FROM unnest(ids) i;
END $$;

-- The ids of a table by an index scan that is read to its end, and by a plan without indexes.
CREATE FUNCTION same_rows(tab regclass, probe embedding) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	by_index int[];
	by_table int[];
BEGIN
	EXECUTE format('SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM %s ORDER BY e <-> $1) x', tab)
		INTO by_index USING probe;
	PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true);
	EXECUTE format('SELECT array_agg(id ORDER BY id) FROM %s', tab) INTO by_table;
	PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'on', true);
	RETURN by_index IS NOT DISTINCT FROM by_table;
END $$;
