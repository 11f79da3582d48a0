#include "trainer/run/binding.h"

#include <stdbool.h>
#include <stdio.h>

#include <hwloc.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"

/* What hwloc sees of this machine, within what the control group allows; zeros when it does not know. */
static void look_at_machine(int64_t seen[3])
{
	hwloc_topology_t topology;

	seen[0] = seen[1] = seen[2] = 0;
	if (hwloc_topology_init(&topology) != 0)
		return;
	if (hwloc_topology_load(topology) == 0) {
		hwloc_const_cpuset_t allowed = hwloc_topology_get_allowed_cpuset(topology);
		int cores = hwloc_get_nbobjs_inside_cpuset_by_type(topology, allowed, HWLOC_OBJ_CORE);
		int numa = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE);

		seen[0] = hwloc_bitmap_weight(allowed);
		seen[1] = cores > 0 ? cores : seen[0];
		seen[2] = numa > 0 ? numa : 1;
	}
	hwloc_topology_destroy(topology);
}

/* The first rank of each node looks, for all of its ranks. */
static void share_view(struct binding *binding, struct comm *comm, int64_t (*seen)[3])
{
	int place = comm_order(comm), first = place - comm_node_rank(comm);

	for (int i = 0; i < binding->ranks; i++)
		seen[i][0] = seen[i][1] = seen[i][2] = 0;
	if (place == first)
		look_at_machine(seen[place]);
	comm_sum_int64(comm, &seen[0][0], 3 * binding->ranks);
	binding->cpus = (int)seen[first][0];
	binding->cores = (int)seen[first][1];
	binding->numa = (int)seen[first][2];
}

/* The worst fault of all, how many ranks have it, and the lowest of them. */
static void share_faults(struct binding *binding, struct comm *comm, int64_t *faults)
{
	for (int r = 0; r < binding->ranks; r++)
		faults[r] = 0;
	faults[comm_rank(comm)] = (int64_t)binding_judge(binding);
	comm_sum_int64(comm, faults, binding->ranks);
	binding->fault = BINDING_FINE;
	for (int r = 0; r < binding->ranks; r++) {
		if (faults[r] > (int64_t)binding->fault) {
			binding->fault = (enum binding_fault)faults[r];
			binding->faulty_rank = r;
			binding->faulty_ranks = 0;
		}
		binding->faulty_ranks += faults[r] == (int64_t)binding->fault;
	}
}

enum nn_status binding_find(struct binding *binding, struct comm *comm, struct core_use use, int threads)
{
	int64_t(*seen)[3], *faults = NULL;
	int ranks = comm_size(comm);
	enum nn_status status = nn_alloc(&seen, (size_t)ranks * sizeof(*seen));

	*binding = (struct binding){
	    .ranks = ranks, .nodes = comm_nodes(comm), .node_ranks = comm_node_ranks(comm), .threads = threads, .use = use};
	if (status == NN_OK)
		status = nn_alloc(&faults, (size_t)ranks * sizeof(*faults));
	status = comm_agree(comm, status);
	if (status == NN_OK && faults) {
		share_view(binding, comm, seen);
		share_faults(binding, comm, faults);
	}
	nn_free(seen);
	nn_free(faults);
	return status;
}

/* The cpus of the node that belong to some rank, taking all of its ranks for bound like this one. */
static int cpus_taken(const struct binding *binding)
{
	int taken = binding->use.cores * binding->node_ranks / (binding->use.ranks > 0 ? binding->use.ranks : 1);

	return taken < binding->cpus ? taken : binding->cpus;
}

/* Hardware threads of a core. */
static int cpus_of_core(const struct binding *binding)
{
	return binding->cores > 0 && binding->cpus > binding->cores ? binding->cpus / binding->cores : 1;
}

enum binding_fault binding_judge(const struct binding *binding)
{
	bool one_core = binding->use.cores <= cpus_of_core(binding);

	if (binding->threads > 1 && one_core && binding->threads > binding->use.cores)
		return BINDING_SINGLE;
	if (binding->threads * binding->use.ranks > binding->use.cores)
		return BINDING_CROWDED;
	return one_core && cpus_taken(binding) < binding->cpus ? BINDING_IDLE : BINDING_FINE;
}

static const char *plural(int count)
{
	return count == 1 ? "" : "s";
}

void binding_describe(char *text, size_t size, const struct binding *binding)
{
	char shared[48] = "", machine[96] = "unknown";

	if (binding->use.ranks > 1)
		snprintf(shared, sizeof(shared), " shared by %d ranks", binding->use.ranks);
	if (binding->cpus > binding->cores)
		snprintf(machine, sizeof(machine), "%d cores with %d hardware threads, %d NUMA node%s", binding->cores,
			 binding->cpus, binding->numa, plural(binding->numa));
	else if (binding->cpus > 0)
		snprintf(machine, sizeof(machine), "%d core%s, %d NUMA node%s", binding->cores, plural(binding->cores),
			 binding->numa, plural(binding->numa));
	snprintf(text, size, "%d rank%s x %d thread%s on this node, each bound to %d cpu%s%s; the node has %s", binding->node_ranks,
		 plural(binding->node_ranks), binding->threads, plural(binding->threads), binding->use.cores,
		 plural(binding->use.cores), shared, machine);
}

/* Cores that each rank of a node can have. */
static int cores_each(const struct binding *binding)
{
	int cores = binding->cores / binding->node_ranks;

	return cores > 0 ? cores : 1;
}

void binding_advise(char *text, size_t size, const struct binding *binding)
{
	int each = cores_each(binding), cpus = each * cpus_of_core(binding);

	if (binding->cores < binding->node_ranks)
		snprintf(
		    text, size,
		    "mpirun -np %d --oversubscribe --bind-to none, or srun --nodes=%d --ntasks=%d --overcommit --cpu-bind=none",
		    binding->ranks, binding->nodes, binding->ranks);
	else
		snprintf(
		    text, size,
		    "mpirun -np %d --map-by ppr:%d:node:PE=%d --bind-to core, or srun --nodes=%d --ntasks=%d --ntasks-per-node=%d "
		    "--cpus-per-task=%d --cpu-bind=cores",
		    binding->ranks, binding->node_ranks, each, binding->nodes, binding->ranks, binding->node_ranks, cpus);
}

/* text = what to do before the options of mpirun and srun. */
static void binding_change(char *text, size_t size, const struct binding *binding)
{
	int most = binding->cores > 0 ? binding->cores : 1;

	text[0] = '\0';
	if (binding->fault == BINDING_IDLE)
		return;
	if (binding->cores >= binding->node_ranks)
		snprintf(text, size, "--threads %d with ", cores_each(binding));
	else
		snprintf(text, size, "%sat most %d rank%s on this node, or let them share with ",
			 binding->threads > 1 ? "--threads 1 and " : "", most, plural(most));
}

void binding_warn(char *text, size_t size, const struct binding *binding, const char *host)
{
	static const char *const faults[BINDING_FAULTS] = {
	    [BINDING_IDLE] = "is bound to one core while cores of its node are idle",
	    [BINDING_CROWDED] = "shares cores with more threads than there are cores",
	    [BINDING_SINGLE] = "is bound to one core and has several threads",
	};
	char others[48] = "", change[160], advice[512];
	bool spins = binding->fault != BINDING_IDLE && binding->threads > 1;

	text[0] = '\0';
	if (binding->fault == BINDING_FINE)
		return;
	if (binding->faulty_ranks > 1)
		snprintf(others, sizeof(others), ", like %d more of %d,", binding->faulty_ranks - 1, binding->ranks);
	binding_change(change, sizeof(change), binding);
	binding_advise(advice, sizeof(advice), binding);
	snprintf(text, size, "rank %d on host %s%s %s; use %s%s%s", binding->faulty_rank, host, others, faults[binding->fault],
		 change, advice, spins ? "; or set OMP_WAIT_POLICY=passive to have less of the harm" : "");
}
