/* How training goes, for a person who watches: one line that is written over on a terminal, now and then a line elsewhere. */
#ifndef TRAINER_REPORT_PROGRESS_H
#define TRAINER_REPORT_PROGRESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "nn/core/status.h"

/* What a line can show. A count of 0, a double that is not finite and negative seconds are unknown and left out, but for loss. */
struct progress_state {
	int epoch; /* from 1 */
	int epochs;
	int64_t step;
	int64_t steps;
	double images_per_second;
	double loss;
	double train_error; /* percent */
	double val_error;   /* percent */
	double lr;
	double seconds_left;
};

struct progress {
	FILE *stream;
	int width;	     /* columns of the terminal; 0: no terminal */
	int shown;	     /* columns of the open line that have text */
	double next_seconds; /* when a line between epochs is due */
};

/* buffer = the text of a line without its end, cut to fit into `size` bytes with the NUL. ASCII: a byte is a column. */
void progress_format(char *buffer, size_t size, const struct progress_state *state);

/* buffer = "12:34" or "1:23:45", rounded to whole seconds. */
void progress_format_time(char *buffer, size_t size, double seconds);

/* Columns of the terminal that `stream` writes to; 0 when it is none. For a terminal without a size, as mpirun makes them for its
 * ranks, those of the launcher's own output. */
int progress_terminal_width(FILE *stream);

/* Shows on `stream`, `width` as from progress_terminal_width. Ownership: the stream stays the caller's. */
void progress_init(struct progress *progress, FILE *stream, int width);

/* Shows any line of ASCII at once; the next one that progress_step shows is due as behind one of its own. Errors: NN_ERR_IO. */
enum nn_status progress_text(struct progress *progress, const char *line, double seconds);

/* A step is done, `seconds` after a start of the caller's choice: shows it if a line is due, at most 10 a second on a terminal,
 * else one in 10 seconds. Errors: NN_ERR_IO. */
enum nn_status progress_step(struct progress *progress, const struct progress_state *state, double seconds);

/* An epoch is done: shows it always. Errors: NN_ERR_IO. */
enum nn_status progress_epoch(struct progress *progress, const struct progress_state *state, double seconds);

/* Ends the line that is open on a terminal, so that other text can follow; progress may go on. Errors: NN_ERR_IO. */
enum nn_status progress_break(struct progress *progress);

#endif
