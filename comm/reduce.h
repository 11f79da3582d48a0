/* The sum of gradients over all shards, with the same bits for any number of ranks.
 *
 * Each rank holds one partial sum per node of its cover (nn/core/shards.h). Every place owns one slice of the range:
 *
 *	1. the owner receives that slice of all partials         (reduce-scatter: who adds)
 *	2. it adds them in the order of the tree over shards     (what is added to what: fixed)
 *	3. the summed slices go to every rank                    (allgather)
 *
 * Long ranges pass in chunks, so that memory for received partials stays bounded. In a short range messages cost more than bytes:
 *the partials go to every rank and each adds all of them, in the same order. */
#ifndef COMM_REDUCE_H
#define COMM_REDUCE_H

#include <stddef.h>

#include "comm/world.h"
#include "nn/core/shards.h"
#include "nn/core/status.h"

struct reducer;

/* Prepares sums over ranges of up to `max_count` floats, the same on all ranks; all memory is allocated here.
 * `shards` = comm_shards(comm, shard count).
 * Ownership: the caller's, freed by reducer_destroy; keeps a pointer to `comm`. Not collective.
 * Errors: NN_ERR_MEMORY; *out is then NULL. */
enum nn_status reducer_create(struct reducer **out, struct comm *comm, struct shards shards, size_t max_count);

/* Frees; NULL is allowed. */
void reducer_destroy(struct reducer *reducer);

/* The number of partials that reducer_sum wants on this rank: the nodes of its cover, at least 1. */
int reducer_partials(const struct reducer *reducer);

/* partials[0][offset .. offset + count) = the sum over all shards, on every rank; the range of the other partials is overwritten.
 * Shapes: partials[i] is the whole flat vector of node i of the cover, float32. A rank with an empty cover passes one vector, which
 * is only received into. offset and count <= max_count are the same on all ranks.
 * Errors: none; a failing MPI call ends the job. Collective. */
void reducer_sum(struct reducer *reducer, float *const *partials, size_t offset, size_t count);

#endif
