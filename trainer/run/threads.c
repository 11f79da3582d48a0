/* _GNU_SOURCE for sched_getaffinity, the only way to see what mpirun or Slurm bound this rank to. */
#define _GNU_SOURCE
#include <sched.h>
#include <unistd.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "trainer/run/threads.h"

/* A number that is equal for ranks of one host bound to the same cores; *cores = how many. */
static int64_t binding(int *cores, const char *host)
{
	cpu_set_t set;
	uint64_t hash = 14695981039346656037u;

	*cores = 1;
	for (; *host; host++)
		hash = (hash ^ (unsigned char)*host) * 1099511628211u;
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return (int64_t)hash;
	*cores = CPU_COUNT(&set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET((size_t)i, &set))
			hash = (hash ^ (uint64_t)(i + 1)) * 1099511628211u;
	return (int64_t)hash;
}

struct core_use core_use_find(struct comm *comm)
{
	struct core_use use = {.ranks = 0};
	int ranks = comm_size(comm);
	int64_t *bindings, mine = binding(&use.cores, comm_host(comm));

	if (nn_alloc(&bindings, (size_t)ranks * sizeof(*bindings)) != NN_OK)
		comm_abort(comm, "resnet-train", NN_ERR_MEMORY, nn_error_message());
	bindings[comm_rank(comm)] = mine;
	comm_sum_int64(comm, bindings, ranks);
	for (int i = 0; i < ranks; i++)
		use.ranks += bindings[i] == mine;
	nn_free(bindings);
	return use;
}

int core_use_threads(struct core_use use)
{
	return use.ranks > 0 && use.cores / use.ranks > 1 ? use.cores / use.ranks : 1;
}
