#include "trainer/data/names.h"

#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"

enum { FIRST_SLOTS = 64 };

/* Makes *array, which holds `used` bytes, at least `bytes` large, and at least half as large again, so that adding stays cheap. */
static enum nn_status grow(void *array, size_t *capacity, size_t used, size_t bytes)
{
	void **slot = array;
	void *larger;
	size_t wanted = *capacity + *capacity / 2;
	enum nn_status status;

	if (bytes <= *capacity)
		return NN_OK;
	if (wanted < bytes)
		wanted = bytes;
	status = nn_alloc(&larger, wanted);
	if (status != NN_OK)
		return status;
	if (used)
		memcpy(larger, *slot, used);
	nn_free(*slot);
	*slot = larger;
	*capacity = wanted;
	return NN_OK;
}

enum nn_status names_add(struct names *names, const char *name)
{
	size_t length = strlen(name) + 1;
	size_t bytes = names->slots * sizeof(*names->offsets);
	enum nn_status status;

	status = grow(&names->offsets, &bytes, names->count * sizeof(*names->offsets),
		      (names->count < FIRST_SLOTS ? FIRST_SLOTS : names->count + 1) * sizeof(*names->offsets));
	names->slots = bytes / sizeof(*names->offsets);
	if (status == NN_OK)
		status = grow(&names->pool, &names->capacity, names->used, names->used + length);
	if (status != NN_OK)
		return status;
	memcpy(names->pool + names->used, name, length);
	names->offsets[names->count++] = names->used;
	names->used += length;
	return NN_OK;
}

const char *names_get(const struct names *names, size_t index)
{
	return names->pool + names->offsets[index];
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum nn_status names_sort(struct names *names, size_t begin)
{
	size_t count = names->count - begin;
	const char **sorted;
	enum nn_status status = nn_alloc(&sorted, count * sizeof(*sorted));

	if (status != NN_OK)
		return status;
	for (size_t i = 0; i < count; i++)
		sorted[i] = names_get(names, begin + i);
	qsort(sorted, count, sizeof(*sorted), compare);
	for (size_t i = 0; i < count; i++)
		names->offsets[begin + i] = (size_t)(sorted[i] - names->pool);
	nn_free(sorted);
	return NN_OK;
}

long names_find(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names_get(names, i), name) == 0)
			return (long)i;
	return -1;
}

void names_release(struct names *names)
{
	nn_free(names->pool);
	nn_free(names->offsets);
	*names = (struct names){0};
}
