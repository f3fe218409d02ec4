/*
 * mutate.c
 *		Damage, made at random.
 */
#include "pages.h"

static const char *
page_of(const Image *image, int block)
{
	return image->pages + (size_t) block * BLCKSZ;
}

/* A block: any kind of page is as likely as any other, however many there are of it. */
static int
choose_block(Random *random, const Image *image)
{
	int kind = 1 + (int) random_below(random, IVF_SIDE);
	int found = 0;
	int block = (int) random_below(random, (uint32) image->blocks);

	for (int i = 0; i < image->blocks; i++)
	{
		if (page_kind(page_of(image, i)) != kind)
			continue;
		found++;
		if (random_below(random, (uint32) found) == 0)
			block = i;
	}
	return block;
}

static Poke *
add_poke(Mutation *mutation, int block, int offset, int length)
{
	Poke *poke = &mutation->pokes[mutation->npokes++];

	poke->block = block;
	poke->offset = offset;
	poke->length = length;
	return poke;
}

static void
poke_field(Random *random, const Image *image, Mutation *mutation)
{
	int block = choose_block(random, image);
	const char *page = page_of(image, block);
	Field field = field_choose(random, page);
	Poke *poke = add_poke(mutation, block, field.offset, 0);

	poke->length = field_value(random, image, page, field, poke->bytes);
}

static void
flip_bit(Random *random, const Image *image, Mutation *mutation)
{
	int block = choose_block(random, image);
	const char *page = page_of(image, block);
	int end = random_below(random, 2) ? 128 : ((const PageHeaderData *) page)->pd_lower;
	int offset = (int) random_below(random, end > 0 && end <= BLCKSZ ? (uint32) end : BLCKSZ);
	Poke *poke = add_poke(mutation, block, offset, 1);

	poke->bytes[0] = (unsigned char) (page[offset] ^ (1 << random_below(random, 8)));
}

/* Bytes of one kind or of any. */
static void
spoil_range(Random *random, const Image *image, Mutation *mutation)
{
	int length = 1 + (int) random_below(random, random_below(random, 4) ? 16 : 1000);
	int offset = (int) random_below(random, (uint32) (BLCKSZ - length));
	Poke *poke = add_poke(mutation, choose_block(random, image), offset, length);
	int fill = (int) random_below(random, 4);

	for (int i = 0; i < length; i++)
	{
		uint64 byte = random_next(random);

		poke->bytes[i] = (unsigned char) (fill == 0 ? 0 : fill == 1 ? 0xff : byte);
	}
}

static void
copy_page(const Image *image, Mutation *mutation, int from, int to)
{
	memcpy(add_poke(mutation, to, 0, BLCKSZ)->bytes, page_of(image, from), BLCKSZ);
}

static void
clear_page(Random *random, const Image *image, Mutation *mutation)
{
	memset(add_poke(mutation, choose_block(random, image), 0, BLCKSZ)->bytes, 0, BLCKSZ);
}

void
mutation_make(Random *random, const Image *image, Mutation *mutation)
{
	uint32 what = random_below(random, 100);
	int from;
	int to;

	mutation->npokes = 0;
	mutation->truncate = -1;
	if (what < 55)
		poke_field(random, image, mutation);
	else if (what < 62)
	{
		/* two faults at once */
		poke_field(random, image, mutation);
		poke_field(random, image, mutation);
	}
	else if (what < 77)
		flip_bit(random, image, mutation);
	else if (what < 87)
		spoil_range(random, image, mutation);
	else if (what < 95)
	{
		from = choose_block(random, image);
		to = choose_block(random, image);
		copy_page(image, mutation, from, to);
		if (what < 91)
			copy_page(image, mutation, to, from);
	}
	else if (what < 98)
		clear_page(random, image, mutation);
	else
		mutation->truncate = (int) random_below(random, (uint32) image->blocks);
}
