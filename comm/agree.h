/* Agreement: on how a step went, on what all ranks must have alike, and on small values. Everything here is collective.
 *
 *	status = loader_next(loader, &batch);            local, may fail
 *	status = comm_agree(comm, status);               every rank gets here
 *	if (status != NN_OK)
 *		goto out;                                so every rank leaves
 */
#ifndef COMM_AGREE_H
#define COMM_AGREE_H

#include <stddef.h>
#include <stdint.h>

#include "comm/world.h"
#include "nn/core/status.h"

/* Gives every rank the status of the lowest rank that failed, NN_OK when none did. The message that rank's calling thread recorded
 * becomes the recorded message of all. Collective: one allreduce of an int when all is well. */
enum nn_status comm_agree(struct comm *comm, enum nn_status mine);

/* comm_agree that also gives every rank the largest of the ranks' values, with the same one allreduce; not after a failure.
 * *value >= 0. For wishes that any rank may have, such as to stop. Collective. */
enum nn_status comm_agree_most(struct comm *comm, enum nn_status mine, int *value);

/* The rank whose failure the last failed agreement was about; -1 when none has failed. Not collective. */
int comm_failed_rank(const struct comm *comm);

/* Succeeds when all ranks hold the same n bytes; n and `what` are the same everywhere. `what` names them in the message:
 * "rank 3 on host b sees another data set than rank 0 on host a".
 * Errors: NN_ERR_DATA on every rank, naming the lowest rank that differs from rank 0. Collective. */
enum nn_status comm_same(struct comm *comm, const void *bytes, size_t n, const char *what);

/* Copies `bytes` bytes from rank `root` to all, any number of them. Collective. */
void comm_broadcast(struct comm *comm, void *data, size_t bytes, int root);

/* comm_broadcast in messages of at most `limit` bytes, 0 < limit <= INT_MAX. Collective. */
void comm_broadcast_limited(struct comm *comm, void *data, size_t bytes, int root, size_t limit);

/* Gives rank `from`'s `bytes` bytes at `mine` to rank 0, into `out`; `bytes` is the same on all ranks. Nothing is copied when
 * `from` is 0. out: rank 0's, mine: rank from's; others may give NULL. Collective. */
void comm_give(struct comm *comm, void *out, const void *mine, size_t bytes, int from);

/* Replaces each value by its sum over ranks. Collective. */
void comm_sum_int64(struct comm *comm, int64_t *values, int n);

/* Replaces each value by its sum over ranks, in no fixed order. For disjoint contributions: where one rank at most is not zero, the
 * sum is exact (a negative zero may become a positive one). Gradients go through reducer_sum. Collective. */
void comm_sum_float(struct comm *comm, float *values, size_t n);

/* The largest of the ranks' values, which are not NaN. Collective. */
double comm_max_double(struct comm *comm, double value);

/* Returns when every rank has called it. Collective. */
void comm_barrier(struct comm *comm);

#endif
