--
-- What the encoders refuse, and how
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS mmodal;
RESET client_min_messages;
\set jpeg `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.jpg"`
\set png `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.png"`
\set gif `base64 -w0 "$PG_ABS_SRCDIR/tests/data/orange.gif"`
CREATE TEMP TABLE picture AS
	SELECT decode(:'jpeg', 'base64') AS jpeg, decode(:'png', 'base64') AS png, decode(:'gif', 'base64') AS gif;
CREATE TEMP TABLE backend AS SELECT pg_backend_pid() AS pid;

-- Not a picture
\set VERBOSITY default
SELECT clip_embed('hello'::bytea);
SELECT clip_embed(''::bytea);
SELECT clip_embed(gif) FROM picture;
-- Pictures cut short, at their head and near their end
\set VERBOSITY sqlstate
SELECT clip_embed(substr(jpeg, 1, 100)) FROM picture;
SELECT clip_embed(substr(jpeg, 1, length(jpeg) - 500)) FROM picture;
SELECT clip_embed(substr(png, 1, 30)) FROM picture;
SELECT clip_embed(substr(png, 1, length(png) - 500)) FROM picture;
-- A header that claims 65,535 x 65,535 pixels is refused before decoding.
\set VERBOSITY default
SELECT clip_embed(overlay(png PLACING '\x0000ffff0000ffff080200000039674e07'::bytea FROM 17)) FROM picture;
\set VERBOSITY sqlstate
SET mmodal.max_image_pixels = 1000;
SELECT clip_embed(jpeg) FROM picture;
RESET mmodal.max_image_pixels;
SET mmodal.max_image_size = '4kB';
SELECT clip_embed(jpeg) FROM picture;
RESET mmodal.max_image_size;
SET mmodal.max_text_size = '1kB';
SELECT clip_embed(repeat('x', 1025));
SELECT embedding_dims(clip_embed(repeat('x', 1024))) AS dims;
RESET mmodal.max_text_size;
\set VERBOSITY default

-- The hex form of a picture is text only by mistake.
SELECT clip_embed('\xffd8ffe000104a46494600');
SELECT clip_embed_text('\x89504e470d0a1a0a0000000d');
SELECT embedding_dims(clip_embed('\xffd8 is how a JPEG begins')) AS dims;

-- Models
SELECT clip_embed('x', 'nosuchmodel');
SELECT clip_embed('x', '../mini');
SELECT clip_embed('x', '');
SELECT clip_embed('x', repeat('m', 64));
SET mmodal.model = 'nosuchmodel';
\set VERBOSITY sqlstate
SELECT clip_embed('x');
SELECT embedding_dims(clip_embed('x', 'mini')) AS dims;
RESET mmodal.model;
\set VERBOSITY default
SET mmodal.model_path = 'relative/path';
SET mmodal.model_path = '$sharedir/mmodal/models:/nonexistent';
SELECT embedding_dims(clip_embed('x')) AS dims;
SET mmodal.model_path = '';
\set VERBOSITY sqlstate
SELECT clip_embed('x');
SELECT count(*) FROM mmodal_models();
RESET mmodal.model_path;
\set VERBOSITY default

-- An array says which element it was.
SELECT clip_embed(ARRAY[jpeg, png, 'broken'::bytea]) FROM picture;

-- For bulk loads: a warning, and NULL
SELECT embedding_dims(clip_embed_or_null(jpeg)) AS good, clip_embed_or_null('broken'::bytea) AS bad FROM picture;
SELECT array_length(e, 1) AS n, e[1] = clip_embed(jpeg) AS first, e[2] IS NULL AS second, e[3] IS NULL AS third,
	   e[4] = clip_embed(png) AS fourth
FROM picture, clip_embed_or_null(ARRAY[jpeg, 'broken', NULL, png]) e;
SELECT clip_embed_or_null('\xffd8ffe000104a46494600');
SELECT clip_embed_or_null(NULL::bytea) IS NULL AS quiet;
-- but what is wrong with the model is no fault of the data
\set VERBOSITY sqlstate
SELECT clip_embed_or_null('x', 'nosuchmodel');

SELECT pid = pg_backend_pid() AS same_backend FROM backend;
