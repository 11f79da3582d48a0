/* Writes a file that appears whole or not at all: bytes go to PATH.tmp, which is synced and renamed when it is complete. */
#ifndef TRAINER_STATE_FILE_WRITER_H
#define TRAINER_STATE_FILE_WRITER_H

#include <limits.h>
#include <stddef.h>

#include "nn/core/status.h"

struct file_writer {
	int fd; /* -1: closed */
	char path[PATH_MAX];
	char temporary[PATH_MAX];
};

/* Starts writing; a file already at `path` stays as it is until file_writer_close. Must be ended by close or abandon.
 * Errors: NN_ERR_IO, NN_ERR_USAGE for a path that is too long. */
enum nn_status file_writer_open(struct file_writer *writer, const char *path);

/* Appends all the bytes. Unbuffered: give it large pieces. Errors: NN_ERR_IO. */
enum nn_status file_writer_write(struct file_writer *writer, const void *bytes, size_t size);

/* Syncs, closes, renames to `path` and syncs its folder. Errors: NN_ERR_IO; the temporary file is then gone. */
enum nn_status file_writer_close(struct file_writer *writer);

/* Closes and removes the temporary file. Does nothing on a closed writer. Keeps the message recorded before. */
void file_writer_abandon(struct file_writer *writer);

/* Writes a whole file at once, as open, write and close do. */
enum nn_status file_write(const char *path, const void *bytes, size_t size);

#endif
