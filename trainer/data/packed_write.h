/* Packing a data set of files, and unpacking it. */
#ifndef TRAINER_DATA_PACKED_WRITE_H
#define TRAINER_DATA_PACKED_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/dataset.h"
#include "trainer/data/shrink.h"

struct pack_options {
	uint64_t piece_bytes; /* of a data file, about: the image that reaches it ends the file */
	struct shrink shrink;
	int threads; /* that read, shrink and look into files; the result does not depend on it */
	/* NULL, or told after each image: `done` of the split's `count` images are packed, `bytes` of them by this call. */
	void (*progress)(void *context, const char *split, size_t done, size_t count, uint64_t bytes);
	void *context;
};

/* Packs both splits of `folder`, an image folder or a packed set, into a new folder `out`. Works in OUT.part and renames it at the
 * end; a call that was interrupted is continued by the next one, which keeps the finished files. A finished `out` of the same
 * names, labels and shrinking is left alone (*made false). Errors: NN_ERR_DATA (the folder), NN_ERR_USAGE (out is something else,
 * or another program packs there), NN_ERR_IO, NN_ERR_MEMORY. */
enum nn_status packed_write(bool *made, const char *out, const char *folder, const struct pack_options *options);

/* The same with splits that are open: sets[SPLIT_TRAIN], sets[SPLIT_VAL], NULL where there is none. `folder` stands in messages. */
enum nn_status packed_write_sets(bool *made, const char *out, const struct dataset *const sets[2], const char *folder,
				 const struct pack_options *options);

/* Writes the files of a packed folder as an image folder `out`, which must not exist; made in OUT.part and renamed at the end.
 * Errors: NN_ERR_DATA (damaged), NN_ERR_USAGE (out exists), NN_ERR_IO, NN_ERR_MEMORY. */
enum nn_status packed_unpack(const char *out, const char *packed_folder);

#endif
