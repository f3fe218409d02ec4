-- faiss_ivf: whose rights functions of an index run with, who may look at it, row-level security.
SET client_min_messages = notice;
\set VERBOSITY terse
CREATE ROLE ivf_owner;
CREATE ROLE ivf_other;
CREATE SCHEMA ivf_hostile AUTHORIZATION ivf_owner;
GRANT USAGE ON SCHEMA ivf_hostile TO ivf_other;

-- An owner whose index calls functions of his, and superusers who look at it
SET ROLE ivf_owner;
CREATE FUNCTION ivf_hostile.value_of(e embedding) RETURNS embedding LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN e; END';
CREATE FUNCTION ivf_hostile.is_wanted(e embedding) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE TABLE ivf_hostile.trap (id int, e embedding(3));
INSERT INTO ivf_hostile.trap VALUES (1, '[1,2,3]');
CREATE INDEX trap_idx ON ivf_hostile.trap USING faiss_ivf ((ivf_hostile.value_of(e)::embedding(3)))
	WHERE ivf_hostile.is_wanted(e);
CREATE OR REPLACE FUNCTION ivf_hostile.value_of(e embedding) RETURNS embedding LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN RAISE NOTICE 'value: as the owner %', current_user = 'ivf_owner'; RETURN e; END $$;
CREATE OR REPLACE FUNCTION ivf_hostile.is_wanted(e embedding) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN RAISE NOTICE 'predicate: as the owner %', current_user = 'ivf_owner'; RETURN true; END $$;
RESET ROLE;
SELECT mmodal_index_check('ivf_hostile.trap_idx');
SELECT mmodal_recall('ivf_hostile.trap_idx', '{"[1,2,3]"}', 1);
SELECT count(*) > 1 AS points FROM mmodal_calibrate('ivf_hostile.trap_idx', '{"[1,2,3]"}');
SELECT rows FROM mmodal_index_stats('ivf_hostile.trap_idx');
SELECT current_user = session_user AS self_again, current_setting('is_superuser');
-- nor can they become another role, or leave settings behind
SET ROLE ivf_owner;
CREATE OR REPLACE FUNCTION ivf_hostile.value_of(e embedding) RETURNS embedding LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM set_config('role', 'none', false); RETURN e; END $$;
RESET ROLE;
\set VERBOSITY sqlstate
SELECT mmodal_index_check('ivf_hostile.trap_idx');
SELECT mmodal_recall('ivf_hostile.trap_idx', '{"[1,2,3]"}', 1);
\set VERBOSITY terse
SELECT current_user = session_user AS self_again;
SET ROLE ivf_owner;
CREATE OR REPLACE FUNCTION ivf_hostile.value_of(e embedding) RETURNS embedding LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM set_config('mmodal.recall', '0.5', false); RETURN e; END $$;
CREATE OR REPLACE FUNCTION ivf_hostile.is_wanted(e embedding) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
'BEGIN RETURN true; END';
RESET ROLE;
SELECT mmodal_index_check('ivf_hostile.trap_idx');
SELECT mmodal_recall('ivf_hostile.trap_idx', '{"[1,2,3]"}', 1);
SHOW mmodal.recall;

-- Who may look at an index: its owner
SET ROLE ivf_other;
SELECT mmodal_index_check('ivf_hostile.trap_idx');
SELECT mmodal_index_stats('ivf_hostile.trap_idx');
SELECT mmodal_recall('ivf_hostile.trap_idx', '{"[1,2,3]"}', 1);
SELECT * FROM mmodal_calibrate('ivf_hostile.trap_idx', '{"[1,2,3]"}');
SELECT mmodal_index_check('ivf_hostile.trap');
SELECT mmodal_index_check('pg_class_oid_index');
SELECT mmodal_index_check(0);
RESET ROLE;

-- How much can be measured at a time
\set VERBOSITY default
SET ROLE ivf_owner;
SELECT mmodal_recall('ivf_hostile.trap_idx', array_fill('[1,2,3]'::embedding, ARRAY[10001]), 1);
SELECT mmodal_recall('ivf_hostile.trap_idx', array_fill('[1,2,3]'::embedding, ARRAY[1001]), 10000);
SELECT * FROM mmodal_calibrate('ivf_hostile.trap_idx', array_fill(NULL::embedding, ARRAY[10001]));
\set VERBOSITY terse
RESET ROLE;

-- Row-level security: what is hidden stays hidden, whatever the plan
SET ROLE ivf_owner;
CREATE TABLE ivf_hostile.paper (id int, reader name, e embedding(3));
INSERT INTO ivf_hostile.paper
	SELECT i, CASE WHEN i % 2 = 0 THEN 'ivf_other' ELSE 'ivf_owner' END, ARRAY[i, 1, 1]::real[]::embedding
	FROM generate_series(1, 40) i;
CREATE INDEX paper_idx ON ivf_hostile.paper USING faiss_ivf (e embedding_l2_ops);
ALTER TABLE ivf_hostile.paper ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON ivf_hostile.paper USING (reader = current_user);
GRANT SELECT ON ivf_hostile.paper TO ivf_other;
CREATE VIEW ivf_hostile.even WITH (security_barrier) AS SELECT * FROM ivf_hostile.paper WHERE id % 4 = 0;
GRANT SELECT ON ivf_hostile.even TO ivf_other;
RESET ROLE;
CREATE SCHEMA ivf_peeking AUTHORIZATION ivf_other;
SET ROLE ivf_other;
CREATE FUNCTION ivf_peeking.peek(id int, e embedding) RETURNS boolean LANGUAGE plpgsql COST 0.000001 AS
$$ BEGIN RAISE NOTICE 'seen: %', id; RETURN true; END $$;
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF)
	SELECT id FROM ivf_hostile.paper WHERE ivf_peeking.peek(id, e) ORDER BY e <-> '[1,1,1]' LIMIT 3;
SELECT id FROM ivf_hostile.paper WHERE ivf_peeking.peek(id, e) ORDER BY e <-> '[1,1,1]' LIMIT 3;
SELECT id FROM ivf_hostile.even WHERE ivf_peeking.peek(id, e) ORDER BY e <-> '[1,1,1]';
SET mmodal.recall = 1;
SELECT id FROM ivf_hostile.paper WHERE ivf_peeking.peek(id, e) ORDER BY e <-> '[1,1,1]' LIMIT 3;
SELECT id FROM ivf_hostile.even WHERE ivf_peeking.peek(id, e) ORDER BY e <-> '[1,1,1]';
SELECT array_agg(id) FROM (SELECT id FROM ivf_hostile.paper ORDER BY e <-> '[7,1,1]') x WHERE id % 2 <> 0;
RESET mmodal.recall;
SET enable_indexscan = off;
RESET enable_seqscan;
SELECT id FROM ivf_hostile.paper WHERE ivf_peeking.peek(id, e) AND id < 5 ORDER BY e <-> '[1,1,1]' LIMIT 3;
-- an error of the distance says nothing of a row
SELECT id FROM ivf_hostile.paper ORDER BY e <-> '[1,1]' LIMIT 3;
RESET enable_indexscan;
SET enable_seqscan = off;
SELECT id FROM ivf_hostile.paper ORDER BY e <-> '[1,1]' LIMIT 3;
RESET enable_seqscan;
-- none of ours claims to be leakproof: statistics of hidden rows are not asked either
RESET ROLE;
SELECT count(*) FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
	JOIN pg_extension x ON x.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE extname = 'mmodal' AND (proleakproof OR prosecdef OR proconfig IS NOT NULL);
ANALYZE ivf_hostile.paper;
SET ROLE ivf_other;
SELECT count(*) FROM pg_stats WHERE schemaname = 'ivf_hostile';
RESET ROLE;

-- Columns: to sort by one is to read it
SET ROLE ivf_owner;
CREATE TABLE ivf_hostile.cols (id int, e embedding(3));
INSERT INTO ivf_hostile.cols VALUES (1, '[1,2,3]');
CREATE INDEX cols_idx ON ivf_hostile.cols USING faiss_ivf (e);
GRANT SELECT (id) ON ivf_hostile.cols TO ivf_other;
SET ROLE ivf_other;
SELECT id FROM ivf_hostile.cols;
SELECT id FROM ivf_hostile.cols ORDER BY e <=> '[1,2,3]';
SELECT count(*) FROM ivf_hostile.cols WHERE e = '[1,2,3]';
RESET ROLE;
GRANT SELECT (e) ON ivf_hostile.cols TO ivf_other;
SET ROLE ivf_other;
SELECT id FROM ivf_hostile.cols ORDER BY e <=> '[1,2,3]';
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA ivf_hostile, ivf_peeking CASCADE;
DROP ROLE ivf_owner, ivf_other;
