-- Recipes embed themselves: a generated column names its model.
CREATE TABLE recipe (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	title text NOT NULL,
	ingredients text NOT NULL,
	steps text NOT NULL,
	e embedding(384) GENERATED ALWAYS AS (clip_embed(title || ': ' || ingredients, 'mini')) STORED
);
