-- Comparison, btree and hash classes: by value, whatever the element type.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;

SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge, a > b AS gt,
	embedding_cmp(a, b) AS cmp
FROM (VALUES ('[1,2,3]'::embedding, '[1,2,3]'::embedding), ('[1,2,3]', '[1,2]'), ('[1,2]', '[1,2,3]'),
	('[1,2]', '[2,3,4]'), ('[2,3]', '[1,2,3]'), ('[0]', '[-0]'), ('[1,2,3]', '[0,9,9]'),
	('[0.5,-0]'::embedding(2, half), '[0.5,0]'), ('[0.1]'::embedding(1, half), '[0.1]'),
	(NULL, '[1]')) AS v (a, b);

-- The two hashes agree with equality and with each other.
SELECT embedding_hash('[0,1.5]') = embedding_hash('[-0,1.5]') AS zero,
	embedding_hash('[0,1.5]') = embedding_hash('[-0,1.5]'::embedding(2, half)) AS half,
	embedding_hash('[1,2]') <> embedding_hash('[2,1]') AS element_order,
	embedding_hash('[0]') <> embedding_hash('[0,0]') AS dims,
	(embedding_hash_extended('[1,2]', 0) & 4294967295) = (embedding_hash('[1,2]')::bigint & 4294967295) AS extended,
	embedding_hash_extended('[1,2]', 0) <> embedding_hash_extended('[1,2]', 1) AS seed;
-- Chunks of any length: 1 to 600 dimensions, float32 against half.
SELECT count(*), bool_and(embedding_hash(f) = embedding_hash(h) AND f = h
	AND embedding_hash_extended(f, 7) = embedding_hash_extended(h, 7)) AS agree
FROM (SELECT array_agg(1 + (i % 256) / 1024.0 ORDER BY i)::embedding AS f, embedding_from_bytes(
		string_agg(decode(lpad(to_hex(i % 256), 2, '0') || '3c', 'hex'), '' ORDER BY i), 'float16') AS h
	FROM generate_series(1, 600, 7) AS n, generate_series(1, n) AS i GROUP BY n) AS pairs;

CREATE TEMP TABLE mixed (id int, e embedding);
INSERT INTO mixed VALUES (1, '[1,2]'), (2, '[1,2]'::embedding(2, half)), (3, '[0,1]'), (4, '[-0,1]'),
	(5, NULL), (6, '[1]'), (7, '[0,1]'::embedding(2, half)), (8, NULL);
ANALYZE mixed;

SELECT id, e FROM mixed ORDER BY e, id;
SELECT id, e FROM mixed ORDER BY e DESC NULLS LAST, id;
SELECT count(*), min(id) FROM mixed GROUP BY e ORDER BY 2;
SELECT count(DISTINCT e) FROM mixed;

SET enable_hashagg = on;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT e, count(*) FROM mixed GROUP BY e;
SELECT count(*), array_agg(id ORDER BY id) FROM mixed GROUP BY e ORDER BY 2;
RESET enable_sort;

-- Joins of float32 with half.
CREATE TEMP TABLE other AS SELECT id, e::embedding(2, half) AS e FROM mixed WHERE embedding_dims(e) = 2;
SET enable_nestloop = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT * FROM mixed JOIN other USING (e);
SELECT mixed.id, array_agg(other.id ORDER BY other.id) FROM mixed JOIN other USING (e) GROUP BY 1 ORDER BY 1;
SET enable_mergejoin = on;
SET enable_hashjoin = off;
EXPLAIN (COSTS OFF) SELECT * FROM mixed JOIN other USING (e);
SELECT mixed.id, array_agg(other.id ORDER BY other.id) FROM mixed JOIN other USING (e) GROUP BY 1 ORDER BY 1;
RESET enable_nestloop;
RESET enable_mergejoin;
RESET enable_hashjoin;

-- Indexes.
CREATE TEMP TABLE many AS SELECT i AS id, ARRAY[i % 100, i / 100.0]::embedding AS e FROM generate_series(1, 2000) AS i;
CREATE INDEX many_btree ON many USING btree (e);
CREATE INDEX many_hash ON many USING hash (e);
ANALYZE many;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM many WHERE e = '[7,1.07]';
SELECT id FROM many WHERE e = '[7,1.07]';
DROP INDEX many_hash;
EXPLAIN (COSTS OFF) SELECT id FROM many WHERE e >= '[99,15]' ORDER BY e LIMIT 3;
SELECT id FROM many WHERE e >= '[99,15]' ORDER BY e LIMIT 3;
SELECT id FROM many WHERE e = '[50,0.5]'::embedding(2, half);
SELECT count(*) FROM many WHERE e < '[1]';
RESET enable_seqscan;
RESET enable_bitmapscan;

-- A unique index sees that a half equals a float32, and -0 equals 0.
CREATE TEMP TABLE only_once (e embedding UNIQUE);
INSERT INTO only_once VALUES ('[0,1]');
\set VERBOSITY sqlstate
INSERT INTO only_once VALUES ('[-0,1]'::embedding(2, half));
\set VERBOSITY default

-- Classes are sound, and do not claim that equal values have equal bytes.
SELECT opcname, amname, amvalidate(c.oid)
FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
WHERE opcintype = 'embedding'::regtype AND amname IN ('btree', 'hash') ORDER BY amname;
SELECT count(*) AS equalimage FROM pg_amproc p JOIN pg_opfamily f ON f.oid = p.amprocfamily
WHERE f.opfname = 'embedding_btree_ops' AND amprocnum = 4;

-- Partitioning by hash uses the extended hash.
CREATE TEMP TABLE parted (e embedding) PARTITION BY HASH (e);
CREATE TEMP TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TEMP TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT e FROM many UNION ALL SELECT e::embedding(2, half) FROM many;
SELECT count(*), count(*) FILTER (WHERE e = '[3,0.03]'::embedding(2)) AS one_partition FROM parted;
SELECT bool_and(n = 1) AS never_apart
FROM (SELECT count(DISTINCT tableoid) AS n FROM parted GROUP BY e) AS groups;
