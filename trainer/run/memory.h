/* Memory that is still to be had, in bytes. */
#ifndef TRAINER_RUN_MEMORY_H
#define TRAINER_RUN_MEMORY_H

#include <stddef.h>

/* What this process's node can still give, by the kernel and the control group; 0: unknown. */
size_t memory_available(void);

/* What the control group of a container or job, version 2 or 1, still allows; the page cache counts as available. `root` is where
 * control groups are mounted. SIZE_MAX: there is no limit. */
size_t memory_group_available(const char *root);

#endif
