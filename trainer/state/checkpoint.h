/* Checkpoints: folders RUN/checkpoints/step-NNNNNNNNNN with model.safetensors, optimizer.safetensors and state.json, and the
 * relative links `latest` and `best` to two of them. A folder of that name is complete: it is written under a name that begins
 * with ".tmp-", forced to disk, then renamed. One process at a time may save into a run folder; none of this is collective. */
#ifndef TRAINER_STATE_CHECKPOINT_H
#define TRAINER_STATE_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "nn/core/status.h"
#include "trainer/state/tensor_entry.h"

/* The format of the folders that this version writes, and the highest it reads. */
enum { CHECKPOINT_FORMAT = 1 };

/* What a checkpoint holds, and how to keep it. Everything stays the caller's. */
struct checkpoint {
	long long step; /* >= 0 */
	const struct tensor_entry *model;
	int model_count;
	const struct tensor_entry *optimizer;
	int optimizer_count;
	json_t *state; /* an object, not changed */
	int keep;      /* the newest to keep, at least 1 */
	bool best;     /* `best` points to it too */
	/* Part of the names under which files are written, so that a job that has lost the folder without knowing writes into no
	 * other's. NULL: nothing. */
	const char *owner;
	/* Asked before anything is touched, and when everything is written and before it gets its name; anything but NN_OK
	 * discards it. NULL: allowed. */
	enum nn_status (*permit)(void *context);
	/* Told when `latest` leads to it, before old ones are removed. NULL: nobody. */
	void (*saved)(void *context);
	void *context;
};

/* Writes a checkpoint, points `best` (if so) and then `latest` to it, and removes old ones so that the `keep` newest stay, and
 * those that `latest` and `best` point to. A folder of the same step is replaced. `run` must exist. state.json holds the keys of
 * `state` and, instead of keys of these names: "format", "step", "files" (bytes and digest of both tensor files and of each tensor
 * in them) and "self" (a digest of state.json). What cannot be removed now, because another program has it open on a network file
 * system, is removed by a later save;
 * that is no error. Errors: NN_ERR_IO, NN_ERR_MEMORY, NN_ERR_USAGE (as safetensors_write), permit's; the
 * checkpoints from before are then all still there. */
enum nn_status checkpoint_save(const char *run, const struct checkpoint *checkpoint);

/* Removes what an interrupted save left in a run folder, or puts it back when nothing has taken its place. checkpoint_save does
 * this by itself. Errors: NN_ERR_IO. */
enum nn_status checkpoint_tidy(const char *run);

/* Makes the checkpoint of `step` the latest of the run: those of higher steps are called left-step-N from now on, which nobody
 * looks for, and a `best` that leads to one of them goes. *left = how many they are. Errors: NN_ERR_IO, NN_ERR_CHECKPOINT. */
enum nn_status checkpoint_rewind(int *left, const char *run, long long step);

/* Whether `best` leads to a checkpoint. */
bool checkpoint_has_best(const char *run);

/* Finds the checkpoint that `path` means and verifies it. A checkpoint folder (or a link to one, or the model.safetensors in it)
 * means itself. A run folder means the checkpoint of `latest` or, when that is missing or damaged, the newest good one.
 * folder = its path, never through `latest`, so that it stays the same checkpoint; "" for a run folder without checkpoints.
 * warning = one line on what was passed over, or "".
 * Errors: NN_ERR_CHECKPOINT when `path` does not exist, the named checkpoint is damaged, or a run folder has only damaged ones;
 * NN_ERR_MEMORY. */
enum nn_status checkpoint_resolve(char *folder, size_t size, char *warning, size_t warning_size, const char *path);

/* Checks every byte of a checkpoint folder: state.json against its own digest, both tensor files against sizes and digests in it.
 * Errors: NN_ERR_CHECKPOINT naming what is damaged or that the format is too new, NN_ERR_MEMORY. */
enum nn_status checkpoint_verify(const char *folder);

/* Reads and checks state.json (not the other files). Ownership: *state is the caller's (json_decref); NULL on error.
 * Errors: as checkpoint_verify. */
enum nn_status checkpoint_load_state(json_t **state, const char *folder);

/* Reads every entry from model.safetensors. The file must have them all, of the same shapes, and nothing else but
 * num_batches_tracked; this is checked before the first value is stored. Digests are not: checkpoint_resolve did that.
 * Errors: NN_ERR_CHECKPOINT, NN_ERR_MEMORY. */
enum nn_status checkpoint_load_model(const char *folder, const struct tensor_entry *entries, int count);

/* As checkpoint_load_model, from optimizer.safetensors. */
enum nn_status checkpoint_load_optimizer(const char *folder, const struct tensor_entry *entries, int count);

#endif
