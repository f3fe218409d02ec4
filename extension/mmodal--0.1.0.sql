/* extension/mmodal--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION mmodal" to load this file. \quit

-- ---------------------------------------------------------------------------
-- The embedding type
-- ---------------------------------------------------------------------------

CREATE TYPE embedding;

CREATE FUNCTION embedding_in(cstring, oid, integer) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_in(cstring, oid, integer) IS 'text input';

CREATE FUNCTION embedding_out(embedding) RETURNS cstring
	AS 'MODULE_PATHNAME', 'embedding_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_out(embedding) IS 'text output';

CREATE FUNCTION embedding_recv(internal, oid, integer) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_recv(internal, oid, integer) IS 'binary input';

CREATE FUNCTION embedding_send(embedding) RETURNS bytea
	AS 'MODULE_PATHNAME', 'embedding_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_send(embedding) IS 'binary output';

CREATE FUNCTION embedding_typmod_in(cstring[]) RETURNS integer
	AS 'MODULE_PATHNAME', 'embedding_typmod_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_typmod_in(cstring[]) IS 'type modifier input';

CREATE FUNCTION embedding_typmod_out(integer) RETURNS cstring
	AS 'MODULE_PATHNAME', 'embedding_typmod_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_typmod_out(integer) IS 'type modifier output';

CREATE TYPE embedding (
	INPUT = embedding_in,
	OUTPUT = embedding_out,
	RECEIVE = embedding_recv,
	SEND = embedding_send,
	TYPMOD_IN = embedding_typmod_in,
	TYPMOD_OUT = embedding_typmod_out,
	ALIGNMENT = int4,
	STORAGE = main
);
COMMENT ON TYPE embedding IS 'vector of 1 to 16000 finite elements: embedding(dimensions) holds float32, embedding(dimensions, half) holds float16';

-- Casts.  From arrays and to them on assignment only: none is implicit.

CREATE FUNCTION embedding(embedding, integer, boolean) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 70;
COMMENT ON FUNCTION embedding(embedding, integer, boolean) IS 'check dimensions and convert elements as the type modifier says';

CREATE FUNCTION array_to_embedding(real[], integer, boolean) RETURNS embedding
	AS 'MODULE_PATHNAME', 'array_to_embedding' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION array_to_embedding(real[], integer, boolean) IS 'convert real[] to embedding';

CREATE FUNCTION array_to_embedding(double precision[], integer, boolean) RETURNS embedding
	AS 'MODULE_PATHNAME', 'array_to_embedding' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION array_to_embedding(double precision[], integer, boolean) IS 'convert double precision[] to embedding';

CREATE FUNCTION array_to_embedding(integer[], integer, boolean) RETURNS embedding
	AS 'MODULE_PATHNAME', 'array_to_embedding' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION array_to_embedding(integer[], integer, boolean) IS 'convert integer[] to embedding';

CREATE FUNCTION array_to_embedding(numeric[], integer, boolean) RETURNS embedding
	AS 'MODULE_PATHNAME', 'array_to_embedding' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION array_to_embedding(numeric[], integer, boolean) IS 'convert numeric[] to embedding';

CREATE FUNCTION embedding_to_float4(embedding) RETURNS real[]
	AS 'MODULE_PATHNAME', 'embedding_to_float4' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION embedding_to_float4(embedding) IS 'convert embedding to real[]';

CREATE FUNCTION embedding_from_bytes(bytea, text) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_from_bytes' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION embedding_from_bytes(bytea, text) IS 'make an embedding of raw little-endian float32 or float16 elements';

CREATE CAST (embedding AS embedding)
	WITH FUNCTION embedding(embedding, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (embedding AS embedding) IS 'apply a type modifier';

CREATE CAST (real[] AS embedding)
	WITH FUNCTION array_to_embedding(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS embedding) IS 'elements become float32, or float16 if the type modifier says half';

CREATE CAST (double precision[] AS embedding)
	WITH FUNCTION array_to_embedding(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS embedding) IS 'elements become float32, or float16 if the type modifier says half';

CREATE CAST (integer[] AS embedding)
	WITH FUNCTION array_to_embedding(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS embedding) IS 'elements become float32, or float16 if the type modifier says half';

CREATE CAST (numeric[] AS embedding)
	WITH FUNCTION array_to_embedding(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS embedding) IS 'elements become float32, or float16 if the type modifier says half';

CREATE CAST (embedding AS real[])
	WITH FUNCTION embedding_to_float4(embedding) AS ASSIGNMENT;
COMMENT ON CAST (embedding AS real[]) IS 'exact';

-- Functions of one embedding.

CREATE FUNCTION embedding_dims(embedding) RETURNS integer
	AS 'MODULE_PATHNAME', 'embedding_dims' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_dims(embedding) IS 'number of dimensions';

CREATE FUNCTION embedding_norm(embedding) RETURNS double precision
	AS 'MODULE_PATHNAME', 'embedding_norm' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION embedding_norm(embedding) IS 'Euclidean norm';

CREATE FUNCTION l2_normalize(embedding) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_l2_normalize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION l2_normalize(embedding) IS 'divide by the Euclidean norm; a zero vector stays as it is';

CREATE FUNCTION subvector(embedding, start integer, count integer) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_subvector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION subvector(embedding, start integer, count integer) IS 'count elements from the start-th on, counted from 1';

-- Distances.  Costs, here and elsewhere, are those of some 500 dimensions,
-- measured against a comparison of integers.

CREATE FUNCTION l2_distance(embedding, embedding) RETURNS double precision
	AS 'MODULE_PATHNAME', 'embedding_l2_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION l2_distance(embedding, embedding) IS 'Euclidean distance';

CREATE FUNCTION inner_product(embedding, embedding) RETURNS double precision
	AS 'MODULE_PATHNAME', 'embedding_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION inner_product(embedding, embedding) IS 'inner product';

CREATE FUNCTION negative_inner_product(embedding, embedding) RETURNS double precision
	AS 'MODULE_PATHNAME', 'embedding_negative_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION negative_inner_product(embedding, embedding) IS 'inner product with its sign changed: smaller is nearer';

CREATE FUNCTION cosine_distance(embedding, embedding) RETURNS double precision
	AS 'MODULE_PATHNAME', 'embedding_cosine_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION cosine_distance(embedding, embedding) IS '1 - cosine of the angle; NaN for a zero vector';

CREATE FUNCTION l1_distance(embedding, embedding) RETURNS double precision
	AS 'MODULE_PATHNAME', 'embedding_l1_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION l1_distance(embedding, embedding) IS 'taxicab distance';

CREATE OPERATOR <-> (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = l2_distance,
	COMMUTATOR = <->
);
COMMENT ON OPERATOR <-> (embedding, embedding) IS 'Euclidean distance';

CREATE OPERATOR <#> (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = negative_inner_product,
	COMMUTATOR = <#>
);
COMMENT ON OPERATOR <#> (embedding, embedding) IS 'negative inner product';

CREATE OPERATOR <=> (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = cosine_distance,
	COMMUTATOR = <=>
);
COMMENT ON OPERATOR <=> (embedding, embedding) IS 'cosine distance';

CREATE OPERATOR <+> (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = l1_distance,
	COMMUTATOR = <+>
);
COMMENT ON OPERATOR <+> (embedding, embedding) IS 'taxicab distance';

-- Arithmetic, element by element.

CREATE FUNCTION embedding_add(embedding, embedding) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_add' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 90;
COMMENT ON FUNCTION embedding_add(embedding, embedding) IS 'sum, element by element';

CREATE FUNCTION embedding_sub(embedding, embedding) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_sub' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 90;
COMMENT ON FUNCTION embedding_sub(embedding, embedding) IS 'difference, element by element';

CREATE FUNCTION embedding_mul(embedding, embedding) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_mul' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 90;
COMMENT ON FUNCTION embedding_mul(embedding, embedding) IS 'product, element by element';

CREATE FUNCTION embedding_concat(embedding, embedding) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_concat' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION embedding_concat(embedding, embedding) IS 'concatenation';

CREATE OPERATOR + (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = embedding_add,
	COMMUTATOR = +
);
COMMENT ON OPERATOR + (embedding, embedding) IS 'add element by element';

CREATE OPERATOR - (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = embedding_sub
);
COMMENT ON OPERATOR - (embedding, embedding) IS 'subtract element by element';

CREATE OPERATOR * (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = embedding_mul,
	COMMUTATOR = *
);
COMMENT ON OPERATOR * (embedding, embedding) IS 'multiply element by element';

CREATE OPERATOR || (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = embedding_concat
);
COMMENT ON OPERATOR || (embedding, embedding) IS 'concatenate';

-- Comparison: by value, whatever the element type.

CREATE FUNCTION embedding_lt(embedding, embedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'embedding_lt' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_lt(embedding, embedding) IS 'less than';

CREATE FUNCTION embedding_le(embedding, embedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'embedding_le' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_le(embedding, embedding) IS 'less than or equal';

CREATE FUNCTION embedding_eq(embedding, embedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'embedding_eq' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_eq(embedding, embedding) IS 'equal';

CREATE FUNCTION embedding_ne(embedding, embedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'embedding_ne' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_ne(embedding, embedding) IS 'not equal';

CREATE FUNCTION embedding_ge(embedding, embedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'embedding_ge' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_ge(embedding, embedding) IS 'greater than or equal';

CREATE FUNCTION embedding_gt(embedding, embedding) RETURNS boolean
	AS 'MODULE_PATHNAME', 'embedding_gt' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_gt(embedding, embedding) IS 'greater than';

CREATE FUNCTION embedding_cmp(embedding, embedding) RETURNS integer
	AS 'MODULE_PATHNAME', 'embedding_cmp' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_cmp(embedding, embedding) IS 'less, equal or greater: -1, 0 or 1';

CREATE FUNCTION embedding_hash(embedding) RETURNS integer
	AS 'MODULE_PATHNAME', 'embedding_hash' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION embedding_hash(embedding) IS 'hash';

CREATE FUNCTION embedding_hash_extended(embedding, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'embedding_hash_extended' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION embedding_hash_extended(embedding, bigint) IS 'seeded 64-bit hash';

CREATE OPERATOR < (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = embedding_lt,
	COMMUTATOR = >, NEGATOR = >=,
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (embedding, embedding) IS 'less than';

CREATE OPERATOR <= (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = embedding_le,
	COMMUTATOR = >=, NEGATOR = >,
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (embedding, embedding) IS 'less than or equal';

CREATE OPERATOR = (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = embedding_eq,
	COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel,
	HASHES, MERGES
);
COMMENT ON OPERATOR = (embedding, embedding) IS 'equal';

CREATE OPERATOR <> (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = embedding_ne,
	COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (embedding, embedding) IS 'not equal';

CREATE OPERATOR >= (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = embedding_ge,
	COMMUTATOR = <=, NEGATOR = <,
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (embedding, embedding) IS 'greater than or equal';

CREATE OPERATOR > (
	LEFTARG = embedding, RIGHTARG = embedding, FUNCTION = embedding_gt,
	COMMUTATOR = <, NEGATOR = <=,
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (embedding, embedding) IS 'greater than';

CREATE OPERATOR FAMILY embedding_btree_ops USING btree;
COMMENT ON OPERATOR FAMILY embedding_btree_ops USING btree IS 'order of embeddings by value';
CREATE OPERATOR CLASS embedding_btree_ops
	DEFAULT FOR TYPE embedding USING btree FAMILY embedding_btree_ops AS
	OPERATOR 1 <,
	OPERATOR 2 <=,
	OPERATOR 3 =,
	OPERATOR 4 >=,
	OPERATOR 5 >,
	FUNCTION 1 embedding_cmp(embedding, embedding);
COMMENT ON OPERATOR CLASS embedding_btree_ops USING btree IS 'order of embeddings by value';

CREATE OPERATOR FAMILY embedding_hash_ops USING hash;
COMMENT ON OPERATOR FAMILY embedding_hash_ops USING hash IS 'equality of embeddings by value';
CREATE OPERATOR CLASS embedding_hash_ops
	DEFAULT FOR TYPE embedding USING hash FAMILY embedding_hash_ops AS
	OPERATOR 1 =,
	FUNCTION 1 embedding_hash(embedding),
	FUNCTION 2 embedding_hash_extended(embedding, bigint);
COMMENT ON OPERATOR CLASS embedding_hash_ops USING hash IS 'equality of embeddings by value';

-- Aggregates.

CREATE FUNCTION embedding_accum(internal, embedding) RETURNS internal
	AS 'MODULE_PATHNAME', 'embedding_accum' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 30;
COMMENT ON FUNCTION embedding_accum(internal, embedding) IS 'transition function of sum and avg';

CREATE FUNCTION embedding_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'embedding_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 30;
COMMENT ON FUNCTION embedding_combine(internal, internal) IS 'combine function of sum and avg';

CREATE FUNCTION embedding_serialize(internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'embedding_serialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_serialize(internal) IS 'serialisation function of sum and avg';

CREATE FUNCTION embedding_deserialize(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'embedding_deserialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_deserialize(bytea, internal) IS 'deserialisation function of sum and avg';

CREATE FUNCTION embedding_sum_final(internal) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_sum_final' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 50;
COMMENT ON FUNCTION embedding_sum_final(internal) IS 'final function of sum';

CREATE FUNCTION embedding_avg_final(internal) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_avg_final' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 50;
COMMENT ON FUNCTION embedding_avg_final(internal) IS 'final function of avg';

CREATE AGGREGATE sum(embedding) (
	SFUNC = embedding_accum,
	STYPE = internal,
	SSPACE = 4096,
	FINALFUNC = embedding_sum_final,
	COMBINEFUNC = embedding_combine,
	SERIALFUNC = embedding_serialize,
	DESERIALFUNC = embedding_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(embedding) IS 'sum, element by element, accumulated in double precision; elements of the result are float32';

CREATE AGGREGATE avg(embedding) (
	SFUNC = embedding_accum,
	STYPE = internal,
	SSPACE = 4096,
	FINALFUNC = embedding_avg_final,
	COMBINEFUNC = embedding_combine,
	SERIALFUNC = embedding_serialize,
	DESERIALFUNC = embedding_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(embedding) IS 'mean, element by element, accumulated in double precision; elements of the result are float32';

--
-- Encoders: pictures and texts to embeddings
--

CREATE FUNCTION clip_cost_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
COMMENT ON FUNCTION clip_cost_support(internal) IS
	'planner support: an encoding costs milliseconds, once a query for arguments without columns';

CREATE FUNCTION clip_embed(text) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_text' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed(text) IS
	'embedding of a text in a model''s joint space, by the model of mmodal.model';

CREATE FUNCTION clip_embed(text, model text) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_text' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed(text, text) IS
	'embedding of a text in a model''s joint space, by the named model';

CREATE FUNCTION clip_embed(bytea) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_image' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed(bytea) IS
	'embedding of a picture (JPEG, PNG, WebP, BMP) in a model''s joint space, by the model of mmodal.model';

CREATE FUNCTION clip_embed(bytea, model text) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_image' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed(bytea, text) IS
	'embedding of a picture (JPEG, PNG, WebP, BMP) in a model''s joint space, by the named model';

CREATE FUNCTION clip_embed(text[]) RETURNS embedding[]
	AS 'MODULE_PATHNAME', 'clip_embed_text_array' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed(text[]) IS
	'embeddings of texts, in batches, by the model of mmodal.model';

CREATE FUNCTION clip_embed(text[], model text) RETURNS embedding[]
	AS 'MODULE_PATHNAME', 'clip_embed_text_array' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed(text[], text) IS
	'embeddings of texts, in batches, by the named model';

CREATE FUNCTION clip_embed(bytea[]) RETURNS embedding[]
	AS 'MODULE_PATHNAME', 'clip_embed_image_array' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed(bytea[]) IS
	'embeddings of pictures (JPEG, PNG, WebP, BMP), in batches, by the model of mmodal.model';

CREATE FUNCTION clip_embed(bytea[], model text) RETURNS embedding[]
	AS 'MODULE_PATHNAME', 'clip_embed_image_array' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed(bytea[], text) IS
	'embeddings of pictures (JPEG, PNG, WebP, BMP), in batches, by the named model';

-- The same by name, for clients whose parameters have no type.

CREATE FUNCTION clip_embed_text(text) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_text' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_text(text) IS
	'embedding of a text in a model''s joint space, by the model of mmodal.model';

CREATE FUNCTION clip_embed_text(text, model text) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_text' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_text(text, text) IS
	'embedding of a text in a model''s joint space, by the named model';

CREATE FUNCTION clip_embed_image(bytea) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_image' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_image(bytea) IS
	'embedding of a picture (JPEG, PNG, WebP, BMP) in a model''s joint space, by the model of mmodal.model';

CREATE FUNCTION clip_embed_image(bytea, model text) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_image' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_image(bytea, text) IS
	'embedding of a picture (JPEG, PNG, WebP, BMP) in a model''s joint space, by the named model';

-- For bulk loads: NULL and a WARNING for data that cannot be encoded.

CREATE FUNCTION clip_embed_or_null(text) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_text_or_null' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_or_null(text) IS
	'embedding of a text in a model''s joint space, or NULL and a warning, by the model of mmodal.model';

CREATE FUNCTION clip_embed_or_null(text, model text) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_text_or_null' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_or_null(text, text) IS
	'embedding of a text in a model''s joint space, or NULL and a warning, by the named model';

CREATE FUNCTION clip_embed_or_null(bytea) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_image_or_null' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_or_null(bytea) IS
	'embedding of a picture (JPEG, PNG, WebP, BMP) in a model''s joint space, or NULL and a warning, by the model of mmodal.model';

CREATE FUNCTION clip_embed_or_null(bytea, model text) RETURNS embedding
	AS 'MODULE_PATHNAME', 'clip_embed_image_or_null' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_or_null(bytea, text) IS
	'embedding of a picture (JPEG, PNG, WebP, BMP) in a model''s joint space, or NULL and a warning, by the named model';

CREATE FUNCTION clip_embed_or_null(text[]) RETURNS embedding[]
	AS 'MODULE_PATHNAME', 'clip_embed_text_array_or_null' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_or_null(text[]) IS
	'embeddings of texts, in batches, NULL and a warning for each that fails, by the model of mmodal.model';

CREATE FUNCTION clip_embed_or_null(text[], model text) RETURNS embedding[]
	AS 'MODULE_PATHNAME', 'clip_embed_text_array_or_null' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_or_null(text[], text) IS
	'embeddings of texts, in batches, NULL and a warning for each that fails, by the named model';

CREATE FUNCTION clip_embed_or_null(bytea[]) RETURNS embedding[]
	AS 'MODULE_PATHNAME', 'clip_embed_image_array_or_null' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_or_null(bytea[]) IS
	'embeddings of pictures (JPEG, PNG, WebP, BMP), in batches, NULL and a warning for each that fails, by the model of mmodal.model';

CREATE FUNCTION clip_embed_or_null(bytea[], model text) RETURNS embedding[]
	AS 'MODULE_PATHNAME', 'clip_embed_image_array_or_null' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_embed_or_null(bytea[], text) IS
	'embeddings of pictures (JPEG, PNG, WebP, BMP), in batches, NULL and a warning for each that fails, by the named model';

-- A picture against texts

CREATE FUNCTION clip_logits(image bytea, texts text[]) RETURNS real[]
	AS 'MODULE_PATHNAME', 'clip_logits' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_logits(bytea, text[]) IS
	'logit scale times cosine of a picture and each text, by the model of mmodal.model';

CREATE FUNCTION clip_logits(image bytea, texts text[], model text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'clip_logits' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_logits(bytea, text[], text) IS
	'logit scale times cosine of a picture and each text, by the named model';

CREATE FUNCTION clip_probs(image bytea, texts text[]) RETURNS real[]
	AS 'MODULE_PATHNAME', 'clip_probs' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_probs(bytea, text[]) IS
	'softmax of clip_logits over the texts, by the model of mmodal.model';

CREATE FUNCTION clip_probs(image bytea, texts text[], model text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'clip_probs' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_probs(bytea, text[], text) IS
	'softmax of clip_logits over the texts, by the named model';

CREATE FUNCTION clip_classify(image bytea, labels text[], top_k int DEFAULT 5,
		template text DEFAULT 'a photo of a {}', model text DEFAULT NULL)
	RETURNS TABLE (label text, probability real, logit real)
	AS 'MODULE_PATHNAME', 'clip_classify' LANGUAGE C STABLE PARALLEL SAFE COST 100000 ROWS 5
	SUPPORT clip_cost_support;
COMMENT ON FUNCTION clip_classify(bytea, text[], int, text, text) IS
	'zero-shot classification: the labels that fit a picture best, with their probabilities';

-- Looking inside

CREATE FUNCTION clip_tokenize(text) RETURNS int[]
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION clip_tokenize(text) IS
	'token ids of a text as the text tower sees them, by the model of mmodal.model';

CREATE FUNCTION clip_tokenize(text, model text) RETURNS int[]
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION clip_tokenize(text, text) IS
	'token ids of a text as the text tower sees them, by the named model';

CREATE FUNCTION clip_preprocess(bytea) RETURNS real[]
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION clip_preprocess(bytea) IS
	'the tensor that the image tower sees: 3 x size x size, channel-major, by the model of mmodal.model';

CREATE FUNCTION clip_preprocess(bytea, model text) RETURNS real[]
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION clip_preprocess(bytea, text) IS
	'the tensor that the image tower sees: 3 x size x size, channel-major, by the named model';

CREATE FUNCTION mmodal_models(OUT name text, OUT architecture text, OUT dims int, OUT image_size int,
		OUT context_length int, OUT parameters bigint, OUT bytes bigint, OUT path text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL SAFE COST 10000 ROWS 5;
COMMENT ON FUNCTION mmodal_models() IS
	'the models below mmodal.model_path: directories with config.json, open_clip_config.json or model.safetensors; the path is shown to members of pg_read_all_settings';

CREATE FUNCTION mmodal_pack_model(model text, OUT path text, OUT bytes bigint)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 10000000;
COMMENT ON FUNCTION mmodal_pack_model(text) IS
	'lays out the weights of a model, at the precision that its name ends with, in mmodal.cache_dir, where all sessions share them';
REVOKE EXECUTE ON FUNCTION mmodal_pack_model(text) FROM PUBLIC;

CREATE FUNCTION mmodal_verify_model(model text, OUT "precision" text, OUT texts int, OUT images int,
		OUT min_cosine double precision, OUT max_abs_diff double precision, OUT ok boolean)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 10000000;
COMMENT ON FUNCTION mmodal_verify_model(text) IS
	'compares a model with golden.json in its directory, the embeddings that its reference computed; ok: the same token ids, and float32 within 2e-5 and cosine 0.999999, other precisions cosine 0.9995';
REVOKE EXECUTE ON FUNCTION mmodal_verify_model(text) FROM PUBLIC;

CREATE FUNCTION mmodal_embed_cache_stats(OUT kind text, OUT capacity int, OUT entries bigint,
		OUT hits bigint, OUT misses bigint, OUT evictions bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION mmodal_embed_cache_stats() IS
	'the embeddings that this session keeps for use again; read the view mmodal_embed_cache';
CREATE VIEW mmodal_embed_cache AS SELECT * FROM mmodal_embed_cache_stats();
COMMENT ON VIEW mmodal_embed_cache IS
	'embeddings of texts and images that this session keeps for use again (mmodal.embed_cache), with counts of hits and misses';
GRANT SELECT ON mmodal_embed_cache TO PUBLIC;

-- Backfill of a column.  Its two tables are the extension's own: sessions of any
-- role write them through the procedure, and read them through the views, each
-- the rows of tables that it may read.

CREATE TABLE mmodal_embed_error_log (
	relid oid NOT NULL,
	attnum smallint NOT NULL,
	row_hash bigint NOT NULL,
	row_key jsonb NOT NULL,
	row_xmin xid NOT NULL,
	source smallint NOT NULL,
	model text NOT NULL,
	role oid NOT NULL,
	sqlstate text NOT NULL,
	message text NOT NULL,
	detail text,
	failed_at timestamptz NOT NULL,
	PRIMARY KEY (relid, attnum, row_hash)
);
COMMENT ON TABLE mmodal_embed_error_log IS
	'rows that mmodal_embed_column could not embed; read the view mmodal_embed_errors';
COMMENT ON CONSTRAINT mmodal_embed_error_log_pkey ON mmodal_embed_error_log IS 'a row, by the hash of its key';
COMMENT ON INDEX mmodal_embed_error_log_pkey IS 'a row, by the hash of its key';

CREATE VIEW mmodal_embed_errors WITH (security_barrier) AS
	SELECT l.relid::pg_catalog.regclass AS relation, a.attname AS column_name, s.attname AS source, l.model, l.row_key,
		l.sqlstate, l.message, l.detail, l.failed_at
	FROM mmodal_embed_error_log AS l
		JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) l.relid
			AND a.attnum OPERATOR(pg_catalog.=) l.attnum AND NOT a.attisdropped
		JOIN pg_catalog.pg_attribute AS s ON s.attrelid OPERATOR(pg_catalog.=) l.relid
			AND s.attnum OPERATOR(pg_catalog.=) l.source AND NOT s.attisdropped
	WHERE pg_catalog.has_table_privilege(l.relid, 'SELECT'::pg_catalog.text)
		AND (NOT pg_catalog.row_security_active(l.relid) OR pg_catalog.pg_has_role(l.role, 'USAGE'::pg_catalog.text));
COMMENT ON VIEW mmodal_embed_errors IS
	'rows that mmodal_embed_column could not embed, and why, of tables that the reader may read';
GRANT SELECT ON mmodal_embed_errors TO PUBLIC;

-- Each batch updates a row, which finds room on its page: the key never changes.
CREATE TABLE mmodal_embed_run (
	relid oid,
	attnum smallint,
	pid integer,
	backend_start timestamptz,
	query_start timestamptz NOT NULL,
	source name NOT NULL,
	model text NOT NULL,
	phase text NOT NULL,
	rows_total bigint NOT NULL,
	rows_done bigint NOT NULL,
	rows_failed bigint NOT NULL,
	rows_skipped bigint NOT NULL,
	started timestamptz NOT NULL,
	updated timestamptz NOT NULL,
	PRIMARY KEY (relid, attnum, pid, backend_start)
) WITH (fillfactor = 20);
COMMENT ON TABLE mmodal_embed_run IS
	'how far calls of mmodal_embed_column are; read the view mmodal_embed_progress';
COMMENT ON CONSTRAINT mmodal_embed_run_pkey ON mmodal_embed_run IS 'a column and a session';
COMMENT ON INDEX mmodal_embed_run_pkey IS 'a column and a session';

-- Where the reader may not see what a session does, its process has to do.
CREATE VIEW mmodal_embed_progress WITH (security_barrier) AS
	SELECT r.relid::pg_catalog.regclass AS relation, a.attname AS column_name, r.source, r.model, r.pid,
		x.running,
		CASE WHEN x.running OR r.phase OPERATOR(pg_catalog.=) 'finished'::pg_catalog.text THEN r.phase
			ELSE 'interrupted'::pg_catalog.text END AS phase,
		r.rows_total, r.rows_done, r.rows_failed, r.rows_skipped,
		pg_catalog.round(y.rate::pg_catalog."numeric", 1) AS rows_per_second, r.started, r.updated,
		CASE WHEN x.running AND y.rate OPERATOR(pg_catalog.>) 0::pg_catalog.float8
			THEN r.updated OPERATOR(pg_catalog.+) (pg_catalog.make_interval(secs => LEAST(
				GREATEST(r.rows_total OPERATOR(pg_catalog.-) r.rows_done OPERATOR(pg_catalog.-) r.rows_failed
					OPERATOR(pg_catalog.-) r.rows_skipped, 0::pg_catalog.int8)::pg_catalog.float8
				OPERATOR(pg_catalog./) y.rate, 1e9::pg_catalog.float8))) END AS eta
	FROM mmodal_embed_run AS r JOIN pg_catalog.pg_attribute AS a
		ON a.attrelid OPERATOR(pg_catalog.=) r.relid AND a.attnum OPERATOR(pg_catalog.=) r.attnum AND NOT a.attisdropped,
		LATERAL (SELECT r.phase OPERATOR(pg_catalog.<>) 'finished'::pg_catalog.text AND EXISTS (
			SELECT FROM pg_catalog.pg_stat_activity AS s WHERE s.pid OPERATOR(pg_catalog.=) r.pid
				AND COALESCE(s.backend_start OPERATOR(pg_catalog.=) r.backend_start, true)
				AND COALESCE(s.query_start OPERATOR(pg_catalog.=) r.query_start, true)
				AND COALESCE(s.state OPERATOR(pg_catalog.=) ANY ('{active,disabled}'::pg_catalog.text[]), true))) AS x (running),
		LATERAL (SELECT (r.rows_done OPERATOR(pg_catalog.+) r.rows_failed)::pg_catalog.float8 OPERATOR(pg_catalog./)
			NULLIF(EXTRACT(epoch FROM r.updated OPERATOR(pg_catalog.-) r.started)::pg_catalog.float8, 0::pg_catalog.float8)) AS y (rate)
	WHERE pg_catalog.has_table_privilege(r.relid, 'SELECT'::pg_catalog.text);
COMMENT ON VIEW mmodal_embed_progress IS
	'how far calls of mmodal_embed_column are, and the last state of those that ended, of tables that the reader may read';
GRANT SELECT ON mmodal_embed_progress TO PUBLIC;

CREATE PROCEDURE mmodal_embed_column(relation regclass, source text, target text, model text DEFAULT NULL,
		batch integer DEFAULT 64, on_error text DEFAULT 'log', retry_failed boolean DEFAULT false)
	AS 'MODULE_PATHNAME' LANGUAGE C;
COMMENT ON PROCEDURE mmodal_embed_column(regclass, text, text, text, integer, text, boolean) IS
	'embed the rows of a table whose target is NULL, from the text or picture in source, and commit after each batch';

CREATE FUNCTION mmodal_version() RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION mmodal_version() IS
	'versions of the extension, PostgreSQL, FAISS and BLAS, and the instruction set in use';

-- ---------------------------------------------------------------------------
-- The index access method faiss_ivf
-- ---------------------------------------------------------------------------

CREATE FUNCTION faiss_ivf_handler(internal) RETURNS index_am_handler
	AS 'MODULE_PATHNAME' LANGUAGE C PARALLEL SAFE;
COMMENT ON FUNCTION faiss_ivf_handler(internal) IS 'handler of the index access method faiss_ivf';

CREATE ACCESS METHOD faiss_ivf TYPE INDEX HANDLER faiss_ivf_handler;
COMMENT ON ACCESS METHOD faiss_ivf IS
	'inverted file with compact codes for approximate nearest neighbours of embeddings';

CREATE OPERATOR CLASS embedding_cosine_ops DEFAULT FOR TYPE embedding USING faiss_ivf AS
	OPERATOR 1 <=> (embedding, embedding) FOR ORDER BY float_ops,
	FUNCTION 1 cosine_distance(embedding, embedding);
COMMENT ON OPERATOR CLASS embedding_cosine_ops USING faiss_ivf IS 'cosine distance, <=>';
COMMENT ON OPERATOR FAMILY embedding_cosine_ops USING faiss_ivf IS 'cosine distance, <=>';

CREATE OPERATOR CLASS embedding_l2_ops FOR TYPE embedding USING faiss_ivf AS
	OPERATOR 1 <-> (embedding, embedding) FOR ORDER BY float_ops,
	FUNCTION 1 l2_distance(embedding, embedding);
COMMENT ON OPERATOR CLASS embedding_l2_ops USING faiss_ivf IS 'Euclidean distance, <->';
COMMENT ON OPERATOR FAMILY embedding_l2_ops USING faiss_ivf IS 'Euclidean distance, <->';

CREATE OPERATOR CLASS embedding_ip_ops FOR TYPE embedding USING faiss_ivf AS
	OPERATOR 1 <#> (embedding, embedding) FOR ORDER BY float_ops,
	FUNCTION 1 negative_inner_product(embedding, embedding);
COMMENT ON OPERATOR CLASS embedding_ip_ops USING faiss_ivf IS 'negative inner product, <#>';
COMMENT ON OPERATOR FAMILY embedding_ip_ops USING faiss_ivf IS 'negative inner product, <#>';

CREATE FUNCTION mmodal_index_check(index regclass) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION mmodal_index_check(regclass) IS
	'check a faiss_ivf index against its table and its own rules: raises XX002 at a fault, returns the rows checked';

CREATE FUNCTION mmodal_index_stats(index regclass, OUT codec text, OUT metric text, OUT dims int,
		OUT lists int, OUT empty_lists bigint, OUT largest_list bigint, OUT rows bigint,
		OUT trained_rows bigint, OUT pages bigint, OUT tail_pages bigint, OUT retired_pages bigint,
		OUT orphan_pages bigint, OUT stale boolean)
	RETURNS record
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION mmodal_index_stats(regclass) IS
	'what a faiss_ivf index holds; stale says that it has outgrown its training: REINDEX it';

CREATE FUNCTION mmodal_calibrate(index regclass, queries embedding[])
	RETURNS TABLE (spread real, recall real, rows_scanned real)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 12;
COMMENT ON FUNCTION mmodal_calibrate(regclass, embedding[]) IS
	'measure with real queries how recall grows with work, and keep that as the option "calibration" of a faiss_ivf index';

CREATE FUNCTION mmodal_recall(index regclass, queries embedding[], k integer) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION mmodal_recall(regclass, embedding[], integer) IS
	'share of the k nearest rows, by an exact scan of the table, that a faiss_ivf index finds with the settings in force';

CREATE FUNCTION mmodal_last_scan(OUT index regclass, OUT searches bigint, OUT recall double precision,
		OUT exact boolean, OUT lists integer, OUT lists_probed bigint, OUT candidates bigint,
		OUT reranked bigint, OUT refined bigint, OUT rounds bigint, OUT rows bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION mmodal_last_scan() IS
	'what the last scan of a faiss_ivf index that this session ended did; no row before the first one';
