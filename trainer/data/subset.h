/* Some images of a data set, as a split of its own. Private to dataset.c, whose dataset_open_subset makes them. */
#ifndef TRAINER_DATA_SUBSET_H
#define TRAINER_DATA_SUBSET_H

#include <stddef.h>
#include <stdint.h>

#include "trainer/data/source.h"

/* Its sources come from subset_create; it is never found by looking. */
extern const struct source_kind subset_kind;

/* See dataset_open_subset. Ownership: the caller closes *source. Errors: NN_ERR_MEMORY; *source is then NULL. */
enum nn_status subset_create(void **source, const struct dataset *whole, const uint32_t *images, size_t count, const char *split);

#endif
