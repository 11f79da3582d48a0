/* The sum of gradients between nodes, among the first ranks of each, by one of the algorithms of comm/algorithms.h. */
#ifndef COMM_REDUCE_NODES_H
#define COMM_REDUCE_NODES_H

#include <stddef.h>

#include "comm/algorithms.h"
#include "comm/internal.h"
#include "nn/core/status.h"

struct node_reducer;

/* For ranges of up to `most` floats. Ownership: the caller's. Errors: NN_ERR_MEMORY. Not collective. */
enum nn_status node_reducer_create(struct node_reducer **out, struct comm *comm, int shard_count, size_t most, bool bf16);

/* Frees; NULL is allowed. */
void node_reducer_destroy(struct node_reducer *reducer);

/* From now on this algorithm is used, and for REDUCE_OWN this choice; at first REDUCE_OWN with the default. The same on all
 * leaders. */
void node_reducer_use(struct node_reducer *reducer, enum reduce_algorithm algorithm, const struct reduce_choice *choice);

/* total[offset .. offset + count) = the sum of all nodes' sums. sums[i] is the whole vector of node i of the cover of this node's
 * range, and is overwritten there; total is the first of them when there are any. Collective over the leaders. */
void node_reducer_sum(struct node_reducer *reducer, float *total, float *const *sums, size_t offset, size_t count);

#endif
