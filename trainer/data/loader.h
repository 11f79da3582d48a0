/* Threads that read, decode and augment images ahead of training or evaluation. They make no MPI calls.
 *
 * A source says which images make up the next batch; the threads fill a ring of batches in that order, sample by sample. What a
 * sample looks like depends on (seed, epoch, image) only, never on threads or ranks. */
#ifndef TRAINER_DATA_LOADER_H
#define TRAINER_DATA_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/augment.h"
#include "trainer/data/dataset.h"
#include "trainer/data/mix.h"
#include "trainer/data/views.h"

/* Batches that may be ready or under way before they are asked for. */
enum { LOADER_AHEAD = 3 };

/* Writes the images of the next batch, at most the loader's capacity, into `images`, and their number to *samples (0 is allowed);
 * *epoch enters the random numbers. False: there are no more batches. Called by one thread at a time, under the loader's lock. */
typedef bool (*loader_source_fn)(uint32_t *images, size_t *samples, uint64_t *epoch, void *context);

/* Told when a batch is begun (samples: what the source gave) and when it is complete; slot: 0 .. LOADER_AHEAD - 1, which is not
 * begun anew before it is complete and given back. Called by one thread at a time, under the loader's lock. */
typedef void (*loader_watch_fn)(void *context, int slot, bool begins, size_t samples);

struct loader_setup {
	const struct dataset *dataset;
	const struct augment *augment;
	bool train;		  /* random augmentation; otherwise the crops of `protocol` */
	struct protocol protocol; /* single or ten-crop */
	uint64_t seed;
	struct mix mix;	 /* when on, the source names one image more than the batch has, if it has any: the last one's partner */
	size_t capacity; /* most images that the source names at once */
	int threads;
	bool leave_out; /* images that cannot be read, instead of failing */
	loader_source_fn source;
	void *source_context;
	loader_watch_fn watch; /* NULL: nobody */
	void *watch_context;
};

enum { LOADER_MESSAGE_BYTES = 512 };

/* An image that was left out of its batch. */
struct loader_bad {
	size_t position; /* in the batch as the source gave it */
	uint32_t index;
	char message[LOADER_MESSAGE_BYTES]; /* what is wrong with which file */
};

/* What is left out leaves no gap: samples behind it move up. */
struct loader_batch {
	const float *images; /* (samples, views, size, size, 3); one view in training */
	const int32_t *labels;
	const int32_t *other_labels; /* of the samples' partners, and the samples' own shares; NULL when nothing is mixed */
	const float *shares;
	size_t samples;
	const struct loader_bad *bad; /* bad_count images that were left out, by position */
	size_t bad_count;
};

struct loader; /* opaque */

/* Starts the threads. Ownership: the caller's; dataset, augment and source context must live longer.
 * Errors: NN_ERR_MEMORY, also when threads cannot be started. */
enum nn_status loader_create(struct loader **out, const struct loader_setup *setup);

/* Ends the threads and frees; NULL is allowed. */
void loader_destroy(struct loader *loader);

/* Waits for the next batch, which stays valid until loader_done. Errors: NN_ERR_DATA, NN_ERR_MEMORY from the samples, the first in
 * the batch's order, and not those that are left out; NN_ERR_USAGE when the source has ended. */
enum nn_status loader_next(struct loader *loader, struct loader_batch *batch);

/* Gives the batch of the last loader_next back. */
void loader_done(struct loader *loader);

/* Bytes that loader_create would allocate for the ring in training. */
size_t loader_bytes(size_t capacity, int size);

#endif
