/*-------------------------------------------------------------------------
 *
 * npy.c
 *	  Headers of NumPy's .npy files: a Python literal, a dictionary of the three
 *	  keys descr, fortran_order and shape.
 *
 *-------------------------------------------------------------------------
 */
#include "npy.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DIMS 16000

typedef struct cursor
{
	const char *at, *end;
} cursor;

bool
npy_is_magic(const uint8_t *data, size_t size)
{
	return size >= 6 && memcmp(data, "\x93NUMPY", 6) == 0;
}

size_t
npy_header_size(const uint8_t *prefix, size_t size, problem *why)
{
	size_t length;

	if (size < NPY_PREFIX || !npy_is_magic(prefix, size))
	{
		set_problem(why, "22P03", "not a .npy file");
		return 0;
	}
	if (prefix[6] < 1 || prefix[6] > 3)
	{
		set_problem(why, "0A000", ".npy of version %d, where 1 to 3 are known", prefix[6]);
		return 0;
	}
	length = (size_t) prefix[8] | (size_t) prefix[9] << 8;
	if (prefix[6] > 1)
		length |= (size_t) prefix[10] << 16 | (size_t) prefix[11] << 24;
	if (length < 2 || length > NPY_MAX_HEADER)
	{
		set_problem(why, "22P03", ".npy header of %zu bytes", length);
		return 0;
	}
	return length + (prefix[6] == 1 ? 10 : 12);
}

static void
skip_space(cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t'))
		c->at++;
}

static bool
take(cursor *c, char expected)
{
	skip_space(c);
	if (c->at == c->end || *c->at != expected)
		return false;
	c->at++;
	return true;
}

/* A string without escapes, into at most size - 1 characters. */
static bool
take_string(cursor *c, char *into, size_t size)
{
	const char *start;
	char quote;

	skip_space(c);
	if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
		return false;
	quote = *c->at++;
	start = c->at;
	while (c->at < c->end && *c->at != quote && *c->at != '\\')
		c->at++;
	if (c->at == c->end || *c->at != quote || (size_t) (c->at - start) >= size)
		return false;
	memcpy(into, start, (size_t) (c->at - start));
	into[c->at - start] = '\0';
	c->at++;
	return true;
}

static bool
take_number(cursor *c, uint64_t *value)
{
	const char *start;

	skip_space(c);
	start = c->at;
	for (*value = 0; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
	{
		if (*value > UINT64_MAX / 10 - 1)
			return false;
		*value = *value * 10 + (uint64_t) (*c->at - '0');
	}
	return c->at > start;
}

static bool
take_word(cursor *c, const char *word)
{
	size_t size = strlen(word);

	skip_space(c);
	if ((size_t) (c->end - c->at) < size || memcmp(c->at, word, size) != 0)
		return false;
	c->at += size;
	return true;
}

/* "(rows, dims)" or with a comma behind; other numbers of dimensions are counted. */
static bool
take_shape(cursor *c, uint64_t shape[2], int *n)
{
	uint64_t value;

	*n = 0;
	if (!take(c, '('))
		return false;
	while (!take(c, ')'))
	{
		if (!take_number(c, &value))
			return false;
		if (*n < 2)
			shape[*n] = value;
		(*n)++;
		if (!take(c, ','))
			return take(c, ')');
	}
	return true;
}

typedef struct header
{
	char descr[16];
	bool fortran, has_descr, has_order, has_shape;
	uint64_t shape[2];
	int ndim;
} header;

static bool
take_entry(cursor *c, header *h)
{
	char key[16];

	if (!take_string(c, key, sizeof(key)) || !take(c, ':'))
		return false;
	if (strcmp(key, "descr") == 0)
		return !h->has_descr && (h->has_descr = take_string(c, h->descr, sizeof(h->descr)));
	if (strcmp(key, "fortran_order") == 0)
	{
		h->fortran = take_word(c, "True");
		return !h->has_order && (h->has_order = h->fortran || take_word(c, "False"));
	}
	if (strcmp(key, "shape") == 0)
		return !h->has_shape && (h->has_shape = take_shape(c, h->shape, &h->ndim));
	return false;
}

static bool
take_header(cursor *c, header *h)
{
	if (!take(c, '{'))
		return false;
	while (!take(c, '}'))
	{
		if (!take_entry(c, h))
			return false;
		if (!take(c, ','))
		{
			if (!take(c, '}'))
				return false;
			break;
		}
	}
	skip_space(c);
	return c->at == c->end && h->has_descr && h->has_order && h->has_shape;
}

bool
npy_parse(const uint8_t *data, size_t size, npy_array *array, problem *why)
{
	size_t header_size = npy_header_size(data, size, why);
	header h = {0};
	cursor c;

	if (header_size == 0)
		return false;
	if (size < header_size)
	{
		set_problem(why, "22P03", ".npy header is cut off");
		return false;
	}
	c.at = (const char *) data + (data[6] == 1 ? 10 : 12);
	c.end = (const char *) data + header_size;
	if (!take_header(&c, &h))
	{
		set_problem(why, "22P03", ".npy header is malformed");
		return false;
	}
	if (strcmp(h.descr, "<f4") != 0 && strcmp(h.descr, "<f2") != 0)
	{
		/* it may hold anything */
		for (char *p = h.descr; *p != '\0'; p++)
			if (*p < ' ' || *p > '~')
				*p = '?';
		set_problem(why, "0A000", ".npy elements are %s, where <f4 and <f2 are read", h.descr);
		return false;
	}
	if (h.ndim != 2 || h.fortran)
	{
		set_problem(why, "0A000", ".npy array has %d dimensions%s, where 2 in C order are read",
					h.ndim, h.fortran ? " in Fortran order" : "");
		return false;
	}
	if (h.shape[1] < 1 || h.shape[1] > MAX_DIMS || h.shape[0] > (uint64_t) 1 << 40)
	{
		set_problem(why, "54000", ".npy array of %llu x %llu, where a vector has 1 to %d",
					(unsigned long long) h.shape[0], (unsigned long long) h.shape[1], MAX_DIMS);
		return false;
	}
	array->rows = h.shape[0];
	array->dims = (int) h.shape[1];
	array->element_size = h.descr[2] - '0';
	array->data_offset = header_size;
	return true;
}

uint8_t *
npy_row_to_embedding(const npy_array *array, const uint8_t *row, size_t *size)
{
	int width = array->element_size;
	uint8_t *out, *to;

	*size = 4 + (size_t) array->dims * (size_t) width;
	out = xmalloc(*size);
	out[0] = (uint8_t) (array->dims >> 8);
	out[1] = (uint8_t) array->dims;
	out[3] = width == 2;
	to = out + 4;
	for (int i = 0; i < array->dims; i++, row += width, to += width)
	{
		bool finite;

		for (int b = 0; b < width; b++)
			to[b] = row[width - 1 - b];
		if (width == 2)
			finite = (to[0] & 0x7c) != 0x7c;
		else
			finite = (to[0] & 0x7f) != 0x7f || (to[1] & 0x80) == 0;
		if (!finite)
		{
			free(out);
			return NULL;
		}
	}
	return out;
}
