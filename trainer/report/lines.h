/* A file that grows by whole lines, and never keeps a part of one: the ground of the log and of the metrics. */
#ifndef TRAINER_REPORT_LINES_H
#define TRAINER_REPORT_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"

struct lines {
	int file;	/* -1: closed */
	int64_t bytes;	/* written so far, what was kept included */
	char path[512]; /* for messages */
};

/* Opens or creates `path` and keeps its first `keep` bytes, or fewer so that the last line is whole; INT64_MAX keeps all lines.
 * Errors: NN_ERR_IO; `lines` is then closed. */
enum nn_status lines_open(struct lines *lines, const char *path, int64_t keep);

/* Appends `text`, which ends with a newline, with one write unless the system cuts it short.
 * Errors: NN_ERR_IO; what was written of it is taken back, and later calls may succeed, when the disk has room again. */
enum nn_status lines_append(struct lines *lines, const char *text, size_t bytes);

/* Returns when what was appended is on the disk. Errors: NN_ERR_IO. */
enum nn_status lines_sync(struct lines *lines);

/* Syncs and closes; closed already is allowed. Errors: NN_ERR_IO; the file is closed all the same. */
enum nn_status lines_close(struct lines *lines);

#endif
