/* Packed data sets: the files of an image folder, as they were, in a few large files. PACKED.md describes the format. */
#ifndef TRAINER_DATA_PACKED_H
#define TRAINER_DATA_PACKED_H

#include "trainer/data/packed_index.h"
#include "trainer/data/source.h"

extern const struct source_kind packed_kind;

/* The pieces of one split, in order, with their data files open. Starts as {0}. */
struct packed {
	const char *split; /* "train", "val" or "test" */
	char *folder;
	size_t count; /* pieces */
	struct packed_index *pieces;
	int *files;
	const char **classes; /* names, in the first piece's pool */
};

/* Name of the split's files in the folder, or NULL when it has none. */
const char *packed_split(const char *folder, enum data_split split);

/* Opens all pieces of a split and checks that they are one data set: the same source and classes, without gaps to the last image,
 * data files of the right length. Reads no data. Ownership: packed_close, also after an error.
 * Errors: NN_ERR_DATA naming the file, NN_ERR_MEMORY. */
enum nn_status packed_open(struct packed *packed, const char *folder, const char *split);
void packed_close(struct packed *packed);

/* Number of images. */
size_t packed_count(const struct packed *packed);

/* The piece that holds an image, and its record there. */
const struct packed_record *packed_find(const struct packed *packed, size_t *piece, size_t index);

/* Name of the image's file inside the data set: SPLIT/CLASS/FILE. */
void packed_file_name(const struct packed *packed, size_t index, char name[DATASET_NAME_MAX]);

/* Loads an image's bytes into image->encoded and checks their digest. *size = how many.
 * Errors: NN_ERR_DATA naming data file and image, NN_ERR_MEMORY. Thread-safe for different images. */
enum nn_status packed_load(struct image *image, size_t *size, const struct packed *packed, size_t index);

/* *sums = exact sums over the pixels of the images that the packer could decode, *readable of them. False when there are none, or
 * so many pixels that the sums do not fit. */
bool packed_colours(const struct packed *packed, uint64_t *readable, struct colour_sums *sums);

#endif
