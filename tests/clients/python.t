#!/usr/bin/env python3
"""Python's client libraries against embedding columns.

    scripts/test clients

Runs the Python of docs/clients.md, then what it defines on values at the ends of
the type's range.  Its packages are in build/clients (scripts/client-packages).
"""

import os
import struct
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "scripts")]
from page import ROOT, snippets  # noqa: E402
from tap import Server, done, ok, same, skip  # noqa: E402

import numpy as np  # noqa: E402
import psycopg  # noqa: E402
from pgvector import HalfVector, Vector  # noqa: E402
from pgvector.psycopg.halfvec import register_halfvec_info  # noqa: E402
from psycopg.types import TypeInfo  # noqa: E402

server = Server("clients")


def died(*what):
    ok(False, "goes to its end", "".join(traceback.format_exception(*what)))
    server.drop()


sys.excepthook = died
server.drop()
server.start()
os.environ.update({k: v for k, v in server.variables().items() if k.startswith("PG")})
os.chdir(ROOT)
server.sql("CREATE EXTENSION mmodal")
has_model = server.sql("SELECT count(*) FROM mmodal_models() WHERE name = 'mini'") == "1"

# ---- the page

doc = {}
for line, text in snippets("clients.md", "python"):
    if "clip_embed" in text and not has_model:
        skip("docs/clients.md:%d" % line, "no model mini")
        continue
    try:
        exec(compile("\n" * (line - 1) + text, "docs/clients.md", "exec"), doc)
        ok(True, "docs/clients.md:%d" % line)
    except Exception as e:  # noqa: BLE001
        ok(False, "docs/clients.md:%d" % line, repr(e))


def close(got, want):
    return np.allclose(np.asarray(got, np.float64), want, rtol=1e-6)


def value(name):
    return doc.get(name)


same(value("nearest"), ("text form", "[1,2,3]"), "page: text both ways")
ok(value("found") and value("found")[0].dtype == np.float32 and close(value("found")[0], [4, 5, 6]), "page: numpy, binary", value("found"))
ok(value("both") and len(value("both")[0]) == 2 and close(value("both")[0], [[1, 2, 3], [4, 5, 6]]), "page: arrays of embeddings", value("both"))
same(value("opposite"), Vector([-1, -2, -3]), "page: pgvector's adapters, binary")
same(server.sql("SELECT count(*), min(id), max(id), count(DISTINCT e) FROM item WHERE id >= 1000"), "2000|1000|2999|2000", "page: COPY")
same(server.sql("SELECT e FROM item WHERE title = 'bytes'"), "[7,8,9]", "page: embedding_from_bytes")
same(value("closest") and value("closest").name, "up", "page: SQLAlchemy")
same(value("closest") and list(value("closest").e), [0, 0, 1], "page: SQLAlchemy reads")
same(server.sql("SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relname = 'word_e_idx'"), "faiss_ivf", "page: SQLAlchemy makes the index")
same(value("title"), "numpy", "page: asyncpg")
if has_model:
    same(value("by_photo").shape, (384,), "page: a picture")
    ok(close(value("by_photo"), value("e")), "page: psycopg and asyncpg send the same picture")
    ok(not close(value("by_photo"), value("by_text")), "page: a picture is not taken for a text")
    same(value("tags") and value("tags")[0][0], "an orange", "page: labels")

# ---- values, both ways in both forms

conn = psycopg.connect("", autocommit=True)
doc["register_embedding"](conn)
conn.execute("CREATE TABLE v (e embedding, h embedding(5, half))")
TINY, LARGE = np.float32(1e-45), np.finfo(np.float32).max
VALUES = {
    "1 dimension": [0.1],
    "-0, subnormals and the largest": [-0.0, TINY, -TINY, LARGE, -LARGE, np.finfo(np.float32).tiny],
    "16,000 dimensions": np.random.default_rng(2).standard_normal(16000, np.float32),
}
HALVES = np.array([-0.0, 2.0 ** -24, 65504, -1.5, 2.0 ** -14], np.float16)


def bits(array):
    return array.dtype.str, array.tobytes()


def text_of(array):
    """Shortest digits, by numpy and not by us."""
    return "[%s]" % ",".join(np.format_float_scientific(x) for x in array)


def once(connection, sql, parameter, binary):
    cur = connection.cursor(binary=binary)
    return cur.execute(sql, (parameter,)).fetchone()[0]


for name, numbers in VALUES.items():
    array = np.array(numbers, np.float32)
    for binary in (False, True):
        form = "binary" if binary else "text"
        for how, parameter in (("binary", array), ("text", text_of(array))):
            got = once(conn, "SELECT %s::embedding", parameter, binary)
            same(bits(got), bits(array), "%s: %s parameter, %s result" % (name, how, form))
    stored = once(conn, "INSERT INTO v (e) VALUES (%s) RETURNING e", array, True)
    same(bits(stored), bits(array), name + ": stored")
for how, parameter in (("binary", HALVES), ("text", text_of(HALVES)), ("binary float32", HALVES.astype(np.float32))):
    got = once(conn, "INSERT INTO v (h) VALUES (%s) RETURNING h", parameter, True)
    same(bits(got), bits(HALVES), "half: %s parameter, binary result" % how)
    got = once(conn, "INSERT INTO v (h) VALUES (%s) RETURNING h", parameter, False)
    same(bits(got), bits(HALVES.astype(np.float32)), "half: %s parameter, text result" % how)
same(bits(once(conn, "SELECT %s::embedding(5, half)::embedding(5)", HALVES, True)), bits(HALVES.astype(np.float32)), "half read as float32")

same(once(conn, "SELECT %s::embedding", None, True), None, "NULL")
many = [np.array([i, -i], np.float32) for i in range(1, 50)]
for binary in (False, True):
    for how in ("%t", "%b"):
        got = once(conn, "SELECT %s::embedding[]" % how, [many[0], None, many[1]], binary)
        ok(got[1] is None and bits(got[0]) == bits(many[0]) and bits(got[2]) == bits(many[1]),
           "an array with a NULL, %s, binary=%s" % (how, binary), got)
    same(once(conn, "SELECT %s::embedding[]", [], binary), [], "an empty array, binary=%s" % binary)
for i, array in enumerate(many):
    conn.execute("INSERT INTO v (e) VALUES (%s)", (array,), prepare=True)
same(conn.execute("SELECT count(*) FROM v WHERE embedding_dims(e) = 2").fetchone()[0], 49, "prepared statements")
ok(conn.execute("SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql").fetchone()[0] > 0, "on the server")

# ---- COPY

for kind in (np.float32, np.float16):
    conn.execute("TRUNCATE item")
    vectors = np.random.default_rng(3).standard_normal((777, 3)).astype(kind)
    doc["copy_embeddings"](conn, range(777), vectors, block=100)
    cur = conn.cursor(binary=True)
    got = np.array([row[0] for row in cur.execute("SELECT e FROM item ORDER BY id")])
    ok(np.array_equal(got, vectors.astype(np.float32)), "COPY of %s" % kind.__name__)
with conn.cursor().copy("COPY (SELECT e FROM item ORDER BY id) TO STDOUT (FORMAT binary)") as copy:
    copy.set_types(["embedding"])
    ok(np.array_equal(np.array([row[0] for row in copy.rows()]), got), "COPY to the client, binary")


# ---- what the server refuses

raw = psycopg.connect("", autocommit=True)


def refused(state, name, sql, *parameters):
    try:
        got = (raw if isinstance(parameters[0], Raw) else conn).execute(sql, parameters).fetchone()
        ok(False, name, "no error: %s" % (got,))
    except psycopg.Error as e:
        same(e.sqlstate, state, name)


class Raw(bytes):
    pass


info = TypeInfo.fetch(raw, "embedding")
raw.adapters.register_dumper(Raw, type("", (psycopg.adapt.Dumper,), {
    "format": psycopg.pq.Format.BINARY, "oid": info.oid, "dump": lambda self, obj: bytes(obj)}))
three, two = np.array([1, 2, 3], np.float32), np.array([1, 2], np.float32)
refused("22000", "a wrong number of dimensions in a column", "INSERT INTO item (e) VALUES (%s) RETURNING 1", two)
refused("22000", "a wrong number of dimensions in a distance", "SELECT %s <=> %s", two, three)
refused("22P02", "malformed text", "SELECT %s::embedding", "[1,2")
refused("22P02", "an array's text form", "SELECT %s::embedding", "{1,2}")
refused("22003", "text out of range", "SELECT %s::embedding", "[1e39]")
refused("42846", "smallint[] has no cast", "SELECT %s::embedding", [1, 2, 3])
refused("22P03", "NaN in binary form", "SELECT %s", np.array([np.nan], np.float32))
refused("22P03", "infinity in binary form", "SELECT %s", np.array([np.inf], np.float16))
refused("22P03", "an unknown format", "SELECT %s", Raw(struct.pack(">hhf", 1, 4, 1)))
refused("22P03", "too short", "SELECT %s", Raw(struct.pack(">hhf", 2, 0, 1)))
refused("22P03", "a HalfVector of pgvector", "SELECT %s", Raw(HalfVector([1, 2]).to_binary()))
refused("22P03", "embedding_from_bytes of a broken length", "SELECT embedding_from_bytes(%s, 'float32')", b"\0\0\0")
same(conn.execute("SELECT 1").fetchone(), (1,), "the session goes on")

# ---- pgvector's adapters

other = psycopg.connect("", autocommit=True)
try:
    from pgvector.psycopg import register_vector
    register_vector(other)
    ok(False, "register_vector() fails without the type vector")
except psycopg.ProgrammingError as e:
    ok("vector" in str(e), "register_vector() fails without the type vector", e)
doc["register_vector_info"](other, TypeInfo.fetch(other, "embedding"))
for name, numbers in VALUES.items():
    array = np.array(numbers, np.float32)
    for binary in (False, True):
        for how, parameter in (("%b", Vector(array)), ("%t", Vector(array)), ("%s", array)):
            got = once(other, "SELECT %s::embedding" % how, parameter, binary)
            ok(isinstance(got, Vector) and bits(got.to_numpy()) == bits(array),
               "pgvector, %s: parameter %s, binary=%s" % (name, how, binary))
same(once(other, "SELECT %s::embedding(5, half)", Vector(HALVES), False), Vector(HALVES), "pgvector reads halves in text form")
try:
    once(other, "SELECT %s::embedding(5, half)", Vector(HALVES), True)
    ok(False, "pgvector does not read halves in binary form")
except ValueError as e:
    ok(True, "pgvector does not read halves in binary form")
register_halfvec_info(other, TypeInfo.fetch(other, "embedding"))
same(once(other, "SELECT %t::embedding(5, half)", HalfVector(HALVES), False).to_text(), HalfVector(HALVES).to_text(),
     "pgvector's HalfVector in text form")

# ---- nearest neighbours by the index

rows = np.random.default_rng(4).standard_normal((3000, 16), np.float32)
conn.execute("CREATE TABLE near (id int, e embedding(16))")
with conn.cursor().copy("COPY near (id, e) FROM STDIN (FORMAT binary)") as copy:
    copy.set_types(["int4", "embedding"])
    for i, row in enumerate(rows):
        copy.write_row((i, row))
conn.execute("CREATE INDEX ON near USING faiss_ivf (e embedding_l2_ops)")
conn.execute("ANALYZE near")
query = np.random.default_rng(5).standard_normal(16, np.float32)
exact = np.argsort(((rows - query) ** 2).sum(1))[:10].tolist()
for kind in (np.float32, np.float16):
    with conn.transaction():
        conn.execute("SET LOCAL enable_seqscan = off")
        conn.execute("SET LOCAL mmodal.recall = 1")
        sql = "SELECT id FROM near ORDER BY e <-> %s LIMIT 10"
        plan = conn.execute("EXPLAIN " + sql, (query.astype(kind),)).fetchall()
        ok("Index Scan using near_e_idx" in plan[1][0], "%s: by the index" % kind.__name__, plan)
        got = [row[0] for row in conn.execute(sql, (query.astype(kind),))]
    if kind is np.float32:
        same(got, exact, "the nearest by numpy, at recall 1")
    else:
        ok(len(set(got) & set(exact)) >= 9, "a half asks a column of float32", got)
same(conn.execute("SHOW mmodal.recall").fetchone()[0], "0.95", "SET LOCAL ends with the transaction")

conn.close()
raw.close()
other.close()
server.drop()
done()
