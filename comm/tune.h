/* The algorithm for each size, by a short measurement. */
#ifndef COMM_TUNE_H
#define COMM_TUNE_H

#include "comm/algorithms.h"
#include "comm/world.h"
#include "nn/core/status.h"

/* Times every algorithm that keeps the order of the tree on vectors of reduce_sizes, zeros of its own, and chooses for each size
 * the one whose slowest node has the smallest median. Takes less than half a second: sizes that would take longer are not timed and
 * stay as in reduce_choice_default; those are large ones on slow links. A job on one or two nodes has nothing to measure.
 * `shard_count` and bf16 are those of the reducer that the choice is for. The same choice on all ranks. Collective, before any
 * gradient is summed. Errors: NN_ERR_MEMORY, on all ranks. */
enum nn_status reduce_tune(struct reduce_choice *choice, struct comm *comm, int shard_count, bool bf16);

#endif
