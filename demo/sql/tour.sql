-- The tour: each statement is printed before its result (demo/run).

\echo
\echo 'A sentence finds pictures.  Captions are shown, and were never searched.'
\echo
SELECT caption, round((e <=> clip_embed('something to play music on'))::numeric, 3) AS distance
FROM picture
ORDER BY e <=> clip_embed('something to play music on') LIMIT 5;

SELECT q AS sentence, found.caption
FROM unnest(ARRAY['a big cat with stripes', 'a vehicle that puts out fires', 'an animal of the sea']) AS q,
	LATERAL (SELECT caption FROM picture ORDER BY e <=> clip_embed(q) LIMIT 3) AS found;

\echo 'A food photo finds recipes.'
\echo
SELECT p.name AS photo, r.title
FROM picture AS p,
	LATERAL (SELECT title FROM recipe ORDER BY recipe.e <=> clip_embed(p.photo) LIMIT 3) AS r
WHERE p.name IN ('pineapple', 'strawberry', 'pumpkin_small');

\echo 'A picture gets tags.'
\echo
SELECT p.name AS photo, tag.label, round(tag.probability::numeric, 3) AS probability
FROM picture AS p,
	clip_classify(p.photo, ARRAY['bird', 'fish', 'insect', 'dog', 'fruit', 'vegetable', 'car', 'guitar'], 2) AS tag
WHERE p.name IN ('pelican', 'orange', 'beetle', 'guitar_classical');

\echo 'A picture finds pictures like it.'
\echo
SELECT p.caption, round((p.e <=> q.e)::numeric, 3) AS distance
FROM picture AS p, picture AS q
WHERE q.name = 'tiger' AND p.id <> q.id
ORDER BY p.e <=> q.e LIMIT 4;

\echo 'Arithmetic: a fire truck, less fire, plus garbage; then a photo of a pumpkin, plus "soup".'
\echo
SELECT caption
FROM picture
ORDER BY e <=> ((SELECT e FROM picture WHERE name = 'firetruck') - clip_embed('fire') + clip_embed('garbage'))
LIMIT 3;

SELECT title
FROM recipe
ORDER BY e <=> ((SELECT e FROM picture WHERE name = 'pumpkin_small') + clip_embed('soup'))
LIMIT 3;

\echo 'A generated column: a new recipe embeds itself, and a photo finds it.'
\echo
INSERT INTO recipe (title, ingredients, steps)
VALUES ('Broccoli Omelette', 'eggs, broccoli, butter', 'Fry the broccoli. Pour over beaten eggs.')
RETURNING title, embedding_dims(e), embedding_norm(e);

SELECT title
FROM recipe
ORDER BY e <=> (SELECT clip_embed(photo) FROM picture WHERE name = 'broccoli') LIMIT 3;

\echo 'It is plain SQL, and plans like it: the sentence is encoded once, not once a row.'
\echo
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
SELECT caption FROM picture WHERE topic = 'animals' ORDER BY e <=> clip_embed('a farm animal') LIMIT 5;
