-- What the pages of docs/ suppose to be there.  A page that makes one of these itself
-- drops it first, in a comment.
CREATE EXTENSION mmodal;
CREATE TABLE dish (id bigserial PRIMARY KEY, title text, price numeric, photo bytea, e embedding(384, half));
CREATE TABLE recipe (id bigserial PRIMARY KEY, title text, e embedding(384));
INSERT INTO recipe (title, e)
SELECT t, clip_embed(t) FROM unnest(ARRAY['Orange Cake', 'Lemon Curd', 'Pumpkin Soup', 'Roast Chicken']) AS t;
INSERT INTO dish (title, price, e)
SELECT t, i, clip_embed(t) FROM recipe AS r, generate_series(1, 20) AS i, concat(r.title, ' ', i) AS t;
CREATE TABLE picture (id serial PRIMARY KEY, name text, photo bytea, e embedding(384));
INSERT INTO picture (name, e) SELECT title, e FROM recipe;
CREATE TABLE past_query (e embedding(384));
INSERT INTO past_query SELECT e FROM recipe;
CREATE TABLE example (label text, e embedding(384));
INSERT INTO example SELECT split_part(title, ' ', 1), e FROM recipe;
