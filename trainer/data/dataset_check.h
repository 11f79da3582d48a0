/* Whether every image of a data set can be read. */
#ifndef TRAINER_DATA_DATASET_CHECK_H
#define TRAINER_DATA_DATASET_CHECK_H

#include <stddef.h>

#include "nn/core/status.h"
#include "trainer/data/dataset.h"

/* Reads all images with so many threads. *bad = those that cannot be read; `report` is told why for each, one at a time, in no
 * order. Errors: NN_ERR_MEMORY, also when no thread can be started. An image that cannot be read is none. */
enum nn_status dataset_check(size_t *bad, const struct dataset *dataset, int threads, void (*report)(const char *message));

#endif
