-- Type modifiers: embedding(dims) and embedding(dims, half).
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

SELECT '[1,2,3]'::embedding(3);
SELECT '[1,2,3.1]'::embedding(3, half);
SELECT '[1,2,3.1]'::embedding(3, HALF) = '[1,2,3.0996094]'::embedding AS rounded;

-- What may be a modifier.
SELECT modifier, pg_temp.fails(format('SELECT ''[1,2,3]''::embedding(%s)', modifier)) AS error
FROM unnest(ARRAY['2', '4, half', '0', '-1', '16001', '''a''', 'half', '3, 2', '3, single',
	'3, half, 1', '99999999999']) AS modifier;
SELECT pg_temp.fails('SELECT ''{"[1,2,3]"}''::embedding(2)[]') AS in_array;

-- As it is shown.
CREATE TEMP TABLE t (a embedding, b embedding(3), c embedding(3, half), d embedding(2, half)[]);
SELECT attname, format_type(atttypid, atttypmod), attstorage, attalign
FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum;

-- Assignment converts; half takes two bytes an element.
INSERT INTO t VALUES ('[0.1,2,3]', '[0.1,2,3]', '[0.1,2,3]', '{"[0.1,2]"}');
INSERT INTO t SELECT c, c, a, d FROM t;
SELECT a, b, c, d, pg_column_size(a) AS a_size, pg_column_size(b) AS b_size,
	pg_column_size(c) AS c_size FROM t;

-- Without a modifier values keep their elements, with one they get those it names.
SELECT pg_column_size('[1,2,3]'::embedding(3, half)::embedding) AS kept,
	pg_column_size('[1,2,3]'::embedding(3, half)::embedding(3)) AS to_float32,
	pg_column_size('[1,2,3]'::embedding(3)::embedding(3, half)) AS to_half;

-- Rounding to half: to nearest, ties to even; subnormals; signed zero.
SELECT '[2049,2051,0.00006103515625,5.9604645e-08,2.9802322e-08,2.9802326e-08,-1e-8,65519.996]'
	::embedding(8, half);
-- All 65,536 bit patterns of float16 that are finite survive the way over float32.
SELECT count(*) AS patterns, bool_and(e = e::embedding(1)::embedding(1, half)
	AND embedding_send(e) = embedding_send(e::embedding(1)::embedding(1, half))) AS exact
FROM (SELECT embedding_from_bytes(decode(lpad(to_hex(i % 256), 2, '0') || lpad(to_hex(i / 256), 2, '0'),
	'hex'), 'float16') AS e
	FROM generate_series(0, 65535) AS i WHERE i / 1024 NOT IN (31, 63)) AS halves;
-- What float16 cannot hold.
SELECT value, pg_temp.fails(format('SELECT ''[%s]''::embedding::embedding(1, half)', value)) AS error
FROM unnest(ARRAY['65504', '65519.996', '65520', '-65520', '1e38']) AS value;

-- A domain and a table that has the modifier changed.
CREATE DOMAIN pg_temp.unit3 AS embedding(3, half) CHECK (abs(embedding_norm(VALUE) - 1) < 0.01);
SELECT '[0,1,0]'::pg_temp.unit3;
SELECT pg_temp.fails('SELECT ''[0,2,0]''::pg_temp.unit3') ~ '^23514' AS checked;
ALTER TABLE t ALTER b TYPE embedding(3, half);
SELECT b, pg_column_size(b) FROM t;
SELECT pg_temp.fails('ALTER TABLE t ALTER b TYPE embedding(2)');
