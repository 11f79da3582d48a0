#include "trainer/run/tuning_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "trainer/state/digest.h"
#include "trainer/state/file_writer.h"
#include "trainer/state/files.h"

enum { FILE_MAX = 4096 };

enum nn_status tuning_file_path(char *path, size_t size, const char *key)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	bool given = cache && cache[0] == '/'; /* a relative one counts for nothing, says the XDG base directory specification */
	char folder[PATH_MAX], digest[DIGEST_CHARS];
	enum nn_status status = NN_OK;

	if (!given && !(home && home[0] == '/'))
		return nn_error(NN_ERR_IO, "there is no home folder to keep a cache in");
	status = path_format(folder, sizeof(folder), given ? "%s" : "%s/.cache", given ? cache : home);
	if (status == NN_OK)
		status = folder_create(folder);
	if (status == NN_OK)
		status = path_format(path, size, "%s/resnet-train", folder);
	if (status == NN_OK)
		status = folder_create(path);
	digest_bytes(digest, key, strlen(key));
	return status == NN_OK ? path_format(path, size, "%s/resnet-train/allreduce-%.16s", folder, digest) : status;
}

static size_t format(char text[FILE_MAX], const char *key, const struct reduce_choice *choice)
{
	size_t used = (size_t)snprintf(text, FILE_MAX, "%s\n", key);

	for (int i = 0; i < REDUCE_SIZES && used < FILE_MAX; i++)
		used += (size_t)snprintf(text + used, FILE_MAX - used, "%zu bytes: %s\n", reduce_sizes[i],
					 reduce_name(choice->by_size[i]));
	return used < FILE_MAX ? used : FILE_MAX - 1;
}

enum nn_status tuning_file_write(const char *path, const char *key, const struct reduce_choice *choice)
{
	char text[FILE_MAX];
	size_t size = format(text, key, choice);

	return file_write(path, text, size);
}

/* The algorithm of the line for a size; *at is then behind that line. REDUCE_ALGORITHMS: there is none. */
static enum reduce_algorithm read_line(const char **at)
{
	const char *colon = strchr(*at, ':'), *end = strchr(*at, '\n');
	char name[16];

	if (!colon || !end || colon + 2 > end || (size_t)(end - colon - 2) >= sizeof(name))
		return REDUCE_ALGORITHMS;
	snprintf(name, sizeof(name), "%.*s", (int)(end - colon - 2), colon + 2);
	*at = end + 1;
	return reduce_named(name);
}

/* Written again, it must be the same. */
static bool parse(struct reduce_choice *choice, const char *bytes, const char *key)
{
	const char *at = strchr(bytes, '\n');
	char text[FILE_MAX];

	at = at ? at + 1 : "";
	for (int i = 0; i < REDUCE_SIZES; i++)
		choice->by_size[i] = read_line(&at);
	if (!reduce_choice_is_valid(choice))
		return false;
	format(text, key, choice);
	return strcmp(text, bytes) == 0;
}

bool tuning_file_read(struct reduce_choice *choice, const char *path, const char *key)
{
	struct reduce_choice found;
	char *bytes;
	size_t size;
	bool fits;

	if (file_read(&bytes, &size, path, FILE_MAX) != NN_OK)
		return false;
	fits = parse(&found, bytes, key);
	if (fits)
		*choice = found;
	nn_free(bytes);
	return fits;
}
