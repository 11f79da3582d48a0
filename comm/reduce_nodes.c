#include "comm/reduce_nodes.h"

#include <assert.h>

#include "comm/node_reducer.h"
#include "nn/core/alloc.h"

enum {
	SLICE_BYTES = 1 << 17,	/* of one partial on its way at once: 1 ms at 1 Gbit/s */
	RECEIVED_MAX = 1 << 21, /* floats of all partials received at once: 8 MiB; sets the slice on many nodes */
	CLIMB_MAX = 1 << 16,	/* floats at a time in algorithms that send longer messages */
	CLIMB_ROOM = 4,		/* vectors that a straddler sends and receives at once, at most */
	CLIMB_REQUESTS = 6,	/* for each node, likewise */
};

static const char what[] = "the sum of gradients";

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t greatest(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t value_bytes(const struct node_reducer *reducer)
{
	return reducer->bf16 ? sizeof(uint16_t) : sizeof(float);
}

static enum nn_status allocate(struct node_reducer *reducer, size_t most)
{
	size_t rows = (size_t)covers_total(&reducer->covers);
	size_t nodes = (size_t)reducer->comm->nodes;
	size_t held = (size_t)covers_held(&reducer->covers, reducer->comm->node_index);
	size_t slice = least(least(SLICE_BYTES / value_bytes(reducer), RECEIVED_MAX / rows + 1), (most + nodes - 1) / nodes);
	size_t room = greatest(held * nodes + rows, CLIMB_ROOM * nodes) * slice;
	enum nn_status status = nn_alloc(&reducer->additions, sizeof(*reducer->additions) * rows);

	reducer->slice_max = slice;
	if (status == NN_OK)
		status = nn_alloc(&reducer->rows, sizeof(*reducer->rows) * rows);
	if (status == NN_OK)
		status = nn_alloc(&reducer->received, sizeof(*reducer->received) * greatest(rows, nodes) * slice);
	if (status == NN_OK)
		status = nn_alloc(&reducer->begins, sizeof(*reducer->begins) * (nodes + 1));
	if (status == NN_OK)
		status = parcels_init(&reducer->parcels, reducer->comm, what, reducer->bf16, rows + nodes * (held + CLIMB_REQUESTS),
				      room);
	return status;
}

/* Of the algorithms whose messages are not slices: floats at a time. */
static size_t climb_most(const struct node_reducer *reducer)
{
	return least(reducer->slice_max * (size_t)reducer->comm->nodes, CLIMB_MAX);
}

static enum nn_status prepare_doubling(struct node_reducer *reducer, int shard_count)
{
	size_t bytes = climb_most(reducer) * value_bytes(reducer);
	enum nn_status status = doubling_init(&reducer->doubling, reducer->comm, CHANNEL_GRADIENT, shard_count, 2, bytes, what);

	if (status == NN_OK)
		status = nn_alloc(&reducer->slots, (size_t)reducer->doubling.plan.slots * bytes);
	return status;
}

enum nn_status node_reducer_create(struct node_reducer **out, struct comm *comm, int shard_count, size_t most, bool bf16)
{
	struct node_reducer *reducer;
	int next_row = 0;
	enum nn_status status = nn_alloc(&reducer, sizeof(*reducer));

	*out = NULL;
	if (status != NN_OK)
		return status;
	reducer->comm = comm;
	reducer->bf16 = bf16;
	reducer->choice = reduce_choice_default(comm->nodes);
	status = covers_init(&reducer->covers, comm->node_firsts, 0, comm->nodes, comm->size, shard_count);
	if (status == NN_OK)
		status = stages_init(&reducer->stages, &reducer->covers, comm->node_index, shard_count);
	if (status == NN_OK)
		status = allocate(reducer, most);
	if (status == NN_OK && comm->nodes == 2)
		status = pair_init(&reducer->pair, &reducer->covers, comm, bf16, what);
	else if (status == NN_OK)
		status = prepare_doubling(reducer, shard_count);
	if (status != NN_OK) {
		node_reducer_destroy(reducer);
		return status;
	}
	additions_plan(reducer->additions, &reducer->planned, reducer->covers.nodes, &next_row, 0, shard_count);
	*out = reducer;
	return NN_OK;
}

void node_reducer_destroy(struct node_reducer *reducer)
{
	if (!reducer)
		return;
	covers_release(&reducer->covers);
	doubling_release(&reducer->doubling);
	pair_release(&reducer->pair);
	stages_release(&reducer->stages);
	nn_free(reducer->slots);
	parcels_release(&reducer->parcels);
	nn_free(reducer->additions);
	nn_free(reducer->rows);
	nn_free(reducer->received);
	nn_free(reducer->begins);
	nn_free(reducer);
}

void node_reducer_use(struct node_reducer *reducer, enum reduce_algorithm algorithm, const struct reduce_choice *choice)
{
	assert(algorithm != REDUCE_MPI);
	reducer->algorithm = algorithm;
	reducer->choice = *choice;
}

/* Floats. */
static size_t most_at_once(const struct node_reducer *reducer, enum reduce_algorithm algorithm)
{
	if (algorithm == REDUCE_DOUBLING && reducer->comm->nodes == 2)
		return SIZE_MAX; /* reduce_pair cuts it by itself */
	if (algorithm == REDUCE_DOUBLING || algorithm == REDUCE_HALVING)
		return climb_most(reducer);
	return reducer->slice_max * (size_t)reducer->comm->nodes;
}

void node_reducer_sum(struct node_reducer *reducer, float *total, float *const *sums, size_t offset, size_t count)
{
	enum reduce_algorithm algorithm =
	    reducer->algorithm == REDUCE_OWN ? reduce_choose(&reducer->choice, count * value_bytes(reducer)) : reducer->algorithm;
	size_t most = most_at_once(reducer, algorithm);
	int held = covers_held(&reducer->covers, reducer->comm->node_index);
	float *rows[SHARD_COVER_MAX];

	for (size_t done = 0; done < count; done += most) {
		for (int i = 0; i < held; i++)
			rows[i] = sums[i] + offset + done;
		reduce_function(algorithm)(reducer, total + offset + done, rows, least(most, count - done));
	}
}
