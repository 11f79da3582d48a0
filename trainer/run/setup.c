#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "nn/kernels/gemm.h"
#include "trainer/run/internal.h"
#include "trainer/state/checkpoint.h"
#include "trainer/state/files.h"

double run_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

enum { LINE_BYTES = 2048 };

/* A line for log.txt, and with a stream one for that too, both behind the prefix. */
static void tell(struct run *run, FILE *stream, const char *prefix, const char *text)
{
	if (!run->master)
		return;
	if (stream) {
		progress_break(&run->progress);
		fprintf(stream, "%s%s%s\n", *prefix ? "resnet-train: " : "", prefix, text);
	}
	log_line(&run->log, "%s%s", prefix, text);
}

void run_note(struct run *run, const char *format, ...)
{
	char text[LINE_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tell(run, NULL, "", text);
}

void run_say(struct run *run, const char *format, ...)
{
	char text[LINE_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tell(run, stdout, "", text);
}

void run_warn(struct run *run, const char *format, ...)
{
	char text[LINE_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tell(run, stderr, "warning: ", text);
}

/* The instruction set and OpenBLAS decide on bits, so all ranks must have the same. */
static enum nn_status choose_kernels(struct run *run)
{
	enum nn_status status =
	    comm_agree(run->comm, kernels_select(&run->kernels, getenv("RESNET_ISA"), run->options.precision == OPTION_BF16));
	char environment[256] = "";

	if (status != NN_OK)
		return status;
	gemm_init();
	snprintf(environment, sizeof(environment), "%s, %s", run->kernels->name, gemm_core());
	return comm_same(run->comm, environment, sizeof(environment),
			 "instruction set or OpenBLAS (set RESNET_ISA and OPENBLAS_CORETYPE)");
}

static enum nn_status open_log(struct run *run)
{
	char path[PATH_MAX];
	enum nn_status status = path_format(path, sizeof(path), "%s/log.txt", run->options.out);

	return status == NN_OK ? log_open(&run->log, path) : status;
}

/* A run that goes on in an epoch that --steps had cut short writes that epoch's event when it ends. */
static int64_t events_to_keep(const struct run *run)
{
	return run->position.step < run->length.total_steps ? run->position.metrics_bytes_open : run->position.metrics_bytes;
}

/* An earlier checkpoint that --resume names becomes the run's latest, and `best` is what there is. */
static enum nn_status take_up(struct run *run, const struct resume_point *point)
{
	int left = 0;
	enum nn_status status = NN_OK;

	if (point->own && strcmp(run->options.resume, "auto") != 0)
		status = checkpoint_rewind(&left, run->options.out, run->position.step);
	if (left > 0)
		run_say(run, "%d later checkpoint%s of the run %s called left-step-* from now on", left, left == 1 ? "" : "s",
			left == 1 ? "is" : "are");
	if (!checkpoint_has_best(run->options.out))
		run->position.best_error = NAN;
	run->best_saved = run->position.best_error;
	return status;
}

static enum nn_status open_reports(struct run *run, const struct resume_point *point)
{
	char path[PATH_MAX], allreduce[128];
	enum nn_status status = path_format(path, sizeof(path), "%s/metrics.jsonl", run->options.out);
	struct metrics_start event = {.version = RESNET_VERSION,
				      .arch = run->options.arch,
				      .parameters = (int64_t)run->graph.parameters,
				      .ranks = comm_size(run->comm),
				      .threads = run->threads,
				      .isa = run->kernels->name,
				      .precision = run->options.precision == OPTION_BF16 ? "bf16" : "fp32",
				      .train_images = (int64_t)run->split.train_count,
				      .val_images = (int64_t)(run->val ? dataset_count(run->val) : run->split.holdout_count),
				      .classes = dataset_classes(run->train),
				      .resumed_step = run->position.step,
				      .shards = run->options.shards,
				      .allreduce = allreduce,
				      .tuned = run->tuned};

	tuning_describe(allreduce, sizeof(allreduce), run);
	if (status == NN_OK && point->state)
		status = take_up(run, point);
	if (status == NN_OK)
		status = metrics_open(&run->metrics, path, point->own ? events_to_keep(run) : -1);
	if (status == NN_OK)
		status = metrics_write_start(&run->metrics, &event);
	/* With a checkpoint, config.ini stays what that was trained with until this program has saved one of its own. */
	run->settings_due = point->own;
	return status == NN_OK && !run->settings_due ? save_settings(run) : status;
}

static enum nn_status start_loader(struct run *run)
{
	enum nn_status status =
	    sample_order_init(&run->order, &run->split, (size_t)run->options.shuffle_window, (size_t)run->options.global_batch);
	struct loader_setup setup = {.dataset = run->train,
				     .augment = &run->augment,
				     .train = true,
				     .seed = run->options.seed,
				     .mix = {run->options.mixup, run->options.cutmix},
				     .capacity = run->capacity + 1,
				     .threads = run->options.loader_threads,
				     .leave_out = run->options.max_bad > 0,
				     .source = sample_order_next,
				     .source_context = &run->order};

	run->order.epoch = (uint64_t)run->position.epoch;
	run->order.step = run->position.epoch_step;
	run->order.steps_per_epoch = run->length.steps_per_epoch;
	run->order.seed = run->options.seed;
	run->order.shuffle = run->options.shuffle;
	run->order.dataset = run->train;
	run->order.shards = run->shards;
	run->order.partners = mix_is_on(&setup.mix);
	if (run->trace) {
		setup.watch = tracing_load;
		setup.watch_context = run->tracing;
	}
	return status == NN_OK ? loader_create(&run->loader, &setup) : status;
}

static enum nn_status start_threads(struct run *run)
{
	enum nn_status status = NN_OK;

	if (run->master)
		status = folder_check_room(run->options.out, saver_bytes(&run->graph));
	if (status == NN_OK && run->master)
		status = saver_create(&run->saver, run->options.out, &run->graph, run->lock, &run->metrics);
	return status == NN_OK ? start_loader(run) : status;
}

/* What needs the network: weights, files, threads. */
static enum nn_status open_rest(struct run *run, const struct resume_point *point)
{
	enum nn_status status = setup_normalization(run, point);

	if (status == NN_OK)
		status = resume_weights(run, point);
	if (status == NN_OK)
		status = comm_agree(run->comm, run->master ? open_reports(run, point) : NN_OK);
	return status == NN_OK ? comm_agree(run->comm, start_threads(run)) : status;
}

enum nn_status run_open(struct run *run, struct comm *comm, const struct options *options)
{
	struct resume_point point = {.state = NULL};
	enum nn_status status;

	memset(run, 0, sizeof(*run));
	run->options = *options;
	run->comm = comm;
	run->master = comm_rank(comm) == 0;
	run->clock.start = run_seconds();
	run->log.lines.file = run->metrics.lines.file = -1;
	run->cut_epoch_at = -1;
	run->best_saved = run->best_saving = NAN;
	if (run->options.loader_threads == 0)
		run->options.loader_threads = 1;
	progress_init(&run->progress, stdout, progress_terminal_width(stdout));
	status = choose_kernels(run);
	if (status == NN_OK)
		status = setup_data(run);
	if (status == NN_OK)
		status = resume_find(&point, run);
	if (status == NN_OK)
		status = comm_agree(comm, run->master ? open_log(run) : NN_OK);
	if (status == NN_OK)
		status = comm_agree(comm, resume_check(run, &point));
	if (status == NN_OK)
		status = setup_network(run);
	if (status == NN_OK)
		status = tracing_begin(run);
	if (status == NN_OK)
		status = open_rest(run, &point);
	resume_release(&point);
	return status;
}

void run_close(struct run *run)
{
	saver_destroy(run->saver);
	loader_destroy(run->loader);
	sample_order_release(&run->order);
	sample_split_release(&run->split);
	bad_images_release(&run->bad);
	dataset_close(run->train);
	dataset_close(run->val);
	network_entries_release(&run->model_entries);
	network_entries_release(&run->velocity_entries);
	network_destroy(run->network);
	graph_release(&run->graph);
	nn_free(run->velocity);
	nn_free(run->pixel_mean);
	nn_free(run->rows);
	nn_free(run->all_ranks);
	exchange_destroy(run->statistics.exchange);
	exchange_destroy(run->totals.exchange);
	buckets_destroy(run->buckets);
	reducer_destroy(run->reducer);
	tracing_release(run);
	metrics_close(&run->metrics);
	log_close(&run->log);
	run_lock_release(run->lock);
}
