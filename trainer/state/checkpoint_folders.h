/* The folders in RUN/checkpoints: their names and which to keep. Private to checkpoint*.c.
 *
 * step-N           a complete checkpoint
 * .tmp-step-N      one that is being written, with .OWNER behind it if it has one
 * .tmp-old-step-N  one that is being replaced; it counts as step-N as long as there is no such folder
 * .tmp-gone-step-N one that is being removed
 * left-step-N      one of a history that the run has left, by checkpoint_rewind */
#ifndef TRAINER_STATE_CHECKPOINT_FOLDERS_H
#define TRAINER_STATE_CHECKPOINT_FOLDERS_H

#include <stddef.h>

#include "nn/core/status.h"

#define CHECKPOINT_STEP	   "step-%010lld"
#define CHECKPOINT_WRITING ".tmp-" CHECKPOINT_STEP
#define CHECKPOINT_ASIDE   ".tmp-old-" CHECKPOINT_STEP
#define CHECKPOINT_GONE	   ".tmp-gone-" CHECKPOINT_STEP
#define CHECKPOINT_LEFT	   "left-" CHECKPOINT_STEP

/* *step = the step in a name like step-0000000012 or .tmp-old-step-0000000012; -1 for any other name. */
void checkpoint_parse_name(long long *step, const char *name);

/* *step = the highest step lower than `before` that has a complete folder; -1: none. Errors: NN_ERR_CHECKPOINT. */
enum nn_status checkpoint_step_before(long long *step, const char *checkpoints, long long before);

/* path = the folder of a step, whether it exists or not. Errors: NN_ERR_USAGE when too long. */
enum nn_status checkpoint_step_path(char *path, size_t size, const char *checkpoints, long long step);

/* *step = the step that the link checkpoints/name points to by a relative name; -1: it does not. */
void checkpoint_link_step(long long *step, const char *checkpoints, const char *name);

/* Removes what an interrupted save left, or puts it back when nothing has taken its place. Errors: NN_ERR_IO when the folder
 * cannot be listed or something cannot be put back; what cannot be removed stays. */
enum nn_status checkpoint_clean(const char *checkpoints);

/* Removes all but the `keep` highest steps and those that `latest` and `best` point to; what cannot be removed stays.
 * Errors: NN_ERR_CHECKPOINT when the folder cannot be listed, NN_ERR_IO. */
enum nn_status checkpoint_prune(const char *checkpoints, int keep);

#endif
