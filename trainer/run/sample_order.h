/* Which images train, which validate, and in what order training meets them: the loader's source. */
#ifndef TRAINER_RUN_SAMPLE_ORDER_H
#define TRAINER_RUN_SAMPLE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/shards.h"
#include "nn/core/status.h"
#include "trainer/data/dataset.h"

/* The images that train (and, with a holdout, those that validate instead), as numbers in the training data set. */
struct sample_split {
	uint32_t *images; /* train_count numbers, then holdout_count */
	size_t train_count;
	size_t holdout_count;
};

/* The last `holdout` of a random order of all images (a function of seed) validate, each part in increasing order.
 * Ownership: sample_split_release. Errors: NN_ERR_USAGE when nothing would be left to train on, NN_ERR_MEMORY. */
enum nn_status sample_split_init(struct sample_split *split, size_t count, size_t holdout, uint64_t seed);
void sample_split_release(struct sample_split *split);

/* State of the walk through steps and epochs on one rank. */
struct sample_order {
	const struct sample_split *split;
	uint32_t *permutation; /* of the epoch that the loader is in */
	uint64_t epoch;
	uint64_t permutation_epoch; /* UINT64_MAX: none yet */
	int64_t step;		    /* in the epoch */
	int64_t steps_per_epoch;
	uint64_t seed;
	bool shuffle;
	size_t window;		       /* images among which they are shuffled; 0, or no fewer than there are: all */
	uint32_t *blocks;	       /* room for the shuffle, with a window */
	uint32_t *ahead;	       /* the images of a stream's window, in their own order */
	const struct dataset *dataset; /* told which images this rank will read, a window ahead; NULL: nobody */
	size_t global_batch;
	bool partners; /* name one image more: the one that follows this rank's last in the global batch, the first one for the last
			*/
	struct shards shards;
};

/* `window` and `global_batch` are given, the rest is set afterwards. Ownership: sample_order_release. Errors: NN_ERR_MEMORY. */
enum nn_status sample_order_init(struct sample_order *order, const struct sample_split *split, size_t window, size_t global_batch);
void sample_order_release(struct sample_order *order);

/* A loader_source_fn over struct sample_order: this rank's images of one step after the other, without end. */
bool sample_order_next(uint32_t *images, size_t *samples, uint64_t *epoch, void *context);

/* A contiguous range of images, batch by batch, for evaluation. images NULL: the numbers themselves. */
struct sample_range {
	const uint32_t *images;
	size_t next, end;
	size_t batch;
};

/* A loader_source_fn over struct sample_range. */
bool sample_range_next(uint32_t *images, size_t *samples, uint64_t *epoch, void *context);

#endif
