/* Saves checkpoints while training goes on: a copy in memory, written by a thread. Rank 0 only; nothing here is collective. */
#ifndef TRAINER_RUN_SAVER_H
#define TRAINER_RUN_SAVER_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "nn/core/status.h"
#include "nn/models/graph.h"
#include "trainer/report/metrics.h"
#include "trainer/state/run_lock.h"

/* At most one save is under way. Opaque. */
struct saver;

/* What is saved, beside the weights. */
struct saver_order {
	int64_t step;
	int keep;      /* checkpoints */
	bool best;     /* `best` leads to it */
	json_t *state; /* for state.json */
};

struct saver_result {
	int64_t step;
	enum nn_status status; /* NN_ERR_CHECKPOINT: another job has taken the run folder */
	char message[1024];
	double start;	/* when the copy had been made, by run_seconds */
	double seconds; /* from when the copy was made until it was on disk, or failed */
};

/* Bytes that the copy takes. */
size_t saver_bytes(const struct graph *graph);

/* graph, lock and metrics must live as long as the saver. Ownership: saver_destroy. Errors: NN_ERR_MEMORY. */
enum nn_status saver_create(struct saver **out, const char *run, const struct graph *graph, struct run_lock *lock,
			    const struct metrics *metrics);

/* Waits for the save under way; NULL is allowed. */
void saver_destroy(struct saver *saver);

/* Copies the vectors and begins to save. Every result before must have been collected. Takes over order->state.
 * Events that are not on the disk yet are synced before the checkpoint appears; flush them before. */
void saver_start(struct saver *saver, const struct saver_order *order, const float *parameters, const float *statistics,
		 const float *velocity);

/* True when a save has ended since the last call, with its result; `wait`: waits for the save under way. */
bool saver_collect(struct saver_result *result, struct saver *saver, bool wait);

#endif
