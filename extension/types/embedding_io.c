/*
 * embedding_io.c
 *		Text and binary form of the embedding type.
 *
 * Text: [0.1,2,-3e-4], with the shortest digits that read back as the same
 * float32.  Binary: int16 dims, int16 format, uint32 space if format says so,
 * elements; big-endian.  Format 0 is the form of other vector types.
 */
#include "postgres.h"

#include <errno.h>
#include <math.h>

#include "common/shortest_dec.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"

#include "embedding.h"

/* Bits of the binary format field. */
#define BINARY_FLOAT16 0x0001
#define BINARY_SPACE 0x0002
#define BINARY_KNOWN (BINARY_FLOAT16 | BINARY_SPACE)

/* Text being parsed. */
typedef struct TextParser
{
	const char *whole;       /* all of it, for messages */
	const char *at;          /* what is left */
	bool half;               /* values must fit a float16 */
	FunctionCallInfo fcinfo; /* takes soft errors */
} TextParser;

static void
skip_space(TextParser *p)
{
	while (*p->at == ' ' || (*p->at >= '\t' && *p->at <= '\r'))
		p->at++;
}

static bool
syntax_error(TextParser *p, const char *detail)
{
	mm_ereturn(p->fcinfo, false,
			   (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("invalid input syntax for type embedding: \"%s\"", p->whole),
				detail ? errdetail("%s", detail) : 0));
}

static bool
range_error(TextParser *p, const char *start)
{
	mm_ereturn(p->fcinfo, false,
			   (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				errmsg("\"%s\" is out of range for type embedding%s",
					   pnstrdup(start, p->at - start), p->half ? " with half elements" : "")));
}

/*
 * Parse one number.  As strtof does it: what is too small becomes 0, what is
 * too large is an error, and the words for NaN and infinity are understood so
 * that they can be refused by name.
 */
static bool
parse_value(TextParser *p, float *value)
{
	const char *start;
	char *end;

	skip_space(p);
	start = p->at;
	errno = 0;
	*value = strtof(start, &end);
	if (end == start)
		return syntax_error(p, NULL);
	p->at = end;
	if (errno == ERANGE && isinf(*value))
		return range_error(p, start);
	if (!isfinite(*value))
		mm_ereturn(p->fcinfo, false,
				   (errcode(ERRCODE_DATA_EXCEPTION),
					errmsg(isnan(*value) ? "NaN not allowed in embedding"
										 : "infinite value not allowed in embedding")));
	if (p->half && !mm_half_fits(*value))
		return range_error(p, start);
	skip_space(p);
	return true;
}

/*
 * Parse "[v, ...]" into a float32 embedding; NULL after a soft error.
 */
static Embedding *
parse_text(TextParser *p)
{
	Embedding *e;
	int dims = 1;

	skip_space(p);
	if (*p->at != '[')
	{
		syntax_error(p, "Embedding contents must start with \"[\".");
		return NULL;
	}
	p->at++;
	skip_space(p);
	if (*p->at == ']')
		mm_ereturn(p->fcinfo, NULL,
				   (errcode(ERRCODE_DATA_EXCEPTION),
					errmsg("embedding must have at least %d dimension", EMBEDDING_MIN_DIMS)));

	/* Numbers hold no commas, so these tell how many there are. */
	for (const char *c = p->at; *c; c++)
		dims += *c == ',';
	if (dims > EMBEDDING_MAX_DIMS)
		mm_ereturn(p->fcinfo, NULL,
				   (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("embedding cannot have more than %d dimensions", EMBEDDING_MAX_DIMS)));

	e = embedding_alloc(dims, MM_FLOAT32, NULL);
	for (int i = 0; i < dims; i++)
	{
		if (!parse_value(p, (float *) e->data + i))
			return NULL;
		if (*p->at != (i < dims - 1 ? ',' : ']'))
		{
			syntax_error(p, NULL);
			return NULL;
		}
		p->at++;
	}
	skip_space(p);
	if (*p->at != '\0')
	{
		syntax_error(p, "Junk after closing \"]\".");
		return NULL;
	}
	return e;
}

PG_FUNCTION_INFO_V1(embedding_in);

/*
 * embedding_in(cstring, oid, integer) returns embedding
 *		22P02 for malformed text, 22003 for a value out of range, 22000 for
 *		NaN, infinity or a number of dimensions that the typmod does not allow.
 */
Datum
embedding_in(PG_FUNCTION_ARGS)
{
	const char *text = PG_GETARG_CSTRING(0);
	int32 typmod = PG_GETARG_INT32(2);
	bool half = typmod >= 0 && embedding_typmod_elem(typmod) == MM_FLOAT16;
	TextParser parser = {.whole = text, .at = text, .half = half, .fcinfo = fcinfo};
	Embedding *e = parse_text(&parser);

	if (e == NULL)
		PG_RETURN_NULL();
	if (typmod >= 0 && e->dims != embedding_typmod_dims(typmod))
		mm_ereturn(
			fcinfo, (Datum) 0,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("expected %d dimensions, not %d", embedding_typmod_dims(typmod), e->dims)));
	PG_RETURN_EMBEDDING_P(embedding_apply_typmod(e, typmod));
}

PG_FUNCTION_INFO_V1(embedding_out);

/*
 * embedding_out(embedding) returns cstring
 */
Datum
embedding_out(PG_FUNCTION_ARGS)
{
	EmbeddingView view;
	char *text;
	char *at;

	embedding_view(PG_GETARG_DATUM(0), &view);
	/* A comma for every number, brackets and the terminator. */
	text = palloc((Size) view.dims * FLOAT_SHORTEST_DECIMAL_LEN + 3);
	at = text;
	*at++ = '[';
	for (int i = 0; i < view.dims; i++)
	{
		if (i > 0)
			*at++ = ',';
		at += float_to_shortest_decimal_bufn(embedding_get(&view, i), at);
	}
	*at++ = ']';
	*at = '\0';
	PG_RETURN_CSTRING(text);
}

PG_FUNCTION_INFO_V1(embedding_send);

/*
 * embedding_send(embedding) returns bytea
 */
Datum
embedding_send(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	EmbeddingView view;
	uint16 format = 0;

	embedding_view(PG_GETARG_DATUM(0), &view);
	if (view.elem == MM_FLOAT16)
		format |= BINARY_FLOAT16;
	if (view.tag.space != 0)
		format |= BINARY_SPACE;

	pq_begintypsend(&buf);
	enlargeStringInfo(&buf, (int) embedding_size(view.dims, view.elem));
	pq_sendint16(&buf, (uint16) view.dims);
	pq_sendint16(&buf, format);
	if (format & BINARY_SPACE)
		pq_sendint32(&buf, view.tag.space);
	for (int i = 0; i < view.dims; i++)
	{
		uint16 half;

		if (view.elem == MM_FLOAT32)
		{
			pq_sendfloat4(&buf, embedding_get(&view, i));
			continue;
		}
		memcpy(&half, (const char *) view.data + (Size) i * sizeof(half), sizeof(half));
		pq_sendint16(&buf, half);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

static void
binary_error(const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
					errmsg("invalid binary form of type embedding"), errdetail("%s", detail)));
}

/*
 * Read and check the head of the binary form, leaving buf at the elements.
 */
static Embedding *
receive_head(StringInfo buf)
{
	EmbeddingTag tag = {0};
	int dims;
	uint16 format;
	MmElem elem;

	if (buf->len - buf->cursor < 2 * (int) sizeof(int16))
		binary_error("It is too short.");
	dims = (int16) pq_getmsgint(buf, sizeof(int16));
	format = (uint16) pq_getmsgint(buf, sizeof(int16));
	if (dims < EMBEDDING_MIN_DIMS || dims > EMBEDDING_MAX_DIMS)
		binary_error(psprintf("It has %d dimensions, not %d to %d.", dims, EMBEDDING_MIN_DIMS,
							  EMBEDDING_MAX_DIMS));
	if (format & ~BINARY_KNOWN)
		binary_error(psprintf("Format %d is unknown.", format));
	if (format & BINARY_SPACE)
	{
		if (buf->len - buf->cursor < (int) sizeof(uint32))
			binary_error("It is too short.");
		tag.space = pq_getmsgint(buf, sizeof(uint32));
	}
	elem = format & BINARY_FLOAT16 ? MM_FLOAT16 : MM_FLOAT32;
	if ((Size) (buf->len - buf->cursor) != (Size) dims * mm_elem_size(elem))
		binary_error(psprintf("Its elements take %d bytes, not the %zu that %d dimensions need.",
							  buf->len - buf->cursor, (Size) dims * mm_elem_size(elem), dims));
	return embedding_alloc(dims, elem, &tag);
}

PG_FUNCTION_INFO_V1(embedding_recv);

/*
 * embedding_recv(internal, oid, integer) returns embedding
 *		22P03 for malformed input, 22000 for a number of dimensions that the
 *		typmod does not allow.
 */
Datum
embedding_recv(PG_FUNCTION_ARGS)
{
	StringInfo buf = (StringInfo) PG_GETARG_POINTER(0);
	int32 typmod = PG_GETARG_INT32(2);
	Embedding *e = receive_head(buf);

	for (int i = 0; i < e->dims; i++)
	{
		if (e->elem == MM_FLOAT32)
			((float *) e->data)[i] = pq_getmsgfloat4(buf);
		else
			((uint16 *) e->data)[i] = (uint16) pq_getmsgint(buf, sizeof(uint16));
		if (!isfinite(mm_elem_get((MmElem) e->elem, e->data, i)))
			binary_error(psprintf("Element %d is not finite.", i + 1));
	}
	PG_RETURN_EMBEDDING_P(embedding_apply_typmod(e, typmod));
}
