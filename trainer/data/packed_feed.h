/* Threads that read the files of a data set ahead of the one thread that packs them, in the order of the data set: each is loaded,
 * shrunk if so wished, and decoded, to tell whether it is a picture and what its colours are. Private to packed_piece.c. */
#ifndef TRAINER_DATA_PACKED_FEED_H
#define TRAINER_DATA_PACKED_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/colours.h"
#include "trainer/data/dataset.h"
#include "trainer/data/packed_index.h"
#include "trainer/data/shrink.h"

/* A file to be packed. */
struct packed_item {
	const uint8_t *bytes;
	size_t size;
	uint8_t digest[PACKED_DIGEST]; /* of the bytes */
	bool readable;		       /* it can be decoded */
	struct colour_sums colours;    /* of its pixels then, else zeros */
};

struct packed_feed; /* opaque */

/* Starts `threads` threads on the images from `first` on. Ownership: the caller's; dataset and shrink must live longer.
 * Errors: NN_ERR_MEMORY, also when threads cannot be started. */
enum nn_status packed_feed_create(struct packed_feed **out, const struct dataset *dataset, const struct shrink *shrink,
				  size_t first, int threads);

/* Waits for the next image; *item is valid until the next call. At most once for each image that is left.
 * Errors: NN_ERR_DATA (the file cannot be read; one that merely cannot be decoded is no error), NN_ERR_MEMORY. */
enum nn_status packed_feed_next(struct packed_feed *feed, const struct packed_item **item);

/* Ends the threads and frees; NULL is allowed. */
void packed_feed_destroy(struct packed_feed *feed);

#endif
