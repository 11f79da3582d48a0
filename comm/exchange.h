/* The exchange of batch-norm statistics over ranks: a statistics_exchange_fn (nn/core/shards.h).
 *
 * Each rank merges the complete subtrees of its own shards and lays the rows into memory that its node shares. One rank of the node
 * merges them in the tree's order; between nodes rows are doubled along the tree (comm/doubling_plan.h). The bits are the same on
 * every rank, for any number of ranks. Ranks wait at the gate of their node (comm/board.h). */
#ifndef COMM_EXCHANGE_H
#define COMM_EXCHANGE_H

#include "comm/world.h"
#include "nn/core/shards.h"
#include "nn/core/status.h"

enum exchange_scope {
	EXCHANGE_GLOBAL, /* all shards, in the order of the tree */
	EXCHANGE_NODE,	 /* the shards of the node's ranks, a contiguous range: the nodes of its cover, each in tree order, left to
			    right */
	EXCHANGE_OFF,	 /* the shards of this rank, likewise; nothing is sent */
};

struct exchange;

/* Prepares exchanges of up to `max_channels` channels; all memory is allocated here. `shards` = comm_shards(comm, shard count).
 * Ownership: the caller's, freed by exchange_destroy; keeps a pointer to `comm`. Collective over the ranks of each node.
 * Errors: NN_ERR_MEMORY, on all ranks of a node; *out is then NULL. */
enum nn_status exchange_create(struct exchange **out, struct comm *comm, struct shards shards, enum exchange_scope scope,
			       int max_channels);

/* Frees; NULL is allowed. */
void exchange_destroy(struct exchange *exchange);

/* Merges one row per local shard over the scope's shards into row 0; the other rows are overwritten. A rank without shards has room
 * for one row and receives the same result; a scope without shards gives zeros. `context` is a struct exchange. Shapes: rows (hi -
 * lo, 1 + 2 * channels) double; channels <= max_channels, the same on all ranks. Errors: none; a failing MPI call ends the job.
 * Collective over the scope's ranks. */
enum nn_status exchange_statistics(void *context, double *rows, int channels, enum merge merge);

/* A first half of it that waits for no rank (but where comm_compare_calls is on), for work of one's own before the result is asked
 * for. The last rank of a node to come does the node's part at once; between nodes the first rank does, when it comes last or
 * is alone there, and otherwise in the second half. exchange_statistics with the same arguments must follow, with no other
 * collective of the main thread but sums of gradients in between. Without this it does everything itself; the bits are the same. */
void exchange_begin(void *context, double *rows, int channels, enum merge merge);

#endif
