/*-------------------------------------------------------------------------
 *
 * item.c
 *	  Items, the names they are recorded by, and why one is none.
 *
 *-------------------------------------------------------------------------
 */
#include "load.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

item *
item_new(item_kind kind, const char *path)
{
	item *it = xmalloc(sizeof(item));

	it->kind = kind;
	it->paths = xmalloc(sizeof(char *));
	it->paths[0] = path_text(path);
	it->npaths = 1;
	return it;
}

void
item_free(item *it)
{
	if (it == NULL)
		return;
	for (int i = 0; i < it->npaths; i++)
		free(it->paths[i]);
	free(it->paths);
	free(it->caption);
	free(it->metadata);
	free(it->data);
	free(it);
}

void
item_add_path(item *it, const char *text)
{
	for (int i = 0; i < it->npaths; i++)
		if (strcmp(it->paths[i], text) == 0)
			return;
	it->paths = xrealloc(it->paths, sizeof(char *) * (size_t) (it->npaths + 1));
	it->paths[it->npaths++] = xstrdup(text);
}

void
hash_bytes(const void *data, size_t size, uint8_t hash[HASH_SIZE])
{
	if (!EVP_Digest(data, size, hash, NULL, EVP_sha256(), NULL))
	{
		fputs("mmodal-load: libcrypto has no SHA-256\n", stderr);
		_Exit(2);
	}
}

bool
item_hash_picture(item *it, problem *why)
{
	if (it->size == 0)
	{
		set_problem(why, "22P03", "file is empty");
		return false;
	}
	hash_bytes(it->data, it->size, it->hash);
	return true;
}

/* Length of the character at s, or 0 where there is none of UTF-8. */
static size_t
character_length(const char *s, size_t size)
{
	utf8proc_int32_t c;
	utf8proc_ssize_t length =
		utf8proc_iterate((const utf8proc_uint8_t *) s, (utf8proc_ssize_t) size, &c);

	return length > 0 && c > 0 ? (size_t) length : 0;
}

bool
text_is_valid(const char *s, size_t size)
{
	for (size_t i = 0, length; i < size; i += length)
		if ((length = character_length(s + i, size - i)) == 0)
			return false;
	return true;
}

char *
path_text(const char *path)
{
	size_t size = strlen(path), n = 0;
	char *text;

	if (text_is_valid(path, size))
		return xstrdup(path);
	text = xmalloc(size * 4 + 1);
	for (size_t i = 0, length; i < size; i += length)
	{
		if ((length = character_length(path + i, size - i)) == 0)
		{
			n += (size_t) snprintf(text + n, 5, "\\x%02x", (unsigned char) path[i]);
			length = 1;
			continue;
		}
		if (path[i] == '\\')
			text[n++] = '\\';
		memcpy(text + n, path + i, length);
		n += length;
	}
	return text;
}

void
set_problem(problem *why, const char *sqlstate, const char *format, ...)
{
	va_list args;

	snprintf(why->sqlstate, sizeof(why->sqlstate), "%s", sqlstate);
	va_start(args, format);
	vsnprintf(why->reason, sizeof(why->reason), format, args);
	va_end(args);
}

void
set_errno_problem(problem *why, const char *what)
{
	int error = errno;
	const char *sqlstate = "58030";

	if (error == EACCES || error == EPERM)
		sqlstate = "42501";
	else if (error == ENOENT || error == ENOTDIR)
		sqlstate = "58P01";
	errno = error;
	set_problem(why, sqlstate, "%s: %m", what);
}

bool
item_set_caption(item *it, const char *text, size_t size, problem *why)
{
	while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
		size--;
	if (!text_is_valid(text, size))
	{
		set_problem(why, "22021", "caption is not valid UTF-8");
		return false;
	}
	free(it->caption);
	it->caption = size > 0 ? xstrndup(text, size) : NULL;
	return true;
}

/* The text goes to the server as it is: cJSON has no integers of 64 bits. */
bool
item_set_metadata(item *it, const char *json, size_t size, problem *why)
{
	cJSON *object = NULL;
	bool good = text_is_valid(json, size);
	const char *caption;

	if (good)
		object = cJSON_ParseWithLength(json, size);
	if (!cJSON_IsObject(object))
	{
		set_problem(why, "22032",
					good ? "metadata is not a JSON object" : "metadata is not valid UTF-8");
		cJSON_Delete(object);
		return false;
	}
	caption = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "caption"));
	if (it->caption == NULL && caption != NULL && caption[0] != '\0')
		it->caption = xstrdup(caption);
	free(it->metadata);
	it->metadata = xstrndup(json, size);
	cJSON_Delete(object);
	return true;
}

void
sink_reject(sink *s, const char *path, const problem *why)
{
	item *it = item_new(ITEM_REJECT, path);

	it->why = *why;
	s->emit(s, it);
}

void
sink_container_done(sink *s, const char *path)
{
	if (!s->counting && s->was_rejected(s, path))
		s->emit(s, item_new(ITEM_CLEAR, path));
}
