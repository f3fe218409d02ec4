-- Photographs with their captions.  The captions are shown, never searched.
CREATE TABLE picture (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL,
	topic text NOT NULL,
	caption text NOT NULL,
	photo bytea NOT NULL,
	e embedding(384, half)
);
