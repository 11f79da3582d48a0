#include <math.h>
#include <stdio.h>

#include "comm/agree.h"
#include "trainer/run/internal.h"
#include "trainer/state/digest.h"

/* Rank 0's status counts for all. Events that the disk does not take wait in memory; a save that needs them tries again. */
static enum nn_status report_status(struct run *run, enum nn_status status)
{
	if (run->master && status == NN_ERR_IO) {
		if (!run->metrics_wait)
			run_warn(run, "%s; events wait in memory", nn_error_message());
		status = NN_OK;
		run->metrics_wait = true;
	} else {
		run->metrics_wait = false;
	}
	return comm_agree(run->comm, status);
}

static double fraction(double part, double whole)
{
	return whole > 0 ? part / whole : 0;
}

void pause_clock(struct run *run, double seconds)
{
	run->clock.paused += seconds;
	run->clock.epoch_paused += seconds;
}

/* Seconds that training itself took since the last step event. */
static double event_seconds(const struct run *run, double now)
{
	return now - run->clock.event - run->clock.paused;
}

static void restart_event(struct run *run)
{
	struct run_clock *clock = &run->clock;

	clock->epoch_wait += clock->wait;
	clock->epoch_exchange += clock->exchange;
	clock->epoch_statistics += clock->statistics;
	run->clock.event = run_seconds();
	run->clock.paused = 0;
	run->clock.wait = 0;
	run->clock.exchange = 0;
	run->clock.statistics = 0;
	run->clock.images = 0;
	run->clock.steps = 0;
	run->clock.sum_seconds = 0;
	run->clock.sum_values = 0;
}

/* The bytes that each rank would send and receive in a ring, a second: what NCCL calls bus bandwidth. */
static double bus_bandwidth(const struct run *run)
{
	double ranks = comm_size(run->comm), bytes = (double)run->clock.sum_values * gradient_value_bytes(run);

	return fraction(2 * (ranks - 1) / ranks * bytes, run->clock.sum_seconds);
}

/* On rank 0, before an event is written. What cannot be found out now is asked for again by the next save. */
static enum nn_status check_folder(const struct run *run)
{
	return run_lock_confirm(run->lock) == NN_ERR_CHECKPOINT ? NN_ERR_CHECKPOINT : NN_OK;
}

static enum nn_status step_event(struct run *run, const struct batch_result *result)
{
	double seconds = event_seconds(run, run_seconds());
	struct metrics_step event = {
	    .step = run->position.step,
	    .epoch = run->position.epoch + 1,
	    .loss = result->loss / result->samples,
	    .lr = schedule_rate(&run->schedule, run->position.step - 1),
	    .images_per_second = fraction((double)run->clock.images, seconds),
	    .comm_exposed = fraction(run->clock.exchange + run->clock.statistics, seconds),
	    .data_wait = fraction(run->clock.wait, seconds),
	    .gradient_bytes = run->clock.steps > 0 ? run->clock.sum_values / run->clock.steps * gradient_value_bytes(run) : 0,
	    .bus_bandwidth = bus_bandwidth(run)};
	enum nn_status status = run->master ? check_folder(run) : NN_OK;

	if (status == NN_OK && run->master)
		status = metrics_write_step(&run->metrics, &event);
	restart_event(run);
	return status;
}

static struct progress_state progress_now(const struct run *run, double images_per_second, double now)
{
	const struct position *position = &run->position;
	double done = (double)(position->step - run->first_step), left = (double)(run->length.total_steps - position->step);

	return (struct progress_state){.epoch = position->epoch + 1,
				       .epochs = run->length.epochs,
				       .step = position->step,
				       .steps = run->length.total_steps,
				       .images_per_second = images_per_second,
				       .loss = fraction(position->loss_sum, position->sample_sum),
				       .train_error = 100 * fraction(position->wrong_sum, position->sample_sum),
				       .val_error = NAN,
				       .lr = schedule_rate(&run->schedule, position->step - 1),
				       .seconds_left = done > 0 ? (now - run->clock.start) / done * left : NAN};
}

static void show_step(struct run *run)
{
	double now = run_seconds();
	struct progress_state state;

	if (!run->master)
		return;
	state = progress_now(run, fraction((double)run->clock.images, event_seconds(run, now)), now);
	progress_step(&run->progress, &state, now - run->clock.start);
}

/* The epoch's event; called when its last step is done and, if due, evaluated. */
static enum nn_status epoch_event(struct run *run, bool evaluated)
{
	const struct position *position = &run->position;
	double now = run_seconds(), seconds = now - run->clock.epoch_start;
	struct metrics_epoch event = {.epoch = position->epoch + 1,
				      .step = position->step,
				      .train_loss = fraction(position->loss_sum, position->sample_sum),
				      .train_error = 100 * fraction(position->wrong_sum, position->sample_sum),
				      .val_loss = position->val_loss,
				      .val_error = position->val_error,
				      .val_error_top5 = position->val_error_top5,
				      .val_images = evaluated ? position->val_images : 0,
				      .seconds = seconds};
	double images = position->sample_sum - run->clock.epoch_samples;
	double speed = images > 0 ? images / (seconds - run->clock.epoch_paused) : NAN; /* resumed with its steps done */
	struct progress_state state = progress_now(run, speed, now);

	if (!run->master)
		return NN_OK;
	if (check_folder(run) != NN_OK)
		return NN_ERR_CHECKPOINT;
	state.val_error = evaluated ? position->val_error : NAN;
	progress_epoch(&run->progress, &state, now - run->clock.start);
	return metrics_write_epoch(&run->metrics, &event);
}

/* Whether `best` is chosen by validation error. A test set makes no choice: there, and without validation, the last is the best. */
static bool chooses_best(const struct run *run)
{
	if (run->options.eval_every == 0)
		return false;
	return run->val ? !dataset_is_test(run->val) : run->split.holdout_count > 0;
}

/* Rank 0 knows of a best checkpoint that could not be saved. Collective. */
static bool is_better(struct run *run)
{
	bool better = !(run->position.val_error >= run->position.best_error);

	comm_broadcast(run->comm, &better, sizeof(better), 0);
	if (better)
		run->position.best_error = run->position.val_error;
	return better;
}

/* An epoch that is resumed begins where this program takes it up. */
static void start_epoch_clock(struct run *run)
{
	run->clock.epoch_start = run_seconds();
	run->clock.epoch_samples = run->position.sample_sum;
	run->clock.epoch_paused = 0;
}

/* The epoch's event is out: on to the next, unless --steps cut this one short. */
static void leave_epoch(struct run *run, int64_t event_at)
{
	struct position *position = &run->position;

	position->epoch_due = false;
	run->cut_epoch_at = position->epoch_step < run->length.steps_per_epoch ? event_at : -1;
	if (run->cut_epoch_at < 0) {
		position->epoch++;
		position->epoch_step = 0;
		position->loss_sum = position->wrong_sum = position->sample_sum = 0;
	}
	start_epoch_clock(run);
}

/* Ends the epoch (the last one may be short): evaluation, event, and the position of the next epoch's start; or run->stop. */
static enum nn_status end_epoch(struct run *run, bool *best)
{
	struct position *position = &run->position;
	const struct options *options = &run->options;
	bool last = position->step >= run->length.total_steps;
	bool due = options->eval_every > 0 && (last || (position->epoch + 1) % options->eval_every == 0);
	bool evaluated = due && has_validation(run);
	int64_t event_at = run->master ? metrics_offset(&run->metrics) : 0;
	enum nn_status status = NN_OK;

	position->epoch_due = true;
	if (evaluated)
		status = evaluate(run);
	if (run->stop || status != NN_OK)
		return status;
	status = report_status(run, epoch_event(run, evaluated));
	if (status != NN_OK)
		return status;
	report_waits(run);
	*best = evaluated && chooses_best(run) && is_better(run);
	leave_epoch(run, event_at);
	return NN_OK;
}

/* The epoch's end, if it is one, and a checkpoint when one is due. */
static enum nn_status end_step(struct run *run)
{
	const struct options *options = &run->options;
	const struct position *position = &run->position;
	bool last = position->step >= run->length.total_steps, best = false;
	bool epoch_ends = last || position->epoch_step == run->length.steps_per_epoch;
	bool save = last || (options->save_every == SAVE_EVERY_EPOCH && epoch_ends) ||
		    (options->save_every > 0 && position->step % options->save_every == 0);
	enum nn_status status = last && options->bn_recalibrate > 0 ? recalibrate(run) : NN_OK;

	if (status == NN_OK && !run->stop && epoch_ends)
		status = end_epoch(run, &best);
	if (status == NN_OK && !run->stop && (save || best))
		status = save_checkpoint(run, best || !chooses_best(run), last);
	return status;
}

static enum nn_status after_step(struct run *run, const struct batch_result *result)
{
	enum nn_status status = NN_OK;

	show_step(run);
	if (run->options.audit_every > 0 && run->position.step % run->options.audit_every == 0)
		status = audit(run);
	if (status == NN_OK && run->options.log_every > 0 && run->position.step % run->options.log_every == 0)
		status = report_status(run, step_event(run, result));
	return status == NN_OK ? end_step(run) : status;
}

/* Waits for the save under way, and saves when the position is not on disk yet. */
static enum nn_status settle(struct run *run)
{
	enum nn_status status = run->master ? collect_save(run, true) : NN_OK;
	int missing = run->master && run->saved_step != run->position.step;

	status = comm_agree_most(run->comm, status, &missing);
	return status == NN_OK && missing ? save_checkpoint(run, !chooses_best(run), true) : status;
}

static void say_end(const struct run *run, const char *digest)
{
	const struct position *position = &run->position;
	char error[64] = "unknown";

	if (isfinite(position->val_error))
		snprintf(error, sizeof(error), "%.2f %%", position->val_error);
	if (run->stop)
		printf("stopped: saved at step %lld, the same command goes on from there; validation error %s, weights %s\n",
		       (long long)position->step, error, digest);
	else
		printf("complete: step %lld, validation error %s, weights %s\n", (long long)position->step, error, digest);
}

/* The last lines: end event on disk, and step, error and digest on stdout. */
static enum nn_status finish(struct run *run)
{
	static const char *const words[] = {"complete", "requeue", "stopped"};
	char digest[DIGEST_CHARS];
	struct metrics_end event = {words[run->stop], run->position.step, digest};
	enum nn_status status;

	if (!run->master)
		return NN_OK;
	status = digest_weights(digest, run->model_entries.entries, run->model_entries.count);
	if (status == NN_OK)
		status = check_folder(run);
	if (status == NN_OK)
		status = metrics_write_end(&run->metrics, &event);
	if (status == NN_OK)
		status = metrics_sync(&run->metrics);
	run_note(run, "%s at step %lld, weights %s", event.status, (long long)run->position.step, digest);
	skip_tell(run);
	progress_break(&run->progress);
	say_end(run, digest);
	return status;
}

/* An image that cannot be read ends the run, in training or in an evaluation, but no step that was made is lost by it. */
static enum nn_status keep_steps(struct run *run)
{
	char message[1024];

	if (run->position.step == run->first_step)
		return NN_ERR_DATA;
	snprintf(message, sizeof(message), "%s", nn_error_message());
	if (settle(run) != NN_OK)
		return nn_error(NN_ERR_DATA, "%s", message);
	return nn_error(NN_ERR_DATA, "%s; step %lld is saved", message, (long long)run->position.step);
}

enum nn_status run_train(struct run *run)
{
	enum nn_status status = NN_OK;

	run->first_step = run->position.step;
	start_epoch_clock(run);
	restart_event(run);
	if (run->position.epoch_due)
		status = end_step(run);
	while (status == NN_OK && !run->stop && run->position.step < run->length.total_steps) {
		struct batch_result result;

		status = train_step(run, &result);
		if (status == NN_OK && !run->stop)
			status = after_step(run, &result);
	}
	if (status == NN_OK)
		status = settle(run);
	else if (status == NN_ERR_DATA)
		status = keep_steps(run);
	if (status == NN_OK && !run->stop && final_evaluation_due(run))
		status = evaluate_finally(run);
	if (status == NN_OK)
		tracing_end(run);
	return status == NN_OK ? comm_agree(run->comm, finish(run)) : status;
}
