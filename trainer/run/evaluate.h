/* Exact evaluation: every image is counted once, by itself, whatever the number of ranks and the size of batches. */
#ifndef TRAINER_RUN_EVALUATE_H
#define TRAINER_RUN_EVALUATE_H

#include <stdint.h>

#include "comm/world.h"
#include "nn/core/status.h"
#include "nn/models/network.h"
#include "trainer/data/augment.h"
#include "trainer/data/dataset.h"
#include "trainer/data/views.h"

struct evaluator {
	struct network *network; /* with its running statistics */
	const struct kernels *kernels;
	const struct augment *augment;
	const struct dataset *dataset;
	const uint32_t *images; /* numbers in the data set; NULL: all of it */
	size_t count;		/* how many, at least 1 */
	size_t batch;		/* images at a time on a rank, at most the network's capacity */
	int loader_threads;
	struct protocol protocol;
	int threads;			   /* that compute, for the multi-scale protocol's networks */
	float *logits;			   /* (count, classes): gets the mean over views, on every rank; NULL: not wanted */
	float *probabilities;		   /* the same of the softmax */
	int (*interrupted)(void *context); /* asked before each batch on each rank: a reason to give up, or 0; NULL: never */
	void *context;
};

struct evaluation {
	int64_t images;
	int64_t wrong;	    /* top-1 */
	int64_t wrong_top5; /* with fewer than six classes nobody is wrong */
	double loss;	    /* mean cross-entropy without label smoothing, of the averaged softmax */
	int interrupted;    /* the ranks' greatest reason to give up; then no figure above is set */
};

/* Evaluates over all ranks, each on a contiguous range of the images; the same result on every rank and the same bits for every
 * number of ranks. comm NULL: this process alone. Collective. Errors: NN_ERR_DATA, NN_ERR_MEMORY, the same on all ranks. */
enum nn_status evaluation_run(struct evaluation *evaluation, const struct evaluator *evaluator, struct comm *comm);

#endif
