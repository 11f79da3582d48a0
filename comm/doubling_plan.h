/* Who sends what to whom so that every node of a job learns the value of the whole tree over shards, in a few rounds: recursive
 * doubling, or multiplying by more than two. The nodes that have shards of a tree node exchange the values of its pieces, among not
 * more than a group directly, and all of them merge these; then the groups are exchanged likewise, and so on. Values are anything
 * that can be merged, left with right. A plan is worked out once, by each node of the job for itself; it follows the tree, for any
 * number of shards and nodes.
 *
 * A job node begins with the values of its cover. Where its range ends inside a tree node it has a part in several pieces. A value
 * is sent in the first round in which all who can know it do. With N <= group nodes each sends to every other in one round; N =
 * group^r nodes with equal numbers of shards take r rounds of group - 1 messages each. A round has at most one message from a node
 * to another.
 * Source: Thakur, Rabenseifner, Gropp 2005, Optimization of collective communication operations in MPICH, 4.1 and 4.5; Ruefenacht,
 * Bull, Booth 2017, Generalisation of recursive doubling for AllReduce. */
#ifndef COMM_DOUBLING_PLAN_H
#define COMM_DOUBLING_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/core/status.h"

/* `count` values to or from `node` in `round`: received into slots first, first + 1, ...; or those in the slots that
 * outgoing[first], outgoing[first + 1], ... name. */
struct doubling_message {
	int round;
	int node;
	bool sends;
	int first;
	int count;
};

/* At the end of `round`: slot `into` = merge of `into` with `from`, which is to its right. */
struct doubling_merge {
	int round;
	int into;
	int from;
};

struct doubling_plan {
	int rounds; /* the same on all nodes */
	int slots;  /* values to keep, at least 1 */
	int own;    /* slots 0 .. own - 1 begin with the values of this node's cover, in order; 0: it has no shards */
	int result; /* the slot that ends with the value of all shards */
	int message_count;
	struct doubling_message *messages; /* by round */
	int *outgoing;
	int merge_count;
	struct doubling_merge *merges; /* in the order in which those of one round are done */
	int packed;		       /* most values in all messages that a round sends with more than one */
};

/* Plans for node `mine` of a job whose node k has the places firsts[k] .. firsts[k + 1] - 1. group, a power of two >= 2, the
 * same on all nodes: most that exchange directly; fewer do when that takes no more rounds. Ownership: the caller's, freed by
 * doubling_plan_release, also after an error. Errors: NN_ERR_MEMORY. Not collective. */
enum nn_status doubling_plan_init(struct doubling_plan *plan, const int *firsts, int nodes, int mine, int shard_count, int group);

/* Frees what doubling_plan_init made; a zeroed struct is allowed. */
void doubling_plan_release(struct doubling_plan *plan);

#endif
