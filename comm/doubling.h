/* Runs a plan of recursive doubling (comm/doubling_plan.h) among the leaders of a job's nodes, on values of any kind. */
#ifndef COMM_DOUBLING_H
#define COMM_DOUBLING_H

#include <stddef.h>

#include "comm/doubling_plan.h"
#include "comm/internal.h"

/* into = merge of into and from, which is to the right of into; `bytes` each. */
typedef void (*doubling_merge_fn)(const void *context, void *into, const void *from, size_t bytes);

/* The values of one run: slot i of the plan lies at slots + i * bytes. All but the plan's own ones may hold anything. The same
 * bytes, merge and meaning of the context on all leaders. */
struct doubling_values {
	void *slots;
	size_t bytes;
	doubling_merge_fn merge;
	const void *context; /* for merge */
};

struct doubling {
	struct doubling_plan plan;
	struct comm *comm;
	enum channel channel;
	const char *what; /* names the collective for the watchdog */
	char *packed;	  /* values that leave in one message without lying side by side */
	int under_way;	  /* messages of the round at hand */
};

/* Plans for this node, groups of up to `group` nodes, and values of up to `most_bytes`, to be run on `channel`. Ownership: the
 * caller's, freed by doubling_release, also after an error; keeps pointers to comm and what. Errors: NN_ERR_MEMORY. Not collective.
 */
enum nn_status doubling_init(struct doubling *doubling, struct comm *comm, enum channel channel, int shard_count, int group,
			     size_t most_bytes, const char *what);

/* Frees what doubling_init made; a zeroed struct is allowed. */
void doubling_release(struct doubling *doubling);

/* Merges over all nodes. Returns the slot with the value of everything; the other slots are overwritten. Nothing is under way any
 * more when it returns. Errors: none; a failing MPI call ends the job. Collective over the leaders. */
void *doubling_run(struct doubling *doubling, const struct doubling_values *values);

/* The same in two halves: the first sends what can be sent, and waits for nothing; no other messages may be begun on the channel
 * until the second one. */
void doubling_begin(struct doubling *doubling, const struct doubling_values *values);
void *doubling_finish(struct doubling *doubling, const struct doubling_values *values);

/* Round `round` of doubling_run, for who runs the rounds itself. */
void doubling_round(struct doubling *doubling, const struct doubling_values *values, int round);

#endif
