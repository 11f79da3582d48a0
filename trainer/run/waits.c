/* What an epoch's time went to, for log.txt. A rank that waits little for the others is the one that they wait for. */
#include <stdio.h>

#include "comm/replicas.h"
#include "trainer/run/internal.h"

enum { LISTED_MAX = 16 }; /* ranks whose waits are listed one by one */

static double seconds_of(int64_t microseconds)
{
	return (double)microseconds * 1e-6;
}

/* " 1.2 0.3 ..." */
static void list(char *text, size_t room, const int64_t *waits, int ranks)
{
	size_t length = 0;

	text[0] = '\0';
	for (int r = 0; r < ranks && r < LISTED_MAX && length < room; r++)
		length += (size_t)snprintf(text + length, room - length, " %.2f", seconds_of(waits[r]));
	if (ranks > LISTED_MAX && length < room)
		snprintf(text + length, room - length, " ...");
}

static void log_waits(struct run *run, const int64_t *waits)
{
	int ranks = comm_size(run->comm), slowest = 0, fastest = 0;
	char listed[LISTED_MAX * 24 + 8];

	for (int r = 1; r < ranks; r++) {
		slowest = waits[r] < waits[slowest] ? r : slowest;
		fastest = waits[r] > waits[fastest] ? r : fastest;
	}
	list(listed, sizeof(listed), waits, ranks);
	run_note(
	    run,
	    "epoch %d: slowest rank %d on host %s, it waited %.2f s for the others; rank %d on host %s waited %.2f s; by rank:%s",
	    run->position.epoch + 1, slowest, comm_host_of(run->comm, slowest), seconds_of(waits[slowest]), fastest,
	    comm_host_of(run->comm, fastest), seconds_of(waits[fastest]), listed);
}

void report_waits(struct run *run)
{
	struct run_clock *clock = &run->clock;
	double statistics = clock->epoch_statistics + clock->statistics, data = clock->epoch_wait + clock->wait;
	double others = clock->epoch_exchange + clock->exchange + statistics, seconds = run_seconds() - clock->epoch_start;

	if (comm_size(run->comm) > 1) {
		replicas_gather(run->comm, run->all_ranks, (int64_t)(others * 1e6));
		log_waits(run, run->all_ranks);
		run_note(
		    run,
		    "epoch %d: of %.2f s rank 0 waited %.2f s for batch norm statistics, %.2f s more for ranks, %.2f s for data",
		    run->position.epoch + 1, seconds, statistics, others - statistics, data);
	}
	/* What belongs to a step event that is still to come has been reported. */
	clock->epoch_wait = -clock->wait;
	clock->epoch_exchange = -clock->exchange;
	clock->epoch_statistics = -clock->statistics;
}
