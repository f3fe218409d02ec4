-- Distances against float64 references computed in SQL, at up to 16,000
-- dimensions: inner product within 1e-6 of sum |a b|, L2 and L1 within 1e-6 of
-- the distance, at every level of instructions.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;
SET extra_float_digits = 1;

-- Kinds of data: both signs; one sign; constant (the worst for running sums,
-- as every rounding goes the same way); magnitudes that differ; unit length.
CREATE TEMP TABLE kinds (kind text, dims int);
INSERT INTO kinds SELECT kind, dims FROM unnest(ARRAY['signed', 'positive', 'constant', 'ranged', 'near']) AS kind,
	unnest(ARRAY[5, 129, 513, 16000]) AS dims;

SELECT setseed(0.25);
CREATE TEMP TABLE raw AS
SELECT kind, dims, array_agg(x ORDER BY i) AS a, array_agg(y ORDER BY i) AS b
FROM (SELECT kind, dims, i,
		CASE kind WHEN 'signed' THEN r - 0.5 WHEN 'positive' THEN r WHEN 'constant' THEN 0.7
			WHEN 'ranged' THEN (r - 0.5) * 10 ^ (s * 6 - 3) ELSE r - 0.5 END::real AS x,
		CASE kind WHEN 'signed' THEN s - 0.5 WHEN 'positive' THEN s WHEN 'constant' THEN 0.1
			WHEN 'ranged' THEN (s - 0.5) * 10 ^ (r * 6 - 3) ELSE r - 0.5 + (s - 0.5) / 100 END::real AS y
	FROM (SELECT kind, dims, i, random() AS r, random() AS s
		FROM kinds, generate_series(1, dims) AS i) AS random) AS v
GROUP BY kind, dims;

CREATE FUNCTION pg_temp.half(e embedding) RETURNS embedding LANGUAGE plpgsql AS $$
DECLARE
	result embedding;
BEGIN
	EXECUTE format('SELECT $1::embedding(%s, half)', embedding_dims(e)) INTO result USING e;
	RETURN result;
END $$;

CREATE TEMP TABLE pairs AS
SELECT kind, dims, 'float32' AS elements, a::embedding AS a, b::embedding AS b FROM raw
UNION ALL SELECT kind, dims, 'half, float32', pg_temp.half(a::embedding), b::embedding FROM raw
UNION ALL SELECT kind, dims, 'half', pg_temp.half(a::embedding), pg_temp.half(b::embedding) FROM raw;

-- The references, in float64 from the elements as stored.
CREATE TEMP TABLE expected AS
SELECT p.*, l2, ip, l1, magnitude, 1 - ip / sqrt(norms) AS cosine
FROM pairs p, LATERAL (
	SELECT sqrt(sum((x - y) ^ 2)) AS l2, sum(x * y) AS ip, sum(abs(x - y)) AS l1,
		sum(abs(x * y)) AS magnitude, sum(x * x) * sum(y * y) AS norms
	FROM (SELECT x::float8 AS x, y::float8 AS y FROM unnest(a::real[], b::real[]) AS u (x, y)) AS wide) AS r;

CREATE FUNCTION pg_temp.try_level(level text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('mmodal.simd', level, false);
EXCEPTION WHEN feature_not_supported THEN
	NULL;
END $$;

CREATE FUNCTION pg_temp.check_bounds() RETURNS TABLE (elements text, pairs bigint, l2 bool, ip bool, l1 bool, cosine bool)
LANGUAGE sql AS $$
	SELECT elements, count(*), bool_and(abs((a <-> b) - e.l2) <= 1e-6 * e.l2),
		bool_and(abs(-(a <#> b) - e.ip) <= 1e-6 * magnitude),
		bool_and(abs((a <+> b) - e.l1) <= 1e-6 * e.l1),
		bool_and(abs((a <=> b) - e.cosine) <= 1e-6)
	FROM expected e GROUP BY elements ORDER BY elements $$;

SELECT * FROM pg_temp.check_bounds();
SELECT pg_temp.try_level('scalar');
SELECT * FROM pg_temp.check_bounds();
SELECT pg_temp.try_level('avx2');
SELECT * FROM pg_temp.check_bounds();
SELECT pg_temp.try_level('avx512');
SELECT * FROM pg_temp.check_bounds();
RESET mmodal.simd;

-- Norm and normalisation are float64 inside.
SELECT bool_and(abs(embedding_norm(a) - reference) <= 1e-12 * reference) AS norm,
	bool_and(abs(embedding_norm(l2_normalize(a)) - 1) <= 1e-6) AS unit
FROM pairs, LATERAL (SELECT sqrt(sum(x::float8 * x)) AS reference FROM unnest(a::real[]) AS x) AS r
WHERE elements = 'float32';

-- Sum and avg too: 1,000 rows, within the last float32 rounding.
SELECT bool_and(abs(got - reference) <= 6e-8 * abs(reference)) AS sum_is_float64
FROM (SELECT unnest(sum(e)::real[])::float8 AS got, unnest(ARRAY[sum(x::float8), sum(y::float8)]) AS reference
	FROM (SELECT x, y, ARRAY[x, y]::embedding AS e
		FROM (SELECT (sin(i) + 1)::real AS x, (1.0 / i)::real AS y FROM generate_series(1, 1000) AS i) AS v) AS w) AS s;
