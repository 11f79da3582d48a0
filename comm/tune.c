#include "comm/tune.h"

#include <time.h>

#include "comm/agree.h"
#include "comm/calls.h"
#include "comm/covers.h"
#include "comm/leaders.h"
#include "comm/reduce_nodes.h"
#include "nn/core/alloc.h"

enum { ROUNDS = 3, FIRST = REDUCE_PAIRWISE, CANDIDATES = REDUCE_ALGORITHMS - FIRST };

static const double budget_seconds = 0.4;

static const char what[] = "the choice of an algorithm for sums";

/* Of a leader. */
struct tuner {
	struct comm *comm;
	struct node_reducer *reducer;
	size_t value_bytes;
	float *memory; /* the node's sums, or one vector for the total */
	float *sums[SHARD_COVER_MAX];
	double *times; /* [nodes] */
	size_t *begins;
	double spent; /* seconds, the same on all leaders */
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static enum nn_status prepare(struct tuner *tuner, int shard_count, bool bf16)
{
	const struct comm *comm = tuner->comm;
	struct shards range =
	    covers_range(comm->node_firsts[comm->node_index], comm->node_firsts[comm->node_index + 1], comm->size, shard_count);
	struct shard_node cover[SHARD_COVER_MAX];
	size_t nodes = (size_t)comm->nodes, floats;
	int held = shards_cover(cover, &range);
	enum nn_status status;

	tuner->value_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
	floats = reduce_sizes[REDUCE_SIZES - 1] / tuner->value_bytes;
	status = node_reducer_create(&tuner->reducer, tuner->comm, shard_count, floats, bf16);
	if (status == NN_OK)
		status = nn_alloc(&tuner->memory, sizeof(*tuner->memory) * floats * (size_t)(held > 0 ? held : 1));
	if (status == NN_OK)
		status = nn_alloc(&tuner->times, sizeof(*tuner->times) * nodes);
	if (status == NN_OK)
		status = nn_alloc(&tuner->begins, sizeof(*tuner->begins) * (nodes + 1));
	for (int i = 0; i < held && status == NN_OK; i++)
		tuner->sums[i] = tuner->memory + (size_t)i * floats;
	for (size_t k = 0; k <= nodes && status == NN_OK; k++)
		tuner->begins[k] = k * sizeof(*tuner->times);
	return status;
}

/* Seconds of the slowest node for one sum. */
static double time_sum(struct tuner *tuner, enum reduce_algorithm algorithm, size_t bytes)
{
	struct comm *comm = tuner->comm;
	struct reduce_choice unused = reduce_choice_default(comm->nodes);
	double start = now(), slowest = 0;

	comm->nap_ns = 0; /* as no earlier sum has left it */
	node_reducer_use(tuner->reducer, algorithm, &unused);
	node_reducer_sum(tuner->reducer, tuner->memory, tuner->sums, 0, bytes / tuner->value_bytes);
	tuner->times[comm->node_index] = now() - start;
	/* Everybody has ended when this has, and begins the next one at about the same time. */
	leaders_gather(comm, CHANNEL_GRADIENT, tuner->times, tuner->begins, what);
	for (int k = 0; k < comm->nodes; k++)
		slowest = tuner->times[k] > slowest ? tuner->times[k] : slowest;
	tuner->spent += slowest;
	return slowest;
}

static double median(double *values, int count)
{
	for (int i = 1; i < count; i++)
		for (int j = i; j > 0 && values[j - 1] > values[j]; j--) {
			double larger = values[j - 1];

			values[j - 1] = values[j];
			values[j] = larger;
		}
	return values[count / 2];
}

/* The fastest at this size; *seconds = a round of all candidates. They take turns. */
static enum reduce_algorithm fastest(double *seconds, struct tuner *tuner, size_t bytes, int rounds)
{
	double times[CANDIDATES][ROUNDS], medians[CANDIDATES];
	int best = 0;

	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < CANDIDATES; i++)
			times[i][round] = time_sum(tuner, (enum reduce_algorithm)(FIRST + i), bytes);
	*seconds = 0;
	for (int i = 0; i < CANDIDATES; i++) {
		medians[i] = median(times[i], rounds);
		*seconds += medians[i];
		best = medians[i] < medians[best] ? i : best;
	}
	return (enum reduce_algorithm)(FIRST + best);
}

static void measure(struct reduce_choice *choice, struct tuner *tuner)
{
	double expected = 0, round;

	/* The first messages also make connections. */
	for (int i = FIRST; i < REDUCE_ALGORITHMS; i++)
		time_sum(tuner, (enum reduce_algorithm)i, reduce_sizes[0]);
	for (int i = 0; i < REDUCE_SIZES; i++) {
		double rounds = ROUNDS;

		if (expected * ROUNDS > budget_seconds - tuner->spent)
			rounds = (budget_seconds - tuner->spent) / expected;
		if (rounds < 1)
			return;
		choice->by_size[i] = fastest(&round, tuner, reduce_sizes[i], (int)rounds);
		if (i + 1 < REDUCE_SIZES)
			expected = round * (double)reduce_sizes[i + 1] / (double)reduce_sizes[i];
	}
}

enum nn_status reduce_tune(struct reduce_choice *choice, struct comm *comm, int shard_count, bool bf16)
{
	struct tuner tuner = {.comm = comm};
	bool leads = comm->nodes > 2 && comm->node_rank == 0;
	enum nn_status status;

	*choice = reduce_choice_default(comm->nodes);
	calls_compare(comm, CHANNEL_MAIN, true, what, shard_count, bf16);
	status = comm_agree(comm, leads ? prepare(&tuner, shard_count, bf16) : NN_OK);
	if (status == NN_OK && leads)
		measure(choice, &tuner);
	if (status == NN_OK)
		comm_broadcast(comm, choice, sizeof(*choice), 0);
	node_reducer_destroy(tuner.reducer);
	nn_free(tuner.memory);
	nn_free(tuner.times);
	nn_free(tuner.begins);
	return status;
}
