/* Memory that the ranks of one node share: each rank gives a part, and all see all parts.
 *
 * A part is a file in memory without a name (memfd), which the others open through /proc: nothing is left behind when a rank is
 * killed, and the size of /dev/shm, 64 MB in many containers, does not matter. */
#ifndef COMM_SHARED_H
#define COMM_SHARED_H

#include <stddef.h>

#include "comm/world.h"
#include "nn/core/status.h"

struct shared {
	int members;
	void **parts;  /* [members], by rank on the node; parts[own] is this rank's, zeroed, aligned to NN_ALIGN */
	size_t *bytes; /* [members] */
	int own;
};

/* Gives `bytes` bytes of this rank; ranks may give different amounts. `mine` is what this rank's preparations came to: the call is
 * the one point where the ranks of a node agree on them.
 * Ownership: the caller's, freed by shared_release, also after an error. Collective over the node's ranks.
 * Errors: that of the lowest rank of the node which failed, the same on all of them; NN_ERR_MEMORY. */
enum nn_status shared_create(struct shared *shared, struct comm *comm, size_t bytes, enum nn_status mine);

/* Unmaps; a zeroed struct is allowed. Not collective: other ranks keep their view. */
void shared_release(struct shared *shared);

#endif
