-- Casts from and to arrays, and embeddings from raw bytes.
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

SELECT ARRAY[1,2,3]::embedding, ARRAY[1.5,2,3]::embedding, ARRAY[1,2,3]::real[]::embedding,
	ARRAY[1,2,3]::double precision[]::embedding, ARRAY[1,2,3]::numeric[]::embedding(3, half);
SELECT '[1.5,2,-0.1]'::embedding::real[], '[1.5,2,-0.1]'::embedding(3, half)::real[];
SELECT '{1,2,3}'::real[]::embedding(3), '[5:6]={1,2}'::real[]::embedding;
SELECT '{16777217,2147483647}'::integer[]::embedding;
SELECT '{1e-46,-1e-46}'::double precision[]::embedding;
SELECT ('{' || repeat('9', 38) || ',0.1}')::numeric[]::embedding;

SELECT input, type, pg_temp.fails(format('SELECT %L::%s::embedding', input, type)) AS error
FROM (VALUES ('{NULL}', 'real[]'), ('{1,NULL}', 'integer[]'), ('{NaN}', 'real[]'),
	('{Infinity}', 'real[]'), ('{-Infinity}', 'double precision[]'), ('{NaN}', 'numeric[]'),
	('{Infinity}', 'numeric[]'), ('{}', 'real[]'), ('{{1}}', 'real[]'), ('{{1,2},{3,4}}', 'integer[]'),
	('{4e38,-4e38}', 'double precision[]'), ('{1e300}', 'numeric[]')) AS v (input, type);
SELECT pg_temp.fails('SELECT ''{1,2,3}''::real[]::embedding(2)') AS other_dims,
	pg_temp.fails('SELECT ''{65520}''::real[]::embedding(1, half)') AS half_range;
SELECT pg_temp.fails('SELECT array_agg(n)::embedding FROM generate_series(1, 16001) n') AS too_many;
SELECT embedding_dims(array_agg(n)::embedding) FROM generate_series(1, 16000) n;

-- All casts are for assignment, none is implicit.
SELECT castsource::regtype, casttarget::regtype, castcontext FROM pg_cast
WHERE 'embedding'::regtype IN (castsource, casttarget) ORDER BY 1, 2;
CREATE TEMP TABLE t (e embedding(3, half), a real[]);
INSERT INTO t VALUES (ARRAY[1,2,3], '[1,2,3]'::embedding);
SELECT * FROM t;
SELECT pg_temp.fails('SELECT l2_distance(''[1,2,3]''::embedding, ARRAY[1,2,3])') ~ '^42883' AS explicit_only;
SELECT ARRAY[1,2,3] = ARRAY[1,2,3] AS arrays_still_compare;

-- Raw bytes, little-endian.
SELECT embedding_from_bytes('\x0000803f000000c0cdcccc3d', 'float32');
SELECT embedding_from_bytes('\x003c00c0662e', 'float16') AS e,
	pg_column_size(embedding_from_bytes('\x003c00c0662e', 'float16')) AS size;
SELECT bytes, format, pg_temp.fails(format('SELECT embedding_from_bytes(%L, %L)', bytes, format)) AS error
FROM (VALUES ('', 'float32'), ('\x00', 'float16'), ('\x0000803f00', 'float32'),
	('\x0000c07f', 'float32'), ('\x0000803f000080ff', 'float32'), ('\x007c', 'float16'),
	('\x01fe', 'float16'), ('\x00000000', 'float64'), ('\x00000000', 'FLOAT32')) AS v (bytes, format);
SELECT pg_temp.fails('SELECT embedding_from_bytes(decode(repeat(''00'', 64004), ''hex''), ''float32'')') AS too_long;
SELECT embedding_dims(embedding_from_bytes(decode(repeat('00', 32000), 'hex'), 'float16'));
SELECT embedding_from_bytes(NULL, 'float32') IS NULL AND embedding_from_bytes('\x003c', NULL) IS NULL AS strict;
