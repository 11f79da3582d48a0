/* A timeline as a file of Chrome's trace events, which https://ui.perfetto.dev and chrome://tracing open.
 * Source: "Trace Event Format", Google, 2016: complete events ("ph":"X") in microseconds, and metadata ("ph":"M") for names. */
#ifndef TRAINER_REPORT_TRACE_FILE_H
#define TRAINER_REPORT_TRACE_FILE_H

#include <stdbool.h>

#include "trainer/report/trace.h"
#include "trainer/state/file_writer.h"

enum { TRACE_FILE_BUFFER = 1 << 16 };

/* The file appears whole, when it is closed, or not at all. */
struct trace_file {
	struct file_writer writer;
	bool begun; /* an event is in it */
	size_t used;
	char buffer[TRACE_FILE_BUFFER];
};

/* That a timeline may be written to `path` later: it is no folder or device, and a file can be made beside it. Leaves nothing
 * behind. Errors: NN_ERR_IO, NN_ERR_USAGE for a path that is too long. */
enum nn_status trace_file_check(const char *path);

/* Begins. Must be ended by trace_file_close, which may be called after an error too. Errors: NN_ERR_IO. */
enum nn_status trace_file_open(struct trace_file *file, const char *path);

/* Names a rank's process and its tracks. Errors: NN_ERR_IO. */
enum nn_status trace_file_rank(struct trace_file *file, int rank, const char *host);

/* Appends events of a rank's track; time 0 of the file is `origin` of that rank's clock. Errors: NN_ERR_IO. */
enum nn_status trace_file_events(struct trace_file *file, int rank, enum trace_track track, const struct trace_event *events,
				 size_t count, double origin);

/* Ends the file, and makes it appear if `status`, that of all before, is NN_OK. Errors: `status`, or NN_ERR_IO. */
enum nn_status trace_file_close(struct trace_file *file, enum nn_status status);

#endif
