/*
 * fields.c
 *		The fields of pages, and values that may do harm there.
 */
#include "pages.h"

#include <math.h>

#define META(field, type)                                                                          \
	{                                                                                              \
		IVF_CONTENT_START + offsetof(IvfMeta, field), type                                         \
	}
#define HEAD(field, type)                                                                          \
	{                                                                                              \
		MAXALIGN(SizeOfPageHeaderData) + offsetof(IvfHead, field), type                            \
	}

static const Field head_fields[] = {
	{offsetof(PageHeaderData, pd_flags), FIELD_U16},
	{offsetof(PageHeaderData, pd_lower), FIELD_U16},
	{offsetof(PageHeaderData, pd_lower), FIELD_U16},
	{offsetof(PageHeaderData, pd_upper), FIELD_U16},
	{offsetof(PageHeaderData, pd_special), FIELD_U16},
	{offsetof(PageHeaderData, pd_pagesize_version), FIELD_U16},
	HEAD(retired, FIELD_U64),
	HEAD(first_list, FIELD_U32),
	HEAD(last_list, FIELD_U32),
	HEAD(generation, FIELD_U32),
	HEAD(next, FIELD_BLOCK),
	HEAD(next, FIELD_BLOCK),
	HEAD(kind, FIELD_U8),
	HEAD(flags, FIELD_U8),
	{BLCKSZ - 2, FIELD_U16}, /* page_id */
};

static const Field meta_fields[] = {
	META(magic, FIELD_U32),
	META(version, FIELD_U32),
	META(am, FIELD_U32),
	META(codec, FIELD_U32),
	META(metric, FIELD_U32),
	META(space, FIELD_U32),
	META(seed, FIELD_U64),
	META(dims, FIELD_U32),
	META(elem, FIELD_U32),
	META(pdims, FIELD_U32),
	META(lists, FIELD_U32),
	META(attribute_bytes, FIELD_U32),
	META(scan_bytes, FIELD_U32),
	META(code_bytes, FIELD_U32),
	META(refine_bytes, FIELD_U32),
	META(row_bytes, FIELD_U32),
	META(unit_rows, FIELD_U32),
	META(unit_code_rows, FIELD_U32),
	META(unit_refine_rows, FIELD_U32),
	META(generation, FIELD_U32),
	META(mean_start, FIELD_BLOCK),
	META(centre_start, FIELD_BLOCK),
	META(list_start, FIELD_BLOCK),
	META(trained, FIELD_U32),
	META(curve_points, FIELD_U32),
	META(rows, FIELD_DOUBLE),
	META(residual_square, FIELD_DOUBLE),
	META(curve_recall[3], FIELD_FLOAT),
	META(curve_scanned[3], FIELD_FLOAT),
	META(curve_reranked[3], FIELD_FLOAT),
};

#define LIST(field, type)                                                                          \
	{                                                                                              \
		offsetof(IvfList, field), type                                                             \
	}

static const Field list_fields[] = {
	LIST(first_block, FIELD_BLOCK), LIST(first_row, FIELD_U32),      LIST(packed, FIELD_U32),
	LIST(dead, FIELD_U32),          LIST(generation, FIELD_U32),     LIST(tail_first, FIELD_BLOCK),
	LIST(tail_last, FIELD_BLOCK),   LIST(tail_first_seq, FIELD_U32), LIST(tail_last_seq, FIELD_U32),
	LIST(radius, FIELD_FLOAT),
};

static const Field row_fields[] = {
	{offsetof(IvfRow, tid), FIELD_TID},          {offsetof(IvfRow, tid), FIELD_U16},
	{offsetof(IvfRow, scan_scale), FIELD_FLOAT}, {offsetof(IvfRow, code_scale), FIELD_FLOAT},
	{offsetof(IvfRow, bias), FIELD_FLOAT},
};

static Field
anywhere(Random *random, const char *page)
{
	static const int sizes[] = {1, 2, 4, 8};
	static const FieldType types[] = {FIELD_U8, FIELD_U16, FIELD_U32, FIELD_U64};
	int which = (int) random_below(random, 4);
	int end = ((const PageHeaderData *) page)->pd_lower;
	Field field;

	/* Most of what lies behind pd_lower means nothing. */
	if (end <= (int) IVF_CONTENT_START || end > BLCKSZ || random_below(random, 10) == 0)
		end = BLCKSZ;
	field.offset =
		(int) (IVF_CONTENT_START + random_below(random, (uint32) (end - IVF_CONTENT_START)));
	field.offset = field.offset / sizes[which] * sizes[which];
	field.type = types[which];
	return field;
}

/* A field of one of a page's many entries of a size. */
static Field
of_entry(Random *random, const char *page, size_t size, const Field *fields, uint32 nfields)
{
	int used = ((const PageHeaderData *) page)->pd_lower - (int) IVF_CONTENT_START;
	Field field = fields[random_below(random, nfields)];

	if (used < (int) size)
		used = (int) size;
	field.offset += (int) (IVF_CONTENT_START + random_below(random, (uint32) (used / size)) * size);
	if (field.offset + 8 > BLCKSZ)
		field.offset = BLCKSZ - 8;
	return field;
}

Field
field_choose(Random *random, const char *page)
{
	Field field;

	if (random_below(random, 3) == 0)
		return head_fields[random_below(random, lengthof(head_fields))];
	switch (page_kind(page))
	{
		case IVF_META:
			return meta_fields[random_below(random, lengthof(meta_fields))];
		case IVF_LIST:
			return of_entry(random, page, sizeof(IvfList), list_fields, lengthof(list_fields));
		case IVF_SCAN:
			if (random_below(random, 2) == 0)
				return anywhere(random, page);
			/* rows in use, and the unit's pages */
			field.offset = (int) (IVF_CONTENT_START + offsetof(IvfUnit, rows));
			field.type = FIELD_U32;
			if (random_below(random, 3) != 0)
			{
				field.offset =
					(int) (IVF_CONTENT_START + offsetof(IvfUnit, code) +
						   4 * random_below(random, IVF_UNIT_CODE_PAGES + IVF_UNIT_REFINE_PAGES));
				field.type = FIELD_BLOCK;
			}
			return field;
		case IVF_CODE:
		case IVF_TAIL:
			/* the first row has the fields where we think, the others their bytes */
			if (random_below(random, 2) == 0)
				return of_entry(random, page, BLCKSZ, row_fields, lengthof(row_fields));
			return anywhere(random, page);
		case IVF_SIDE:
			return of_entry(random, page, sizeof(IvfSide), row_fields, 2);
		default:
			return anywhere(random, page);
	}
}

static uint64
integer_value(Random *random, const Image *image, uint64 old)
{
	switch (random_below(random, 16))
	{
		case 0:
			return 0;
		case 1:
			return 1;
		case 2:
			return ~UINT64CONST(0);
		case 3:
			return UINT64CONST(0x7fffffff7fffffff);
		case 4:
			return UINT64CONST(0x8000000080008080);
		case 5:
			return old + 1;
		case 6:
			return old - 1;
		case 7:
			return old * 2;
		case 8:
			return old / 2;
		case 9:
			return ~UINT64CONST(0) - 1;
		case 10:
			return (uint64) image->blocks;
		case 11:
			return random_next(random);
		case 12:
			return random_below(random, 200);
		case 13:
			return old + random_below(random, 200) - 100;
		default:
			return old ^ (UINT64CONST(1) << random_below(random, 32));
	}
}

static double
float_value(Random *random, double old)
{
	static const double values[] = {0, -1, 1, 1e-40, 1e-30, 1e18, 3e38, -3e38, 1e300, 0.5};

	switch (random_below(random, 8))
	{
		case 0:
			return NAN;
		case 1:
			return INFINITY;
		case 2:
			return -INFINITY;
		case 3:
			return -old;
		case 4:
			return old * 1.01;
		case 5:
			return old * 1000;
		default:
			return values[random_below(random, lengthof(values))];
	}
}

int
field_value(Random *random, const Image *image, const char *page, Field field, unsigned char *bytes)
{
	static const int sizes[] = {1, 2, 4, 8, 4, 4, 8, 6};
	int size = sizes[field.type];
	uint64 value = 0;

	memcpy(&value, page + field.offset, (size_t) size);
	if (field.type == FIELD_FLOAT)
	{
		float old;

		memcpy(&old, &value, sizeof(old));
		old = (float) float_value(random, old);
		memcpy(&value, &old, sizeof(old));
	}
	else if (field.type == FIELD_DOUBLE)
	{
		double old;

		memcpy(&old, &value, sizeof(old));
		old = float_value(random, old);
		memcpy(&value, &old, sizeof(old));
	}
	else if (field.type == FIELD_BLOCK && random_below(random, 4) != 0)
		value = random_below(random, (uint32) image->blocks + 2);
	else
		value = integer_value(random, image, value);
	memcpy(bytes, &value, (size_t) size);
	return size;
}
