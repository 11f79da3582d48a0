/* `resnet-train --plan`: what a run would need in memory, without training. */
#ifndef TRAINER_RUN_PLAN_PRINT_H
#define TRAINER_RUN_PLAN_PRINT_H

#include "comm/world.h"
#include "nn/core/status.h"
#include "trainer/run/options.h"

/* Prints on rank 0, to stdout: a row per layer, bytes by class for the rank with the most images, and as the last line
 * `total: N MiB per rank`. Without --data the classes are taken to be 10 for CIFAR nets and 1000 otherwise. Collective.
 * Errors: NN_ERR_USAGE, NN_ERR_DATA, NN_ERR_MEMORY; all ranks have the same. */
enum nn_status plan_print(struct comm *comm, const struct options *options);

#endif
