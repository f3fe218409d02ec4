-- A larger table: every two pictures, laid over each other, are one row.
CREATE TABLE pair (
	a int NOT NULL REFERENCES picture,
	b int NOT NULL REFERENCES picture,
	e embedding(384, half)
);
INSERT INTO pair
SELECT a.id, b.id, l2_normalize(a.e + b.e)
FROM picture AS a JOIN picture AS b ON a.id < b.id;
CREATE INDEX ON pair USING faiss_ivf (e);
VACUUM ANALYZE pair;
