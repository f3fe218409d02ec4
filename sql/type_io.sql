-- Text form of the embedding type: what is read, what is printed, errors.
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

-- Plain values, spaces, forms of numbers.
SELECT '[1,2,3]'::embedding;
SELECT '[-1,+2,.5,3.]'::embedding;
SELECT E' [ 1,  2 ,\t3\n,4\r\f\x0b] '::embedding;
SELECT '[1e3,1E-3,0x10]'::embedding;
SELECT '[0]'::embedding, '[-0]'::embedding;

-- Shortest digits that read back as the same float32.
SELECT '[0.1,1.23456,1.5e38,-1.5e-38,16777216,3.4028235e38,1e-45]'::embedding;
SELECT '[0.10000000149011612,0.30000001192092896]'::embedding;

-- Too small for float32 becomes zero of the same sign.
SELECT '[1e-46,-1e-46]'::embedding;

-- Round trip through text: 16,000 random float32 values, all magnitudes.
WITH r AS (
	SELECT setseed(0.5)
), v AS (
	SELECT array_agg(((random() - 0.5) * 10.0 ^ (random() * 70 - 36))::real) AS a
	FROM r, generate_series(1, 16000)
)
SELECT embedding_dims(a::embedding) AS dims,
	(a::embedding)::text::embedding::real[] = a AS same,
	(a::embedding)::text = '[' || array_to_string(a, ',') || ']' AS digits_of_real
FROM v;

-- Malformed text.
SELECT input, pg_temp.fails(format('SELECT %L::embedding', input)) AS error
FROM unnest(ARRAY['', ' ', '1,2,3', '[', '[ ', '[,', '[]', '[ ]', '[,]', '[1,]', '[1a]', '[1,,3]',
	'[1, ,3]', '[1 2]', '[1,2,3', '[1,2,3]9', '[1,2]]', '{1,2}', '[[1]]', '[hello,1]', '[1;2]',
	'[1e]', '[0x]', '[--1]']) AS input;

-- Values that are refused.
SELECT input, pg_temp.fails(format('SELECT %L::embedding', input)) AS error
FROM unnest(ARRAY['[NaN,1]', '[nan]', '[Infinity,1]', '[-Infinity]', '[inf]', '[4e38,1]',
	'[-4e38]', '[1e400]', '[3.4028236e38]']) AS input;

-- 1 to 16,000 dimensions.
SELECT embedding_dims(('[' || repeat('1,', 15999) || '1]')::embedding);
SELECT pg_temp.fails('SELECT (''['' || repeat(''1,'', 16000) || ''1]'')::embedding');

-- With the typmod that COPY hands to the input function.
CREATE TEMP TABLE t (e embedding(2, half));
COPY t FROM stdin;
[1,0.1]
\N
[65519,-65504]
\.
SELECT * FROM t;
\set VERBOSITY sqlstate
COPY t FROM stdin;
[65520,0]
\.
COPY t FROM stdin;
[1]
\.
\set VERBOSITY default

-- NULL.
SELECT NULL::embedding IS NULL AS is_null, embedding_dims(NULL) IS NULL AS dims_is_null;

-- Arrays of embeddings.
SELECT unnest('{"[1,2,3]", "[4,5,6]", NULL}'::embedding[]);

-- Every SQL object of the extension has a comment (array types cannot have one
-- of their own in a script, and row types are members from PostgreSQL 18).
SELECT pg_describe_object(d.classid, d.objid, 0)
FROM pg_depend d JOIN pg_extension x ON d.refobjid = x.oid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND x.extname = 'mmodal'
	AND obj_description(d.objid, (SELECT relname FROM pg_class c WHERE c.oid = d.classid)) IS NULL
	AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = d.objid AND d.classid = 'pg_type'::regclass
		AND (t.typcategory = 'A' OR t.typrelid <> 0));
