-- :recipes holds demo/recipes.json.
INSERT INTO recipe (title, ingredients, steps)
SELECT title, array_to_string(ingredients, ', '), array_to_string(steps, ' ')
FROM jsonb_to_recordset(:'recipes') AS r (title text, ingredients text[], steps text[]);
