-- Arithmetic and functions of one embedding.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;

-- What an SQL command fails with: its SQLSTATE, message, detail and hint.
CREATE FUNCTION pg_temp.fails(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE command;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, message, nullif(detail, ''), nullif(hint, ''));
END $$;

SELECT '[1,2,3]'::embedding + '[4,5,6]', '[1,2,3]'::embedding - '[4,5,6]',
	'[1,2,3]'::embedding * '[4,5,6]', '[1,2,3]'::embedding || '[4,5]';

-- Halves stay halves among themselves; with a float32 side the result is float32.
SELECT pg_column_size(h + h) AS half_half, pg_column_size(h - f) AS half_float32,
	pg_column_size(f * h) AS float32_half, pg_column_size(h || h) AS concatenated,
	pg_column_size(h || f) AS mixed_concatenated, h + f AS sum
FROM (SELECT '[1,2,0.1]'::embedding(3, half) AS h, '[1,2,0.1]'::embedding AS f) AS v;

SELECT command, pg_temp.fails('SELECT ' || command) AS error
FROM unnest(ARRAY[
	$$'[3e38]'::embedding + '[3e38]'$$,
	$$'[-3e38]'::embedding - '[3e38]'$$,
	$$'[1e37]'::embedding * '[1e37]'$$,
	$$'[1e-37]'::embedding * '[1e-37]'$$,
	$$'[0]'::embedding * '[1e-37]'$$,
	$$'[40000]'::embedding(1, half) + '[40000]'::embedding(1, half)$$,
	$$'[-40000]'::embedding(1, half) - '[40000]'::embedding(1, half)$$,
	$$'[300]'::embedding(1, half) * '[300]'::embedding(1, half)$$,
	$$'[1e-4]'::embedding(1, half) * '[1e-4]'::embedding(1, half)$$,
	$$'[40000]'::embedding(1, half) + '[40000]'$$,
	$$'[1,2]'::embedding + '[3]'$$,
	$$'[1,2]'::embedding - '[3]'$$,
	$$'[1,2]'::embedding * '[3]'$$,
	$$array_fill(0, ARRAY[16000])::embedding || '[1]'$$,
	$$array_fill(0, ARRAY[15999])::embedding || '[1]'$$]) AS command;

SELECT embedding_dims('[1,2,3]'), embedding_dims('[1]'::embedding(1, half));
SELECT embedding_norm('[3,4]'), embedding_norm('[0,0]'), embedding_norm('[3e37,4e37]')::real,
	embedding_norm('[1e-30]')::real, embedding_norm('[3,4]'::embedding(2, half));

SELECT l2_normalize('[3,4]'), l2_normalize('[0,0.1]'), l2_normalize('[3e38]'), l2_normalize('[1e-44]'),
	l2_normalize('[0,0]');
SELECT l2_normalize('[3,4]'::embedding(2, half)) AS half,
	pg_column_size(l2_normalize('[3,4]'::embedding(2, half))) AS size;

SELECT start, count, subvector('[1,2,3,4,5]', start, count)
FROM (VALUES (1, 3), (3, 2), (-1, 3), (3, 9), (5, 1), (3, 2147483647), (-2147483644, 2147483647)) AS v (start, count);
SELECT start, count, pg_temp.fails(format('SELECT subvector(''[1,2,3,4,5]'', %s, %s)', start, count)) AS error
FROM (VALUES (1, 0), (3, -1), (-1, 2), (6, 1), (2147483647, 10), (-2147483648, 2147483647),
	(-2147483648, -2147483648)) AS v (start, count);
SELECT subvector('[1,0.1,3]'::embedding(3, half), 2, 2), pg_column_size(subvector('[1,0.1,3]'::embedding(3, half), 2, 2));

-- NULL.
SELECT '[1]'::embedding + NULL IS NULL AND NULL || '[1]'::embedding IS NULL
	AND subvector('[1]', NULL, 1) IS NULL AND l2_normalize(NULL) IS NULL AS strict;

-- Values stored compressed, out of line or behind a short header read the same.
CREATE TEMP TABLE stored (kind text, e embedding);
ALTER TABLE stored ALTER e SET STORAGE extended;
INSERT INTO stored SELECT 'compressed', array_fill(1, ARRAY[4000])::embedding;
ALTER TABLE stored ALTER e SET STORAGE external;
INSERT INTO stored SELECT 'out of line', array_fill(1, ARRAY[4000])::embedding;
ALTER TABLE stored ALTER e SET STORAGE main;
INSERT INTO stored VALUES ('short', '[1,1]'), ('short half', '[1,1,1]'::embedding(3, half));
SELECT kind, embedding_dims(e), embedding_norm(e), pg_column_size(e) AS size, e = e + (e - e) AS same,
	e <-> subvector(e || e, 1, embedding_dims(e)) AS distance
FROM stored;
