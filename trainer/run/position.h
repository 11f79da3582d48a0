/* Where a run is: everything beside weights and momentum that makes the rest of it the same after a resume. */
#ifndef TRAINER_RUN_POSITION_H
#define TRAINER_RUN_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "nn/core/status.h"

struct position {
	int64_t step;	    /* optimiser steps done */
	int epoch;	    /* epochs done */
	int64_t epoch_step; /* steps done in the current epoch */
	int64_t samples;    /* training images used */
	double loss_sum;    /* over the current epoch's images so far */
	double wrong_sum;
	double sample_sum;
	double val_loss, val_error, val_error_top5; /* of the last evaluation; NaN: none */
	int64_t val_images;
	double best_error;	 /* lowest validation error; NaN: none */
	bool epoch_due;		 /* the epoch's last step is done, its evaluation and its event are not */
	int64_t steps_per_epoch; /* that epoch and epoch_step are about */
	int64_t metrics_bytes;	 /* events up to here */
	int64_t
	    metrics_bytes_open; /* the same without the event of an epoch that --steps cut short, for a run that goes on in it */
};

/* The state of a fresh run. */
struct position position_start(void);

/* Adds the position's keys to an object. Errors: NN_ERR_MEMORY. */
enum nn_status position_write(json_t *state, const struct position *position);

/* Errors: NN_ERR_CHECKPOINT naming a key that is missing or of the wrong type; `folder` stands in the message. */
enum nn_status position_read(struct position *position, const json_t *state, const char *folder);

#endif
