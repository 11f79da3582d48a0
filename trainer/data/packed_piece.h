/* One piece of a packed data set being written: a data file and its index. Private to packed_write.c. */
#ifndef TRAINER_DATA_PACKED_PIECE_H
#define TRAINER_DATA_PACKED_PIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/dataset.h"
#include "trainer/data/packed_feed.h"
#include "trainer/data/packed_write.h"

/* What is packed, and where. */
struct packing {
	const char *part; /* where the pieces go */
	const char *split;
	const struct dataset *dataset;
	uint64_t source;
	const struct pack_options *options;
	uint64_t bytes; /* written so far, for the progress */
};

/* Writes piece `number`, from image *next on, which is the next one of the feed; *next = the first image behind it. The index comes
 * last: where it is, the data is. Errors: NN_ERR_DATA (an image), NN_ERR_IO, NN_ERR_MEMORY. */
enum nn_status packed_piece_write(size_t *next, struct packing *packing, struct packed_feed *feed, unsigned number);

/* Whether piece `number` is there from an interrupted call, as it would be written now; *next moves behind it. */
bool packed_piece_exists(size_t *next, const struct packing *packing, unsigned number);

#endif
