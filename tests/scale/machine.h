/* What a replayed step runs on: hosts that are there (machine_real.c, Open MPI) or hosts of SimGrid (machine_simulated.c, SMPI).
 * The calls of comm/ in between are the same, and so are their sources. */
#ifndef TESTS_SCALE_MACHINE_H
#define TESTS_SCALE_MACHINE_H

#include <stdbool.h>

#include "comm/reduce.h"
#include "comm/world.h"
#include "nn/core/status.h"

/* Whether comm/buckets.c has a thread of its own there. */
#ifdef SIMULATED
#define MACHINE_THREADS false
#else
#define MACHINE_THREADS true
#endif

/* Starts MPI, one rank a node. `model` are words NAME=VALUE about the simulated machine, ended by NULL.
 * Collective. Errors: NN_ERR_USAGE, NN_ERR_MEMORY. Ended by machine_destroy. */
enum nn_status machine_create(struct comm **out, int *argc, char ***argv, char *const *model);
void machine_destroy(struct comm *comm);

/* On a process that stands for a communication thread: sums what its node gives to it until machine_destroy there, then returns
 * true. False: this is a node. */
bool machine_helps(struct comm *comm, struct reducer *reducer);

/* Lets time pass as if the processor computed. */
void machine_compute(double seconds);

/* A clock, in seconds. */
double machine_now(void);

/* Waits for all nodes. Collective. */
void machine_barrier(struct comm *comm);

/* The largest of all nodes' values. Collective. */
double machine_max(struct comm *comm, double value);

/* The nodes that this machine stands for. */
int machine_nodes(const struct comm *comm);

#endif
