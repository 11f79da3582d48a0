/* Checkpoints of a tiny made-up network whose values follow from a step and a variant, so that a loaded one can be told from a
 * mixed or wrong one. */
#ifndef TESTS_TORTURE_TINY_H
#define TESTS_TORTURE_TINY_H

#include <stdbool.h>

#include "nn/core/status.h"

/* Which checkpoint: variant tells two of the same step apart. */
struct tiny {
	long long step; /* -1: none */
	int variant;
};

/* Saves it into the run folder, which must exist. Errors: those of checkpoint_save. */
enum nn_status tiny_save(const char *run, struct tiny what, int keep, bool best);

/* *found = what a program that goes on from `path` (a run or checkpoint folder) gets: found, verified, loaded, and every value
 * compared with what was saved. warning: one line or "".
 * Errors: NN_ERR_CHECKPOINT when there are only damaged ones; NN_ERR_NUMBER when one passed for good and holds other values. */
enum nn_status tiny_check(struct tiny *found, char *warning, int warning_size, const char *path);

/* Loads both tensor files without verifying anything; only a crash or a sanitizer's report would be wrong. */
void tiny_load_unverified(const char *folder);

/* As tiny_check, for the link RUN/checkpoints/best; step -1 when there is none. */
enum nn_status tiny_check_best(struct tiny *found, const char *run);

/* The name of something unfinished (.tmp-...) in RUN/checkpoints, or "". Valid until the next call. */
const char *tiny_unfinished(const char *run);

/* True when both are the same checkpoint. */
bool tiny_same(struct tiny a, struct tiny b);

#endif
