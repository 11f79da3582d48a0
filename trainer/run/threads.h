/* How many threads a rank should compute with. */
#ifndef TRAINER_RUN_THREADS_H
#define TRAINER_RUN_THREADS_H

#include "comm/world.h"

/* The cores that this rank may use, divided by the ranks that may use the same ones; at least 1. Collective. */
int threads_default(struct comm *comm);

#endif
