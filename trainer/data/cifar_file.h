/* One file of CIFAR records, mapped into memory, and the list of class names beside it. */
#ifndef TRAINER_DATA_CIFAR_FILE_H
#define TRAINER_DATA_CIFAR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/names.h"

struct cifar_file {
	const char *name; /* inside the data folder; belongs to the caller */
	const uint8_t *bytes;
	size_t size;
	size_t records;
};

/* Whether the folder `path` holds a file of that name. */
bool cifar_file_exists(const char *path, const char *name);

/* Maps path/name for reading. Ownership: the mapping is the file's, until cifar_file_close.
 * Errors: NN_ERR_DATA (missing, empty, not a whole number of records). */
enum nn_status cifar_file_open(struct cifar_file *file, const char *path, const char *name, size_t record_bytes);

void cifar_file_close(struct cifar_file *file);

/* Appends the class names: the lines of path/name, or "0", "1", ... when there is no such file.
 * Errors: NN_ERR_DATA (another number of names than `count`), NN_ERR_MEMORY. */
enum nn_status cifar_class_names(struct names *classes, const char *path, const char *name, int count);

#endif
