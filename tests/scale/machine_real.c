/* Real hosts. Computing is sleep, so that hosts which share processors do not take each other's time. */
#include "tests/scale/machine.h"

#include <time.h>

#include "comm/agree.h"

enum nn_status machine_create(struct comm **out, int *argc, char ***argv, char *const *model)
{
	if (*model)
		return nn_error(NN_ERR_USAGE, "%s is for the simulated machine", *model);
	return comm_create(out, argc, argv);
}

void machine_destroy(struct comm *comm)
{
	comm_destroy(comm);
}

bool machine_helps(struct comm *comm, struct reducer *reducer)
{
	(void)comm, (void)reducer;
	return false;
}

void machine_compute(double seconds)
{
	struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	if (seconds > 0)
		nanosleep(&time, NULL);
}

double machine_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void machine_barrier(struct comm *comm)
{
	comm_barrier(comm);
}

double machine_max(struct comm *comm, double value)
{
	return comm_max_double(comm, value);
}

int machine_nodes(const struct comm *comm)
{
	return comm_nodes(comm);
}
