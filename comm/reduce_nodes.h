/* The sum of gradients between nodes, among the first ranks of each: reduce-scatter where the owner of a slice adds the node sums
 * in the order of the tree, then the slices go to all. Direct messages: each node sends and receives 2 (N - 1) / N of the vector.
 */
#ifndef COMM_REDUCE_NODES_H
#define COMM_REDUCE_NODES_H

#include <stddef.h>

#include "comm/internal.h"
#include "nn/core/status.h"

struct node_reducer;

/* For ranges of up to `most` floats. Ownership: the caller's. Errors: NN_ERR_MEMORY. Not collective. */
enum nn_status node_reducer_create(struct node_reducer **out, struct comm *comm, int shard_count, size_t most, bool bf16);

/* Frees; NULL is allowed. */
void node_reducer_destroy(struct node_reducer *reducer);

/* total[offset .. offset + count) = the sum of all nodes' sums. sums[i] is the whole vector of node i of the cover of this node's
 * range, and is overwritten there; total may be one of them. Collective over the leaders. */
void node_reducer_sum(struct node_reducer *reducer, float *total, float *const *sums, size_t offset, size_t count);

#endif
