#!/usr/bin/env node
// Node's client libraries against embedding columns.
//
//	scripts/test clients
//
// Runs the JavaScript of docs/clients.md, then what it defines on values at the ends of
// the type's range.  Its packages are in build/clients (scripts/client-packages).
'use strict';

const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const util = require('util');

const root = path.dirname(path.dirname(__dirname));
process.chdir(root);
const { Client } = require('pg');
const pgvector = require('pgvector');

let count = 0, failures = 0;

function ok(good, name, notes) {
  console.log(`${good ? 'ok' : 'not ok'} ${++count} - ${name}`);
  if (!good) {
    failures++;
    String(notes ?? '').split('\n').forEach((line) => console.log('# ' + line));
  }
}

// Object.is tells -0 from 0
function same(got, want, name) {
  ok(util.isDeepStrictEqual(got, want), name, `got: ${util.inspect(got)}\nwant: ${util.inspect(want)}`);
}

function skip(name, why) {
  console.log(`ok ${++count} - ${name} # SKIP ${why}`);
}

function pg(...words) {
  return execFileSync('scripts/pg', words, { encoding: 'utf8' });
}

function startServer() {
  pg('drop', 'clients');
  pg('start', 'clients');
  for (const [, name, value] of pg('env', 'clients').matchAll(/(PG\w+)='?([^' ]*)'?/g))
    process.env[name] = value;
}

// The page's snippets are of one async function, cut where pictures begin.
function page() {
  const text = fs.readFileSync('docs/clients.md', 'utf8');
  return [...text.matchAll(/^```js\n([^]*?)^```$/mg)].map((found) => found[1]);
}

const AsyncFunction = (async () => {}).constructor;

async function runPage(hasModel) {
  const snippets = page();
  const run = snippets.filter((text) => hasModel || !text.includes('clip_embed'));
  if (run.length < snippets.length)
    skip('docs/clients.md: pictures', 'no model mini');
  const names = 'client type near toBinary fromBinary vector' + (hasModel ? ' byPhoto byText' : '');
  return await new AsyncFunction('require', `${run.join('\n')}; return { ${names.split(' ').join(', ')} };`)(require);
}

async function refused(client, state, name, text, values) {
  try {
    await client.query(text, values);
    ok(false, name, 'no error');
  } catch (e) {
    same(e.code, state, name);
  }
}

function textOf(array) {
  return '[' + Array.from(array, (x) => Object.is(x, -0) ? '-0' : String(x)) + ']';
}

const VALUES = {
  '1 dimension': [0.1],
  '-0, subnormals and the largest': [-0, 1e-45, -1e-45, 3.4028234663852886e38, -3.4028234663852886e38],
  '16,000 dimensions': Array.from({ length: 16000 }, (_, i) => Math.sin(i) * 3),
};
const HALVES = [-0, 2 ** -24, 65504, -1.5, 2 ** -14];

async function values(client, toBinary, fromBinary) {
  for (const [name, numbers] of Object.entries(VALUES)) {
    const want = Array.from(new Float32Array(numbers));
    for (const [how, parameter] of [['text', textOf(want)], ['binary', toBinary(want)]]) {
      const { rows: [row] } = await client.query(
        'SELECT e, embedding_send(e) AS sent FROM (SELECT $1::embedding) x (e)', [parameter]);
      // shortest digits of a float32 are those of another double
      same(Array.from(new Float32Array(row.e)), want, `${name}: ${how} parameter, text result`);
      same(fromBinary(row.sent), want, `${name}: ${how} parameter, embedding_send()`);
    }
    if (!name.includes('-0')) {
      const { rows } = await client.query('SELECT $1::embedding = $2 AS same', [pgvector.toSql(want), toBinary(want)]);
      same(rows[0].same, true, `${name}: toSql() says the same`);
    }
  }
  const { rows: [row] } = await client.query(
    'SELECT e, embedding_send(e) AS sent, $2::embedding AS null FROM (SELECT $1::embedding(5, half)) x (e)', [textOf(HALVES), null]);
  same(fromBinary(row.sent), HALVES, 'half: embedding_send()');
  ok(row.e.every((x, i) => Math.abs(x - HALVES[i]) <= Math.abs(HALVES[i]) / 2048) && Object.is(row.e[0], -0), 'half: text result', row.e);
  same(row.null, null, 'NULL');
  // when this is no longer so, docs/clients.md can do without embedding_send()
  const { rows: [number] } = await client.query({ text: 'SELECT $1::int4 AS n', values: [200], binary: true });
  ok(number.n !== 200, 'pg spoils results in binary form');
}

async function arrays(client) {
  const { rows } = await client.query('SELECT $1::embedding[] AS list, $2::embedding[] AS empty',
    [[[1, 2], [3, 4, 5]].map(pgvector.toSql).concat([null]), []]);
  same(rows[0], { list: [[1, 2], [3, 4, 5], null], empty: [] }, 'arrays of embeddings');
}

async function prepared(client, toBinary) {
  await client.query('CREATE TABLE near (id int, e embedding(8))');
  const insert = { name: 'insert-near', text: 'INSERT INTO near VALUES ($1, $2)' };
  const rows = Array.from({ length: 1000 }, (_, i) => Array.from({ length: 8 }, (_, j) => Math.fround(Math.sin((i + 1) * (j + 2)))));
  await client.query('BEGIN');
  for (const [i, row] of rows.entries())
    await client.query({ ...insert, values: [i, i % 2 ? toBinary(row) : pgvector.toSql(row)] });
  await client.query('COMMIT');
  same((await client.query("SELECT count(*)::int AS n FROM pg_prepared_statements WHERE name = 'insert-near'")).rows[0].n, 1,
    'a prepared statement took both forms');
  await client.query('CREATE INDEX ON near USING faiss_ivf (e embedding_l2_ops)');
  const query = Array.from({ length: 8 }, (_, j) => Math.fround(Math.cos(j)));
  const distance = (row) => row.reduce((sum, x, j) => sum + (x - query[j]) ** 2, 0);
  const exact = [...rows.keys()].sort((a, b) => distance(rows[a]) - distance(rows[b])).slice(0, 10);
  await client.query('BEGIN');
  await client.query('SET LOCAL enable_seqscan = off');
  await client.query('SET LOCAL mmodal.recall = 1');
  const sql = 'SELECT id FROM near ORDER BY e <-> $1 LIMIT 10';
  const plan = await client.query('EXPLAIN ' + sql, [toBinary(query)]);
  ok(/Index Scan using near_e_idx/.test(plan.rows[1]['QUERY PLAN']), 'by the index', util.inspect(plan.rows));
  same((await client.query(sql, [toBinary(query)])).rows.map((row) => row.id), exact, 'the nearest, at recall 1');
  await client.query('COMMIT');
  same((await client.query('SHOW mmodal.recall')).rows[0]['mmodal.recall'], '0.95', 'SET LOCAL ends with the transaction');
}

async function errors(client, toBinary, hasModel) {
  const header = Buffer.from([0, 1, 0, 4, 0, 0, 0, 0]);
  await refused(client, '22000', 'a wrong number of dimensions in a column', 'INSERT INTO thing (e) VALUES ($1)', [toBinary([1, 2])]);
  await refused(client, '22000', 'a wrong number of dimensions in a distance', 'SELECT e <=> $1 FROM thing', [pgvector.toSql([1, 2])]);
  await refused(client, '22P02', "an array as it is", 'SELECT $1::embedding', [[1, 2, 3]]);
  await refused(client, '22003', 'text out of range', 'SELECT $1::embedding', ['[1e39]']);
  await refused(client, '22P03', 'NaN in binary form', 'SELECT $1::embedding', [toBinary([NaN])]);
  await refused(client, '22P03', 'an unknown format', 'SELECT $1::embedding', [header]);
  await refused(client, '22P03', 'too short', 'SELECT $1::embedding', [toBinary([1, 2]).subarray(0, 9)]);
  if (hasModel)
    await refused(client, '22021', 'a picture without a type is read as a text', 'SELECT clip_embed($1)', [fs.readFileSync('tests/data/orange.jpg')]);
  try {
    await require('pgvector/pg').registerTypes(client);
    ok(false, 'registerTypes() fails without the type vector');
  } catch (e) {
    ok(/vector type not found/.test(e.message), 'registerTypes() fails without the type vector', e.message);
  }
  same((await client.query('SELECT 1 AS one')).rows[0].one, 1, 'the session goes on');
}

async function main() {
  startServer();
  const admin = new Client();
  await admin.connect();
  await admin.query('CREATE EXTENSION mmodal');
  const hasModel = (await admin.query("SELECT FROM mmodal_models() WHERE name = 'mini'")).rowCount === 1;
  await admin.end();

  const doc = await runPage(hasModel);
  same(doc.near.rows[0], { title: 'text form', e: [1, 2, 3] }, 'page: text both ways');
  same(doc.vector, [4, 5, 6], 'page: binary both ways');
  if (hasModel) {
    const [photo, text] = [doc.byPhoto.rows[0].e, doc.byText.rows[0].e];
    same([photo.length, text.length], [384, 384], 'page: a picture and a text');
    ok(photo.reduce((sum, x, i) => sum + Math.abs(x - text[i]), 0) > 1, 'page: a picture is not taken for a text');
  }
  await values(doc.client, doc.toBinary, doc.fromBinary);
  await arrays(doc.client);
  await prepared(doc.client, doc.toBinary);
  await errors(doc.client, doc.toBinary, hasModel);
  await doc.client.end();
}

main().catch((e) => ok(false, 'goes to its end', e.stack)).finally(() => {
  pg('drop', 'clients');
  console.log(`1..${count}`);
  process.exit(failures ? 1 : 0);  // connections may be open
});
