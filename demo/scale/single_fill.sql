INSERT INTO single
SELECT a.id * 1000 + b.id, a.topic, l2_normalize(a.e + b.e)
FROM picture AS a JOIN picture AS b ON a.id < b.id;
CREATE INDEX single_e_idx ON single USING faiss_ivf (e);
VACUUM ANALYZE single;

-- Sentences and photographs, as many of each.
INSERT INTO query (kind, e)
SELECT 'text', clip_embed(caption)
FROM (SELECT DISTINCT caption FROM picture ORDER BY caption LIMIT :queries) AS c;
INSERT INTO query (kind, e)
SELECT 'picture', e FROM (SELECT e FROM picture ORDER BY name LIMIT :queries) AS p;
