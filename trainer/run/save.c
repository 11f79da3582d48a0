#include <math.h>
#include <stdio.h>
#include <string.h>

#include "comm/agree.h"
#include "trainer/run/config_file.h"
#include "trainer/run/internal.h"
#include "trainer/state/checkpoint.h"
#include "trainer/state/files.h"

static json_t *numbers(const float values[3])
{
	return json_pack("[f, f, f]", (double)values[0], (double)values[1], (double)values[2]);
}

static json_t *class_names(const struct dataset *dataset)
{
	json_t *names = json_array();

	for (int i = 0; names && i < dataset_classes(dataset); i++) {
		const char *name = dataset_class_name(dataset, i);
		json_t *text = json_string(name);

		/* a name that is not UTF-8 cannot stand in JSON */
		json_array_append_new(names, text ? text : json_sprintf("class %d", i));
	}
	return names;
}

/* Everything a program needs to use the weights (arch to classes), and to go on (position). */
static enum nn_status describe(json_t **state, const struct run *run)
{
	const struct options *options = &run->options;
	char digest[20];

	snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)dataset_digest(run->train));
	*state = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:i, s:f, s:i, s:s, s:s, s:{s:o, s:o}, s:o}", "version", RESNET_VERSION,
			   "arch", options->arch, "shortcut", (const char *[]){"default", "A", "B", "C"}[options->shortcut],
			   "stride_in", options->stride_in == OPTION_STRIDE_1X1 ? "1x1" : "3x3", "zero_gamma", options->zero_gamma,
			   "winograd", options->winograd, "image_size", options->image_size, "eval_scale",
			   (double)run->augment.eval_scale, "shards", options->shards, "isa", run->kernels->name, "train_digest",
			   digest, "normalization", "mean", numbers(run->augment.mean), "inverse_std",
			   numbers(run->augment.inverse_std), "classes", class_names(run->train));
	if (!*state)
		return nn_error(NN_ERR_MEMORY, "out of memory while describing the checkpoint");
	return position_write(*state, &run->position);
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
	return nn_error(NN_ERR_NUMBER,
			"the weights are not finite after step %lld; nothing was saved of it. Use a lower --lr or a longer "
			"--warmup-epochs, then start the same command again",
			(long long)run->position.step);
}

static enum nn_status write_folder(struct run *run)
{
	json_t *state = NULL;
	enum nn_status status;

	run->position.metrics_bytes = metrics_offset(&run->metrics);
	run->model_entries.batches = run->position.step;
	status = metrics_sync(&run->metrics);
	if (status == NN_OK)
		status = describe(&state, run);
	if (status == NN_OK)
		status = checkpoint_save(run->options.out, run->position.step, run->model_entries.entries, run->model_entries.count,
					 run->velocity_entries.entries, run->velocity_entries.count, state, run->options.keep);
	json_decref(state);
	return status == NN_OK && run->settings_due ? save_settings(run) : status;
}

enum nn_status save_settings(struct run *run)
{
	char path[PATH_MAX];
	enum nn_status status = path_format(path, sizeof(path), "%s/config.ini", run->options.out);

	run->settings_due = false;
	return status == NN_OK ? options_write_ini(&run->options, path) : status;
}

enum nn_status save_checkpoint(struct run *run, bool best)
{
	double start = run_seconds();
	enum nn_status status = average_statistics(run);

	if (status == NN_OK)
		status = check_finite(run);
	if (status == NN_OK && run->master) {
		status = write_folder(run);
		if (status == NN_OK && best)
			status = checkpoint_mark_best(run->options.out, run->position.step);
	}
	status = comm_agree(run->comm, status);
	if (status == NN_OK) {
		run->saved_step = run->position.step;
		run_note(run, "saved step %lld in %.2f s", (long long)run->position.step, run_seconds() - start);
	}
	run->clock.paused += run_seconds() - start;
	return status;
}
