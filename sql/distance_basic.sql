-- Distances: values, symmetry, elements of both types, all levels of instructions.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;

SELECT l2_distance('[0,0]'::embedding, '[3,4]'), inner_product('[1,2]'::embedding, '[3,4]'),
	negative_inner_product('[1,2]', '[3,4]'), cosine_distance('[1,2]'::embedding, '[2,4]'),
	l1_distance('[0,0]'::embedding, '[3,4]');
SELECT '[0,0]'::embedding <-> '[3,4]' AS l2, '[1,2]'::embedding <#> '[3,4]' AS ip,
	'[1,0]'::embedding <=> '[0,2]' AS cosine, '[0,0]'::embedding <+> '[3,4]' AS l1;
SELECT cosine_distance('[1,1]'::embedding, '[1,1]'), cosine_distance('[1,1]'::embedding, '[-1,-1]'),
	cosine_distance('[1,1]'::embedding, '[1.1,1.1]'), cosine_distance('[1,1]'::embedding, '[-1.1,-1.1]');
-- A zero vector has no direction.
SELECT '[1,2]'::embedding <=> '[0,0]' AS zero, '[0,0]'::embedding <=> '[0,0]' AS zeros,
	'[0,0]'::embedding <-> '[0,0]' AS l2;
-- Products are float32.
SELECT '[3e38]'::embedding <-> '[-3e38]' AS l2, inner_product('[3e38]'::embedding, '[3e38]') AS ip,
	'[3e38]'::embedding <=> '[3e38]' AS cosine, '[3e38]'::embedding <+> '[-3e38]' AS l1;
-- Rounding does not lead out of the range of cosine distance.
SELECT min(d) >= 0 AS at_least_0, max(d) <= 2 AS at_most_2
FROM (SELECT unnest(ARRAY[e <=> (e + e), e <=> (e - e - e)]) AS d
	FROM (SELECT array_agg(sin(i * k))::embedding AS e
		FROM generate_series(1, 50) AS i, generate_series(1, 40) AS k GROUP BY k) AS v) AS distances;

-- Errors and NULL.
SELECT '[1,2]'::embedding <-> '[3]';
SELECT '[1,2]'::embedding <#> '[3]';
SELECT '[1,2]'::embedding <=> '[3]';
\set VERBOSITY sqlstate
SELECT '[1,2]'::embedding <+> '[3]'::embedding(1, half);
\set VERBOSITY default
SELECT '[1]'::embedding <-> NULL IS NULL AND NULL <=> '[1]'::embedding IS NULL AS strict;

-- Small integers are exact at every level: any number of dimensions, elements
-- of either type on either side, against sums in SQL.
CREATE TEMP TABLE exact AS
SELECT n, a::embedding AS a, b::embedding AS b, l2, ip, l1
FROM (SELECT n, array_agg(x ORDER BY i) AS a, array_agg(y ORDER BY i) AS b,
		sum((x - y) * (x - y)) AS l2, sum(x * y) AS ip, sum(abs(x - y)) AS l1
	FROM (SELECT n, i, (i * 7 + n) % 11 - 5 AS x, (i * 5 + n * 3) % 13 - 6 AS y
		FROM generate_series(1, 140) AS n, generate_series(1, n) AS i
		UNION ALL
		SELECT n, i, (i * 7 + n) % 11 - 5, (i * 5 + n * 3) % 13 - 6
		FROM unnest(ARRAY[255, 256, 257, 511, 512, 513, 575, 1023, 1999]) AS n, generate_series(1, n) AS i) AS v
	GROUP BY n) AS sums;
CREATE TEMP TABLE combined AS
SELECT n, l2, ip, l1, a, b FROM exact;
-- A type modifier is a constant, so this takes dynamic SQL.
CREATE FUNCTION pg_temp.half(e embedding) RETURNS embedding LANGUAGE plpgsql AS $$
DECLARE
	result embedding;
BEGIN
	EXECUTE format('SELECT $1::embedding(%s, half)', embedding_dims(e)) INTO result USING e;
	RETURN result;
END $$;
INSERT INTO combined SELECT n, l2, ip, l1, pg_temp.half(a), b FROM exact;
INSERT INTO combined SELECT n, l2, ip, l1, a, pg_temp.half(b) FROM exact;
INSERT INTO combined SELECT n, l2, ip, l1, pg_temp.half(a), pg_temp.half(b) FROM exact;

CREATE FUNCTION pg_temp.check_exact() RETURNS TABLE (pairs bigint, l2 bool, ip bool, l1 bool, both_ways bool)
LANGUAGE sql AS $$
	SELECT count(*), bool_and((a <-> b) = sqrt(c.l2::float8)), bool_and(-(a <#> b) = c.ip),
		bool_and((a <+> b) = c.l1),
		bool_and((a <-> b) = (b <-> a) AND (a <#> b) = (b <#> a) AND (a <+> b) = (b <+> a)
			AND ((a <=> b) = (b <=> a)))
	FROM combined c $$;

-- A level that this machine lacks is left as it is, so the results stay the same.
CREATE FUNCTION pg_temp.try_level(level text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('mmodal.simd', level, false);
EXCEPTION WHEN feature_not_supported THEN
	NULL;
END $$;

SHOW mmodal.simd;
SELECT * FROM pg_temp.check_exact();
SELECT pg_temp.try_level('scalar');
SELECT * FROM pg_temp.check_exact();
SELECT pg_temp.try_level('avx2');
SELECT * FROM pg_temp.check_exact();
SELECT pg_temp.try_level('avx512');
SELECT * FROM pg_temp.check_exact();
RESET mmodal.simd;
SET mmodal.simd = 'sse9';
SET mmodal.no_such_setting = 1;

-- Values behind a short header have no alignment.
CREATE TEMP TABLE unaligned (pad "char", e embedding, pad2 "char", h embedding);
INSERT INTO unaligned SELECT 'x', ARRAY[1,2,3,4,5,6,7,8,9]::embedding, 'y', '[1,2,3,4,5,6,7,8,9]'::embedding(9, half);
SELECT e <-> h AS same, e <-> '[0,0,0,0,0,0,0,0,0]' = sqrt(285) AS l2, -(e <#> h) AS ip, h <+> '[1,1,1,1,1,1,1,1,1]' AS l1
FROM unaligned;
