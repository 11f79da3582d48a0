/* What two nodes have on its way to each other while they sum gradients. For comm/reduce_pair.c. */
#ifndef COMM_PAIR_H
#define COMM_PAIR_H

#include <stdbool.h>
#include <stddef.h>

#include "comm/covers.h"
#include "comm/parcels.h"

enum { PAIR_FLIGHTS = 5 }; /* pieces under way at once */

struct pair {
	size_t piece;			      /* most floats of one */
	struct parcels flights[PAIR_FLIGHTS]; /* piece i is flight i % PAIR_FLIGHTS: its messages in both directions */
	float *landed;			      /* [PAIR_FLIGHTS][sums of the other node][piece] */
	long piece_ns;			      /* what one took in the sum before, in all */
};

/* For the job's two nodes, whose covers these are. A zeroed struct before. Ownership: the caller's, freed by pair_release, also
 * after an error; keeps a pointer to comm. Errors: NN_ERR_MEMORY. Not collective. */
enum nn_status pair_init(struct pair *pair, const struct covers *covers, struct comm *comm, bool bf16, const char *what);

/* A zeroed struct is allowed. */
void pair_release(struct pair *pair);

#endif
