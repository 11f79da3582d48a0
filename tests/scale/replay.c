/* Replays training steps of a profile with the product's own communication: buckets, sum of gradients, exchange of statistics, one
 * rank a node. The program exists twice, for real hosts and for those of SimGrid.
 *   replay PROFILE STEPS SPEED BUCKET_FLOATS [NAME=VALUE...]
 * SPEED: the nodes compute so many times faster than the profile says; 0: they compute nothing. Prints a JSON object. */
#include <stdio.h>
#include <stdlib.h>

#include "comm/buckets.h"
#include "comm/exchange.h"
#include "comm/reduce.h"
#include "nn/core/alloc.h"
#include "tests/scale/machine.h"
#include "tests/scale/profile.h"

struct replay {
	struct comm *comm;
	struct profile *profile;
	struct reducer *reducer;
	struct buckets *buckets;
	struct exchange *exchange;
	double *rows;
	double pace; /* seconds for a second of the profile */
	double gradients, statistics, step;
};

static enum nn_status prepare(struct replay *replay, size_t bucket_floats)
{
	const struct profile *profile = replay->profile;
	struct shards shards = comm_shards(replay->comm, comm_size(replay->comm));
	enum nn_status status = reducer_create(&replay->reducer, replay->comm, shards, profile->parameters, REDUCE_PAIRWISE, false);

	if (status == NN_OK)
		status = exchange_create(&replay->exchange, replay->comm, shards, EXCHANGE_GLOBAL, profile->max_channels);
	if (status == NN_OK)
		status = buckets_create(&replay->buckets, replay->reducer, profile->parameters, bucket_floats, MACHINE_THREADS);
	if (status == NN_OK)
		status = nn_alloc(&replay->rows, (1 + 2 * (size_t)profile->max_channels) * sizeof(double));
	return status;
}

static void exchange(struct replay *replay, const struct profile_event *event)
{
	double start = machine_now();

	exchange_statistics(replay->exchange, replay->rows, (int)event->value,
			    event->kind == PROFILE_MOMENTS ? MERGE_MOMENTS : MERGE_SUM);
	replay->statistics += machine_now() - start;
}

/* The optimiser takes bucket after bucket, as they come. */
static void update(struct replay *replay, double seconds)
{
	size_t offset, count;
	double start = machine_now();

	while (buckets_next(&offset, &count, replay->buckets)) {
		replay->gradients += machine_now() - start;
		machine_compute(seconds * (double)count / (double)replay->profile->parameters);
		start = machine_now();
	}
}

static void step(struct replay *replay)
{
	double start;

	machine_barrier(replay->comm);
	start = machine_now();
	replay->gradients = replay->statistics = 0;
	buckets_begin(replay->buckets);
	for (int i = 0; i < replay->profile->count; i++) {
		const struct profile_event *event = &replay->profile->events[i];

		if (event->kind == PROFILE_UPDATE) {
			update(replay, replay->pace * event->seconds);
			continue;
		}
		machine_compute(replay->pace * event->seconds);
		if (event->kind == PROFILE_READY)
			buckets_ready(replay->buckets, event->value);
		else
			exchange(replay, event);
	}
	replay->step = machine_now() - start;
}

static int increasing(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of_slowest(struct comm *comm, double *seconds, int steps)
{
	qsort(seconds, (size_t)steps, sizeof(*seconds), increasing);
	return machine_max(comm, (seconds[(steps - 1) / 2] + seconds[steps / 2]) / 2);
}

/* One step that does not count, then `steps` that do; simulated ones are all alike, and one is enough. */
static enum nn_status run(struct replay *replay, int steps)
{
	double *times;
	double compute = replay->pace * profile_seconds(replay->profile), whole, gradients, statistics;
	enum nn_status status = nn_alloc(&times, 3 * (size_t)steps * sizeof(*times));

	if (status != NN_OK)
		return status;
	for (int i = MACHINE_THREADS ? -1 : 0; i < steps; i++) {
		step(replay);
		if (i < 0)
			continue;
		times[i] = replay->step;
		times[steps + i] = replay->gradients;
		times[2 * steps + i] = replay->statistics;
	}
	whole = median_of_slowest(replay->comm, times, steps);
	gradients = median_of_slowest(replay->comm, times + steps, steps);
	statistics = median_of_slowest(replay->comm, times + 2 * steps, steps);
	if (comm_rank(replay->comm) == 0)
		printf("{\"network\": \"%s\", \"nodes\": %d, \"step\": %.6f, \"compute\": %.6f, \"gradients\": %.6f, "
		       "\"statistics\": %.6f}\n",
		       replay->profile->network, machine_nodes(replay->comm), whole, compute, gradients, statistics);
	nn_free(times);
	return NN_OK;
}

int main(int argc, char **argv)
{
	struct replay replay = {.comm = NULL};
	double speed = argc > 4 ? strtod(argv[3], NULL) : 0;
	int steps = argc > 4 ? atoi(argv[2]) : 0;
	enum nn_status status = nn_alloc(&replay.profile, sizeof(*replay.profile));

	if (status == NN_OK && steps < 1)
		status = nn_error(NN_ERR_USAGE, "usage: replay PROFILE STEPS SPEED BUCKET_FLOATS [NAME=VALUE...]");
	if (status == NN_OK)
		status = profile_read(replay.profile, argv[1]);
	if (status == NN_OK)
		status = machine_create(&replay.comm, &argc, &argv, argv + 5);
	replay.pace = speed > 0 ? 1 / speed : 0;
	if (status == NN_OK)
		status = prepare(&replay, strtoul(argv[4], NULL, 10));
	if (status == NN_OK && !machine_helps(replay.comm, replay.reducer))
		status = run(&replay, steps);
	if (status != NN_OK && replay.comm)
		comm_abort(replay.comm, "replay", status, nn_error_message());
	if (status != NN_OK)
		fprintf(stderr, "replay: error: %s\n", nn_error_message());
	buckets_destroy(replay.buckets);
	exchange_destroy(replay.exchange);
	reducer_destroy(replay.reducer);
	nn_free(replay.rows);
	nn_free(replay.profile);
	machine_destroy(replay.comm);
	return nn_exit_code(status);
}
