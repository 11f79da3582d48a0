/* What was measured about sums between nodes, kept in a file for each cluster and kind of job. */
#ifndef TRAINER_RUN_TUNING_FILE_H
#define TRAINER_RUN_TUNING_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "comm/algorithms.h"
#include "nn/core/status.h"

/* Makes the cache folder, $XDG_CACHE_HOME/resnet-train or ~/.cache/resnet-train, and path = the file in it for this `key`, a line
 * of text. Errors: NN_ERR_IO when there is no such folder, NN_ERR_USAGE when the path is too long. */
enum nn_status tuning_file_path(char *path, size_t size, const char *key);

/* Writes the key and the choice. Errors: NN_ERR_IO. */
enum nn_status tuning_file_write(const char *path, const char *key, const struct reduce_choice *choice);

/* Reads the choice; false when there is no such file, or one of another key, or it is not exactly what tuning_file_write writes:
 * *choice is then left alone. */
bool tuning_file_read(struct reduce_choice *choice, const char *path, const char *key);

#endif
