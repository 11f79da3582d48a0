/* A list of many short strings: one pool of characters and one offset each, so that a million file names stay small. */
#ifndef TRAINER_DATA_NAMES_H
#define TRAINER_DATA_NAMES_H

#include <stddef.h>

#include "nn/core/status.h"

/* Starts as {0}. */
struct names {
	char *pool; /* the strings, each with its 0 */
	size_t used;
	size_t capacity;
	size_t *offsets; /* of each string in the pool */
	size_t count;
	size_t slots;
};

/* Appends a copy of `name`. Errors: NN_ERR_MEMORY. */
enum nn_status names_add(struct names *names, const char *name);

/* The string; valid until the next names_add or names_release. */
const char *names_get(const struct names *names, size_t index);

/* Sorts the strings from `begin` to the end by their bytes. Errors: NN_ERR_MEMORY. */
enum nn_status names_sort(struct names *names, size_t begin);

/* Index of `name`, or -1. Looks at every string: for class names, not for files. */
long names_find(const struct names *names, const char *name);

/* Frees the memory; the list is empty then and may be used again. */
void names_release(struct names *names);

#endif
