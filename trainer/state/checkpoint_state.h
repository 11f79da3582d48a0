/* state.json of a checkpoint folder, which vouches for every byte in the folder. Private to checkpoint*.c.
 *
 * The file begins with {"self": "<digest>", ...}: the XXH3-128 of the file's bytes with the 32 digits taken as zeros. It covers the
 * bytes and not the parsed content, so that it does not depend on how a JSON library prints numbers. */
#ifndef TRAINER_STATE_CHECKPOINT_STATE_H
#define TRAINER_STATE_CHECKPOINT_STATE_H

#include <jansson.h>

#include "nn/core/status.h"
#include "trainer/state/safetensors.h"

#define CHECKPOINT_MODEL     "model.safetensors"
#define CHECKPOINT_OPTIMIZER "optimizer.safetensors"
#define CHECKPOINT_STATE     "state.json"

/* {"bytes": .., "xxh3_128": "..", "tensors": {NAME: "digest", ...}} of a tensor file. Ownership: the caller's; NULL: no memory. */
json_t *checkpoint_file_record(const struct safetensors_written *written, const struct tensor_entry *entries, int count);

/* Writes state.json. `state` is not changed; takes over both records, which may be NULL after a lack of memory.
 * Errors: NN_ERR_IO, NN_ERR_MEMORY. */
enum nn_status checkpoint_state_write(const char *folder, long long step, json_t *state, json_t *model, json_t *optimizer);

/* NN_ERR_CHECKPOINT: the checkpoint is damaged, with the reason. */
enum nn_status checkpoint_damaged(const char *folder, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Passes NN_OK and NN_ERR_MEMORY on; any other status becomes NN_ERR_CHECKPOINT with the message recorded last as the reason. */
enum nn_status checkpoint_unreadable(enum nn_status status, const char *folder);

#endif
