/* One file of CIFAR records, read record by record, and the list of class names beside it. */
#ifndef TRAINER_DATA_CIFAR_FILE_H
#define TRAINER_DATA_CIFAR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/names.h"

/* How a record is laid out. */
struct cifar_layout {
	size_t record_bytes; /* at most CIFAR_RECORD_MAX */
	size_t label_at;     /* the byte that holds the label */
	int classes;
};

enum { CIFAR_RECORD_MAX = 2 + 3 * 32 * 32 };

struct cifar_file {
	const char *name; /* inside the data folder; belongs to the caller */
	char *path;	  /* of the file, for messages */
	const struct cifar_layout *layout;
	int descriptor;
	size_t records;
	uint8_t *labels; /* of each record, as they were at the start */
};

/* Whether the folder `path` holds a file of that name. */
bool cifar_file_exists(const char *path, const char *name);

/* Opens path/name, which stays open, and checks its length and all labels.
 * Ownership: cifar_file_close, also after an error; layout and name must live as long.
 * Errors: NN_ERR_DATA (missing, empty, not a whole number of records, a label out of range), NN_ERR_MEMORY. */
enum nn_status cifar_file_open(struct cifar_file *file, const char *path, const char *name, const struct cifar_layout *layout);

void cifar_file_close(struct cifar_file *file);

/* bytes = one record. Errors: NN_ERR_DATA when it cannot be read any more, or its label is another than at the start.
 * Thread-safe. */
enum nn_status cifar_file_read(uint8_t bytes[CIFAR_RECORD_MAX], const struct cifar_file *file, size_t record);

/* Appends the class names: the lines of path/name, or "0", "1", ... when there is no such file.
 * Errors: NN_ERR_DATA (another number of names than `count`, a name that comes twice), NN_ERR_MEMORY. */
enum nn_status cifar_class_names(struct names *classes, const char *path, const char *name, int count);

#endif
