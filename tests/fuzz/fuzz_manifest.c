/*-------------------------------------------------------------------------
 *
 * fuzz_manifest.c
 *	  Manifests: CSV, TSV and JSON, which the first byte of an input chooses.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>

#include "records.h"

static fuzz_dir dir;

void
fuzz_init(void)
{
	dir = fuzz_directory();
}

static void
check_text(const char *text, const char *what)
{
	FUZZ_CHECK(text == NULL || text_is_valid(text, strlen(text)), "%s is not UTF-8", what);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"f.csv", "f.tsv", "f.jsonl", "f.json"};
	const char *name;
	char path[300];
	problem why = {"", ""};
	record rec = {0};
	record_status status;
	records *r;
	size_t n = 0;

	if (size == 0)
		return;
	name = names[data[0] % 4];
	fuzz_write(&dir, name, data + 1, size - 1);
	snprintf(path, sizeof(path), "%s/%s", dir.path, name);
	r = records_open(path, &why);
	FUZZ_CHECK(r != NULL || why.reason[0] != '\0', "not opened without a reason");
	if (r != NULL)
	{
		do
		{
			why.reason[0] = '\0';
			status = records_next(r, &rec, &why);
			check_text(rec.caption, "a caption");
			check_text(rec.metadata, "metadata");
			FUZZ_CHECK(status == RECORD_OK || status == RECORD_END || why.reason[0] != '\0',
					   "a bad record without a reason");
			/* each takes a byte at least */
			FUZZ_CHECK(n++ <= size, "%zu records of %zu bytes", n, size);
		} while (status == RECORD_OK || status == RECORD_BAD);
		record_clear(&rec);
		records_close(r);
	}
	fuzz_remove(&dir, name);
}
