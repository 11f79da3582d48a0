/* How many threads a rank should compute with. */
#ifndef TRAINER_RUN_THREADS_H
#define TRAINER_RUN_THREADS_H

#include "comm/world.h"

/* The cores that mpirun or Slurm bound this rank to. */
struct core_use {
	int cores;
	int ranks; /* that may use the same ones, this one included */
};

/* Finds out. Collective. */
struct core_use core_use_find(struct comm *comm);

/* Threads for each of those ranks: cores / ranks, at least 1. */
int core_use_threads(struct core_use use);

#endif
