#include <math.h>
#include <stdio.h>
#include <string.h>

#include "comm/agree.h"
#include "trainer/run/config_file.h"
#include "trainer/run/internal.h"
#include "trainer/state/checkpoint.h"
#include "trainer/state/files.h"

/* A name that is not UTF-8 cannot stand in JSON as it is. */
static json_t *class_names(const struct dataset *dataset)
{
	json_t *names = json_array();

	for (int i = 0; names && i < dataset_classes(dataset); i++) {
		char text[DATASET_CLASS_TEXT];

		dataset_class_text(text, dataset, i);
		json_array_append_new(names, json_string(text));
	}
	return names;
}

/* Everything a program needs to use the weights (arch to classes), and to go on (position). */
static enum nn_status describe(json_t **state, const struct run *run)
{
	const struct options *options = &run->options;
	char digest[20];
	enum nn_status status;

	snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)dataset_digest(run->train));
	*state = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:b, s:i, s:f, s:i, s:i, s:i, s:s, s:s, s:o}", "version", RESNET_VERSION,
			   "arch", options->arch, "shortcut", (const char *[]){"default", "A", "B", "C"}[options->shortcut],
			   "stride_in", options->stride_in == OPTION_STRIDE_1X1 ? "1x1" : "3x3", "zero_gamma", options->zero_gamma,
			   "precision", options->precision == OPTION_BF16 ? "bf16" : "fp32", "winograd", options->winograd,
			   "image_size", options->image_size, "eval_scale", (double)run->augment.eval_scale, "shards",
			   options->shards, "ranks", comm_size(run->comm), "nodes", comm_nodes(run->comm), "isa",
			   run->kernels->name, "train_digest", digest, "classes", class_names(run->train));
	if (!*state)
		return nn_error(NN_ERR_MEMORY, "out of memory while describing the checkpoint");
	status = normalization_write(*state, &run->augment);
	if (status == NN_OK)
		status = bad_images_write(*state, &run->bad);
	return status == NN_OK ? position_write(*state, &run->position) : status;
}

/* Each shard counts once; every rank's shards hold what that rank has gathered. */
enum nn_status average_statistics(struct run *run)
{
	int local = run->shards.hi - run->shards.lo;
	enum nn_status status = NN_OK;

	if (run->options.sync_bn == OPTION_SYNC_GLOBAL || comm_size(run->comm) == 1)
		return NN_OK;
	for (int i = 0; i < run->graph.buffer_count && status == NN_OK; i++) {
		const struct param *buffer = &run->graph.buffers[i];
		float *values = network_statistics(run->network) + buffer->offset;
		size_t width = 1 + 2 * buffer->count;

		memset(run->rows, 0, (size_t)(local ? local : 1) * width * sizeof(double));
		for (int v = 0; v < local; v++) {
			run->rows[(size_t)v * width] = 1;
			for (size_t c = 0; c < buffer->count; c++)
				run->rows[(size_t)v * width + 1 + c] = (double)values[c];
		}
		status = exchange_statistics(run->totals.exchange, run->rows, (int)buffer->count, MERGE_SUM);
		for (size_t c = 0; c < buffer->count; c++)
			values[c] = (float)(run->rows[1 + c] / run->rows[0]);
	}
	return status;
}

/* A step that blew up is not worth keeping. */
static enum nn_status check_finite(struct run *run)
{
	double parameters = run->kernels->sum_squares(network_parameters(run->network), run->graph.parameters);
	double statistics = run->kernels->sum_squares(network_statistics(run->network), run->graph.statistics);

	if (isfinite(parameters) && isfinite(statistics))
		return NN_OK;
	return nn_error(
	    NN_ERR_NUMBER,
	    "the weights are not finite after step %lld; nothing was saved of it. Start again in another --out with a "
	    "lower --lr or a longer --warmup-epochs, or go on from an earlier checkpoint with --resume PATH --allow-change "
	    "lr,warmup-epochs",
	    (long long)run->position.step);
}

enum nn_status save_settings(struct run *run)
{
	char path[PATH_MAX];
	struct options options = run->options;
	enum nn_status status = path_format(path, sizeof(path), "%s/config.ini", run->options.out);

	options.allow_change[0] = '\0'; /* it was allowed this once */
	run->settings_due = false;
	return status == NN_OK ? options_write_ini(&options, path) : status;
}

/* An error that no checkpoint on disk has is none to beat. */
static void settle_best(struct run *run, bool saved)
{
	if (saved && !isnan(run->best_saving))
		run->best_saved = run->best_saving;
	else if (run->position.best_error == run->best_saving)
		run->position.best_error = run->best_saved;
	run->best_saving = NAN;
}

/* Takes note of a save that has ended, with its result; `wait`: of the one under way. */
static bool save_ended(struct saver_result *result, struct run *run, bool wait)
{
	if (!saver_collect(result, run->saver, wait))
		return false;
	run->clock.save = result->seconds;
	trace_add(run->trace, TRACE_SAVER, TRACE_SAVE, result->start, result->start + result->seconds, result->step);
	settle_best(run, result->status == NN_OK);
	if (result->status != NN_OK)
		return true;
	run->saved_step = result->step;
	run_note(run, "saved step %lld in %.2f s; training stood still for %.3f s", (long long)result->step, result->seconds,
		 run->clock.stall);
	if (run->settings_due && save_settings(run) != NN_OK)
		run_warn(run, "%s", nn_error_message());
	return true;
}

enum nn_status collect_save(struct run *run, bool wait)
{
	struct saver_result result;

	if (!save_ended(&result, run, wait) || result.status == NN_OK)
		return NN_OK;
	if (result.status == NN_ERR_CHECKPOINT)
		return nn_error(result.status, "%s", result.message);
	run_warn(run, "step %lld is not saved: %s", (long long)result.step, result.message);
	return NN_OK;
}

/* The save before this one has to end first. */
static enum nn_status make_room(struct run *run)
{
	double start = run_seconds(), seconds;
	enum nn_status status = collect_save(run, true);

	seconds = run_seconds() - start;
	if (status == NN_OK && seconds > 0.05)
		run_note(run, "training waited %.2f s for the save before step %lld; save less often, or on a faster disk", seconds,
			 (long long)run->position.step);
	return status;
}

static enum nn_status begin_save(struct run *run, bool best)
{
	struct saver_order order = {.step = run->position.step, .keep = run->options.keep, .best = best};
	enum nn_status status = make_room(run);

	if (status == NN_OK)
		status = metrics_flush(&run->metrics);
	run->position.metrics_bytes = metrics_offset(&run->metrics);
	run->position.metrics_bytes_open = run->cut_epoch_at >= 0 ? run->cut_epoch_at : run->position.metrics_bytes;
	run->position.steps_per_epoch = run->length.steps_per_epoch;
	run->best_saving = best ? run->position.best_error : NAN;
	if (status == NN_OK)
		status = describe(&order.state, run);
	if (status == NN_OK)
		saver_start(run->saver, &order, network_parameters(run->network), network_statistics(run->network), run->velocity);
	return status;
}

/* On rank 0. A disk that does not take a save which nobody waits for may take the next one. */
static enum nn_status save_here(struct run *run, bool best, bool wait)
{
	struct saver_result result;
	double start = run_seconds();
	enum nn_status status = begin_save(run, best);

	run->clock.stall = run_seconds() - start;
	if (status != NN_OK)
		settle_best(run, false);
	if (status == NN_ERR_IO && !wait) {
		run_warn(run, "step %lld is not saved: %s", (long long)run->position.step, nn_error_message());
		return NN_OK;
	}
	if (status == NN_OK && wait && save_ended(&result, run, true) && result.status != NN_OK)
		status = nn_error(result.status, "step %lld is not saved, the checkpoints from before are intact: %s",
				  (long long)run->position.step, result.message);
	return status;
}

enum nn_status save_checkpoint(struct run *run, bool best, bool wait)
{
	double start = run_seconds(), end;
	enum nn_status status = average_statistics(run);

	if (status == NN_OK)
		status = check_finite(run);
	if (status == NN_OK && run->master)
		status = save_here(run, best, wait);
	status = comm_agree(run->comm, status);
	end = run_seconds();
	pause_clock(run, end - start);
	trace_add(run->trace, TRACE_COMPUTE, TRACE_CHECKPOINT, start, end, run->position.step);
	return status;
}
