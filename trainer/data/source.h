/* What a kind of data set provides to dataset.c: one table of functions per kind. Labels are in the source's own numbering. */
#ifndef TRAINER_DATA_SOURCE_H
#define TRAINER_DATA_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/core/status.h"
#include "trainer/data/colours.h"
#include "trainer/data/dataset.h"
#include "trainer/data/image.h"
#include "trainer/data/names.h"

struct source_kind {
	const char *name; /* for messages */

	/* Whether `path` holds this split of this kind. */
	bool (*has)(const char *path, enum data_split split);

	/* Appends the split's class names in order of their labels. Errors: NN_ERR_DATA, NN_ERR_MEMORY. */
	enum nn_status (*classes)(struct names *classes, const char *path, enum data_split split);

	/* Opens a split that is there. Ownership: the caller closes *source. Errors: NN_ERR_DATA, NN_ERR_MEMORY; *source is then
	 * NULL. */
	enum nn_status (*open)(void **source, const char *path, enum data_split split);

	/* Accepts NULL. */
	void (*close)(void *source);

	size_t (*count)(const void *source);
	int (*label)(const void *source, size_t index);

	/* The image's name inside the data folder. */
	void (*file_name)(const void *source, size_t index, char name[DATASET_NAME_MAX]);

	/* Thread-safe for different images. Errors: NN_ERR_DATA, NN_ERR_MEMORY. */
	enum nn_status (*read)(const void *source, size_t index, struct image *image);

	/* Loads the image's file as it is into image->encoded, *size bytes. Thread-safe for different images. NULL: images are no
	 * files. Errors: NN_ERR_DATA, NN_ERR_MEMORY. */
	enum nn_status (*load)(const void *source, size_t index, struct image *image, size_t *size);

	/* See dataset_will_read. NULL: hints are of no use. */
	void (*will_read)(const void *source, size_t first, size_t last);

	/* *sums = those over the pixels of all images; false when they are not known. NULL: never known. */
	bool (*colours)(const void *source, struct colour_sums *sums);

	/* Whether the split is called a test set by its makers. */
	bool (*is_test)(const void *source);
};

#endif
