/* That all ranks were started with the same options. */
#ifndef TRAINER_RUN_OPTION_AGREE_H
#define TRAINER_RUN_OPTION_AGREE_H

#include "comm/world.h"
#include "trainer/run/options.h"

/* Compares what options_parse made of every rank's command line and files with rank 0's, but for threads and paths, in which hosts
 * may differ. Errors: NN_ERR_USAGE on every rank, naming an option with both values, the rank and its host; NN_ERR_MEMORY.
 * Collective. */
enum nn_status options_same(struct comm *comm, const struct options *options);

#endif
