--
-- EXPLAIN ANALYZE of index scans, which says more from PostgreSQL 18 (ivf_explain_1.out)
--
SELECT current_setting('server_version_num')::int >= 180000 AS has_hooks \gset
\if :has_hooks
SET client_min_messages = warning;
CREATE TABLE shown (id int, e embedding(2));
INSERT INTO shown SELECT i, ARRAY[cos(i), sin(i)]::float8[] FROM generate_series(1, 100) i;
CREATE INDEX shown_idx ON shown USING faiss_ivf (e) WITH (lists = 10);
ANALYZE shown;
-- the library is not loaded yet
\c
SET enable_seqscan = off;
SET mmodal.ivf_probes = 3;
-- counts of rows depend on where the centres came to lie
CREATE FUNCTION shown(options text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (%s, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) %s', options, query) LOOP
		RETURN NEXT regexp_replace(line, '(Candidates|Reranked|Refined): [1-9][0-9]*', '\1: N', 'g');
	END LOOP;
END $$;
SELECT * FROM shown('ANALYZE', $$SELECT id FROM shown ORDER BY e <=> '[1,0]' LIMIT 2$$);
SELECT * FROM shown('ANALYZE, MMODAL off', $$SELECT id FROM shown ORDER BY e <=> '[1,0]' LIMIT 2$$);
SELECT * FROM shown('MMODAL', $$SELECT id FROM shown ORDER BY e <=> '[1,0]' LIMIT 2$$);
SELECT x.key, CASE WHEN x.key !~ 'Cand|Rer|Ref' THEN x.value ELSE (x.value::text::int > 0)::text::jsonb END AS value
FROM shown('ANALYZE, MMODAL, FORMAT JSON', $$SELECT id FROM shown ORDER BY e <=> '[1,0]' LIMIT 2$$) AS s (plan),
	jsonb_each(s.plan::jsonb -> 0 -> 'Plan' -> 'Plans' -> 0) WITH ORDINALITY AS x (key, value, n)
WHERE x.key ~ '^(Lists|Cand|Rer|Ref|Recall|Exact|Rounds|Index S)' ORDER BY x.key;
RESET mmodal.ivf_probes;
SET mmodal.recall = 1;
-- rescans add up, what was never executed says nothing, other indexes and nodes neither
SELECT * FROM shown('ANALYZE', $$SELECT * FROM generate_series(1, 3) i,
	LATERAL (SELECT id FROM shown ORDER BY e <=> ARRAY[i, 1]::embedding LIMIT 2) x$$);
SELECT * FROM shown('ANALYZE', $$SELECT id FROM shown WHERE (SELECT false) ORDER BY e <=> '[1,0]' LIMIT 2$$);
CREATE INDEX shown_id ON shown (id);
SELECT * FROM shown('ANALYZE', $$SELECT id FROM shown WHERE id = 3 ORDER BY id$$);
SELECT * FROM shown('ANALYZE, MMODAL maybe', 'SELECT 1');
-- a worker's scan is its own
SET debug_parallel_query = on;
SELECT * FROM shown('ANALYZE', $$SELECT id FROM shown ORDER BY e <=> '[1,0]' LIMIT 2$$) AS s WHERE s ~ 'Index|Probed';
DROP FUNCTION shown(text, text);
DROP TABLE shown;
\endif
