/*-------------------------------------------------------------------------
 *
 * stub.c
 *	  The few functions of the server that the embedding type calls: errors that
 *	  jump, memory that is freed after each input, and buffers of the protocol.
 *
 * palloc is malloc, a block for each call, so that ASan knows where each ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <stdlib.h>

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "compat.h"
#include "stub.h"

sigjmp_buf stub_escape;
char stub_sqlstate[6];

/*---- memory ----*/

/* As much as the server allows at once. */
#define MOST_BYTES ((Size) 0x3fffffff)

typedef struct block
{
	struct block *next;
	void *memory;
} block;

static block *blocks;

void *
palloc(Size size)
{
	block *b = malloc(sizeof(block));

	if (b == NULL || size > MOST_BYTES)
		abort();
	b->memory = malloc(size);
	b->next = blocks;
	blocks = b;
	if (b->memory == NULL)
		abort();
	return b->memory;
}

void *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

/* With all others, in the end. */
void
pfree(void *pointer)
{
	(void) pointer;
}

void
stub_free_all(void)
{
	while (blocks != NULL)
	{
		block *b = blocks;

		blocks = b->next;
		free(b->memory);
		free(b);
	}
}

char *
pnstrdup(const char *in, Size len)
{
	char *out;

	len = strnlen(in, len);
	out = palloc(len + 1);
	memcpy(out, in, len);
	out[len] = '\0';
	return out;
}

char *
psprintf(const char *fmt, ...)
{
	char *out = palloc(1024);
	va_list args;

	va_start(args, fmt);
	vsnprintf(out, 1024, fmt, args);
	va_end(args);
	return out;
}

/*---- errors ----*/

static void
set_sqlstate(int code)
{
	for (int i = 0; i < 5; i++, code >>= 6)
		stub_sqlstate[i] = PGUNSIXBIT(code);
}

bool
errstart(int elevel, const char *domain)
{
	(void) domain;
	set_sqlstate(ERRCODE_INTERNAL_ERROR);
	return elevel >= ERROR;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

int
errcode(int sqlerrcode)
{
	set_sqlstate(sqlerrcode);
	return 0;
}

/* Messages are formatted as the server does it, so that what they read is read. */
static int
format(const char *fmt, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, args);
	return 0;
}

#define MESSAGE_PART(name)                                                                         \
	int name(const char *fmt, ...)                                                                 \
	{                                                                                              \
		va_list args;                                                                              \
                                                                                                   \
		va_start(args, fmt);                                                                       \
		format(fmt, args);                                                                         \
		va_end(args);                                                                              \
		return 0;                                                                                  \
	}                                                                                              \
	extern int name(const char *fmt, ...)

MESSAGE_PART(errmsg);
MESSAGE_PART(errdetail);
MESSAGE_PART(errhint);

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	(void) filename;
	(void) lineno;
	(void) funcname;
	siglongjmp(stub_escape, 1);
}

#if PG_VERSION_NUM >= 160000
/* Without a context that takes soft errors. */
bool
errsave_start(struct Node *context, const char *domain)
{
	return context == NULL && errstart(ERROR, domain);
}

void
errsave_finish(struct Node *context, const char *filename, int lineno, const char *funcname)
{
	(void) context;
	errfinish(filename, lineno, funcname);
}
#endif

/*---- buffers ----*/

void
enlargeStringInfo(StringInfo str, int needed)
{
	char *more;

	if (str->len + needed < str->maxlen)
		return;
	more = palloc((Size) (str->len + needed) * 2 + 1);
	memcpy(more, str->data, (Size) str->len + 1);
	str->data = more;
	str->maxlen = (str->len + needed) * 2 + 1;
}

/* Room for the header of a varlena, as the server leaves it. */
void
pq_begintypsend(StringInfo buf)
{
	*buf = (StringInfoData){.data = palloc0(64), .len = VARHDRSZ, .maxlen = 64};
}

bytea *
pq_endtypsend(StringInfo buf)
{
	SET_VARSIZE(buf->data, buf->len);
	return (bytea *) buf->data;
}

static const uint8 *
take(StringInfo msg, int bytes)
{
	const uint8 *at = (const uint8 *) msg->data + msg->cursor;

	if (bytes < 0 || bytes > msg->len - msg->cursor)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION), errmsg("no data left in message")));
	msg->cursor += bytes;
	return at;
}

unsigned int
pq_getmsgint(StringInfo msg, int bytes)
{
	const uint8 *at = take(msg, bytes);
	unsigned int value = 0;

	for (int i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

float4
pq_getmsgfloat4(StringInfo msg)
{
	uint32 bits = pq_getmsgint(msg, 4);
	float4 value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

void
pq_sendfloat4(StringInfo buf, float4 value)
{
	uint32 bits;

	memcpy(&bits, &value, sizeof(bits));
	pq_sendint32(buf, bits);
}

/*---- versions: there is no catalog to differ from ----*/

void
mm_check_version(void)
{
}

/*---- toasting: values here are plain ----*/

struct varlena *
pg_detoast_datum(struct varlena *datum)
{
	return datum;
}

struct varlena *
pg_detoast_datum_packed(struct varlena *datum)
{
	return datum;
}

/*---- of embedding_typmod_in, which is linked and never called ----*/

void
deconstruct_array(ArrayType *array, Oid elmtype, int elmlen, bool elmbyval, char elmalign,
				  Datum **elemsp, bool **nullsp, int *nelemsp)
{
	abort();
}

int32
pg_strtoint32(const char *s)
{
	abort();
}
