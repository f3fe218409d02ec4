-- faiss_ivf: measuring recall, and calibrating for queries of another kind.
SET client_min_messages = warning;
\set VERBOSITY terse

-- Rows around clusters in 48 dimensions.  Queries of the other modality lie
-- elsewhere (a constant is added) and are noisier.
CREATE FUNCTION modal_vectors(n int, seed float8, gap float8, noise float8)
	RETURNS TABLE (id int, e embedding) LANGUAGE plpgsql AS $$
DECLARE
	centres float8[];
	x float8[];
	c int;
BEGIN
	PERFORM setseed(0.125);
	SELECT array_agg(random() - 0.5) INTO centres FROM generate_series(1, 100 * 48);
	PERFORM setseed(seed);
	FOR row IN 1 .. n LOOP
		id := row;
		c := floor(random() * 100)::int * 48;
		SELECT array_agg(centres[c + i] + noise * (random() + random() - 1) + gap * (i % 2)) INTO x
			FROM generate_series(1, 48) i;
		e := x::embedding;
		RETURN NEXT;
	END LOOP;
END $$;
CREATE TABLE pictures (id int, e embedding(48));
INSERT INTO pictures SELECT * FROM modal_vectors(8000, 0.5, 0, 0.5);
CREATE TABLE same AS SELECT * FROM modal_vectors(200, 0.75, 0, 0.5);
CREATE TABLE other AS SELECT * FROM modal_vectors(400, 0.625, 0.5, 0.9);
CREATE INDEX pictures_idx ON pictures USING faiss_ivf (e) WITH (lists = 100);

-- Uncalibrated: queries from the base's own distribution.
SELECT mmodal_recall('pictures_idx', ARRAY(SELECT e FROM same), 10) >= 0.92 AS same;
SET mmodal.recall = 0.99;
SELECT mmodal_recall('pictures_idx', ARRAY(SELECT e FROM same), 10) >= 0.96 AS same;
SET mmodal.recall = 1;
SELECT mmodal_recall('pictures_idx', ARRAY(SELECT e FROM other), 10) AS exact;
RESET mmodal.recall;
SET mmodal.ivf_probes = 1;
SELECT mmodal_recall('pictures_idx', ARRAY(SELECT e FROM other), 10) < 0.9 AS less;
RESET mmodal.ivf_probes;

-- Calibrated with half of the other kind: both kinds are found.
SELECT count(*), bool_and(recall BETWEEN 0 AND 1 AND rows_scanned > 0) FROM
	mmodal_calibrate('pictures_idx', ARRAY(SELECT e FROM other WHERE id <= 200));
SELECT mmodal_recall('pictures_idx', ARRAY(SELECT e FROM other WHERE id > 200), 10) >= 0.92 AS other,
	mmodal_recall('pictures_idx', ARRAY(SELECT e FROM same), 10) >= 0.92 AS same;
SELECT reloptions[1], reloptions[2] LIKE 'calibration=%' AS kept FROM pg_class WHERE relname = 'pictures_idx';
REINDEX INDEX pictures_idx;
SELECT mmodal_recall('pictures_idx', ARRAY(SELECT e FROM other WHERE id > 200), 10) >= 0.92 AS other;
ALTER INDEX pictures_idx RESET (calibration);
SELECT reloptions FROM pg_class WHERE relname = 'pictures_idx';

-- What cannot be.
SELECT * FROM mmodal_calibrate('pictures_idx', '{}');
SELECT * FROM mmodal_calibrate('pictures_idx', ARRAY[NULL]::embedding[]);
SELECT * FROM mmodal_calibrate('pictures_idx', ARRAY['[1,2]']::embedding[]);
SELECT mmodal_recall('pictures_idx', ARRAY(SELECT e FROM same), 0);
SELECT mmodal_recall('pictures', ARRAY(SELECT e FROM same), 1);
CREATE ROLE ivf_guest;
SET ROLE ivf_guest;
SELECT mmodal_recall('pictures_idx', '{}', 1);
SELECT * FROM mmodal_calibrate('pictures_idx', '{}');
RESET ROLE;
DROP ROLE ivf_guest;
