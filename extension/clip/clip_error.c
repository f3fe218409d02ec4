/*-------------------------------------------------------------------------
 *
 * clip_error.c
 *	  From the encoders' status codes to SQLSTATEs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port.h"

#include "clip.h"

typedef struct StatusRow
{
	int sqlstate;
	bool data; /* the input's fault */
	const char *hint;
} StatusRow;

static const StatusRow status_rows[] = {
	[MM_OK] = {ERRCODE_INTERNAL_ERROR, false, NULL},
	[MM_ERR_NO_MEMORY] = {ERRCODE_OUT_OF_MEMORY, false, NULL},
	[MM_ERR_CANCELED] = {ERRCODE_QUERY_CANCELED, false, NULL},
	[MM_ERR_INVALID_ARGUMENT] = {ERRCODE_INVALID_PARAMETER_VALUE, false, NULL},
	[MM_ERR_NOT_FOUND] = {ERRCODE_UNDEFINED_FILE, false,
						  "A model is a directory with config.json, model.safetensors and "
						  "tokenizer files below mmodal.model_path."},
	[MM_ERR_IO] = {ERRCODE_IO_ERROR, false, "Check that the server's user may read the file."},
	[MM_ERR_BAD_MODEL] = {ERRCODE_DATA_CORRUPTED, false, "Fetch or make the model anew."},
	[MM_ERR_BAD_PACK] = {ERRCODE_DATA_CORRUPTED, false, "Make it anew with mmodal_pack_model()."},
	[MM_ERR_NO_GOLDEN] = {ERRCODE_UNDEFINED_FILE, false,
						  "scripts/make-golden writes it from the Python reference."},
	[MM_ERR_UNSUPPORTED] = {ERRCODE_FEATURE_NOT_SUPPORTED, true, NULL},
	[MM_ERR_BAD_IMAGE] = {ERRCODE_INVALID_BINARY_REPRESENTATION, true,
						  "Pictures are the bytes of a whole JPEG, PNG, WebP or BMP file."},
	[MM_ERR_BAD_TEXT] = {ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, true, NULL},
	[MM_ERR_LIMIT] = {ERRCODE_PROGRAM_LIMIT_EXCEEDED, true, NULL},
};

/* For a limit that is a setting; those who may not set it can at least ask. */
static const char *const limit_hints[] = {
	[MM_LIMIT_FIXED] = NULL,
	[MM_LIMIT_IMAGE_BYTES] = "The limit is the setting mmodal.max_image_size.",
	[MM_LIMIT_IMAGE_PIXELS] = "The limit is the setting mmodal.max_image_pixels.",
	[MM_LIMIT_DECODE_BYTES] = "The limit is the setting mmodal.max_decode_memory.",
	[MM_LIMIT_TEXT_BYTES] = "The limit is the setting mmodal.max_text_size.",
};

static const StatusRow *
status_row(const mm_error *err)
{
	if ((unsigned) err->status >= lengthof(status_rows))
		return &status_rows[MM_OK];
	return &status_rows[err->status];
}

bool
clip_is_data_error(const mm_error *err)
{
	return status_row(err)->data;
}

int
clip_error_sqlstate(const mm_error *err)
{
	return status_row(err)->sqlstate;
}

/* Facts as a sentence: the encoders write them as a log line would have them. */
char *
clip_error_detail(const mm_error *err, const char *context)
{
	StringInfoData s;

	initStringInfo(&s);
	if (context != NULL)
		appendStringInfoString(&s, context);
	if (context != NULL && err->detail[0] != '\0')
		appendStringInfoString(&s, ": ");
	appendStringInfoString(&s, err->detail);
	if (s.len == 0)
		return NULL;
	s.data[0] = pg_toupper((unsigned char) s.data[0]);
	if (s.data[s.len - 1] != '.')
		appendStringInfoChar(&s, '.');
	return s.data;
}

void
clip_report(int elevel, const mm_error *err, const char *context)
{
	const StatusRow *row = status_row(err);
	const char *hint = row->hint;
	char *detail;

	if (err->status == MM_ERR_LIMIT && (unsigned) err->limit < lengthof(limit_hints))
		hint = limit_hints[err->limit];
	/* Tells a statement timeout from a cancel, and a cancel from a shutdown. */
	if (err->status == MM_ERR_CANCELED)
		CHECK_FOR_INTERRUPTS();

	detail = clip_error_detail(err, context);
	ereport(elevel, (errcode(row->sqlstate), errmsg("%s", err->message),
					 detail ? errdetail("%s", detail) : 0, hint ? errhint("%s", hint) : 0));
}

/* Enough of a name to know it again, and not megabytes for the log. */
#define QUOTED_MOST 100

char *
clip_quoted(const char *s)
{
	size_t len = strlen(s);

	if (len <= QUOTED_MOST)
		return pstrdup(s);
	return psprintf("%.*s...", pg_mbcliplen(s, (int) len, QUOTED_MOST), s);
}
