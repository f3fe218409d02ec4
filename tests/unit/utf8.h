/*-------------------------------------------------------------------------
 *
 * utf8.h
 *	  UTF-8, written down once more: what the tests of the tokenizers hold
 *	  their subjects to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TEST_UTF8_H
#define TEST_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Well-formed UTF-8 of a code point. */
static inline size_t
put_utf8(uint32_t c, uint8_t *s)
{
	if (c < 0x80)
	{
		s[0] = (uint8_t) c;
		return 1;
	}
	if (c < 0x800)
	{
		s[0] = (uint8_t) (0xc0 | c >> 6);
		s[1] = (uint8_t) (0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000)
	{
		s[0] = (uint8_t) (0xe0 | c >> 12);
		s[1] = (uint8_t) (0x80 | (c >> 6 & 0x3f));
		s[2] = (uint8_t) (0x80 | (c & 0x3f));
		return 3;
	}
	s[0] = (uint8_t) (0xf0 | c >> 18);
	s[1] = (uint8_t) (0x80 | (c >> 12 & 0x3f));
	s[2] = (uint8_t) (0x80 | (c >> 6 & 0x3f));
	s[3] = (uint8_t) (0x80 | (c & 0x3f));
	return 4;
}

/* Table 3-7 of the Unicode Standard: the length of the sequence at s, or 0. */
static inline size_t
sequence_length(const uint8_t *s, size_t len)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (len < n)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
	{
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	}
	return n;
}

static inline bool
is_utf8(const uint8_t *s, size_t len)
{
	while (len > 0)
	{
		size_t n = sequence_length(s, len);

		if (n == 0)
			return false;
		s += n;
		len -= n;
	}
	return true;
}

#endif /* TEST_UTF8_H */
