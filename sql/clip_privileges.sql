--
-- What an ordinary role may call, set and see, and what it may no more after REVOKE
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
\set VERBOSITY terse
CREATE ROLE clip_guest;
-- the statement of docs/security.md
\set revoke `sed -n '/^ *DO \$\$/,/^ *END \$\$;/p' "$PG_ABS_SRCDIR/docs/security.md"`

-- Every function of the extension: who may call it without a grant
SELECT p.proname, count(*) FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
	JOIN pg_extension x ON x.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
WHERE extname = 'mmodal' AND NOT has_function_privilege('clip_guest', p.oid, 'EXECUTE') GROUP BY 1 ORDER BY 1;
-- Every setting, and who sets it.  A level of instructions that the CPU has does no harm.
SELECT mmodal_version() LIKE 'mmodal %' AS loaded;
SELECT context, string_agg(name, ' ' ORDER BY name) FROM pg_settings WHERE name LIKE 'mmodal.%' GROUP BY 1 ORDER BY 1;

SET ROLE clip_guest;
SELECT embedding_dims(clip_embed('a dog')) AS dims;
SELECT * FROM mmodal_pack_model('mini');
SELECT * FROM mmodal_verify_model('mini');
SELECT name, path IS NULL AS no_path FROM mmodal_models() WHERE name = 'mini';
SET mmodal.model_path = '/tmp';
SET mmodal.cache_dir = '/tmp';
SET mmodal.max_image_size = '1GB';
SET mmodal.max_image_pixels = 1000000000;
SET mmodal.max_decode_memory = '2GB';
SET mmodal.max_text_size = '1GB';
SET mmodal.max_batch = 1000000;
SET mmodal.max_encoder_threads = 64;
SELECT set_config('mmodal.model_path', '/tmp', true);
ALTER ROLE clip_guest SET mmodal.model_path = '/tmp';
ALTER ROLE clip_guest SET mmodal.max_text_size = '1GB';
\set VERBOSITY sqlstate
SHOW mmodal.model_path;
SHOW mmodal.cache_dir;
\set VERBOSITY terse
SELECT name FROM pg_settings WHERE name IN ('mmodal.model_path', 'mmodal.cache_dir');
CREATE FUNCTION pg_temp.set_path() RETURNS void LANGUAGE sql SET mmodal.model_path = '/tmp' AS '';
RESET ROLE;
-- and what the administrator hands over
GRANT SET ON PARAMETER mmodal.max_batch TO clip_guest;
GRANT EXECUTE ON FUNCTION mmodal_pack_model(text) TO clip_guest;
SET ROLE clip_guest;
SET mmodal.max_batch = 10;
SHOW mmodal.max_batch;
RESET mmodal.max_batch;
SELECT * FROM mmodal_pack_model('mini');
RESET ROLE;
REVOKE SET ON PARAMETER mmodal.max_batch FROM clip_guest;
REVOKE EXECUTE ON FUNCTION mmodal_pack_model(text) FROM clip_guest;

-- What docs/security.md takes away: encoding, not searching
BEGIN;
:revoke
SELECT p.proname, count(*) FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
	JOIN pg_extension x ON x.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
WHERE extname = 'mmodal' AND NOT has_function_privilege('clip_guest', p.oid, 'EXECUTE') GROUP BY 1 ORDER BY 1;
SET LOCAL ROLE clip_guest;
SELECT round(('[1,2,3]'::embedding <=> '[1,2,4]')::numeric, 5) AS distance, ARRAY[1, 2]::embedding AS value;
\set VERBOSITY sqlstate
\set ON_ERROR_ROLLBACK on
SELECT clip_embed('a dog');
SELECT clip_embed('a dog', 'mini');
SELECT clip_embed(ARRAY['a dog']);
SELECT clip_embed_or_null('a dog');
SELECT clip_tokenize('a dog');
SELECT * FROM clip_classify('\x', ARRAY['a dog']);
-- nothing is computed for the plan either
EXPLAIN SELECT clip_embed('a dog', 'mini');
EXPLAIN SELECT 1 WHERE clip_embed('a dog', 'mini') = '[1]';
DO $$ BEGIN PERFORM clip_cost_support(NULL);
EXCEPTION WHEN undefined_function OR feature_not_supported THEN NULL; END $$;	-- which one depends on the minor release
\unset ON_ERROR_ROLLBACK
ROLLBACK;

-- The embeddings that a session keeps: another role in it sees counts, no texts
SET ROLE clip_guest;
SELECT kind, hits >= 0 AS counts FROM mmodal_embed_cache;
RESET ROLE;
DROP ROLE clip_guest;

-- A schema that shadows names, ahead of all others: the functions do what they did
\set VERBOSITY terse
SELECT extnamespace::regnamespace AS home FROM pg_extension WHERE extname = 'mmodal' \gset
CREATE SCHEMA clip_shadow;
CREATE TYPE clip_shadow.embedding AS (lost int);
CREATE DOMAIN clip_shadow.text AS pg_catalog.text CHECK (value = 'never');
CREATE FUNCTION clip_shadow.wrong(:home.embedding, :home.embedding) RETURNS float8 LANGUAGE plpgsql AS
	'BEGIN RAISE ''shadowed''; END';
CREATE FUNCTION clip_shadow.wrong_equal(int, int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END';
CREATE OPERATOR clip_shadow.<=> (LEFTARG = :home.embedding, RIGHTARG = :home.embedding, FUNCTION = clip_shadow.wrong);
CREATE OPERATOR clip_shadow.= (LEFTARG = int, RIGHTARG = int, FUNCTION = clip_shadow.wrong_equal);
CREATE FUNCTION clip_shadow.cosine_distance(:home.embedding, :home.embedding) RETURNS float8 LANGUAGE plpgsql AS
	'BEGIN RAISE ''shadowed''; END';
CREATE FUNCTION clip_shadow.mmodal_embed_cache_stats() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END';
CREATE TABLE clip_shadow.pg_class (oid oid);
CREATE TABLE clip_row (id int, e embedding(3));
INSERT INTO clip_row SELECT i, ARRAY[i, 1, 1]::real[]::embedding FROM generate_series(1, 50) i;
CREATE INDEX clip_row_idx ON clip_row USING faiss_ivf (e);
SET search_path = clip_shadow, pg_catalog, :home;
SELECT :home.mmodal_index_check(:'home' || '.clip_row_idx');
SELECT :home.mmodal_recall(:'home' || '.clip_row_idx', ARRAY['[1,2,3]'::public.embedding], 5) AS recall;
SELECT count(*) OPERATOR(pg_catalog.>) 1 AS points FROM :home.mmodal_calibrate(:'home' || '.clip_row_idx', ARRAY['[1,2,3]'::public.embedding]);
SELECT count(*) FROM :home.mmodal_embed_cache;
SELECT :home.embedding_dims(:home.clip_embed('a dog'::pg_catalog.text)) AS dims;
SELECT label FROM :home.clip_classify(NULL, ARRAY['a', 'b']::pg_catalog.text[]);
SET enable_seqscan = off;
SELECT id FROM :home.clip_row ORDER BY e OPERATOR(:home.<=>) '[1,1,1]' LIMIT 2;
REINDEX INDEX :home.clip_row_idx;
VACUUM ANALYZE :home.clip_row;
RESET enable_seqscan;
RESET search_path;
DROP TABLE clip_row;
SET client_min_messages = error;
DROP SCHEMA clip_shadow CASCADE;
RESET client_min_messages;

-- The install script adopts nothing that is there already
SET client_min_messages = warning;
CREATE ROLE clip_squatter;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO clip_squatter', current_database()); END $$;
CREATE SCHEMA clip_squat AUTHORIZATION clip_squatter;
SET ROLE clip_squatter;
CREATE FUNCTION clip_squat.mmodal_version() RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$;
CREATE TYPE clip_squat.other AS ENUM ();
RESET ROLE;
BEGIN;
DROP EXTENSION mmodal CASCADE;
SAVEPOINT s;
CREATE EXTENSION mmodal SCHEMA clip_squat;
ROLLBACK TO s;
DROP FUNCTION clip_squat.mmodal_version();
SET LOCAL ROLE clip_squatter;
-- more general ones, which a name without a schema could find
CREATE FUNCTION clip_squat.l2_distance(anyelement, anyelement) RETURNS float8 LANGUAGE sql AS 'SELECT 1.0::float8';
CREATE FUNCTION clip_squat.clip_cost_support(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION clip_squat.scalarltsel(int) RETURNS float8 LANGUAGE sql AS 'SELECT 1.0::float8';
CREATE TABLE clip_squat.int4 (i integer);
CREATE DOMAIN clip_squat.bytea AS text;
RESET ROLE;
CREATE EXTENSION mmodal SCHEMA clip_squat;
SELECT count(*) AS owned_by_squatter FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
	JOIN pg_proc p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass
WHERE extname = 'mmodal' AND pg_get_userbyid(proowner) = 'clip_squatter';
SELECT oprcode, oprrest FROM pg_operator WHERE oprnamespace = 'clip_squat'::regnamespace AND oprname IN ('<->', '<') ORDER BY 1;
SELECT count(*) FROM pg_proc WHERE pronamespace = 'clip_squat'::regnamespace AND 'clip_squat.bytea'::regtype = ANY (proargtypes);
ROLLBACK;
DROP SCHEMA clip_squat CASCADE;
DROP OWNED BY clip_squatter;
DROP ROLE clip_squatter;
SELECT superuser, trusted FROM pg_available_extension_versions WHERE name = 'mmodal';
