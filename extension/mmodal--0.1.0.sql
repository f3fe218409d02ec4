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
	AS 'MODULE_PATHNAME', 'embedding' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION embedding(embedding, integer, boolean) IS 'check dimensions and convert elements as the type modifier says';

CREATE FUNCTION array_to_embedding(real[], integer, boolean) RETURNS embedding
	AS 'MODULE_PATHNAME', 'array_to_embedding' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION array_to_embedding(real[], integer, boolean) IS 'convert real[] to embedding';

CREATE FUNCTION array_to_embedding(double precision[], integer, boolean) RETURNS embedding
	AS 'MODULE_PATHNAME', 'array_to_embedding' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION array_to_embedding(double precision[], integer, boolean) IS 'convert double precision[] to embedding';

CREATE FUNCTION array_to_embedding(integer[], integer, boolean) RETURNS embedding
	AS 'MODULE_PATHNAME', 'array_to_embedding' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION array_to_embedding(integer[], integer, boolean) IS 'convert integer[] to embedding';

CREATE FUNCTION array_to_embedding(numeric[], integer, boolean) RETURNS embedding
	AS 'MODULE_PATHNAME', 'array_to_embedding' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION array_to_embedding(numeric[], integer, boolean) IS 'convert numeric[] to embedding';

CREATE FUNCTION embedding_to_float4(embedding) RETURNS real[]
	AS 'MODULE_PATHNAME', 'embedding_to_float4' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION embedding_to_float4(embedding) IS 'convert embedding to real[]';

CREATE FUNCTION embedding_from_bytes(bytea, text) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_from_bytes' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
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
	AS 'MODULE_PATHNAME', 'embedding_norm' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 15;
COMMENT ON FUNCTION embedding_norm(embedding) IS 'Euclidean norm';

CREATE FUNCTION l2_normalize(embedding) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_l2_normalize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION l2_normalize(embedding) IS 'divide by the Euclidean norm; a zero vector stays as it is';

CREATE FUNCTION subvector(embedding, start integer, count integer) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_subvector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION subvector(embedding, start integer, count integer) IS 'count elements from the start-th on, counted from 1';

-- Distances.  Costs are those of some 500 dimensions.

CREATE FUNCTION l2_distance(embedding, embedding) RETURNS double precision
	AS 'MODULE_PATHNAME', 'embedding_l2_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION l2_distance(embedding, embedding) IS 'Euclidean distance';

CREATE FUNCTION inner_product(embedding, embedding) RETURNS double precision
	AS 'MODULE_PATHNAME', 'embedding_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION inner_product(embedding, embedding) IS 'inner product';

CREATE FUNCTION negative_inner_product(embedding, embedding) RETURNS double precision
	AS 'MODULE_PATHNAME', 'embedding_negative_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION negative_inner_product(embedding, embedding) IS 'inner product with its sign changed: smaller is nearer';

CREATE FUNCTION cosine_distance(embedding, embedding) RETURNS double precision
	AS 'MODULE_PATHNAME', 'embedding_cosine_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION cosine_distance(embedding, embedding) IS '1 - cosine of the angle; NaN for a zero vector';

CREATE FUNCTION l1_distance(embedding, embedding) RETURNS double precision
	AS 'MODULE_PATHNAME', 'embedding_l1_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
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
	AS 'MODULE_PATHNAME', 'embedding_add' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION embedding_add(embedding, embedding) IS 'sum, element by element';

CREATE FUNCTION embedding_sub(embedding, embedding) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_sub' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION embedding_sub(embedding, embedding) IS 'difference, element by element';

CREATE FUNCTION embedding_mul(embedding, embedding) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_mul' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
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
	AS 'MODULE_PATHNAME', 'embedding_hash' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 15;
COMMENT ON FUNCTION embedding_hash(embedding) IS 'hash';

CREATE FUNCTION embedding_hash_extended(embedding, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'embedding_hash_extended' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 15;
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
	AS 'MODULE_PATHNAME', 'embedding_accum' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 15;
COMMENT ON FUNCTION embedding_accum(internal, embedding) IS 'transition function of sum and avg';

CREATE FUNCTION embedding_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'embedding_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 15;
COMMENT ON FUNCTION embedding_combine(internal, internal) IS 'combine function of sum and avg';

CREATE FUNCTION embedding_serialize(internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'embedding_serialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_serialize(internal) IS 'serialisation function of sum and avg';

CREATE FUNCTION embedding_deserialize(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'embedding_deserialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION embedding_deserialize(bytea, internal) IS 'deserialisation function of sum and avg';

CREATE FUNCTION embedding_sum_final(internal) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_sum_final' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 15;
COMMENT ON FUNCTION embedding_sum_final(internal) IS 'final function of sum';

CREATE FUNCTION embedding_avg_final(internal) RETURNS embedding
	AS 'MODULE_PATHNAME', 'embedding_avg_final' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 15;
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
