/* The parts of run_open and run_train, one file each; not for others. */
#ifndef TRAINER_RUN_INTERNAL_H
#define TRAINER_RUN_INTERNAL_H

#include <limits.h>

#include "trainer/run/evaluate.h"
#include "trainer/run/normalization.h"
#include "trainer/run/run.h"

/* What resume.c found before the network exists. */
struct resume_point {
	char folder[PATH_MAX]; /* "": a fresh run */
	bool own;	       /* the checkpoint lies in this run's folder */
	json_t *state;	       /* NULL: a fresh run */
	char warning[1024];    /* a newer checkpoint that is damaged; "": none. Rank 0's, for the log, which is not open yet */
};

/* setup_data.c: opens the data, agrees on it, works out splits. Collective. */
enum nn_status setup_data(struct run *run);
/* What images are normalised by, and colour axes: from the checkpoint when it has them, else measured. Collective. */
enum nn_status setup_normalization(struct run *run, const struct resume_point *point);

/* same_data.c: that all ranks have the same data sets, naming the odd ones. Collective. Errors: NN_ERR_DATA. */
enum nn_status same_data(struct run *run);

/* skip.c: adds an image that this rank could not read to its own list `mine`. Not collective. Errors: NN_ERR_MEMORY. */
enum nn_status skip_note(struct bad_images *mine, const struct run *run, enum data_split split, uint32_t index,
			 const char *message);
/* Adds what the ranks have met to the run's list, and to log.txt; releases `mine`. `status` is this rank's so far. Collective.
 * Errors: NN_ERR_DATA when that is more than --max-bad. */
enum nn_status skip_share(struct run *run, struct bad_images *mine, enum nn_status status);
/* Takes what the loaders left out of the batch that network_begin_batch laid, on every rank. Collective. */
enum nn_status skip_batch(struct run *run, const struct loader_batch *batch, size_t global_batch);
/* evaluation_run of what can be read: after an evaluation in which an image failed, all images that cannot be read are left out of
 * this one and the next ones. Collective. Errors: as evaluation_run. */
enum nn_status skip_evaluate(struct evaluation *evaluation, struct run *run, const struct evaluator *evaluator);
/* On rank 0: names all that was left out, on standard error and in log.txt. */
void skip_tell(struct run *run);

/* setup_network.c: graph, shards, threads, memory check, network, exchanges. Collective. */
enum nn_status setup_network(struct run *run);

/* tuning.c: run->choice and run->tuned. Collective. Errors: NN_ERR_MEMORY. */
enum nn_status tune_sums(struct run *run);
/* tuning.c: text = how gradients are summed, for the start event: "doubling up to 16 KiB, pairwise above". */
void tuning_describe(char *text, size_t size, const struct run *run);

/* resume.c: the run folder, and the checkpoint to go on from. Collective. */
enum nn_status resume_find(struct resume_point *point, struct run *run);
/* Checks options, data and model against the checkpoint; takes over its shards and position. Not collective. */
enum nn_status resume_check(struct run *run, const struct resume_point *point);
/* Loads weights and momentum, or --init-from, or draws them; the same on every rank. Collective. */
enum nn_status resume_weights(struct run *run, const struct resume_point *point);
void resume_release(struct resume_point *point);

/* train.c: `seconds` more went to evaluation or saving, and not to training. */
void pause_clock(struct run *run, double seconds);

/* save.c: begins to save the run's position, after the save under way has ended. best: also marks it as the best.
 * wait: until it is on disk; then a failure is an error, and else a warning. Collective. */
enum nn_status save_checkpoint(struct run *run, bool best, bool wait);
/* save.c: takes note of a save that has ended; `wait`: of the one under way. Not collective; rank 0's status is worth an agreement.
 * Errors: NN_ERR_CHECKPOINT when another job has taken the run folder; a failed save is a warning. */
enum nn_status collect_save(struct run *run, bool wait);
/* save.c: writes config.ini, on rank 0. */
enum nn_status save_settings(struct run *run);
/* Averages running statistics over ranks when batch norm is not synchronised over all. Collective. */
enum nn_status average_statistics(struct run *run);

/* limit.c: what this rank knows of a reason to stop: a signal, or on rank 0 that --time-limit leaves no more time than to save. */
enum stop run_stop_wish(const struct run *run);

/* introduce.c: says on rank 0 what will be trained, by whom, and what looks odd. Not collective. */
void introduce(struct run *run);

/* step.c: agrees on how the ranks' batches came, on a wish to stop (run->stop), and on whether some rank left images out.
 * Collective.
 */
enum nn_status agree_on_batch(struct run *run, bool *left_out, enum nn_status status, const struct loader_batch *batch);
/* step.c: lays the batch of the epoch's step over the shards of all ranks. Collective. */
enum nn_status begin_batch(struct run *run, const struct loader_batch *batch, size_t step, bool left_out);
/* step.c: one optimiser step; adds to the position; or sets run->stop and does nothing. Collective. */
enum nn_status train_step(struct run *run, struct batch_result *result);

/* audit.c: whether all ranks hold the same weights, momentum and statistics. Collective. Errors: NN_ERR_PEER, naming a rank. */
enum nn_status audit(struct run *run);

/* waits.c: a line for the log on what the epoch's time went to, and which rank is the slowest; begins the next epoch's count.
 * Collective. */
void report_waits(struct run *run);

/* tracing.c: makes sure that --trace can be written, and begins to record; nothing without --trace. Collective.
 * Errors: NN_ERR_IO, NN_ERR_MEMORY. */
enum nn_status tracing_begin(struct run *run);
/* tracing.c: writes the file; that it cannot be written is a warning, for the training is done. Collective. */
void tracing_end(struct run *run);
void tracing_release(struct run *run);
/* tracing.c: a loader_watch_fn; context = run->tracing. */
void tracing_load(void *context, int slot, bool begins, size_t samples);

/* step.c: a bucket_watch_fn, for metrics and --trace; context = the run. */
void watch_bucket(void *context, bool begins, size_t count);
/* setup_network.c: bytes of a gradient's value on its way: 2 when nodes send each other bf16, else 4. */
int gradient_value_bytes(const struct run *run);

/* recalibrate.c: --bn-recalibrate; or sets run->stop, with the statistics half done: to be begun anew. Collective. */
enum nn_status recalibrate(struct run *run);

/* evaluate_run.c: whether there are images to evaluate. */
bool has_validation(const struct run *run);
/* evaluate_run.c: the validation set, every image once; fills the position's val_ fields, or sets run->stop and leaves them alone.
 * Collective. */
enum nn_status evaluate(struct run *run);
/* evaluate_run.c: whether --final-protocol or --final-flip ask for one more evaluation, and there is something to evaluate. */
bool final_evaluation_due(const struct run *run);
/* evaluate_run.c: that evaluation, with its line and event; or sets run->stop. Collective. Errors: NN_ERR_IO too. */
enum nn_status evaluate_finally(struct run *run);

#endif
