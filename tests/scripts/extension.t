#!/usr/bin/env python3
"""Updates of the extension, libraries that do not fit, schemas and dumps.

    prove -v -e '' tests/scripts/extension.t

On a copy of the staged server, whose scripts and libraries are changed: those of
releases that never were, next to the ones that are.
"""

import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import ROOT, Server, done, has, ok, same  # noqa: E402

CATALOG = open(os.path.join(ROOT, "tests", "scripts", "extension_catalog.sql")).read()
CURRENT = re.search(r"default_version = '(.*)'", open(os.path.join(ROOT, "mmodal.control")).read()).group(1)
NEXT = "9.9.9"  # of as many characters as the current
DIMS = 16
VECTORS = """CREATE TABLE t (id int, e embedding(%d));
INSERT INTO t SELECT i, (SELECT array_agg(sin(i * j * 0.37)) FROM generate_series(1, %d) j)::embedding
FROM generate_series(1, 400) i;
CREATE INDEX t_idx ON t USING faiss_ivf (e);""" % (DIMS, DIMS)
NEAREST = """SET enable_seqscan = off;
SELECT string_agg(id::text, ' ') FROM (SELECT id FROM t ORDER BY e <=> (SELECT e FROM t WHERE id = 7) LIMIT 5) x;"""

run_dir = subprocess.check_output(["scripts/pg", "rundir"], cwd=ROOT, universal_newlines=True).strip()
copy = os.path.join(run_dir, "pg-changed")


def find(name):
    for directory, _, files in os.walk(copy):
        if name in files:
            return os.path.join(directory, name)
    sys.exit("Bail out! no %s in %s: run scripts/stage" % (name, copy))


def put(path, data):
    """In place of a file, of which the staged server has another link."""
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.chmod(path + ".new", 0o755 if path.endswith(".so") else 0o644)
    os.rename(path + ".new", path)


shutil.rmtree(copy, ignore_errors=True)
subprocess.check_call(["cp", "-al", os.path.join(run_dir, "pg"), copy])
scripts = os.path.dirname(find("mmodal.control"))
library = find("mmodal.so")
compute = find("mmodal_compute.so")
original = {path: open(path, "rb").read() for path in (library, compute)}


def set_version(path, version):
    """The library as that of another version: the text is all that differs."""
    assert len(version) == len(CURRENT)
    put(path, original[path].replace(CURRENT.encode(), version.encode()))


def script(name, text):
    put(os.path.join(scripts, name), text.encode())


# ---- releases that never were: this one without its last statements

base = open(os.path.join(ROOT, "extension", "mmodal--%s.sql" % CURRENT)).read()
ADDED = ["CREATE FUNCTION mmodal_recall(", "COMMENT ON FUNCTION mmodal_recall(",
         "REVOKE EXECUTE ON FUNCTION mmodal_pack_model(", "COMMENT ON CAST (embedding AS real[])",
         "GRANT SELECT ON mmodal_embed_cache"]


def statement(start):
    """The one statement of the script that begins so."""
    found = re.findall(r"^%s.*?;$" % re.escape(start), base, re.M | re.S)
    assert len(found) == 1, start
    return found[0]


older = base
for start in ADDED:
    older = older.replace(statement(start) + "\n", "")
update = "\n".join(statement(start) for start in ADDED) + "\n"
recall, cast = statement(ADDED[0]), statement(ADDED[3])
# what an author forgets or mistakes, and the word that the difference has
UPDATES = {
    "0.0.9": (update, None),
    "0.0.8": (update.replace(recall, "").replace(statement(ADDED[1]), ""), "mmodal_recall"),
    "0.0.7": (update.replace(statement(ADDED[2]), ""), "mmodal_pack_model"),
    "0.0.6": (update.replace(cast, ""), "cast"),
    "0.0.5": (update.replace("ROWS 12", "").replace("STRICT PARALLEL RESTRICTED", "STRICT PARALLEL SAFE"),
              "PARALLEL SAFE"),
    "0.0.4": (update.replace(statement(ADDED[4]), ""), "mmodal_embed_cache"),
}
for version, (text, _) in UPDATES.items():
    script("mmodal--%s.sql" % version, older)
    script("mmodal--%s--%s.sql" % (version, CURRENT), text)
# one that changes a function, for a library that is not there yet
script("mmodal--%s--%s.sql" % (CURRENT, NEXT), recall.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
       .replace("VOLATILE STRICT PARALLEL RESTRICTED", "VOLATILE STRICT PARALLEL UNSAFE"))

server = Server("extension", prefix=copy)
server.drop()
server.start()


def database(name, sql):
    server.sql("CREATE DATABASE %s" % name)
    server.sql(sql, name)


def differences(one, other):
    mine, yours = one.splitlines(), other.splitlines()
    return "\n".join([line for line in mine if line not in yours] + [line for line in yours if line not in mine])


# ---- updates lead to what a fresh installation has

database("fresh", "CREATE EXTENSION mmodal")
fresh = server.sql(CATALOG, "fresh")
ok(len(fresh.splitlines()) > 500, "the catalogs' text is there", fresh)
same(server.sql("SELECT default_version FROM pg_available_extensions WHERE name = 'mmodal'"), CURRENT,
     "the current version")
released = sorted(name for name in map(os.path.basename, glob.glob(os.path.join(ROOT, "extension", "mmodal--*.sql")))
                  if name.count("--") == 1)
for name in released:
    version = name[len("mmodal--"):-len(".sql")]
    database("released", "CREATE EXTENSION mmodal VERSION '%s'; ALTER EXTENSION mmodal UPDATE" % version)
    same(differences(server.sql(CATALOG, "released"), fresh), "", "%s, updated, is a fresh %s" % (version, CURRENT))
    server.sql("DROP DATABASE released")
for version, (_, forgotten) in sorted(UPDATES.items(), reverse=True):
    database("updated", "CREATE EXTENSION mmodal VERSION '%s'; ALTER EXTENSION mmodal UPDATE" % version)
    text = differences(server.sql(CATALOG, "updated"), fresh)
    if forgotten is None:
        same(text, "", "an update that is right gives what a fresh installation has")
    else:
        has(text, forgotten, "an update that forgets is seen: %s" % forgotten)
    server.sql("DROP DATABASE updated")

# ---- old definitions, new library

OLD = "mmodal library is version %s but the extension is version 0.0.9" % CURRENT
USE = "SELECT '[1,2]'::embedding"
database("old", "CREATE EXTENSION mmodal VERSION '0.0.9'")
error = server.fails(USE, "old")
has(error, OLD, "definitions of an older version are refused")
has(error, "HINT:  Run ALTER EXTENSION mmodal UPDATE", "... and the hint is ALTER EXTENSION")
has(server.sql("SELECT mmodal_version()", "old"), "mmodal " + CURRENT, "mmodal_version() works nevertheless")
session = server.session("old")
has(session.ask(USE + ";"), OLD, "a session is refused")
same(session.ask("ALTER EXTENSION mmodal UPDATE;\n" + USE + ";"), "[1,2]", "... and after its ALTER EXTENSION is not")
session.close()
same(differences(server.sql(CATALOG, "old"), fresh), "", "updated after a refusal, it is as a fresh one")

# ---- a library from before an update, in a session that goes on

database("ahead", "CREATE EXTENSION mmodal; " + VECTORS)
nearest = server.sql(NEAREST, "ahead")
RECALL = "SELECT mmodal_recall('t_idx', (SELECT array_agg(e) FROM t WHERE id < 5), 3) > 0;"
session = server.session("ahead")
same(session.ask(USE + ";\n" + RECALL), "[1,2]\nt", "a session has used the library")
server.sql("ALTER EXTENSION mmodal UPDATE TO '%s'" % NEXT, "ahead")
same(session.ask(USE + ";"), "[1,2]", "definitions that did not change serve it on")
error = session.ask(RECALL)
has(error, "mmodal library is version %s but the extension is version %s" % (CURRENT, NEXT),
    "one that did is refused")
has(error, "Install the library of version %s; where that has been done, reconnect" % NEXT,
    "... and the hint is to reconnect")
session.close()
has(server.fails(USE, "ahead"), "extension is version " + NEXT, "and all in a new session")

# ---- the new library arrives; the heavy one does not

set_version(library, NEXT)
same(server.sql(NEAREST, "ahead"), nearest, "with the new library all is well")
error = server.fails("SELECT mmodal_version()", "ahead")
has(error, "library mmodal_compute is version %s but library mmodal is version %s" % (CURRENT, NEXT),
    "a heavy library of an older version is refused")
has(error, "Install both libraries from one build", "... with a hint")
set_version(compute, NEXT)
has(server.sql("SELECT mmodal_version()", "ahead"), "mmodal " + NEXT, "both of one version work")

# what is needed to put things right works with definitions of another version
database("behind", "CREATE EXTENSION mmodal VERSION '%s'" % NEXT)
server.sql("CREATE TABLE u AS SELECT '[1,2]'::embedding(2) AS e; CREATE INDEX ON u USING faiss_ivf (e)", "behind")
server.sql("UPDATE pg_extension SET extversion = '%s' WHERE extname = 'mmodal'" % CURRENT, "behind")
has(server.fails("SET enable_seqscan = off; SELECT * FROM u ORDER BY e <=> '[1,2]'", "behind"),
    "mmodal library is version %s but the extension is version %s" % (NEXT, CURRENT), "a scan is refused")
has(server.fails("INSERT INTO u VALUES ('[2,3]')", "behind"), "but the extension is version", "an insert too")
server.sql("DELETE FROM u; VACUUM u; DROP INDEX u_e_idx; DROP TABLE u", "behind")
ok(True, "DELETE, VACUUM and DROP work")
server.sql("DROP EXTENSION mmodal", "behind")
ok(True, "DROP EXTENSION works")
for path in original:
    put(path, original[path])
server.sql("DROP DATABASE ahead")

# ---- schemas

database("schemas", "CREATE SCHEMA one; CREATE SCHEMA two; CREATE EXTENSION mmodal SCHEMA one;"
         "SET search_path = public, one; " + VECTORS)
same(differences(server.sql(CATALOG, "schemas"), fresh), "", "in another schema it is the same extension")
same(server.sql("SET search_path = public, one;" + NEAREST, "schemas"), nearest, "an index gives the same rows")
same(server.sql("SET enable_seqscan = off; SELECT id FROM t ORDER BY e OPERATOR(one.<=>) "
                "(SELECT e FROM t WHERE id = 7) LIMIT 1", "schemas"), "7", "... outside the search path")
server.sql("ALTER EXTENSION mmodal SET SCHEMA two", "schemas")
same(differences(server.sql(CATALOG, "schemas"), fresh), "", "moved, it still is")
same(server.sql("SET search_path = public, two;" + NEAREST, "schemas"), nearest, "the index gives the same rows")
same(server.sql("SELECT two.mmodal_index_check('t_idx')", "schemas"), "400", "and is sound")
server.sql("INSERT INTO t SELECT id + 1000, e FROM t WHERE id < 50; DELETE FROM t WHERE id > 1000; VACUUM t; "
           "REINDEX TABLE t", "schemas")
same(server.sql("SELECT two.mmodal_index_check('t_idx')", "schemas"), "400", "changes and REINDEX outside the path")

# ---- dumps

database("restored", "SELECT 1")
dump = server.run("pg_dump", "schemas").stdout
has(dump, "CREATE EXTENSION IF NOT EXISTS mmodal WITH SCHEMA two", "a dump creates the extension")
ok("CREATE FUNCTION" not in dump and "CREATE ACCESS METHOD" not in dump, "... and not its members", dump[:2000])
has(dump, "USING faiss_ivf (e)", "... and the index")
server.sql("ALTER DATABASE restored SET search_path = public, two", "postgres")
server.sql(dump.replace("\\restrict", "-- \\restrict").replace("\\unrestrict", "-- \\unrestrict"), "restored")
same(differences(server.sql(CATALOG, "restored"), fresh), "", "restored, the catalogs are the same")
same(server.sql("SET search_path = public, two;" + NEAREST, "restored"), nearest, "... and so are answers")

# ---- the end of it

has(server.fails("DROP EXTENSION mmodal", "schemas"), "because other objects depend on it",
    "DROP EXTENSION alone is refused")
server.sql("DROP EXTENSION mmodal CASCADE", "schemas")
same(server.sql("SELECT string_agg(attname, ' ') FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 "
                "AND NOT attisdropped", "schemas"), "id", "with CASCADE columns and indexes go, rows stay")
same(server.sql("SELECT count(*) FROM pg_proc WHERE probin LIKE '%mmodal%'", "schemas"), "0", "... and functions")
same(server.sql("CREATE EXTENSION mmodal; " + USE, "schemas"), "[1,2]", "and it can be created again")

server.drop()
shutil.rmtree(copy)
done()
