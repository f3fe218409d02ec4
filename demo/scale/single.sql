-- What the first server has for itself: photographs, and a table to compare with.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;

CREATE TABLE picture (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL,
	topic text NOT NULL,
	caption text NOT NULL,
	photo bytea NOT NULL,
	e embedding(384, half)
);

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
