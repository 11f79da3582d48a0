/* What the algorithms between nodes share. For the files of comm that sum gradients. */
#ifndef COMM_NODE_REDUCER_H
#define COMM_NODE_REDUCER_H

#include <stdbool.h>
#include <stddef.h>

#include "comm/additions.h"
#include "comm/algorithms.h"
#include "comm/covers.h"
#include "comm/doubling.h"
#include "comm/pair.h"
#include "comm/parcels.h"
#include "comm/stages.h"

struct node_reducer {
	struct comm *comm;
	bool bf16;
	enum reduce_algorithm algorithm; /* REDUCE_OWN: by choice */
	struct reduce_choice choice;
	struct covers covers; /* of the job's nodes */
	size_t slice_max;     /* floats of one partial that one node adds at a time */
	float *received;      /* [at least nodes of covers, and nodes of the job][slice_max] */
	struct parcels parcels;

	/* comm/reduce_pairwise.c */
	struct addition *additions;
	int planned;
	float **rows;	/* [nodes of covers]: the slice at hand of every sum */
	size_t *begins; /* [nodes + 1]: slices of the chunk at hand */

	struct doubling doubling; /* comm/reduce_doubling.c */
	void *slots;		  /* [of its plan][most values at a time]: float or bf16 */

	struct pair pair; /* comm/reduce_pair.c */

	struct stages stages; /* comm/reduce_halving.c */
};

/* total[0 .. count) = the sum of all nodes' sums, count being at most nodes * slice_max. sums[i] holds that range of node i of this
 * node's cover, and is overwritten; total == sums[0] when the cover is not empty. Collective over the leaders. */
typedef void (*node_sum_fn)(struct node_reducer *reducer, float *total, float *const *sums, size_t count);

void reduce_pairwise(struct node_reducer *reducer, float *total, float *const *sums, size_t count);
void reduce_ring(struct node_reducer *reducer, float *total, float *const *sums, size_t count);
void reduce_doubling(struct node_reducer *reducer, float *total, float *const *sums, size_t count);
/* Of two nodes; any count. */
void reduce_pair(struct node_reducer *reducer, float *total, float *const *sums, size_t count);
void reduce_halving(struct node_reducer *reducer, float *total, float *const *sums, size_t count);

/* The table's function: comm/algorithms.c. algorithm is REDUCE_PAIRWISE or greater. */
node_sum_fn reduce_function(enum reduce_algorithm algorithm);

#endif
