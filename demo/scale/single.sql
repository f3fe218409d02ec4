-- What the first server has for itself, besides photographs: a table to compare with.

-- Every two photographs, laid over each other, are one row.
CREATE TABLE single (
	id bigint NOT NULL,
	topic text NOT NULL,
	e embedding(384, half)
);

CREATE TABLE query (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind text NOT NULL,
	e embedding(384) NOT NULL
);
