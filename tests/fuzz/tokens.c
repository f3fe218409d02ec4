/*-------------------------------------------------------------------------
 *
 * tokens.c
 *	  What has to hold of every tokenizer.
 *
 *-------------------------------------------------------------------------
 */
#include "tokens.h"

#include <stdlib.h>
#include <string.h>

#include "../unit/utf8.h"

static void
check_ids(const tokenizer *t, const int32_t *ids, int n, int max)
{
	FUZZ_CHECK(n >= 2 && n <= max, "%d ids, where %d are allowed", n, max);
	FUZZ_CHECK(ids[0] == t->first && ids[n - 1] == t->last, "ends %d and %d", (int) ids[0],
			   (int) ids[n - 1]);
	for (int i = 0; i < n; i++)
		FUZZ_CHECK(ids[i] >= 0 && ids[i] < t->vocabulary, "id %d of %d", (int) ids[i],
				   (int) t->vocabulary);
}

void
fuzz_tokens(const tokenizer *t, const uint8_t *data, size_t size)
{
	mm_slice text = {data, size};
	int room = t->most * (int) size + 3, n, m;
	int32_t *ids = malloc(sizeof(int32_t) * (size_t) room * 2);
	int32_t *fewer = ids + room;
	mm_error err = fuzz_no_error();
	bool good = is_utf8(data, size);

	FUZZ_CHECK(ids != NULL, "out of memory");
	if (fuzz_status(t->encode(text, ids, room, &n, &err), &err, 1u << MM_ERR_BAD_TEXT))
	{
		FUZZ_CHECK(good, "bad UTF-8 is accepted");
		FUZZ_CHECK(n < room, "more ids than %d a byte", t->most);
		check_ids(t, ids, n, room);
		for (int max = 2; max <= 40 && max <= n + 1; max += max < 4 ? 1 : 9)
		{
			fuzz_status(t->encode(text, fewer, max, &m, &err), &err, 0);
			check_ids(t, fewer, m, max);
			FUZZ_CHECK(m == (n < max ? n : max), "%d of %d ids, where %d are allowed", m, n, max);
			FUZZ_CHECK(memcmp(ids, fewer, sizeof(ids[0]) * (size_t) (m - 1)) == 0,
					   "a smaller context has other ids");
		}
	}
	else
		FUZZ_CHECK(!good, "good UTF-8 is refused");
	free(ids);
}
