/* The sum of gradients over all shards, with the same bits for any number of ranks.
 *
 * Each rank holds one partial sum per node of its cover (nn/core/shards.h), in memory that its node shares:
 *
 *	1. rank i of the node adds slice i of the partials of all of its ranks   (complete subtrees, in place)
 *	2. the first ranks of the nodes sum what the nodes have, by one of several algorithms (comm/algorithms.h)
 *
 * All in the order of the tree over shards. The sum lies in the node's memory once, where every rank reads it. A job on one node
 * needs step 1 only, and no message at all. Long ranges pass between nodes in chunks, so that statistics get through between them.
 */
#ifndef COMM_REDUCE_H
#define COMM_REDUCE_H

#include <stdbool.h>
#include <stddef.h>

#include "comm/algorithms.h"
#include "comm/world.h"
#include "nn/core/shards.h"
#include "nn/core/status.h"

struct reducer;

/* Prepares sums of vectors of `floats` floats; all memory is allocated here. `shards` = comm_shards(comm, shard count).
 * bf16: every node of the tree over shards is rounded to bf16, and nodes send each other half the bytes; the caller's partials must
 * be rounded so too. Bits do not depend on the ranks then either. Not for REDUCE_MPI.
 * Ownership: the caller's, freed by reducer_destroy; keeps a pointer to `comm`. Collective over the ranks of each node.
 * Errors: NN_ERR_MEMORY, on all ranks of a node; *out is then NULL. */
enum nn_status reducer_create(struct reducer **out, struct comm *comm, struct shards shards, size_t floats,
			      enum reduce_algorithm algorithm, bool bf16);

/* From now on REDUCE_OWN goes by this choice, the same on all ranks; at first by reduce_choice_default. Not while a sum goes on.
 * Not collective. */
void reducer_choose(struct reducer *reducer, const struct reduce_choice *choice);

/* Frees, the partials included; NULL is allowed. Not collective. */
void reducer_destroy(struct reducer *reducer);

/* The number of partials on this rank: the nodes of its cover, at least 1. */
int reducer_partials(const struct reducer *reducer);

/* The partials of this rank, one vector after the other, at first zero: what is to be summed is written here. A rank with an empty
 * cover has one that counts for nothing. Ownership: the reducer's. */
float *reducer_memory(const struct reducer *reducer);

/* The vector of sums. Ownership: the reducer's; another rank's memory in general, only to be read. */
const float *reducer_total(const struct reducer *reducer);

/* reducer_total[offset .. offset + count) = the sum over all shards, on every rank; that range of the partials is overwritten.
 * offset and count are the same on all ranks. The sum is valid, and the partials are not to be written again, until the next
 * collective of all ranks: after that the others have read what they wanted.
 * Errors: none; a failing MPI call ends the job. Collective. */
void reducer_sum(struct reducer *reducer, size_t offset, size_t count);

#endif
