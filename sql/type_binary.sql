-- Binary form: int16 dims, int16 format, uint32 space if there is one, elements; big-endian.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;

SELECT embedding_send('[1,-2]'), embedding_send('[1,-2]'::embedding(2, half));

-- Bytes go in through a file in the data directory, where the server may write.
SELECT current_setting('data_directory') || '/mmodal_type_binary.tmp' AS file \gset
CREATE TEMP TABLE received (e embedding);
CREATE TEMP TABLE received_half (e embedding(2, half));

-- Receive one value of type embedding from its binary form into a table, which
-- gives the value; or the error.
CREATE FUNCTION pg_temp.receive(body bytea, target regclass DEFAULT 'received') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	file bytea := '\x5047434f50590aff0d0a000000000000000000'::bytea
		|| '\x0001'::bytea || int4send(length(body)) || body || '\xffff'::bytea;
	large oid := lo_from_bytea(0, file);
	detail text;
	result text;
BEGIN
	PERFORM lo_export(large, 'mmodal_type_binary.tmp');
	PERFORM lo_unlink(large);
	EXECUTE format('TRUNCATE %s', target);
	EXECUTE format('COPY %s FROM %L (FORMAT binary)', target, 'mmodal_type_binary.tmp');
	EXECUTE format('SELECT e FROM %s', target) INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;

-- Format 0, as clients of other vector types send it, and format 1.
SELECT pg_temp.receive('\x000200003f800000c0000000') AS float32;
SELECT pg_temp.receive('\x000200013c00c000') AS half;
SELECT pg_column_size(e) AS half_size FROM received;
SELECT pg_temp.receive('\x000180') AS cut;

-- Bit 1: a space precedes the elements.  It is kept.
SELECT pg_temp.receive('\x000200020000002a3f800000c0000000') AS with_space;
CREATE TEMP TABLE spaced AS SELECT e FROM received;
SELECT pg_temp.receive('\x00020003fffffffe3c00c000') AS with_space_half;
INSERT INTO spaced SELECT e FROM received;
SELECT embedding_send(e), embedding_send(e::embedding(2)) AS as_float32,
	embedding_send(e::embedding(2, half)) AS as_half FROM spaced;
SELECT embedding_send(l2_normalize(e)) AS normalized, embedding_send(subvector(e, 2, 1)) AS part
FROM spaced;
-- Two operands: the space that both have, or the one that is known.
SELECT embedding_send(e + e) AS same, embedding_send(e * '[1,1]') AS one_known,
	embedding_send('[1]' || e) AS concatenated FROM spaced;
SELECT embedding_send(a.e + b.e) AS contradiction FROM spaced a, spaced b WHERE a.e::text <> b.e::text
	OR embedding_send(a.e) < embedding_send(b.e);
SELECT embedding_send(sum(e)) AS sum, embedding_send(avg(e)) AS avg
FROM (SELECT e FROM spaced LIMIT 1) AS one;
SELECT embedding_send(sum(e ORDER BY embedding_send(e))) AS contradiction,
	embedding_send(sum(e ORDER BY embedding_send(e) DESC)) AS reversed FROM spaced;
SELECT embedding_send(sum(e)) AS one_known FROM (SELECT e FROM spaced LIMIT 1) AS one (e) RIGHT JOIN
	generate_series(1, 2) ON true;
-- It does not count in comparisons.
SELECT count(DISTINCT e), bool_and(e = '[1,-2]') AS equal FROM spaced;

-- All else is refused.
SELECT body, pg_temp.receive(body) AS error FROM (VALUES
	('\x'::bytea), ('\x0001'), ('\x00010000'), ('\x000100003f8000'), ('\x000100003f80000000'),
	('\x000200003f800000'), ('\x00000000'), ('\xffff00003f800000'), ('\x000100043f800000'),
	('\x000180003f800000'), ('\x00010002'), ('\x00010002000000'), ('\x000100020000002a'),
	('\x000100013f800000'), ('\x000100007f800000'), ('\x00010000ff800000'), ('\x000100007fc00000'),
	('\x000200003f8000007f800001'), ('\x000100017c00'), ('\x00010001fe00')) AS v (body);
SELECT pg_temp.receive('\x3e810000'::bytea || decode(repeat('00', 64004), 'hex')) AS too_many;
SELECT length(pg_temp.receive('\x3e800000'::bytea || decode(repeat('00', 64000), 'hex'))) AS most;

-- With a type modifier.
SELECT pg_temp.receive('\x000200003f8000003dcccccd', 'received_half') AS to_half;
SELECT pg_temp.receive('\x000100003f800000', 'received_half') AS other_dims,
	pg_temp.receive('\x000200003f800000477ff000', 'received_half') AS half_range;

-- Round trip through COPY BINARY.
CREATE TEMP TABLE source (id int, e embedding, h embedding(3, half), a embedding[]);
INSERT INTO source VALUES (1, '[1,-2.5,3e38]', '[1,-2.5,0.1]', '{"[1]","[2,3]"}'), (2, NULL, NULL, '{NULL}'),
	(3, '[1e-45,-0]', '[0,-0,6e-8]', '{}'), (4, '[1]'::embedding(1, half), '[65504,-65504,1]', NULL);
INSERT INTO source SELECT 5, array_agg(sin(i))::embedding, '[0,0,0]', NULL FROM generate_series(1, 16000) AS i;
INSERT INTO source SELECT 6, e, '[0,0,0]', NULL FROM spaced LIMIT 1;
CREATE TEMP TABLE target (LIKE source);
COPY source TO :'file' (FORMAT binary);
COPY target FROM :'file' (FORMAT binary);
SELECT s.id, embedding_send(s.e) IS NOT DISTINCT FROM embedding_send(t.e)
	AND embedding_send(s.h) IS NOT DISTINCT FROM embedding_send(t.h)
	AND s.a IS NOT DISTINCT FROM t.a AS same
FROM source s JOIN target t USING (id) ORDER BY id;
COPY (SELECT 1 WHERE false) TO PROGRAM 'rm -f mmodal_type_binary.tmp';
