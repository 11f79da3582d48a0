/* Which cores the ranks run on, and whether they should run on others. */
#ifndef TRAINER_RUN_BINDING_H
#define TRAINER_RUN_BINDING_H

#include <stddef.h>

#include "comm/world.h"
#include "nn/core/status.h"
#include "trainer/run/threads.h"

/* What is wrong with a rank's binding; the worst counts. */
enum binding_fault {
	BINDING_FINE,
	BINDING_IDLE,	 /* cores of the node belong to no rank, and this one has a single core */
	BINDING_CROWDED, /* those who share its cores have more threads than cores */
	BINDING_SINGLE,	 /* it has several threads and one core */
	BINDING_FAULTS,
};

/* A hardware thread is a `cpu` here; without hyper-threading it is a core. */
struct binding {
	int ranks, nodes, node_ranks, threads;
	struct core_use use; /* this rank's cpus, and who shares them */
	int cpus, cores;     /* that this job may use on this rank's node; 0: unknown */
	int numa;	     /* NUMA nodes among them */
	enum binding_fault fault;
	int faulty_ranks; /* that have it, of all ranks, and the lowest */
	int faulty_rank;
};

/* Finds out; asks hwloc, once on each node. The worst fault of all ranks is every rank's `fault`. Collective.
 * Errors: NN_ERR_MEMORY. */
enum nn_status binding_find(struct binding *binding, struct comm *comm, struct core_use use, int threads);

/* The fault of a rank with this binding, regardless of others. Not collective. */
enum binding_fault binding_judge(const struct binding *binding);

/* text = what runs where, in one line. */
void binding_describe(char *text, size_t size, const struct binding *binding);

/* text = what is wrong, and what to do, in one line; "" when nothing is. `host`: of the faulty rank. */
void binding_warn(char *text, size_t size, const struct binding *binding, const char *host);

/* text = the options of mpirun and of srun that give each rank of this job cores of its own, as many as there are. */
void binding_advise(char *text, size_t size, const struct binding *binding);

#endif
