/* Dividing the images of a data set into training and validation, class by class. */
#ifndef TRAINER_DATA_SPLIT_H
#define TRAINER_DATA_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/dataset.h"

/* How many images validate. */
struct split_size {
	double share;	/* of all images, between 0 and 1, rounded to whole images; 0: `count` says it */
	uint64_t count; /* at least 1 */
};

/* The images of each part, as numbers in the whole, in increasing order. Starts as {0}. */
struct split_choice {
	uint32_t *train, *val;
	size_t train_count, val_count;
};

/* Chooses the images that validate: exactly as many as `size` says, of each class its share rounded up or down so that the sum is
 * right (the largest remainders are rounded up), which images is drawn by `seed`, and every class keeps at least one image to train
 * on. A function of the labels, `size` and `seed`. Ownership: split_choice_release. Errors: NN_ERR_USAGE when no image would
 * validate or a class would have none left, NN_ERR_MEMORY. */
enum nn_status split_choose(struct split_choice *choice, const struct dataset *whole, struct split_size size, uint64_t seed);

void split_choice_release(struct split_choice *choice);

/* What became of it. */
struct split_facts {
	size_t train, val;
	int classes;
	size_t copied; /* files that could not be linked */
};

/* Divides the training images of `folder` so and writes both parts into a new folder `out`: those of an image folder
 * (train/CLASS/FILE, or CLASS/FILE without more) as hard links, those of a packed set as a packed set. The validation images that
 * `folder` may have stay where they are. `out` appears whole or not at all; packing goes on where an interrupted call with the same
 * request ended. Errors: NN_ERR_DATA (the folder), NN_ERR_USAGE (the size, or out exists), NN_ERR_IO, NN_ERR_MEMORY. */
enum nn_status split_write(struct split_facts *facts, const char *out, const char *folder, struct split_size size, uint64_t seed,
			   int threads);

#endif
