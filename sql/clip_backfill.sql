--
-- mmodal_embed_column: backfill of a table (sessions side by side are in tests/tap/061_backfill.pl)
--
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;
\set jpeg `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.jpg"`
\set gif `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.gif"`

-- Texts and pictures; what is there already, and rows without a source, stay as they are
CREATE TABLE fill_dish (id int PRIMARY KEY, title text, photo bytea, e embedding(384, half), p embedding);
INSERT INTO fill_dish SELECT i, 'dish number ' || i, CASE WHEN i % 50 = 0 THEN decode(:'jpeg', 'base64') END
FROM generate_series(1, 150) i;
UPDATE fill_dish SET title = NULL WHERE id = 7;
UPDATE fill_dish SET e = clip_embed('something else') WHERE id = 8;
CALL mmodal_embed_column('fill_dish', 'title', 'e');
SELECT count(*), count(e), bool_and(embedding_dims(e) = 384) AS dims FROM fill_dish;
SELECT count(*) FROM fill_dish WHERE e <> clip_embed(title)::embedding(384, half);
CALL mmodal_embed_column('fill_dish', 'photo', 'p', model => 'mini', batch => 2);
SELECT id, p = clip_embed(photo, 'mini') AS same FROM fill_dish WHERE p IS NOT NULL ORDER BY id;
CALL mmodal_embed_column('fill_dish', 'photo', 'p');
SELECT column_name, source, model, running, phase, rows_total, rows_done, rows_failed, rows_skipped,
	pid = pg_backend_pid() AS mine, rows_per_second >= 0 AS rate, started <= updated AS ordered, eta
FROM mmodal_embed_progress WHERE relation = 'fill_dish'::regclass ORDER BY 1;

-- Rows that cannot be embedded
UPDATE fill_dish SET p = NULL;
UPDATE fill_dish SET photo = '\x00' WHERE id = 50;
UPDATE fill_dish SET photo = decode(:'gif', 'base64') WHERE id = 51;
CALL mmodal_embed_column('fill_dish', 'photo', 'p', on_error => 'stop');
CALL mmodal_embed_column('fill_dish', 'photo', 'p');
SELECT relation, column_name, source, model, row_key, sqlstate, message, detail, failed_at <= now() AS past
FROM mmodal_embed_errors WHERE relation = 'fill_dish'::regclass ORDER BY row_key;
-- ... are left alone while they stay as they are, but not for another source
CALL mmodal_embed_column('fill_dish', 'photo', 'p');
CALL mmodal_embed_column('fill_dish', 'photo', 'p', retry_failed => true);
CALL mmodal_embed_column('fill_dish', 'photo', 'p', model => 'mini:float32');
UPDATE fill_dish SET p = NULL WHERE id <> 51;
CALL mmodal_embed_column('fill_dish', 'title', 'p', batch => 100);
SELECT count(*), count(p) FROM fill_dish;
-- ... forgotten when they were repaired, deleted or filled by other means
UPDATE fill_dish SET p = NULL WHERE id IN (50, 51, 100, 150);
UPDATE fill_dish SET photo = '\x0102' WHERE id IN (100, 150);
CALL mmodal_embed_column('fill_dish', 'photo', 'p');
SELECT row_key FROM mmodal_embed_errors WHERE relation = 'fill_dish'::regclass ORDER BY row_key;
UPDATE fill_dish SET photo = decode(:'jpeg', 'base64') WHERE id = 50;
UPDATE fill_dish SET p = clip_embed('by hand') WHERE id = 100;
DELETE FROM fill_dish WHERE id = 150;
CALL mmodal_embed_column('fill_dish', 'photo', 'p');
SELECT row_key FROM mmodal_embed_errors WHERE relation = 'fill_dish'::regclass ORDER BY row_key;
-- ... or their column is gone, or their table
ALTER TABLE fill_dish DROP COLUMN p;
SELECT count(*) FROM mmodal_embed_errors WHERE relation = 'fill_dish'::regclass;
SELECT 'fill_dish'::regclass::oid AS dish \gset
DROP TABLE fill_dish;
SELECT count(*) FROM mmodal_embed_progress WHERE relation = :dish;
CREATE TABLE fill_empty (a text, e embedding);
CALL mmodal_embed_column('fill_empty', 'a', 'e');
SELECT (SELECT count(*) FROM mmodal_embed_run WHERE relid = :dish) AS runs,
	(SELECT count(*) FROM mmodal_embed_error_log WHERE relid = :dish) AS errors;

-- What keeps an embedding from a row is that row's error: constraints, triggers, policies
CREATE TABLE fill_kept (id int PRIMARY KEY, title text, e embedding(384), CHECK (id <> 3 OR e IS NULL));
INSERT INTO fill_kept SELECT i, 'kept ' || i FROM generate_series(1, 6) i;
CREATE FUNCTION fill_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id = 1 THEN RAISE 'not this one' USING DETAIL = 'It is the first.'; END IF;
	IF NEW.id = 2 THEN RETURN NULL; END IF;
	IF NEW.id = 4 THEN NEW.e := NULL; END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER fill_keep BEFORE UPDATE ON fill_kept FOR EACH ROW EXECUTE FUNCTION fill_keep();
CALL mmodal_embed_column('fill_kept', 'title', 'e');
SELECT row_key, sqlstate, message, CASE WHEN sqlstate <> '23514' THEN detail END AS detail
FROM mmodal_embed_errors WHERE relation = 'fill_kept'::regclass ORDER BY row_key;
SELECT id FROM fill_kept WHERE e IS NOT NULL ORDER BY id;
CALL mmodal_embed_column('fill_kept', 'title', 'e');
DROP TRIGGER fill_keep ON fill_kept;
CALL mmodal_embed_column('fill_kept', 'title', 'e', retry_failed => true);
SELECT row_key, sqlstate FROM mmodal_embed_errors WHERE relation = 'fill_kept'::regclass ORDER BY row_key;
DROP TABLE fill_kept;
DROP FUNCTION fill_keep;

-- Names that need quotes, keys of several columns, a domain, a text that is the hex of a picture
CREATE DOMAIN fill_text AS varchar(60);
CREATE TABLE "Fill ""t""" ("the k" text, t int, "The Text" fill_text, "e e" embedding(384), PRIMARY KEY (t, "the k"));
INSERT INTO "Fill ""t""" VALUES ('it''s', 1, 'a cat'), ('b', 2, '\xffd8ffe000104a46494600');
CALL mmodal_embed_column('"Fill ""t"""', 'The Text', 'e e');
SELECT relation, column_name, row_key, sqlstate, message FROM mmodal_embed_errors WHERE column_name = 'e e';
SELECT "the k" FROM "Fill ""t""" WHERE "e e" IS NOT NULL AND "e e" = clip_embed("The Text"::text);
\set VERBOSITY default
CALL mmodal_embed_column('"Fill ""t"""', 'The Text', 'e e', retry_failed => true, on_error => 'stop');
\set VERBOSITY terse
DROP TABLE "Fill ""t""";
DROP DOMAIN fill_text;

-- Partitions, those of partitions too, and tables that inherit
CREATE TABLE fill_part (id int, title text, e embedding(384)) PARTITION BY RANGE (id);
CREATE TABLE fill_part1 PARTITION OF fill_part FOR VALUES FROM (0) TO (10);
CREATE TABLE fill_part2 PARTITION OF fill_part FOR VALUES FROM (10) TO (99) PARTITION BY LIST (id);
CREATE TABLE fill_part2a (e embedding(384), id int, title text);
ALTER TABLE fill_part2 ATTACH PARTITION fill_part2a DEFAULT;
INSERT INTO fill_part SELECT i, 'part ' || i FROM generate_series(1, 30) i;
UPDATE fill_part SET title = '\xffd8ffe000104a46494600' WHERE id IN (9, 10);
CALL mmodal_embed_column('fill_part', 'title', 'e', batch => 4);
SELECT tableoid::regclass, count(*), count(e), sum(CASE WHEN e IS NOT NULL THEN (e = clip_embed(title))::int END) AS same
FROM fill_part GROUP BY 1 ORDER BY 1;
SELECT row_key - 'ctid' AS row_key FROM mmodal_embed_errors WHERE relation = 'fill_part'::regclass ORDER BY 1;
CALL mmodal_embed_column('fill_part', 'title', 'e');
DROP TABLE fill_part;
CREATE TABLE fill_parent (title text, e embedding(384));
CREATE TABLE fill_child () INHERITS (fill_parent);
INSERT INTO fill_child SELECT 'child ' || i FROM generate_series(1, 3) i;
INSERT INTO fill_parent VALUES ('parent');
CALL mmodal_embed_column('fill_parent', 'title', 'e');
DROP TABLE fill_parent CASCADE;

-- The triggers of docs/backfill.md
\set embeds `sed -n '/CREATE FUNCTION dish_embed/,/EXECUTE FUNCTION dish_embed/p' "$PG_ABS_SRCDIR/docs/backfill.md"`
\set defers `sed -n '/CREATE FUNCTION dish_stale/,/EXECUTE FUNCTION dish_stale/p' "$PG_ABS_SRCDIR/docs/backfill.md"`
CREATE TABLE dish (id int PRIMARY KEY, photo bytea, e embedding(384));
:embeds
INSERT INTO dish VALUES (1, decode(:'jpeg', 'base64'));
UPDATE dish SET photo = photo || '\x00';
SELECT e = clip_embed(photo) AS fresh FROM dish;
INSERT INTO dish VALUES (2, '\x00');
DROP TRIGGER dish_embed ON dish;
:defers
INSERT INTO dish VALUES (2, decode(:'jpeg', 'base64'));
UPDATE dish SET photo = photo || '\x01' WHERE id = 1;
UPDATE dish SET photo = photo WHERE id = 2;
SELECT id, e IS NULL AS stale FROM dish ORDER BY id;
CALL mmodal_embed_column('dish', 'photo', 'e');
UPDATE dish SET photo = photo WHERE id = 2;
SELECT id, e = clip_embed(photo) AS fresh FROM dish ORDER BY id;
DROP TABLE dish;
DROP FUNCTION dish_embed, dish_stale;

-- More blocks than one range has, in batches of which none fills a page
CREATE TABLE fill_wide (id int PRIMARY KEY, title text, pad text, e embedding) WITH (fillfactor = 10);
ALTER TABLE fill_wide ALTER pad SET STORAGE PLAIN;
INSERT INTO fill_wide SELECT i, 'same', repeat('x', 4000) FROM generate_series(1, 600) i;
SELECT pg_relation_size('fill_wide') / 8192 AS blocks;
CALL mmodal_embed_column('fill_wide', 'title', 'e', batch => 7);
SELECT count(e) FROM fill_wide;
SET enable_tidscan = off;
UPDATE fill_wide SET e = NULL WHERE id % 10 = 0;
CALL mmodal_embed_column('fill_wide', 'title', 'e');
SHOW enable_tidscan;
RESET enable_tidscan;
SELECT count(e) FROM fill_wide;
DROP TABLE fill_wide;

-- Arguments that are wrong
CREATE TABLE fill_wrong (id int, title text, e embedding(384), five embedding(5),
	g embedding(384) GENERATED ALWAYS AS (clip_embed(title, 'mini')) STORED);
CREATE VIEW fill_view AS SELECT title, e FROM fill_wrong;
CREATE INDEX fill_wrong_id ON fill_wrong (id);
\set SHOW_CONTEXT never
\set VERBOSITY default
CALL mmodal_embed_column('fill_wrong', 'titel', 'e');
CALL mmodal_embed_column('fill_wrong', 'title', 'E');
CALL mmodal_embed_column('fill_wrong', 'ctid', 'e');
CALL mmodal_embed_column('fill_wrong', 'id', 'e');
CALL mmodal_embed_column('fill_wrong', 'title', 'title');
CALL mmodal_embed_column('fill_wrong', 'title', 'five');
CALL mmodal_embed_column('fill_wrong', 'title', 'g');
CALL mmodal_embed_column('fill_view', 'title', 'e');
CALL mmodal_embed_column('fill_wrong_id', 'title', 'e');
CALL mmodal_embed_column('fill_gone', 'title', 'e');
CALL mmodal_embed_column(NULL, 'title', 'e');
CALL mmodal_embed_column('fill_wrong', 'title', 'e', model => 'no/model');
CALL mmodal_embed_column('fill_wrong', 'title', 'e', batch => 0);
CALL mmodal_embed_column('fill_wrong', 'title', 'e', batch => 10001);
CALL mmodal_embed_column('fill_wrong', 'title', 'e', on_error => 'ignore');
CALL mmodal_embed_column('fill_wrong', 'title', 'e', on_error => NULL);
-- where it cannot commit
BEGIN;
CALL mmodal_embed_column('fill_wrong', 'title', 'e');
ROLLBACK;
DO $$ BEGIN CALL mmodal_embed_column('fill_wrong', 'title', 'e'); EXCEPTION WHEN division_by_zero THEN NULL; END $$;
CREATE FUNCTION fill_call() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL mmodal_embed_column('fill_wrong', 'title', 'e'); END $$;
SELECT fill_call();
SET default_transaction_read_only = on;
CALL mmodal_embed_column('fill_wrong', 'title', 'e');
RESET default_transaction_read_only;
\set VERBOSITY terse
-- and where it can, at any level of isolation
INSERT INTO fill_wrong VALUES (1, 'one'), (2, 'two');
SET default_transaction_isolation = 'serializable';
DO $$ BEGIN CALL mmodal_embed_column('fill_wrong', 'title', 'e', batch => 1); END $$;
SHOW transaction_isolation;
RESET default_transaction_isolation;
SELECT count(e) FROM fill_wrong;
DROP VIEW fill_view;
DROP TABLE fill_wrong;
DROP FUNCTION fill_call;

-- Names that are shadowed
CREATE TABLE fill_row (id int PRIMARY KEY, title text, e embedding(384));
INSERT INTO fill_row VALUES (1, 'one'), (2, '\xffd8ffe000104a46494600');
CREATE SCHEMA fill_shadow;
SET client_min_messages = warning;
CREATE FUNCTION fill_shadow.wrong(tid, tid) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END';
CREATE FUNCTION fill_shadow.wrong(oid, oid) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END';
CREATE FUNCTION fill_shadow.wrong(smallint, smallint) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END';
CREATE FUNCTION fill_shadow.wrong(jsonb, jsonb) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END';
CREATE OPERATOR fill_shadow.= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = fill_shadow.wrong);
CREATE OPERATOR fill_shadow.>= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = fill_shadow.wrong);
CREATE OPERATOR fill_shadow.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = fill_shadow.wrong);
CREATE OPERATOR fill_shadow.= (LEFTARG = smallint, RIGHTARG = smallint, FUNCTION = fill_shadow.wrong);
CREATE OPERATOR fill_shadow.= (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = fill_shadow.wrong);
CREATE FUNCTION fill_shadow.jsonb_build_object(text, integer) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END';
CREATE FUNCTION fill_shadow.unnest(jsonb[]) RETURNS SETOF jsonb LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END';
CREATE TABLE fill_shadow.mmodal_embed_error_log (x int);
CREATE TABLE fill_shadow.mmodal_embed_run (x int);
CREATE TABLE fill_shadow.fill_row (x int);
CREATE TABLE fill_shadow.pg_attribute (x int);
CREATE DOMAIN fill_shadow.text AS pg_catalog.text CHECK (value = 'never');
RESET client_min_messages;
SET search_path = fill_shadow, pg_catalog, public;
CALL public.mmodal_embed_column('public.fill_row', 'title', 'e');
CALL public.mmodal_embed_column('public.fill_row', 'title', 'e');
SELECT row_key, sqlstate FROM public.mmodal_embed_errors WHERE relation OPERATOR(pg_catalog.=) 'public.fill_row'::pg_catalog.regclass;
SELECT rows_total, rows_skipped FROM public.mmodal_embed_progress WHERE relation OPERATOR(pg_catalog.=) 'public.fill_row'::pg_catalog.regclass;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA fill_shadow CASCADE;
RESET client_min_messages;
DROP TABLE fill_row, fill_empty;
