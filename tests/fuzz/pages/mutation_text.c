/*
 * mutation_text.c
 *		Damage as text: words such as "SCAN.0:64:ffffffff", which writes four bytes
 *		at offset 64 of the first scan page, "SCAN.1:=LIST.0", which writes that
 *		page over the other, and "truncate:3".  Blocks are told by their kind
 *		because their numbers change from build to build.
 */
#include "pages.h"

static const char *
page_of(const Image *image, int block)
{
	return image->pages + (size_t) block * BLCKSZ;
}

static void
print_block(FILE *to, const Image *image, int block)
{
	int nth = 0;

	for (int i = 0; i < block; i++)
		nth +=
			strcmp(page_kind_name(page_of(image, i)), page_kind_name(page_of(image, block))) == 0;
	fprintf(to, "%s.%d", page_kind_name(page_of(image, block)), nth);
}

static void
print_poke(FILE *to, const Image *image, const Poke *poke)
{
	print_block(to, image, poke->block);
	if (poke->length == BLCKSZ)
	{
		for (int block = 0; block < image->blocks; block++)
		{
			if (memcmp(page_of(image, block), poke->bytes, BLCKSZ) != 0)
				continue;
			fputs(":=", to);
			print_block(to, image, block);
			return;
		}
		fputs(":zero", to);
		return;
	}
	fprintf(to, ":%d:", poke->offset);
	for (int i = 0; i < poke->length; i++)
		fprintf(to, "%02x", poke->bytes[i]);
}

void
mutation_print(FILE *to, const Image *image, const Mutation *mutation)
{
	for (int i = 0; i < mutation->npokes; i++)
	{
		if (i > 0)
			fputc(' ', to);
		print_poke(to, image, &mutation->pokes[i]);
	}
	if (mutation->truncate >= 0)
		fprintf(to, "truncate:%d", mutation->truncate);
}

static void
malformed(const char *text)
{
	fprintf(stderr, "fuzz-pages: \"%.100s\" is no damage\n", text);
	exit(2);
}

/* Read KIND.nth; returns its block and sets *end behind it. */
static int
parse_block(const char *text, const Image *image, const char **end)
{
	char kind[16];
	int nth;
	int length;

	if (sscanf(text, "%15[A-Z].%d%n", kind, &nth, &length) != 2)
		malformed(text);
	*end = text + length;
	for (int block = 0; block < image->blocks; block++)
	{
		if (strcmp(page_kind_name(page_of(image, block)), kind) == 0 && nth-- == 0)
			return block;
	}
	malformed(text);
	return -1;
}

static void
parse_poke(const char *text, const Image *image, Mutation *mutation)
{
	Poke *poke;
	int length = 0;
	unsigned int byte;

	if (mutation->npokes == MAX_POKES)
		malformed(text);
	poke = &mutation->pokes[mutation->npokes++];
	poke->block = parse_block(text, image, &text);
	poke->offset = 0;
	poke->length = BLCKSZ;
	if (strncmp(text, ":=", 2) == 0)
		memcpy(poke->bytes, page_of(image, parse_block(text + 2, image, &text)), BLCKSZ);
	else if (strncmp(text, ":zero", 5) == 0)
		memset(poke->bytes, 0, BLCKSZ);
	else
	{
		if (sscanf(text, ":%d:%n", &poke->offset, &length) != 1 || length == 0)
			malformed(text);
		text += length;
		for (poke->length = 0; poke->length < BLCKSZ && sscanf(text, "%2x", &byte) == 1; text += 2)
			poke->bytes[poke->length++] = (unsigned char) byte;
		if (poke->offset < 0 || poke->offset + poke->length > BLCKSZ)
			malformed(text);
	}
}

void
mutation_parse(const char *text, const Image *image, Mutation *mutation)
{
	mutation->npokes = 0;
	mutation->truncate = -1;
	while (*text && *text != '#')
	{
		size_t word = strcspn(text, " \t");

		if (sscanf(text, "truncate:%d", &mutation->truncate) != 1 && word > 0)
			parse_poke(text, image, mutation);
		text += word;
		text += strspn(text, " \t");
	}
}
