/* What changed between the run that is resumed and the options of today. */
#ifndef TRAINER_RUN_OPTION_COMPARE_H
#define TRAINER_RUN_OPTION_COMPARE_H

#include <stdbool.h>

#include "trainer/run/options.h"

/* One option with two values; the texts live as long as the call. */
struct option_change {
	const char *name;
	const char *was;
	const char *now;
	bool mathematics; /* else operation, which may always change */
	bool allowed;	  /* operation, or named by --allow-change */
};

typedef void (*option_change_fn)(void *context, const struct option_change *change);

/* Compares resolved options with those in the file `path` that options_write_ini wrote, and calls report (NULL: nobody) for each
 * difference. shards 0 now means those of the run, whatever they are.
 * Errors: NN_ERR_CHECKPOINT, naming the first change of mathematics that is not allowed with both values, or saying why `path`
 * cannot be read. */
enum nn_status options_compare(const struct options *now, const char *path, option_change_fn report, void *context);

#endif
