/* A file that grows by whole lines, and never keeps a part of one: the ground of the log and of the metrics. */
#ifndef TRAINER_REPORT_LINES_H
#define TRAINER_REPORT_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"

struct lines {
	int file;      /* -1: closed */
	int64_t bytes; /* in the file so far, what was kept included */
	char *waiting; /* lines that the disk would not take yet; NULL: none */
	size_t waiting_bytes;
	char path[512]; /* for messages */
};

/* Opens or creates `path` and keeps its first `keep` bytes, or fewer so that the last line is whole; INT64_MAX keeps all lines.
 * Errors: NN_ERR_IO; `lines` is then closed. */
enum nn_status lines_open(struct lines *lines, const char *path, int64_t keep);

/* Appends `text`, which ends with a newline, with one write unless the system cuts it short.
 * Errors: NN_ERR_IO; the file then has no part of it, and it waits in memory for the next call, which writes it first, when the
 * disk has room again. NN_ERR_MEMORY; then it is lost. */
enum nn_status lines_append(struct lines *lines, const char *text, size_t bytes);

/* Writes the lines that wait. Errors: NN_ERR_IO. */
enum nn_status lines_flush(struct lines *lines);

/* Returns when the file is on the disk; lines that wait are not in it. From any thread. Errors: NN_ERR_IO. */
enum nn_status lines_sync(const struct lines *lines);

/* Flushes, syncs and closes; closed already is allowed. Errors: NN_ERR_IO; the file is closed all the same. */
enum nn_status lines_close(struct lines *lines);

#endif
