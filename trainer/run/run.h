/* One training run on this rank: everything that setup.c opens, train.c uses and run_close frees. */
#ifndef TRAINER_RUN_RUN_H
#define TRAINER_RUN_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/buckets.h"
#include "comm/exchange.h"
#include "comm/reduce.h"
#include "comm/world.h"
#include "nn/core/status.h"
#include "nn/kernels/kernels.h"
#include "nn/models/models.h"
#include "nn/models/network.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/schedule.h"
#include "trainer/data/augment.h"
#include "trainer/data/dataset.h"
#include "trainer/data/loader.h"
#include "trainer/report/log.h"
#include "trainer/report/metrics.h"
#include "trainer/report/progress.h"
#include "trainer/report/trace.h"
#include "trainer/run/bad_images.h"
#include "trainer/run/binding.h"
#include "trainer/run/options.h"
#include "trainer/run/position.h"
#include "trainer/run/sample_order.h"
#include "trainer/run/saver.h"
#include "trainer/run/stop.h"
#include "trainer/state/network_entries.h"

/* Seconds spent since the last step event, for metrics. */
struct run_clock {
	double start;	       /* of the program */
	double epoch_start;    /* or of the program's part of the epoch */
	double epoch_samples;  /* trained on before that */
	double epoch_paused;   /* evaluation and saving since epoch_start */
	double event;	       /* end of the last step event */
	double paused;	       /* evaluation and saving since then */
	double wait;	       /* for data */
	double exchange;       /* for other ranks: agreements, losses, gradients */
	double statistics;     /* the same for batch norm statistics */
	double epoch_exchange; /* the three of this epoch, up to the last step event */
	double epoch_statistics;
	double epoch_wait;
	int64_t images;
	int64_t steps;
	/* Of who sums gradients, between buckets_begin and the step's last buckets_next: when the bucket at hand was begun, and
	 * seconds and values of all. */
	double sum_begin;
	double sum_seconds;
	int64_t sum_values;
	double step_longest; /* of all steps so far */
	double save;	     /* a save, as measured last */
	double stall;	     /* that training stood still for it */
};

/* How far training can go and how the epoch is cut. */
struct run_length {
	int64_t steps_per_epoch;
	int64_t total_steps;
	int epochs; /* the last one may be cut short by --steps */
};

/* The exchange of batch norm statistics, with its time. */
struct timed_exchange {
	struct exchange *exchange;
	double *seconds;     /* this rank's time for it */
	double begun;	     /* when the exchange at hand was, if early; 0: not */
	struct trace *trace; /* NULL: none, or nothing is exchanged */
	enum trace_kind kind;
};

struct run {
	struct options options;
	struct comm *comm;
	bool master; /* rank 0: writes and reports */

	const struct kernels *kernels;
	int threads;
	struct binding binding;
	struct shards shards;
	struct graph graph;
	struct network *network;
	float *velocity;
	struct optimizer optimizer;
	struct schedule schedule;
	struct timed_exchange statistics;
	struct timed_exchange totals;
	int64_t *all_ranks; /* scratch: a number of every rank */
	double *rows;	    /* scratch: a statistics row of the widest layer per local shard */
	struct reducer *reducer;
	struct reduce_choice choice; /* for --allreduce own on several nodes */
	const char *tuned;	     /* how it was made: "measured", "stored" or "off" */
	struct buckets *buckets;

	struct dataset *train;
	struct dataset *val; /* NULL: none; may be `train` with --holdout */
	struct sample_split split;
	struct bad_images bad; /* left out so far, in this start and those before; the same on every rank */
	struct augment augment;
	float *pixel_mean;	   /* of augment; NULL: none */
	struct sample_order order; /* what the training loader asks */
	struct loader *loader;
	size_t capacity; /* most samples of a step on this rank */

	struct run_length length;
	struct position position;
	struct run_clock clock;
	int64_t first_step; /* where this program began */
	int64_t saved_step; /* of the last checkpoint on disk; -1: none. On rank 0 */
	double best_saved;  /* validation error of the checkpoint that `best` leads to; NaN: none. On rank 0 */
	double best_saving; /* the same of the save under way, when `best` is to lead to it; else NaN */
	enum stop stop;	    /* agreed: save and leave before the end */
	bool settings_due;  /* config.ini is to be written with the next checkpoint */

	struct network_entries model_entries;
	struct network_entries velocity_entries;
	struct run_lock *lock; /* rank 0's */
	struct saver *saver;   /* rank 0's */
	struct metrics metrics;
	bool metrics_wait;    /* the disk does not take events, and the user knows */
	int64_t cut_epoch_at; /* bytes of metrics before the event of an epoch that --steps cut short; -1: none */
	struct run_log log;
	struct progress progress;
	struct tracing *tracing; /* of --trace; NULL: none */
	struct trace *trace;	 /* its events; NULL: none */
	enum trace_track sums;	 /* the track of who sums gradients */
};

/* Opens everything: data, network, run folder, checkpoint. Every rank leaves with the same status.
 * Collective. Ownership: run_close in any case. Errors: all kinds. */
enum nn_status run_open(struct run *run, struct comm *comm, const struct options *options);

/* Trains to the end, or until run->stop, and saves. Collective. Errors: all kinds, the same on all ranks. */
enum nn_status run_train(struct run *run);

/* Frees and closes everything. */
void run_close(struct run *run);

/* Seconds of a monotonic clock. */
double run_seconds(void);

/* Writes to log.txt on rank 0; a full disk only delays the line. */
void run_note(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* On rank 0: a line on standard output and in log.txt. */
void run_say(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* On rank 0: a warning on standard error and in log.txt. */
void run_warn(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
