/*-------------------------------------------------------------------------
 *
 * clip_input.c
 *	  From SQL values to what the encoders read: bytes, UTF-8, arrays.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/lsyscache.h"

#include "clip.h"
#include "guc.h"

bool
clip_try_size(ClipKind kind, Datum value, mm_error *err)
{
	Size size = toast_raw_datum_size(value) - VARHDRSZ;
	bool is_text = kind == CLIP_TEXT;
	Size limit = (Size) (is_text ? mm_guc_max_text_size : mm_guc_max_image_size) * 1024;

	if (size <= limit)
		return true;
	/* as the encoders report it, who look again */
	*err = (mm_error){.status = MM_ERR_LIMIT,
					  .limit = is_text ? MM_LIMIT_TEXT_BYTES : MM_LIMIT_IMAGE_BYTES};
	strlcpy(err->message, is_text ? "text is too long" : "picture is too large",
			sizeof(err->message));
	snprintf(err->detail, sizeof(err->detail), "%zu bytes, where %zu are allowed", size, limit);
	return false;
}

void
clip_check_size(ClipKind kind, Datum value)
{
	mm_error err;

	if (!clip_try_size(kind, value, &err))
		clip_report(ERROR, &err, NULL);
}

/*
 * An untyped literal resolves to text, so clip_embed('\xffd8...') would embed
 * the digits.  Nobody wants that: recognise the signature of a picture in hex.
 */
static mm_image_format
hex_picture_format(const char *s, size_t len)
{
	unsigned char signature[12];
	size_t n = 0;

	if (len < 10 || s[0] != '\\' || s[1] != 'x')
		return MM_IMAGE_UNKNOWN;
	for (size_t i = 2; i + 1 < len && n < sizeof(signature); i += 2)
	{
		int digits[2];

		for (int k = 0; k < 2; k++)
		{
			char c = s[i + k];

			if (c >= '0' && c <= '9')
				digits[k] = c - '0';
			else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
				digits[k] = (c | 0x20) - 'a' + 10;
			else
				return MM_IMAGE_UNKNOWN;
		}
		signature[n++] = (unsigned char) (digits[0] << 4 | digits[1]);
	}
	return mm_compute()->image_sniff(signature, n);
}

static bool
is_ascii(const char *s, int len)
{
	for (int i = 0; i < len; i++)
	{
		if (IS_HIGHBIT_SET(s[i]))
			return false;
	}
	return true;
}

static mm_slice
to_utf8(const char *s, int len)
{
	mm_slice slice;

	slice.data = pg_server_to_any(s, len, PG_UTF8);
	/* pg_server_to_any returns its argument where nothing had to be done */
	slice.len = slice.data == s ? (size_t) len : strlen(slice.data);
	return slice;
}

bool
clip_try_text_slice(text *t, mm_slice *slice, mm_error *err)
{
	const char *s = VARDATA_ANY(t);
	int len = VARSIZE_ANY_EXHDR(t);
	mm_image_format format = hex_picture_format(s, len);

	if (format != MM_IMAGE_UNKNOWN)
	{
		err->status = MM_ERR_INVALID_ARGUMENT;
		snprintf(err->message, sizeof(err->message), "text is the hexadecimal form of a %s picture",
				 mm_compute()->image_format_name(format));
		snprintf(err->detail, sizeof(err->detail),
				 "An untyped literal or parameter is taken for text.");
		return false;
	}
	if (GetDatabaseEncoding() == PG_SQL_ASCII && !is_ascii(s, len))
	{
		err->status = MM_ERR_UNSUPPORTED;
		strlcpy(err->message, "cannot encode non-ASCII text in a database of encoding SQL_ASCII",
				sizeof(err->message));
		strlcpy(err->detail, "The encoders read Unicode.", sizeof(err->detail));
		return false;
	}
	*slice = to_utf8(s, len);
	return true;
}

mm_slice
clip_text_slice(text *t)
{
	mm_slice slice;
	mm_error err;

	if (clip_try_text_slice(t, &slice, &err))
		return slice;
	if (err.status != MM_ERR_INVALID_ARGUMENT)
		clip_report(ERROR, &err, NULL);
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", err.message),
					errdetail("%s", err.detail),
					errhint("Cast it to bytea, or call the function for images by name.")));
}

mm_slice
clip_bytea_slice(bytea *b)
{
	mm_slice slice = {VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b)};

	return slice;
}

ClipArray
clip_array(ArrayType *array)
{
	ClipArray result = {.source = array};
	int n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (n > mm_guc_max_batch)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("array has too many elements to encode"),
						errdetail("It has %d, where %d are allowed.", n, mm_guc_max_batch),
						errhint("The limit is the setting mmodal.max_batch.")));
	/* text and bytea: varlena of int alignment, both */
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &result.values,
					  &result.nulls, &result.n);
	return result;
}

Datum
clip_array_like(const ClipArray *src, Datum *values, bool *nulls, Oid element_type)
{
	int16 typlen;
	bool typbyval;
	char typalign;

	if (src->n == 0)
		return PointerGetDatum(construct_empty_array(element_type));
	get_typlenbyvalalign(element_type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array(values, nulls, ARR_NDIM(src->source),
											  ARR_DIMS(src->source), ARR_LBOUND(src->source),
											  element_type, typlen, typbyval, typalign));
}
