/* Files and folders that survive a crash: what is renamed or linked here is on disk when the function returns.
 * For writing a whole file see trainer/state/file_writer.h. Not for use by two processes on one path at a time. */
#ifndef TRAINER_STATE_FILES_H
#define TRAINER_STATE_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/core/status.h"

/* Records "cannot VERB PATH: reason; advice" from errno; returns NN_ERR_IO. A full disk gets its own advice. */
enum nn_status file_failed(const char *verb, const char *path);

/* out = the formatted path. Errors: NN_ERR_USAGE when it does not fit `size` bytes. */
enum nn_status path_format(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The whole content of a regular file, with a zero byte behind it that `size` does not count.
 * Ownership: *bytes is the caller's, freed by nn_free. Errors: NN_ERR_IO when the file cannot be read or has more than `limit`
 * bytes; NN_ERR_MEMORY; *bytes is then NULL. */
enum nn_status file_read(char **bytes, size_t *size, const char *path, size_t limit);

/* Renames a file or folder, replacing a file of that name, and syncs the folder that holds `to`. Errors: NN_ERR_IO. */
enum nn_status file_rename(const char *from, const char *to);

/* Makes `path` a symbolic link to `target`, replacing a link or file in one step, and syncs the folder that holds it.
 * Errors: NN_ERR_IO. */
enum nn_status symlink_replace(const char *path, const char *target);

/* True when `path` is a folder, or a link to one. */
bool folder_exists(const char *path);

/* Makes a folder whose parent exists, and syncs the parent; an existing folder is left alone. Errors: NN_ERR_IO. */
enum nn_status folder_create(const char *path);

/* Forces the folder's names to disk. Errors: NN_ERR_IO. File systems that cannot sync folders are taken as they are. */
enum nn_status folder_sync(const char *path);

/* That the file system of a folder has room for so many bytes more, as far as it tells; quotas it does not know.
 * Errors: NN_ERR_IO. */
enum nn_status folder_check_room(const char *path, size_t bytes);

/* folder_sync of the folder that holds `path`. */
enum nn_status folder_sync_parent(const char *path);

/* Removes a file, a link (never what it points to) or a folder with everything in it; a missing one is fine.
 * Errors: NN_ERR_IO naming the first thing that could not be removed; the rest is removed all the same. */
enum nn_status folder_remove(const char *path);

#endif
