/* A network's tensors under the names and shapes of files: what a checkpoint holds of it. */
#ifndef TRAINER_STATE_NETWORK_ENTRIES_H
#define TRAINER_STATE_NETWORK_ENTRIES_H

#include <stdint.h>

#include "nn/core/status.h"
#include "nn/models/graph.h"
#include "trainer/state/tensor_entry.h"

struct network_entries {
	struct tensor_entry *entries;
	int count;
	int head; /* index of the first of the last layer's two tensors, which come together */
	char (*names)[80];
	int64_t batches; /* num_batches_tracked of every batch norm: the steps of the training so far */
};

/* The weights: parameters, then running statistics with torchvision's num_batches_tracked; entries point into the given vectors.
 * With statistics NULL: the parameters only, as for the momentum, whose vector is then given as parameters.
 * Ownership: released by network_entries_release; graph and vectors must live longer. Errors: NN_ERR_MEMORY. */
enum nn_status network_entries_init(struct network_entries *entries, const struct graph *graph, float *parameters,
				    float *statistics);
void network_entries_release(struct network_entries *entries);

#endif
