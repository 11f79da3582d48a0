#include "comm/doubling.h"

#include <assert.h>
#include <string.h>

#include "comm/leaders.h"
#include "nn/core/alloc.h"

enum nn_status doubling_init(struct doubling *doubling, struct comm *comm, enum channel channel, int shard_count, int group,
			     size_t most_bytes, const char *what)
{
	enum nn_status status;

	*doubling = (struct doubling){.comm = comm, .channel = channel, .what = what};
	status = doubling_plan_init(&doubling->plan, comm->node_firsts, comm->nodes, comm->node_index, shard_count, group);
	if (status == NN_OK)
		status = nn_alloc(&doubling->packed, (size_t)doubling->plan.packed * most_bytes);
	return status;
}

void doubling_release(struct doubling *doubling)
{
	doubling_plan_release(&doubling->plan);
	nn_free(doubling->packed);
	*doubling = (struct doubling){0};
}

static char *slot(const struct doubling_values *values, int i)
{
	return (char *)values->slots + values->bytes * (size_t)i;
}

/* What a message sends; values that do not stand alone are laid at *room, which is then behind them. */
static const char *outgoing(const struct doubling *doubling, const struct doubling_values *values,
			    const struct doubling_message *message, char **room)
{
	const int *slots = doubling->plan.outgoing + message->first;
	const char *begin = *room;

	if (message->count == 1)
		return slot(values, slots[0]);
	for (int i = 0; i < message->count; i++, *room += values->bytes)
		memcpy(*room, slot(values, slots[i]), values->bytes);
	return begin;
}

/* Begins the messages of a round. */
static void begin_messages(struct doubling *doubling, const struct doubling_values *values, int round)
{
	const struct doubling_plan *plan = &doubling->plan;
	struct comm *comm = doubling->comm;
	MPI_Comm leaders = comm->leaders[doubling->channel];
	char *room = doubling->packed;
	int made = 0;

	assert(values->bytes * (size_t)plan->slots <= COMM_CHUNK_MAX);
	for (int i = 0; i < plan->message_count; i++) {
		const struct doubling_message *message = &plan->messages[i];
		MPI_Request *request = &comm->requests[doubling->channel][made];
		int bytes = message->count * (int)values->bytes;

		if (message->round != round)
			continue;
		comm->request_nodes[doubling->channel][made++] = message->node;
		if (message->sends)
			comm_check(comm,
				   MPI_Isend(outgoing(doubling, values, message, &room), bytes, MPI_BYTE, message->node, 0, leaders,
					     request),
				   "MPI_Isend");
		else
			comm_check(comm,
				   MPI_Irecv(slot(values, message->first), bytes, MPI_BYTE, message->node, 0, leaders, request),
				   "MPI_Irecv");
	}
	doubling->under_way = made;
}

/* Waits for them and merges what came. */
static void end_round(struct doubling *doubling, const struct doubling_values *values, int round)
{
	const struct doubling_plan *plan = &doubling->plan;
	struct comm *comm = doubling->comm;
	enum channel channel = doubling->channel;

	leaders_wait(comm, channel, doubling->under_way, comm->requests[channel], comm->request_nodes[channel], doubling->what);
	for (int i = 0; i < plan->merge_count; i++)
		if (plan->merges[i].round == round)
			values->merge(values->context, slot(values, plan->merges[i].into), slot(values, plan->merges[i].from),
				      values->bytes);
}

void doubling_round(struct doubling *doubling, const struct doubling_values *values, int round)
{
	begin_messages(doubling, values, round);
	end_round(doubling, values, round);
}

void doubling_begin(struct doubling *doubling, const struct doubling_values *values)
{
	if (doubling->plan.rounds > 0)
		begin_messages(doubling, values, 0);
}

void *doubling_finish(struct doubling *doubling, const struct doubling_values *values)
{
	if (doubling->plan.rounds > 0)
		end_round(doubling, values, 0);
	for (int round = 1; round < doubling->plan.rounds; round++)
		doubling_round(doubling, values, round);
	return slot(values, doubling->plan.result);
}

void *doubling_run(struct doubling *doubling, const struct doubling_values *values)
{
	doubling_begin(doubling, values);
	return doubling_finish(doubling, values);
}
