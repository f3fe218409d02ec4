-- faiss_ivf: INSERT, UPDATE, DELETE, VACUUM.
SET client_min_messages = warning;
\set VERBOSITY terse
SET enable_seqscan = off;
-- Neighbours below are nearer to each other than codes tell: exact answers.
SET mmodal.recall = 1;

-- Cosine distances to (0, -1, 0.25) grow with id, by more than rounding.
CREATE FUNCTION spiral(id int) RETURNS embedding LANGUAGE sql IMMUTABLE AS $$
	SELECT ARRAY[cos(id / 10000.0 * pi()), sin(id / 10000.0 * pi()), 0.25]::float8[]::embedding(3)
$$;

-- An index made on an empty table has one list, and works.
CREATE TABLE grown (id int, e embedding(3));
CREATE INDEX grown_idx ON grown USING faiss_ivf (e);
SELECT count(*) FROM (SELECT id FROM grown ORDER BY e <=> '[0,-1,0.25]') x;
INSERT INTO grown SELECT i, spiral(i) FROM generate_series(1, 2000) i;
INSERT INTO grown VALUES (-1, NULL), (-2, '[0,0,0]'), (-3, NULL), (-4, '[0,0,0]');
SELECT array_agg(id) FROM (SELECT id FROM grown ORDER BY e <=> '[0,-1,0.25]' LIMIT 5) x;
SELECT array_agg(CASE WHEN id IN (-2, -4) THEN 'zero' WHEN id IN (-1, -3) THEN 'NULL' ELSE id::text END)
	FROM (SELECT id FROM grown ORDER BY e <=> '[0,-1,0.25]' OFFSET 1998) x;
SELECT mmodal_index_check('grown_idx');
SELECT lists, rows, trained_rows, tail_pages, stale FROM mmodal_index_stats('grown_idx');
-- Vacuum packs the tail.
VACUUM grown;
SELECT lists, rows, tail_pages, orphan_pages, stale FROM mmodal_index_stats('grown_idx');
SELECT array_agg(id) FROM (SELECT id FROM grown ORDER BY e <=> '[0,-1,0.25]' LIMIT 5) x;
SELECT mmodal_index_check('grown_idx');
-- REINDEX trains it.
REINDEX INDEX grown_idx;
SELECT lists > 1 AS lists, rows, trained_rows, tail_pages, stale FROM mmodal_index_stats('grown_idx');
SELECT array_agg(id) FROM (SELECT id FROM grown ORDER BY e <=> '[0,-1,0.25]' LIMIT 5) x;
SELECT array_agg(CASE WHEN id IN (-2, -4) THEN 'zero' WHEN id IN (-1, -3) THEN 'NULL' ELSE id::text END)
	FROM (SELECT id FROM grown ORDER BY e <=> '[0,-1,0.25]' OFFSET 1998) x;
SELECT mmodal_index_check('grown_idx');

-- Inserts go to the lists; updates and deletes are seen at once.
INSERT INTO grown SELECT i, spiral(i) FROM generate_series(2001, 3000) i;
DELETE FROM grown WHERE id BETWEEN 1 AND 3;
UPDATE grown SET e = spiral(0) WHERE id = 2500;
UPDATE grown SET e = e WHERE id = 5;
SELECT array_agg(id) FROM (SELECT id FROM grown ORDER BY e <=> '[0,-1,0.25]' LIMIT 5) x;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM grown ORDER BY e <=> '[0,-1,0.25]') x;
SELECT mmodal_index_check('grown_idx');
VACUUM grown;
SELECT array_agg(id) FROM (SELECT id FROM grown ORDER BY e <=> '[0,-1,0.25]' LIMIT 5) x;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM grown ORDER BY e <=> '[0,-1,0.25]') x;
SELECT mmodal_index_check('grown_idx');
SELECT rows FROM mmodal_index_stats('grown_idx');

-- Dead rows cost no recall, and their space is used again.
CREATE TABLE churn (id int, e embedding(3));
INSERT INTO churn SELECT i, spiral(i) FROM generate_series(1, 5000) i;
CREATE INDEX churn_idx ON churn USING faiss_ivf (e);
CREATE TABLE size_before AS SELECT pg_relation_size('churn_idx') AS bytes;
DO $$
BEGIN
	FOR round IN 1 .. 6 LOOP
		DELETE FROM churn WHERE id % 2 = round % 2;
		INSERT INTO churn SELECT i, spiral(i) FROM generate_series(1, 5000) i WHERE i % 2 = round % 2;
	END LOOP;
END $$;
SELECT array_agg(id) FROM (SELECT id FROM churn ORDER BY e <=> '[0,-1,0.25]' LIMIT 5) x;
VACUUM churn;
SELECT array_agg(id) FROM (SELECT id FROM churn ORDER BY e <=> '[0,-1,0.25]' LIMIT 5) x;
SELECT mmodal_index_check('churn_idx');
SELECT rows, orphan_pages FROM mmodal_index_stats('churn_idx');
DELETE FROM churn WHERE id > 100;
VACUUM churn;
VACUUM churn;
INSERT INTO churn SELECT i, spiral(i) FROM generate_series(101, 5000) i;
VACUUM churn;
SELECT mmodal_index_check('churn_idx');
DELETE FROM churn;
VACUUM churn;
SELECT count(*) FROM (SELECT id FROM churn ORDER BY e <=> '[0,-1,0.25]' LIMIT 5) x;
SELECT mmodal_index_check('churn_idx');
TRUNCATE churn;
INSERT INTO churn SELECT i, spiral(i) FROM generate_series(1, 10) i;
SELECT array_agg(id) FROM (SELECT id FROM churn ORDER BY e <=> '[0,-1,0.25]') x;
SELECT lists, rows FROM mmodal_index_stats('churn_idx');

-- Every codec and class takes inserts.
DO $$
DECLARE
	class text;
	op text;
	codec text;
	found int[];
BEGIN
	CREATE TABLE inserted (id int, e embedding(3));
	FOREACH codec IN ARRAY ARRAY['refined', 'compact', 'flat'] LOOP
		FOR class, op IN VALUES ('cosine', '<=>'), ('l2', '<->'), ('ip', '<#>') LOOP
			TRUNCATE inserted;
			INSERT INTO inserted SELECT i, spiral(i) FROM generate_series(1, 1500) i;
			EXECUTE format('CREATE INDEX inserted_idx ON inserted USING faiss_ivf (e embedding_%s_ops) WITH (codec = %s, lists = 10)',
						   class, codec);
			INSERT INTO inserted SELECT i, spiral(i) FROM generate_series(1501, 3000) i;
			PERFORM mmodal_index_check('inserted_idx');
			EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM inserted ORDER BY e %s spiral(2000) LIMIT 3) x', op) INTO found;
			IF NOT found && ARRAY[2000, 1999, 2001, 2002, 1998] THEN
				RAISE WARNING '% %: found %', codec, class, found;
			END IF;
			DROP INDEX inserted_idx;
		END LOOP;
	END LOOP;
END $$;

-- Values whose squares float32 cannot hold lose no row and raise no error.
CREATE TABLE extreme (id int, e embedding(8));
INSERT INTO extreme SELECT i, (SELECT array_agg(sin(i * j) * (ARRAY[1e37, 1e25, 1e-25, 1e-38, 1])[i % 5 + 1])
	FROM generate_series(1, 8) j)::embedding(8) FROM generate_series(1, 1000) i;
DO $$
DECLARE
	class text;
	op text;
	codec text;
	q embedding;
	n int;
BEGIN
	FOREACH codec IN ARRAY ARRAY['refined', 'compact', 'flat'] LOOP
		FOR class, op IN VALUES ('cosine', '<=>'), ('l2', '<->'), ('ip', '<#>') LOOP
			EXECUTE format('CREATE INDEX extreme_idx ON extreme USING faiss_ivf (e embedding_%s_ops) WITH (codec = %s, lists = 10)',
						   class, codec);
			PERFORM mmodal_index_check('extreme_idx');
			FOREACH q IN ARRAY ARRAY['[1,2,3,4,5,6,7,8]', '[3e38,1,1,1,1,1,1,1]', '[1e-38,0,0,0,0,0,0,0]']::embedding[] LOOP
				PERFORM set_config('mmodal.recall', '0.95', true);
				EXECUTE format('SELECT count(DISTINCT id) FROM (SELECT id FROM extreme ORDER BY e %s $1) x', op) INTO n USING q;
				IF n <> 1000 THEN
					RAISE WARNING '% % %: % rows', codec, class, q, n;
				END IF;
				PERFORM set_config('mmodal.recall', '1', true);
				EXECUTE format('SELECT count(DISTINCT id) FROM (SELECT id FROM extreme ORDER BY e %s $1) x', op) INTO n USING q;
				IF n <> 1000 THEN
					RAISE WARNING '% % % exact: % rows', codec, class, q, n;
				END IF;
			END LOOP;
			DROP INDEX extreme_idx;
		END LOOP;
	END LOOP;
END $$;

-- Who may look.
CREATE ROLE ivf_reader;
SET ROLE ivf_reader;
SELECT mmodal_index_check('grown_idx');
SELECT rows FROM mmodal_index_stats('grown_idx');
RESET ROLE;
DROP ROLE ivf_reader;
SELECT mmodal_index_check('grown');
SELECT mmodal_index_check('pg_class_oid_index');
