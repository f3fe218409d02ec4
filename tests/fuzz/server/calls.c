/*-------------------------------------------------------------------------
 *
 * calls.c
 *	  The input and output functions of embedding, called without a server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "types/embedding.h"

#include "calls.h"
#include "stub.h"

extern Datum embedding_in(PG_FUNCTION_ARGS);
extern Datum embedding_out(PG_FUNCTION_ARGS);
extern Datum embedding_recv(PG_FUNCTION_ARGS);
extern Datum embedding_send(PG_FUNCTION_ARGS);

/* As embedding.c has it, which keeps it for itself. */
int32_t
call_typmod(int dims, bool half)
{
	return dims | (half ? 1 << 16 : 0);
}

/* A call with up to three arguments; false where it raised an error. */
static bool
call(PGFunction function, Datum argument, int32 typmod, Datum *result, call_result *r)
{
	LOCAL_FCINFO(fcinfo, 3);

	InitFunctionCallInfoData(*fcinfo, NULL, 3, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = argument;
	fcinfo->args[1].value = ObjectIdGetDatum(InvalidOid);
	fcinfo->args[2].value = Int32GetDatum(typmod);
	for (int i = 0; i < 3; i++)
		fcinfo->args[i].isnull = false;
	*r = (call_result){0};
	if (sigsetjmp(stub_escape, 0) != 0)
	{
		memcpy(r->sqlstate, stub_sqlstate, sizeof(r->sqlstate));
		return false;
	}
	*result = function(fcinfo);
	r->ok = !fcinfo->isnull;
	return r->ok;
}

static call_result
varlena_result(bool ok, Datum d, call_result r)
{
	if (ok)
	{
		r.data = (const uint8_t *) DatumGetPointer(d);
		r.size = VARSIZE_ANY(DatumGetPointer(d));
	}
	return r;
}

call_result
call_in(const char *text, int32_t typmod)
{
	Datum d = 0;
	call_result r;
	bool ok = call(embedding_in, CStringGetDatum(text), typmod, &d, &r);

	return varlena_result(ok, d, r);
}

call_result
call_recv(const uint8_t *bytes, size_t size, int32_t typmod)
{
	StringInfoData buf = {.data = (char *) bytes, .len = (int) size, .maxlen = (int) size + 1};
	Datum d = 0;
	call_result r;
	bool ok = call(embedding_recv, PointerGetDatum(&buf), typmod, &d, &r);

	r = varlena_result(ok, d, r);
	/* the server raises an error for what is left over */
	r.ok = r.ok && buf.cursor == buf.len;
	return r;
}

call_result
call_out(const call_result *value)
{
	Datum d = 0;
	call_result r;

	if (call(embedding_out, PointerGetDatum(value->data), -1, &d, &r))
	{
		r.data = (const uint8_t *) DatumGetCString(d);
		r.size = strlen(DatumGetCString(d)) + 1;
	}
	return r;
}

call_result
call_send(const call_result *value)
{
	Datum d = 0;
	call_result r;

	if (call(embedding_send, PointerGetDatum(value->data), -1, &d, &r))
	{
		r.data = (const uint8_t *) VARDATA_ANY(DatumGetPointer(d));
		r.size = VARSIZE_ANY_EXHDR(DatumGetPointer(d));
	}
	return r;
}

int
value_dims(const call_result *value)
{
	EmbeddingView view;

	embedding_view(PointerGetDatum(value->data), &view);
	return view.dims;
}

float
value_element(const call_result *value, int i)
{
	EmbeddingView view;

	embedding_view(PointerGetDatum(value->data), &view);
	return embedding_get(&view, i);
}

void
calls_end(void)
{
	stub_free_all();
}
