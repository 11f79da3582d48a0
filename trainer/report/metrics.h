/* RUN/metrics.jsonl: the events of a run for programs to read, one JSON object a line.
 * Losses are means over images, errors are in percent, times in seconds. A double that is not finite becomes null. */
#ifndef TRAINER_REPORT_METRICS_H
#define TRAINER_REPORT_METRICS_H

#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/report/lines.h"

struct metrics {
	struct lines lines;
};

/* The program begins; texts are the caller's. */
struct metrics_start {
	const char *version;
	const char *arch;
	int64_t parameters;
	int ranks;
	int threads; /* of each rank */
	const char *isa;
	const char *precision;
	int64_t train_images;
	int64_t val_images;
	int classes;
	int64_t resumed_step; /* 0: a fresh run */
	int shards;
	const char *allreduce; /* how gradients are summed */
	const char *tuned;     /* how that was chosen: "measured", "stored" or "off" */
};

struct metrics_step {
	int64_t step;
	int epoch;
	double loss; /* over the step's whole global batch */
	double lr;
	double images_per_second; /* of all ranks, since the step event before */
	double comm_exposed;	  /* fraction of the step */
	double data_wait;	  /* fraction of the step */
	int64_t gradient_bytes;	  /* that were summed over ranks, of each step; 0 with one rank */
	double bus_bandwidth;	  /* bytes a second: 2 (ranks - 1) / ranks * gradient_bytes / seconds in which rank 0 summed them */
};

struct metrics_epoch {
	int epoch;
	int64_t step;
	double train_loss;
	double train_error;
	double val_loss;
	double val_error;
	double val_error_top5;
	int64_t val_images; /* 0: not evaluated, and all val_ values become null */
	double seconds;
};

/* The evaluation of --final-protocol. */
struct metrics_final {
	const char *protocol;
	int flip;
	int64_t step;
	double val_loss;
	double val_error;
	double val_error_top5;
	int64_t val_images;
	double seconds;
};

struct metrics_end {
	const char *status; /* "complete", "requeue" or "stopped" */
	int64_t step;
	const char *weights; /* digest */
};

/* Opens or creates `path` and cuts it back to `resume_offset` bytes, what metrics_offset gave when the checkpoint was made;
 * -1 empties it. A torn last line is cut too, and a file that is shorter already keeps its whole lines.
 * Errors: NN_ERR_IO; `metrics` is then closed. */
enum nn_status metrics_open(struct metrics *metrics, const char *path, int64_t resume_offset);

/* Bytes of the file with all events so far. */
int64_t metrics_offset(const struct metrics *metrics);

/* Each appends one event as one whole line. Errors: NN_ERR_IO, and the event waits in memory until the disk takes it;
 * NN_ERR_MEMORY. */
enum nn_status metrics_write_start(struct metrics *metrics, const struct metrics_start *start);
enum nn_status metrics_write_step(struct metrics *metrics, const struct metrics_step *step);
enum nn_status metrics_write_epoch(struct metrics *metrics, const struct metrics_epoch *epoch);
enum nn_status metrics_write_final(struct metrics *metrics, const struct metrics_final *final);
enum nn_status metrics_write_end(struct metrics *metrics, const struct metrics_end *end);

/* Writes the events that wait. Errors: NN_ERR_IO. */
enum nn_status metrics_flush(struct metrics *metrics);

/* Returns when all events that do not wait are on the disk. From any thread. Errors: NN_ERR_IO. */
enum nn_status metrics_sync(const struct metrics *metrics);

/* Syncs and closes; closed already is allowed. Errors: NN_ERR_IO. */
enum nn_status metrics_close(struct metrics *metrics);

#endif
