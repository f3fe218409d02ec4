#!/usr/bin/env python3
"""Tables of pgvector become tables of mmodal, as docs/pgvector.md tells.

    [PGVECTOR_DIR=...] prove -v -e '' tests/versions/pgvector.t

pgvector is that of PGVECTOR_DIR, where it was built for the server here, or that of
the package which holds PostgreSQL 16 (scripts/version-tree).  The statements and
the shell command are those of the page.
"""

import glob
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "scripts"), os.path.join(HERE, "..", "clients")]
from page import snippets  # noqa: E402
from tap import ROOT, Server, done, has, ok, same  # noqa: E402


def lend(folder):
    """A copy of the staged server with pgvector in it."""
    run_dir = subprocess.check_output(["scripts/pg", "rundir"], cwd=ROOT, universal_newlines=True).strip()
    copy = os.path.join(run_dir, "pg-pgvector")
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.check_call(["cp", "-al", os.path.join(run_dir, "pg"), copy])
    places = {}
    for directory, _, files in os.walk(copy):
        for name in set(files) & {"mmodal.so", "mmodal.control"}:
            places[name] = directory
    shutil.copy(os.path.join(folder, "vector.so"), places["mmodal.so"])
    for path in glob.glob(os.path.join(folder, "sql", "vector--*.sql")) + [os.path.join(folder, "vector.control")]:
        shutil.copy(path, places["mmodal.control"])
    return Server("pgvector", prefix=copy)


if os.environ.get("PGVECTOR_DIR"):
    server = lend(os.environ["PGVECTOR_DIR"])
else:
    built = subprocess.run(["scripts/version-tree", "16"], cwd=ROOT, stdout=subprocess.PIPE, universal_newlines=True)
    if built.returncode != 0:
        print("1..0 # SKIP no PostgreSQL 16 with pgvector here")
        sys.exit(0)
    server = Server("pgvector", built.stdout.splitlines()[-1])
server.drop()
server.start()
if server.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == "0":
    server.drop()
    print("1..0 # SKIP no pgvector with this server")
    sys.exit(0)

TABLES = """CREATE EXTENSION vector;
CREATE FUNCTION vec(i int) RETURNS float8[] LANGUAGE sql IMMUTABLE AS
	$$ SELECT array_agg(sin(i * j * 0.37) * 10 ^ (i % 7 - 3)) FROM generate_series(1, 384) j $$;
CREATE TABLE item (id int PRIMARY KEY, title text, e vector(384), h halfvec(384));
INSERT INTO item SELECT i, 'title ' || i, vec(i), vec(i)::vector::halfvec FROM generate_series(1, 600) i;
INSERT INTO item VALUES (1001, 'USING hnsw (e public.vector_l2_ops)', NULL, NULL), (1002, 'public.vector(3)', NULL, NULL);
INSERT INTO item SELECT 1003, 'ends', array_fill(-0.0::real, ARRAY[381]) || '{1e-45,3.4028235e38,-1e-40}',
	(array_fill(-0.0::real, ARRAY[382]) || '{65504,6e-8}')::vector::halfvec;
CREATE INDEX item_e_idx ON item USING hnsw (e vector_cosine_ops) WITH (m = 8, ef_construction = 32);
CREATE INDEX item_h_idx ON item USING hnsw (h halfvec_l2_ops);
CREATE TABLE busy AS SELECT id, e FROM item;
CREATE INDEX ON busy USING ivfflat (e) WITH (lists = 10);"""
VALUES = "SELECT id, md5(e::text), md5(h::text) FROM item ORDER BY id"
BUSY = "SELECT id, md5(e::text) FROM busy ORDER BY id"


def near(column, op, type_, recall=""):
    return """SET enable_seqscan = off; %s SELECT string_agg(id::text, ' ') FROM (SELECT id FROM item
        WHERE id < 1000 ORDER BY %s %s vec(77)::%s LIMIT 5) x""" % (recall, column, op, type_)


def tables(database):
    server.sql("CREATE DATABASE " + database)
    server.sql(TABLES, database)


# ---- in place

tables("place")
before = {name: server.sql(sql, "place") for name, sql in (("item", VALUES), ("busy", BUSY), (
    "exact", "SET enable_indexscan = off; " + near("e", "<=>", "vector(384)")))}
page = [text for _, text in snippets("pgvector.md", "sql")]
ok(len(page) == 3, "the page has the snippets that are known here")
query = page.pop().replace("$1", "vec(77)::embedding")
for snippet in page:
    # CONCURRENTLY wants no transaction: each statement by itself
    out, good = server.psql(snippet, "place")
    ok(good, "page: " + snippet.splitlines()[0], out)
out, good = server.psql(query, "place")
ok(good and len(out.split()) == 10, "page: a query", out)
same(server.sql(VALUES, "place"), before["item"], "in place: the same values")
same(server.sql("SELECT count(*) FROM busy WHERE id NOT BETWEEN 1 AND 1000 AND e IS NOT NULL", "place"), "0",
     "a second column: filled as far as it was told")
same(server.sql("SELECT id, md5(e::text) FROM busy WHERE id <= 1000 ORDER BY id", "place"),
     "\n".join(line for line in before["busy"].splitlines() if int(line.split("|")[0]) <= 1000), "a second column: the same values")
same(server.sql("SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attname) FROM pg_attribute "
                "WHERE attrelid IN ('item'::regclass, 'busy'::regclass) AND attname IN ('e', 'h')", "place"),
     "embedding(384), embedding(384), embedding(384,half)", "in place: types")
same(server.sql(near("e", "<=>", "embedding", "SET mmodal.recall = 1;"), "place"), before["exact"], "in place: the same neighbours")
has(server.sql("SET enable_seqscan = off; EXPLAIN SELECT id FROM item ORDER BY e <=> vec(77)::embedding LIMIT 5", "place"),
    "Index Scan using item_e_idx", "in place: by the index")
same(server.sql("SELECT mmodal_index_check('item_e_idx') = mmodal_index_check('item_h_idx')", "place"), "t", "in place: sound")


# ---- what the page says of differences

def state(sql):
    out = server.fails("\\set VERBOSITY sqlstate\n" + sql, "place")
    return re.sub(r".*ERROR:\s*", "", out).split("\n")[0]


for sql in ("SELECT l2_distance('[1,2]', '[3,4]')", "SELECT '[1,2]' <-> '[3,4]'"):
    same(state(sql), "42725", "both installed, ambiguous: " + sql)
for type_ in ("vector", "embedding"):
    same(state("SELECT '[1,2]'::%s <-> '[1,2,3]'" % type_), "22000", type_ + ": operands of different lengths")
    same(server.sql("SELECT '[1,2]'::%s < '[1,2,3]'" % type_, "place"), "t", type_ + ": compared")
server.sql("CREATE FUNCTION first_of(real[]) RETURNS real LANGUAGE sql AS 'SELECT $1[1]'", "place")
same(server.sql("SELECT first_of('[1,2]'::vector), first_of('[1,2]'::embedding::real[])", "place"), "1|1", "vector is cast to real[]")
same(state("SELECT first_of('[1,2]'::embedding)"), "42883", "embedding is not, unless told")
for name in ("l2_distance", "inner_product", "cosine_distance", "l1_distance"):
    same(server.sql("SELECT count(DISTINCT d) FROM (VALUES (%s('[1,2,3]'::vector, '[3,-1,2]')), (%s('[1,2,3]'::embedding, '[3,-1,2]'))) x (d)" % (name, name),
                    "place"), "1", "the same number: " + name)
same(server.sql("SELECT vector_dims(v), vector_norm(v), l2_normalize(v), subvector(v, 2, 1), v + v, v || v FROM (SELECT '[3,4]'::vector v) x", "place"),
     server.sql("SELECT embedding_dims(v), embedding_norm(v), l2_normalize(v), subvector(v, 2, 1), v + v, v || v FROM (SELECT '[3,4]'::embedding v) x", "place"),
     "the same from the functions")
same(server.sql("SELECT a.amname, opcname FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE opcdefault AND amname IN ('ivfflat', 'faiss_ivf')"
                " AND opcintype IN ('vector'::regtype, 'embedding'::regtype) ORDER BY 1", "place"),
     "faiss_ivf|embedding_cosine_ops\nivfflat|vector_l2_ops", "default operator classes")
out, good = server.psql("DROP TABLE IF EXISTS nothing; DROP EXTENSION vector", "place")
ok(good, "nothing of pgvector is left", out)
same(server.sql(VALUES, "place"), before["item"], "and the values are there without it")
same(server.sql("SET hnsw.ef_search = 100; SHOW hnsw.ef_search", "place"), "100", "settings of pgvector do nothing")


# ---- by the commands of the page, in a shell

def shell(command, **databases):
    for name, to in databases.items():
        command = command.replace("-d %s " % name, "-d %s " % to).replace("-d %s\n" % name, "-d %s\n" % to)
    env = dict(server.env, **server.variables())
    env["PATH"] = server.variables()["PATH"].split(":")[0] + ":" + os.environ["PATH"]
    result = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", command], env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, universal_newlines=True)
    return result.returncode == 0, result.stdout


tables("source")
with open(os.path.join(ROOT, "docs", "pgvector.md")) as f:
    copy = "\n".join(line for line in f.read().splitlines() if line.startswith("    ") and "psql" in line) + "\n"
same(copy.count("psql"), 4, "the page has the commands that are known here")
server.sql("CREATE DATABASE copied")
server.sql("CREATE EXTENSION mmodal; CREATE TABLE item (id int, e embedding(384), h embedding(384, half))", "copied")
good, out = shell(copy, old="source", new="copied")
ok(good, "page: COPY", out)
same(server.sql("SELECT id, md5(max(e::text)), md5(max(h::text)) FROM item GROUP BY id ORDER BY id", "copied"), before["item"],
     "COPY: the same values")
good, out = shell('psql -d old -c "COPY (SELECT id, h FROM item) TO STDOUT (FORMAT binary)" |\n'
                  'psql -v VERBOSITY=verbose -d new -c "COPY item (id, h) FROM STDIN (FORMAT binary)"\n', old="source", new="copied")
ok(not good and "22P03" in out, "the binary form of halfvec is refused", out)

server.sql("""CREATE INDEX by_default ON item USING ivfflat (e) WITH (lists = 5);
CREATE INDEX by_ip ON item USING ivfflat (h halfvec_ip_ops) WITH (lists = 5) WHERE id > 10;
CREATE INDEX by_expression ON item USING hnsw ((e::halfvec(384)) halfvec_cosine_ops) WHERE id < 1000;
CREATE TABLE more (v vector, list vector(2)[], d vector(2) DEFAULT '[1,2]');
INSERT INTO more VALUES ('[1,2,3]', ARRAY['[1,2]', '[3,4]']::vector[]);
CREATE VIEW distances AS SELECT id, e <-> '[1,2]'::vector AS d FROM item WHERE id > 10000""", "source")
server.sql("CREATE DATABASE restored")
command = snippets("pgvector.md", "sh")[0][1]
good, out = shell(command, old="source", new="restored")
ok(good, "page: an edited dump", out)
same(server.sql(VALUES, "restored"), before["item"], "dump: the same values")
same(server.sql("SELECT title FROM item WHERE id IN (1001, 1002) ORDER BY id", "restored"),
     "USING hnsw (e public.vector_l2_ops)\npublic.vector(3)", "dump: data are passed over")
same(server.sql("SELECT c.relname, opcname, pg_get_expr(indpred, indrelid) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid "
                "JOIN pg_am a ON a.oid = relam JOIN pg_opclass o ON o.oid = indclass[0] WHERE amname = 'faiss_ivf' ORDER BY 1", "restored"),
     "busy_e_idx|embedding_l2_ops|\nby_default|embedding_l2_ops|\nby_expression|embedding_cosine_ops|(id < 1000)\n"
     "by_ip|embedding_ip_ops|(id > 10)\nitem_e_idx|embedding_cosine_ops|\nitem_h_idx|embedding_l2_ops|",
     "dump: every index, for the same distance")
same(server.sql("SELECT * FROM more; SELECT count(*) FROM distances", "restored"), '[1,2,3]|{"[1,2]","[3,4]"}|[1,2]\n0', "dump: arrays, defaults, views")
same(server.sql("SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'", "restored"), "mmodal", "dump: without pgvector")
server.drop()
done()
