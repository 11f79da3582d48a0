/* RUN/log.txt: what a person may want to know later, a line each, with the time it happened. */
#ifndef TRAINER_REPORT_LOG_H
#define TRAINER_REPORT_LOG_H

#include "nn/core/status.h"
#include "trainer/report/lines.h"

struct run_log {
	struct lines lines;
};

/* Opens or creates the log, to append to it. Errors: NN_ERR_IO; every other function may be called then, and does nothing. */
enum nn_status log_open(struct run_log *run_log, const char *path);

/* Appends "2026-01-31T12:00:00.123Z message"; at most 2000 bytes of it, line breaks become blanks.
 * Errors: NN_ERR_IO, for example on a full disk; the log stays usable, so the caller may go on. */
enum nn_status log_line(struct run_log *run_log, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts the log on the disk and closes it. Errors: NN_ERR_IO. */
enum nn_status log_close(struct run_log *run_log);

#endif
