/* Shows one picture to a network, view by view, and sums up what it says. */
#ifndef TRAINER_RUN_LOOK_H
#define TRAINER_RUN_LOOK_H

#include "nn/models/network.h"
#include "trainer/data/views.h"
#include "trainer/run/scores.h"

/* A network, how it wants its pictures, and how they are shown to it. */
struct look {
	struct network *network; /* with its running statistics */
	const struct kernels *kernels;
	const struct augment *augment;
	struct protocol protocol;
	size_t batch; /* images at a time, at most the network's capacity */
	int threads;  /* of networks made for other sizes */
};

/* Adds the logits of `views` views (views, size, size, 3) to the scores, in batches. Errors: NN_ERR_MEMORY. */
enum nn_status look_at_views(struct scores *scores, const struct look *look, const float *views, size_t count);

/* scores = what the network says about the picture, finished. The same bits for every batch and number of threads.
 * Errors: NN_ERR_MEMORY; NN_ERR_USAGE for a picture too small for the net. */
enum nn_status look_at_image(struct scores *scores, const struct look *look, const struct image *image,
			     struct augment_scratch *scratch);

#endif
