#!/usr/bin/env python3
"""pg_upgrade, and dump and restore, to newer versions of PostgreSQL.

    prove -v -e '' tests/versions/upgrade.t		(UPGRADE_TO='16 18')

From the server that the clone is staged for, to those of scripts/version-tree.
Tables and faiss_ivf indexes of all kinds have to come along: the same rows, the
same answers, indexes that mmodal_index_check finds sound and that go on.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scripts"))
from tap import ROOT, Server, done, has, ok, same, skip  # noqa: E402

# Something like an embedding, from a number.
FUNCTION = """CREATE FUNCTION vec(i int, dims int) RETURNS float8[] LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(sin(i * (j + 1) * 0.7) + sin(i % 17 * j)) FROM generate_series(1, dims) j $$;"""

CONTENT = FUNCTION + """
CREATE EXTENSION mmodal;
-- every codec by every metric, of both kinds of elements, with rows that were
-- deleted, inserted later, are NULL or have no direction
DO $$ DECLARE kind text; codec text; metric text; t text; BEGIN
	FOREACH kind IN ARRAY ARRAY['single', 'half'] LOOP
		FOREACH codec IN ARRAY ARRAY['refined', 'compact', 'flat'] LOOP
			t := kind || '_' || codec;
			EXECUTE format('CREATE TABLE %s (id int, e embedding(40%s))', t, CASE kind WHEN 'half' THEN ', half' ELSE '' END);
			EXECUTE format('INSERT INTO %s SELECT i, vec(i, 40) FROM generate_series(1, 1200) i', t);
			FOREACH metric IN ARRAY ARRAY['cosine', 'l2', 'ip'] LOOP
				EXECUTE format('CREATE INDEX %1$s_%2$s ON %1$s USING faiss_ivf (e embedding_%2$s_ops) WITH (codec = %3$s, lists = 20)',
					t, metric, codec);
			END LOOP;
			EXECUTE format('DELETE FROM %s WHERE id %% 5 = 0', t);
		END LOOP;
	END LOOP;
END $$;
VACUUM single_refined, single_compact, single_flat, half_refined, half_compact, half_flat;
DO $$ DECLARE t text; BEGIN
	FOREACH t IN ARRAY ARRAY['single_refined', 'single_compact', 'single_flat', 'half_refined', 'half_compact', 'half_flat'] LOOP
		EXECUTE format('INSERT INTO %s SELECT i, vec(i, 40) FROM generate_series(2001, 2100) i', t);
		EXECUTE format('INSERT INTO %s VALUES (3001, NULL), (3002, array_fill(0, ARRAY[40]))', t);
	END LOOP;
END $$;

CREATE UNLOGGED TABLE unlogged (id int, e embedding(24));
INSERT INTO unlogged SELECT i, vec(i, 24) FROM generate_series(1, 500) i;
CREATE INDEX unlogged_idx ON unlogged USING faiss_ivf (e);

CREATE TABLE generated (id int, x float8[], e embedding(24) GENERATED ALWAYS AS (x::embedding(24)) STORED);
INSERT INTO generated SELECT i, vec(i, 24) FROM generate_series(1, 500) i;
CREATE INDEX generated_idx ON generated USING faiss_ivf (e embedding_l2_ops);

CREATE TABLE pieces (id int, kind text DEFAULT 'a', e embedding, list embedding[] DEFAULT '{"[1,2]"}',
	CHECK (e IS NULL OR embedding_dims(e) < 100));
INSERT INTO pieces SELECT i, chr(97 + i % 3), vec(i, 32) FROM generate_series(1, 900) i;
CREATE INDEX pieces_partial ON pieces USING faiss_ivf ((e::embedding(32))) WHERE kind = 'b';
CREATE INDEX pieces_expression ON pieces USING faiss_ivf ((subvector(e, 1, 16)::embedding(16, half)) embedding_ip_ops);
CREATE INDEX pieces_btree ON pieces (e);
CREATE INDEX pieces_hash ON pieces USING hash (e);

CREATE TABLE calibrated AS SELECT i AS id, vec(i, 48)::embedding(48) AS e FROM generate_series(1, 3000) i;
CREATE INDEX calibrated_idx ON calibrated USING faiss_ivf (e) WITH (lists = 40);
SELECT count(*) FROM mmodal_calibrate('calibrated_idx', ARRAY(SELECT vec(-i, 48)::embedding FROM generate_series(1, 100) i));

CREATE TABLE parts (id int, e embedding(24)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (300);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (300) TO (1000);
INSERT INTO parts SELECT i, vec(i, 24) FROM generate_series(1, 600) i;
CREATE INDEX parts_idx ON parts USING faiss_ivf (e);
CREATE MATERIALIZED VIEW seen AS SELECT id, l2_normalize(e)::embedding(24) AS e FROM generated WHERE id < 300;
CREATE INDEX seen_idx ON seen USING faiss_ivf (e);
CREATE VIEW nearest AS SELECT id, e <=> '[1,2,3]'::embedding AS d FROM generated WHERE false;
CREATE TABLE emptied (id int, e embedding(8));
CREATE INDEX emptied_idx ON emptied USING faiss_ivf (e);
"""
# From the minor releases of November 2026 on, columns have a version among their
# options.  Older servers do not know it, so neither pg_upgrade nor their pg_dump
# can bring any table to them.  No table here has values of a row type, which
# alone it is for.
WITHOUT_VERSIONS = """SET allow_system_table_mods = on;
UPDATE pg_attribute SET attoptions = (SELECT array_agg(o) FROM unnest(attoptions) o WHERE o NOT LIKE 'pg_attver=%')
WHERE attoptions::text LIKE '%pg_attver=%';"""
MODEL = """CREATE TABLE texts (t text, e embedding(384, half) GENERATED ALWAYS AS (clip_embed(t, 'mini')) STORED);
INSERT INTO texts VALUES ('a dog'), ('a cat'), ('a violin');
CREATE INDEX texts_idx ON texts USING faiss_ivf (e);"""

CHECK = """SELECT c.relname, mmodal_index_check(c.oid) FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE a.amname = 'faiss_ivf' AND c.relkind = 'i' ORDER BY 1;"""
STATES = """SELECT i.relname, mmodal_index_check(i.oid), s.codec, s.metric, s.dims, s.lists, s.rows, s.trained_rows, i.reloptions
FROM pg_class i JOIN pg_am a ON a.oid = i.relam, mmodal_index_stats(i.oid) s
WHERE a.amname = 'faiss_ivf' AND i.relkind = 'i' ORDER BY 1;"""
CODECS = ["%s_%s" % (kind, codec) for kind in ("single", "half") for codec in ("refined", "compact", "flat")]
# table, expression, operator, dimensions, condition: one index is good for each
QUERIES = [(table, "e", op, 40, "true") for table in CODECS for op in ("<=>", "<->", "<#>")] + [
    ("unlogged", "e", "<=>", 24, "true"), ("generated", "e", "<->", 24, "true"),
    ("pieces", "(e::embedding(32))", "<=>", 32, "kind = 'b'"),
    ("pieces", "(subvector(e, 1, 16)::embedding(16, half))", "<#>", 16, "true"),
    ("calibrated", "e", "<=>", 48, "true"), ("parts", "e", "<=>", 24, "true"), ("seen", "e", "<=>", 24, "true")]


def answers(server, database, recall):
    """Ids by the indexes, nearest first, for some queries."""
    script = "SET enable_seqscan = off; SET enable_sort = off; SET mmodal.recall = %s;" % recall
    for table, expression, op, dims, condition in QUERIES:
        for query in (3, 777):
            script += """SELECT '%s %s', string_agg(id::text, ' ') FROM (SELECT id FROM %s WHERE %s
                ORDER BY %s %s vec(%d, %d)::embedding LIMIT 10) x;\n""" % (
                table, op, table, condition, expression, op, query, dims)
    return server.sql(script, database)


def values(server, database):
    """Every value, to the bit."""
    return server.sql("".join(
        "SELECT '%s', count(*), md5(string_agg(id::text || encode(embedding_send(e), 'hex'), ',' "
        "ORDER BY id, embedding_send(e))) FROM %s;" % (table, table) for table in CODECS + ["generated", "pieces", "calibrated", "parts", "seen"]), database)


def plan_uses_indexes(server, database):
    plans = server.sql("SET enable_seqscan = off; SET enable_sort = off;" + "".join(
        "EXPLAIN (COSTS OFF) SELECT id FROM %s WHERE %s ORDER BY %s %s vec(3, %d)::embedding LIMIT 10;" % (
            table, condition, expression, op, dims) for table, expression, op, dims, condition in QUERIES), database)
    return "" if "Seq Scan" not in plans and plans.count("Index Scan using") >= len(QUERIES) else plans


def indexes_sound(server, database, name):
    out, good = server.psql(CHECK, database)
    ok(good and len(out.splitlines()) >= 26, name, out)


def goes_on(server, database, name):
    """Changes, VACUUM and REINDEX, and the indexes are sound after each."""
    def codecs(sql):
        return "".join(sql % table for table in CODECS)
    for change in (codecs("INSERT INTO %s SELECT i, vec(i, 40) FROM generate_series(4001, 4200) i;") +
                   "INSERT INTO unlogged SELECT i, vec(i, 24) FROM generate_series(4001, 4300) i;"
                   "INSERT INTO generated (id, x) SELECT i, vec(i, 24) FROM generate_series(4001, 4100) i;"
                   "INSERT INTO pieces (id, kind, e) SELECT i, 'b', vec(i, 32) FROM generate_series(4001, 4300) i;"
                   "INSERT INTO parts SELECT i, vec(i, 24) FROM generate_series(601, 700) i;"
                   "INSERT INTO emptied SELECT i, vec(i, 8) FROM generate_series(1, 200) i;",
                   codecs("DELETE FROM %s WHERE id %% 3 = 0;") +
                   "DELETE FROM pieces WHERE id % 3 = 0; UPDATE calibrated SET e = e WHERE id % 7 = 0;",
                   codecs("VACUUM %s;") + "VACUUM pieces, calibrated, generated, parts, emptied",
                   "REFRESH MATERIALIZED VIEW seen; REINDEX TABLE single_refined; REINDEX TABLE pieces; ANALYZE"):
        server.sql(change, database)
        indexes_sound(server, database, "%s: sound after %s" % (name, change.split()[0]))
    same(server.sql("SET enable_seqscan = off; SET mmodal.recall = 1; SELECT id FROM single_refined ORDER BY e <=> vec(4003, 40)::embedding LIMIT 1",
                    database), "4003", "%s: new rows are found" % name)


def knows_versions(tree):
    config = open(os.path.join(tree, "PG_CONFIG")).read().strip()
    with open(os.path.join(os.path.dirname(config), "postgres"), "rb") as f:
        return b"pg_attver" in f.read()


def upgrade(old, version, tree, before):
    name = "pg_upgrade to %s" % version
    new = Server("upgraded", tree)
    new.drop()
    if int(version) >= 18:
        new.env["INITDB_OPTIONS"] = "--no-data-checksums"  # the old has none
    new.start()
    new.stop()
    sockets = tempfile.mkdtemp(prefix="mm.", dir="/tmp")
    os.chmod(sockets, 0o777)
    old.stop()

    def place(server):
        run_dir = server.pg("rundir").stdout.strip()
        return server.variables()["PATH"].split(":")[0], os.path.join(run_dir, server.name, "data")
    (old_bin, old_data), (new_bin, new_data) = place(old), place(new)
    result = new.pg("run", "upgraded", "pg_upgrade", "-b", old_bin, "-B", new_bin, "-d", old_data, "-D", new_data,
                    "-s", sockets, "-U", "postgres", "--no-sync" if int(version) >= 16 else "-v")
    shutil.rmtree(sockets)
    old.start()
    if not ok(result.returncode == 0, name, result.stdout):
        return
    new.start()
    has(new.sql("SELECT version()"), "PostgreSQL " + version, name + ": the server is the new one")
    indexes_sound(new, "media", name + ": indexes are sound")
    same(new.sql(STATES, "media"), before["states"], name + ": indexes hold what they held, with their options")
    same(values(new, "media"), before["values"], name + ": values are the same to the bit")
    same(answers(new, "media", 0.95), before["near"], name + ": the same answers at recall 0.95")
    same(answers(new, "media", 1), before["exact"], name + ": the same answers at recall 1")
    same(plan_uses_indexes(new, "media"), "", name + ": by the indexes")
    if before["texts"]:
        same(new.sql("SELECT t, md5(e::text) FROM texts ORDER BY t", "media"), before["texts"],
             name + ": what a model made is there")
        same(new.sql("INSERT INTO texts VALUES ('a dog'); SELECT count(DISTINCT e::text) FROM texts WHERE t = 'a dog'", "media"),
             "1", name + ": and the model gives it again")
    goes_on(new, "media", name)
    new.drop()


def restore(old, version, tree, before):
    new = Server("restored", tree)
    new.drop()
    new.start()
    run_dir = tempfile.mkdtemp(prefix="upgrade-test.")
    own = tree == ROOT
    for kind, program in (("custom format", old), ("plain", old), ("custom format by the new pg_dump", new)):
        if own and program is new:
            continue
        name = "%s into %s" % (kind, version)
        path = os.path.join(run_dir, "dump")
        variables = old.variables()
        connect = ["-h", variables["PGHOST"], "-p", variables["PGPORT"], "-U", "postgres"]
        result = program.run("pg_dump", "-Fp" if kind == "plain" else "-Fc", *connect, "-f", path, "media")
        new.sql("DROP DATABASE IF EXISTS media")
        new.sql("CREATE DATABASE media")
        if result.returncode == 0 and kind == "plain":
            # backslash-restrict is known to all of these psqls, or to none
            result = new.run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", "media", "-f", path)
        elif result.returncode == 0:
            result = new.run("pg_restore", "-e", "-d", "media", path)
        if not ok(result.returncode == 0, name, result.stdout):
            continue
        indexes_sound(new, "media", name + ": indexes are sound")
        same(values(new, "media"), before["values"], name + ": values are the same to the bit")
        same(answers(new, "media", 1), before["exact"], name + ": the same answers at recall 1")
        same(new.sql("SELECT reloptions FROM pg_class WHERE relname = 'calibrated_idx'", "media"), before["calibration"],
             name + ": the calibration is kept")
    goes_on(new, "media", name)

    new.sql("CREATE TABLE copied (id int, e embedding(40)); CREATE TABLE copied_halves (id int, e embedding(40, half));", "media")
    for table, to in (("single_refined", "copied"), ("half_refined", "copied_halves")):
        path = os.path.join(run_dir, "copy")
        old.sql("\\copy %s TO '%s' (FORMAT binary)" % (table, path), "media")
        new.sql("\\copy %s FROM '%s' (FORMAT binary)" % (to, path), "media")
        digest = "SELECT md5(string_agg(id::text || coalesce(encode(embedding_send(e), 'hex'), '-'), ',' ORDER BY id)) FROM "
        same(new.sql(digest + to, "media"), old.sql(digest + table, "media"), "binary COPY of %s into %s" % (table, version))
    shutil.rmtree(run_dir)
    new.drop()


old = Server("upgrade")
old.drop()
old.start()
from_version = re.match(r"\d+", old.sql("SHOW server_version")).group()
old.sql("CREATE DATABASE media")
old.sql(CONTENT, "media")
has_model = old.sql("SELECT count(*) FROM mmodal_models() WHERE name = 'mini'", "media") == "1"
if has_model:
    old.sql(MODEL, "media")
indexes_sound(old, "media", "%s: indexes are sound" % from_version)
same(plan_uses_indexes(old, "media"), "", "%s: queries go by the indexes" % from_version)
state = {
    "states": old.sql(STATES, "media"), "values": values(old, "media"),
    "near": answers(old, "media", 0.95), "exact": answers(old, "media", 1),
    "texts": old.sql("SELECT t, md5(e::text) FROM texts ORDER BY t", "media") if has_model else "",
    "calibration": old.sql("SELECT reloptions FROM pg_class WHERE relname = 'calibrated_idx'", "media"),
}
has(state["calibration"], "calibration=", "%s: an index is calibrated" % from_version)
for target in os.environ.get("UPGRADE_TO", "16 18").split():
    built = subprocess.run(["scripts/version-tree", target], cwd=ROOT, stdout=subprocess.PIPE, universal_newlines=True)
    if int(target) <= int(from_version):
        skip("upgrade to %s" % target, "the server is PostgreSQL %s" % from_version)
    elif ok(built.returncode == 0, "PostgreSQL %s is here, with mmodal" % target):
        path = built.stdout.splitlines()[-1]
        if not knows_versions(path):
            for database in ("media", "template1", "postgres"):
                old.sql(WITHOUT_VERSIONS, database)
        upgrade(old, target, path, state)
        restore(old, target, path, state)
old.drop()
done()
