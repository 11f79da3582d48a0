/* What every picture of a run is normalised by, and the colour axes of --augment paper: kept in state.json as "normalization", so
 * that a resumed run and resnet-eval compute with the same bits without seeing the training images again. */
#ifndef TRAINER_RUN_NORMALIZATION_H
#define TRAINER_RUN_NORMALIZATION_H

#include <stdbool.h>

#include <jansson.h>

#include "comm/world.h"
#include "nn/core/status.h"
#include "trainer/data/augment.h"
#include "trainer/data/dataset.h"

/* Largest picture of a per-pixel mean, so that state.json stays small. */
enum { PIXEL_MEAN_SIDE_MAX = 512 };

/* Which parts of struct augment are known already. */
struct normalization_parts {
	bool channels;	  /* mean and inverse_std */
	bool pixel_mean;  /* normal.pixel_mean */
	bool colour_axes; /* colour_axes */
};

/* Images of a data set, and what to do with one that cannot be read. */
struct normalization_images {
	const struct dataset *dataset;
	const uint32_t *images; /* `count` numbers */
	size_t count;
	/* Told of each image that fails with NN_ERR_DATA; it is then left out. NULL: the first one is an error. */
	enum nn_status (*leave_out)(void *context, uint32_t image);
	void *context;
};

/* Measures the parts that `wanted` names over the images, each rank a share of them: exact sums of whole
 * numbers, so that the bits do not depend on ranks. Where the data set keeps the same sums (dataset_colours) and the images are all
 * of it, no image is read, unless for the per-pixel mean. That mean is that of pictures fitted to size x size. Ownership:
 * *pixel_mean, to which augment then points, is the caller's. Collective. Errors: NN_ERR_DATA, NN_ERR_MEMORY, the same on all
 * ranks. */
enum nn_status normalization_measure(struct augment *augment, float **pixel_mean, struct normalization_parts wanted,
				     struct comm *comm, const struct normalization_images *images);

/* Reads what state.json of the checkpoint `folder` has, and says in *found which parts that is; mean and deviation must be there.
 * augment->size is given. Ownership: as above. Errors: NN_ERR_CHECKPOINT, NN_ERR_MEMORY. */
enum nn_status normalization_read(struct augment *augment, float **pixel_mean, struct normalization_parts *found,
				  const json_t *state, const char *folder);

/* Adds "normalization" to the state. Errors: NN_ERR_MEMORY. */
enum nn_status normalization_write(json_t *state, const struct augment *augment);

#endif
