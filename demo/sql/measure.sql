-- Recall and speed on the table of pairs, by captions that the index has not seen: the
-- ten nearest of each, found exactly once, then by the index at several settings.
-- One session, elapsed time inside the server; the sentence is embedded before.
CREATE TABLE question AS SELECT id, clip_embed(caption) AS e FROM picture WHERE hashtext(name) & 3 = 0;
CREATE TABLE lesson AS SELECT clip_embed(caption) AS e FROM picture WHERE hashtext(name) & 3 <> 0;
CREATE TABLE truth (question int, a int, b int);
CREATE TABLE measured (state text, asked real, found real, per_second real);

-- The answers to all questions, and how many are answered in a second.
CREATE FUNCTION answer_all(OUT answers int[][], OUT per_second real) LANGUAGE plpgsql AS $$
DECLARE
	started timestamptz := clock_timestamp();
	q record;
BEGIN
	answers := '{}';
	FOR q IN SELECT * FROM question LOOP
		answers := answers || ARRAY(SELECT ARRAY[q.id, a, b] FROM pair ORDER BY e <=> q.e LIMIT 10);
	END LOOP;
	per_second := (SELECT count(*) FROM question) / extract(epoch FROM clock_timestamp() - started);
END $$;

-- The first setting comes twice: once to warm up.
CREATE PROCEDURE measure(index_state text) LANGUAGE plpgsql AS $$
DECLARE
	wanted real;
	result record;
BEGIN
	FOREACH wanted IN ARRAY ARRAY[0.5, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995]::real[] LOOP
		PERFORM set_config('mmodal.recall', wanted::text, false);
		SELECT * INTO result FROM answer_all();
		DELETE FROM measured WHERE state = index_state AND asked = wanted;
		INSERT INTO measured
		SELECT index_state, wanted, count(*)::real / (SELECT count(*) FROM truth), result.per_second
		FROM truth JOIN (
			SELECT result.answers[i][1] AS question, result.answers[i][2] AS a, result.answers[i][3] AS b
			FROM generate_subscripts(result.answers, 1) AS i) AS found USING (question, a, b);
	END LOOP;
	RESET mmodal.recall;
END $$;

SET enable_indexscan = off;
WITH exact AS (SELECT * FROM answer_all()),
	kept AS (INSERT INTO truth SELECT answers[i][1], answers[i][2], answers[i][3]
		FROM exact, generate_subscripts(answers, 1) AS i)
INSERT INTO measured SELECT 'exact', 1, 1, per_second FROM exact;
RESET enable_indexscan;
DISCARD PLANS;
CALL measure('as built');
SELECT count(*) AS points FROM mmodal_calibrate('pair_e_idx', ARRAY(SELECT e FROM lesson)) \gset
CALL measure('calibrated');

\echo 'Queries a second at the recall asked for, and what was found: by captions that the index has not seen.'
\echo 'As built it knows pictures alone; mmodal_calibrate() told it what captions are like.'
\echo
SELECT state, asked, round(found::numeric, 3) AS found, round(per_second) AS per_second
FROM measured WHERE asked IN (0.9, 0.95, 0.99, 1) ORDER BY state, asked;
