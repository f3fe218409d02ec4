CREATE EXTENSION mmodal;

-- Photographs with their captions.  The captions are shown, never searched.
CREATE TABLE picture (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL,
	topic text NOT NULL,
	caption text NOT NULL,
	photo bytea NOT NULL,
	e embedding(384, half)
);

-- Recipes embed themselves: a generated column names its model.
CREATE TABLE recipe (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	title text NOT NULL,
	ingredients text NOT NULL,
	steps text NOT NULL,
	e embedding(384) GENERATED ALWAYS AS (clip_embed(title || ': ' || ingredients, 'mini')) STORED
);
