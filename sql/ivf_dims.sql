-- faiss_ivf: the dimensions that models have, every class, float32 and half.
SET client_min_messages = warning;
\set VERBOSITY terse

-- n rows: three clusters' shares and noise, made without a loop for speed.
CREATE FUNCTION dim_vectors(n int, d int, seed float8)
	RETURNS TABLE (id int, e embedding) LANGUAGE sql AS $$
	SELECT setseed(seed);
	SELECT i, array_agg(sin(i % 53 * 1.7 + j) + cos(i % 7 * j * 0.9) + 2 * random() - 1)::float8[]::embedding
	FROM generate_series(1, n) i, generate_series(1, d) j GROUP BY i
$$;

DO $$
DECLARE
	d int;
	kind text;
	class text;
	r float8;
BEGIN
	FOREACH d IN ARRAY ARRAY[384, 512, 768, 1024] LOOP
		CREATE TEMP TABLE source AS SELECT * FROM dim_vectors(1600, d, 0.5);
		CREATE TEMP TABLE query AS SELECT * FROM dim_vectors(60, d, 0.75);
		FOREACH kind IN ARRAY ARRAY['', ', half'] LOOP
			EXECUTE format('CREATE TEMP TABLE b (id int, e embedding(%s%s))', d, kind);
			INSERT INTO b SELECT * FROM source;
			FOREACH class IN ARRAY ARRAY['cosine', 'l2', 'ip'] LOOP
				EXECUTE format('CREATE INDEX b_idx ON b USING faiss_ivf (e embedding_%s_ops) WITH (lists = 25)', class);
				-- 60 queries: a rough measure
				r := mmodal_recall('b_idx', ARRAY(SELECT e FROM query), 10);
				IF r < 0.9 THEN
					RAISE WARNING '% dimensions%, %: recall %', d, kind, class, r;
				END IF;
				PERFORM set_config('mmodal.recall', '1', true);
				r := mmodal_recall('b_idx', ARRAY(SELECT e FROM query WHERE id <= 10), 10);
				IF r < 1 THEN
					RAISE WARNING '% dimensions%, %: exact recall %', d, kind, class, r;
				END IF;
				PERFORM set_config('mmodal.recall', '0.95', true);
				PERFORM mmodal_index_check('b_idx');
				DROP INDEX b_idx;
			END LOOP;
			DROP TABLE b;
		END LOOP;
		DROP TABLE source, query;
	END LOOP;
END $$;
