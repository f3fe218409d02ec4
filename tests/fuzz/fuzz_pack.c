/*-------------------------------------------------------------------------
 *
 * fuzz_pack.c
 *	  Packs of a CLIP model, float32 and int8.
 *
 * An input is a precision, up to 15 numbers of four bytes that are changed among
 * the weights, and the header; behind it the weights of a good pack follow, so
 * that all of a mutation goes where decisions are made.
 *
 *	byte 0			bit 7: int8; bits 0 to 3: changes
 *	6 a change		uint16 place, in units of 4 bytes; 4 bytes
 *	the rest		the file, up to the first tensor
 *
 * Seeds are written to the directory MMODAL_FUZZ_SEEDS: the good packs, that of
 * int8 with changes to columns, in their places.
 *
 *-------------------------------------------------------------------------
 */
#include "model_files.h"

#include <stdlib.h>
#include <string.h>

#include "safetensors.h"

#define MAX_CHANGES 15

/* Of the precisions, in the order of bit 7. */
static const char *const names[2] = {"float32", "int8"};

typedef struct good_pack
{
	const char *file;
	uint8_t *data;
	size_t size;
	size_t head;
} good_pack;

static fuzz_dir dir, packs;
static good_pack good[2];

static void
make_pack(good_pack *p, const char *precision)
{
	static char path[2][1024];
	const mm_model_options options = {.isa = MM_ISA_SCALAR, .precision = precision};
	const mm_pack_request request = {dir.path, &options, packs.path, false};
	char *room = path[p - good];
	int64_t bytes;
	mm_error err = fuzz_no_error();

	fuzz_status(mm_model_pack(&request, room, sizeof(path[0]), &bytes, &err), &err, 0);
	p->file = strrchr(room, '/') + 1;
	p->data = fuzz_read(&packs, p->file, &p->size);
	for (int i = 7; i >= 0; i--)
		p->head = p->head << 8 | p->data[i];
	p->head += 8;
}

/* Whole numbers among the weights say what is read where. */
static int
find_numbers(const good_pack *p, uint8_t *changes)
{
	mm_error err = fuzz_no_error();
	mm_safetensors st = {0};
	int n = 0;

	fuzz_status(mm_safetensors_parse(p->data, p->size, &st, &err), &err, 0);
	for (int i = 0; i < st.n && n + 2 <= MAX_CHANGES; i++)
	{
		size_t place = (st.tensors[i].offset - p->head) / 4;

		/* one column, the third */
		for (int k = 0; k < 2 && st.tensors[i].dtype == MM_DTYPE_I32; k++, place++, n++)
		{
			const uint8_t change[6] = {(uint8_t) place, (uint8_t) (place >> 8), k == 0 ? 1 : 3};

			memcpy(changes + (size_t) 6 * n, change, sizeof(change));
		}
	}
	mm_safetensors_close(&st);
	return n;
}

static void
write_seeds(const char *path)
{
	fuzz_dir to;

	FUZZ_CHECK(strlen(path) < sizeof(to.path), "path is too long");
	memcpy(to.path, path, strlen(path) + 1);
	for (int i = 0; i < 2; i++)
	{
		uint8_t *seed = malloc(1 + 6 * MAX_CHANGES + good[i].head);
		int n;

		FUZZ_CHECK(seed != NULL, "out of memory");
		n = find_numbers(&good[i], seed + 1);
		seed[0] = (uint8_t) (i << 7 | n);
		memcpy(seed + 1 + 6 * n, good[i].data, good[i].head);
		fuzz_write(&to, names[i], seed, 1 + 6 * (size_t) n + good[i].head);
		free(seed);
	}
}

void
fuzz_init(void)
{
	const char *seeds = getenv("MMODAL_FUZZ_SEEDS");

	dir = fuzz_directory();
	packs = fuzz_directory();
	write_clip(&dir, false);
	for (int i = 0; i < 2; i++)
	{
		make_pack(&good[i], names[i]);
		try_model(&dir, packs.path, names[i], 0, true);
	}
	if (seeds != NULL)
		write_seeds(seeds);
}

static void
change(uint8_t *weights, size_t size, const uint8_t *changes, int n)
{
	for (int i = 0; i < n; i++, changes += 6)
	{
		size_t at = 4 * ((size_t) changes[0] | (size_t) changes[1] << 8);

		if (at + 4 <= size)
			memcpy(weights + at, changes + 2, 4);
	}
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	int changes = size > 0 ? data[0] & MAX_CHANGES : 0;
	size_t begin = 1 + 6 * (size_t) changes;
	const good_pack *p;
	size_t weights;
	uint8_t *file;

	if (size < begin)
		return;
	p = &good[data[0] >> 7];
	weights = p->size - p->head;
	file = malloc(size - begin + weights);
	FUZZ_CHECK(file != NULL, "out of memory");
	memcpy(file, data + begin, size - begin);
	memcpy(file + (size - begin), p->data + p->head, weights);
	change(file + (size - begin), weights, data + 1, changes);
	fuzz_write(&packs, p->file, file, size - begin + weights);
	free(file);
	try_model(&dir, packs.path, names[data[0] >> 7], 1u << MM_ERR_BAD_PACK, false);
}
