#include "comm/calls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/board.h"
#include "comm/leaders.h"
#include "comm/watch.h"

static const char comparison[] = "the comparison of collectives";

static _Noreturn void differ(struct comm *comm, enum channel channel, int rank, const char *call, int other, const char *other_call)
{
	static const char *const threads[CHANNEL_COUNT] = {"the main thread", "the gradient thread"};
	char message[512];

	snprintf(message, sizeof(message),
		 "a bug in this program: rank %d on host %s calls %s where rank %d on host %s calls %s (collective %" PRIu32
		 " of %s, step %lld)",
		 rank, comm->hosts[rank], call, other, comm->hosts[other], other_call, comm->compared[channel], threads[channel],
		 (long long)atomic_load(&comm->step));
	comm_abort(comm, comm->program, NN_ERR_PEER, message);
}

/* Everybody of the node has come, and each has written its call. */
static void compare_members(struct comm *comm, enum channel channel, const char *mine)
{
	for (int i = 0; i < comm->node_ranks; i++) {
		const char *call = comm->board->members[i].calls[channel];

		if (strcmp(call, mine) != 0)
			differ(comm, channel, comm->rank, mine, comm->rank_at[comm_place_of(comm, i)], call);
	}
}

/* All leaders see the same calls, and come to the same end; that of node 0 speaks, and takes the others down. */
static void compare_nodes(struct comm *comm, enum channel channel, const char *mine)
{
	char(*calls)[COMM_CALL_MAX] = comm->calls[channel];

	memcpy(calls[comm->node_index], mine, COMM_CALL_MAX);
	leaders_gather(comm, channel, calls, comm->call_begins, comparison);
	for (int k = 0; k < comm->nodes; k++)
		if (strcmp(calls[k], calls[0]) != 0) {
			if (comm->node_index == 0)
				differ(comm, channel, comm->rank, mine, comm->rank_at[comm->node_firsts[k]], calls[k]);
			sleep(WATCH_SPEAKER_SECONDS);
			_Exit(nn_exit_code(NN_ERR_PEER));
		}
}

void calls_compare(struct comm *comm, enum channel channel, bool everywhere, const char *what, int64_t a, int64_t b)
{
	char *mine;

	if (!comm->compare_calls)
		return;
	comm->compared[channel]++;
	mine = comm->board->members[comm->node_rank].calls[channel];
	snprintf(mine, COMM_CALL_MAX, "%s (%" PRId64 ", %" PRId64 ")", what, a, b);
	/* The same gate for all collectives of a channel, so that ranks in different ones meet here. */
	if (!board_enter(comm, channel, comm->nodes > 1, comparison))
		return;
	compare_members(comm, channel, mine);
	if (everywhere && comm->nodes > 1)
		compare_nodes(comm, channel, mine);
	board_open(comm, channel);
}

void comm_compare_calls(struct comm *comm, bool on)
{
	comm->compare_calls = on;
}
