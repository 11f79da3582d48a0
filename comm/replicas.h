/* Whether ranks that should be alike are alike, and which is not. */
#ifndef COMM_REPLICAS_H
#define COMM_REPLICAS_H

#include <stdint.h>

#include "comm/world.h"
#include "nn/core/status.h"

/* all[r] = rank r's `mine`, on every rank; all has room for comm_size numbers. Collective. */
void replicas_gather(struct comm *comm, int64_t *all, int64_t mine);

/* Succeeds when all ranks give the same digest. Otherwise the most frequent one counts as right, of equally frequent ones that of
 * the lowest rank, and the first rank that has another is named, and is comm_failed_rank then. `all` is scratch for comm_size
 * numbers. Errors: NN_ERR_PEER on every rank. Collective. */
enum nn_status replicas_compare(struct comm *comm, int64_t *all, int64_t digest);

#endif
