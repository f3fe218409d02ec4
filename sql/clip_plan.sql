--
-- What the planner makes of an encoding
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;
CREATE TEMP TABLE item (id int PRIMARY KEY, words text, photo bytea, e embedding(384, half));
INSERT INTO item SELECT i, 'word ' || i, NULL, NULL FROM generate_series(1, 2000) i;
UPDATE item SET e = clip_embed(words) WHERE id % 100 = 0;
ANALYZE item;

-- The top-level cost of a plan, and of what is below it.
CREATE FUNCTION plan_cost(query text, OUT startup numeric, OUT total numeric) LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	startup := plan -> 0 -> 'Plan' ->> 'Startup Cost';
	total := plan -> 0 -> 'Plan' ->> 'Total Cost';
END $$;

-- Without columns: one encoding at start-up, however many rows.
SELECT startup BETWEEN 700 AND 1500 AS once, total - startup < 200 AS next_to_nothing_a_row
FROM plan_cost($$SELECT id FROM item WHERE e <=> clip_embed('red') < 0.5$$);
SELECT total BETWEEN 700 AND 1500 AS once
FROM plan_cost($$SELECT id FROM item ORDER BY e <=> clip_embed('red') LIMIT 5$$);
-- With columns: one a row.
SELECT total > 2000 * 700 AS every_row FROM plan_cost($$SELECT clip_embed(words) FROM item$$);
SELECT total > 2000 * 1000 AS every_row FROM plan_cost($$SELECT clip_embed(photo) FROM item$$);
-- An array costs its elements.
SELECT b.total > 2.5 * a.total AS by_length
FROM plan_cost($$SELECT clip_embed(ARRAY['a', now()::text])$$) a,
	 plan_cost($$SELECT clip_embed(ARRAY['a', 'b', 'c', 'd', 'e', now()::text])$$) b;

EXPLAIN (COSTS OFF) SELECT id FROM item ORDER BY e <=> clip_embed('red') LIMIT 5;
-- The two-argument form of constants is folded to an embedding.
DO $$
DECLARE line text; seen bool := false;
BEGIN
	FOR line IN EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM item ORDER BY e <=> clip_embed('red', 'mini') LIMIT 5 LOOP
		seen := seen OR line LIKE '%clip_embed%';
	END LOOP;
	RAISE NOTICE 'two-argument call left in the plan: %', seen;
END $$;

-- A selective filter comes before an expensive qual.
EXPLAIN (COSTS OFF) SELECT id FROM item WHERE clip_embed(words) <=> clip_embed('red') < 0.5 AND id < 10;
EXPLAIN (COSTS OFF) SELECT id FROM item WHERE clip_embed(words) <=> clip_embed('red') < 0.5 AND words LIKE '%7';

-- Exact search finds what it should, however it is planned.
SELECT id FROM item WHERE e IS NOT NULL ORDER BY e <=> clip_embed('word 500') LIMIT 1;
PREPARE search(text) AS SELECT id FROM item WHERE e IS NOT NULL ORDER BY e <=> clip_embed($1) LIMIT 1;
SET plan_cache_mode = force_generic_plan;
EXECUTE search('word 500');
EXECUTE search('word 700');
EXECUTE search('word 500');
RESET plan_cache_mode;

-- Every function of the extension may run in a parallel worker and has a comment.
SELECT p.oid::regprocedure FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_proc'::regclass
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'mmodal')
	AND p.proparallel <> 's' AND p.proname NOT IN ('mmodal_index_check', 'mmodal_index_stats', 'mmodal_calibrate', 'mmodal_recall', 'mmodal_pack_model', 'mmodal_embed_cache_stats', 'mmodal_last_scan')
	AND p.prokind <> 'p' AND p.prorettype <> 'internal'::regtype;
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d
WHERE d.refclassid = 'pg_extension'::regclass
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'mmodal') AND d.deptype = 'e'
	AND d.classid IN ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_operator'::regclass, 'pg_cast'::regclass,
					  'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_am'::regclass)
	AND obj_description(d.objid, d.classid::regclass::name) IS NULL
	AND NOT EXISTS (SELECT FROM pg_type t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid
		AND (t.typelem <> 0 OR t.typrelid <> 0))
ORDER BY 1;
DROP FUNCTION plan_cost(text);
