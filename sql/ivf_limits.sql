-- faiss_ivf: values at the ends of float32, and what a partial index tells of its table.
SET client_min_messages = warning;
\set VERBOSITY terse

CREATE TABLE huge (id int, e embedding(3));
CREATE INDEX huge_ip ON huge USING faiss_ivf (e embedding_ip_ops);
CREATE INDEX huge_l2 ON huge USING faiss_ivf (e embedding_l2_ops);
CREATE INDEX huge_flat ON huge USING faiss_ivf (e embedding_l2_ops) WITH (codec = flat);
INSERT INTO huge VALUES (0, '[1e20,1e20,1e20]');
INSERT INTO huge SELECT i, ARRAY[i * 0.1, i * 0.2, i * 0.3]::real[]::embedding FROM generate_series(1, 500) i;
SET enable_seqscan = off; SET enable_sort = off;
SET mmodal.recall = 1;
SELECT count(*) FROM (SELECT id FROM huge ORDER BY e <#> '[1e20,1e20,1e20]') x;
SELECT count(*) FROM (SELECT id FROM huge ORDER BY e <-> '[0,0,0]') x;
RESET mmodal.recall;
SELECT count(*) FROM (SELECT id FROM huge ORDER BY e <#> '[1,1,1]') x;
SELECT count(*) FROM (SELECT id FROM huge ORDER BY e <-> '[1,1,1]') x;
DROP INDEX huge_l2;
SELECT count(*) FROM (SELECT id FROM huge ORDER BY e <-> '[1,1,1]') x;
SET mmodal.recall = 1;
SELECT count(*) FROM (SELECT id FROM huge ORDER BY e <-> '[0,0,0]') x;
RESET mmodal.recall;
SELECT mmodal_index_check('huge_flat'), mmodal_index_check('huge_ip');
-- A partial index leaves the table's statistics alone.
CREATE INDEX huge_part ON huge USING faiss_ivf (e) WHERE id % 10 = 0;
SELECT reltuples FROM pg_class WHERE oid = 'huge'::regclass;
DROP TABLE huge;
