#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "trainer/run/config_file.h"
#include "trainer/run/internal.h"
#include "trainer/run/option_compare.h"
#include "trainer/run/option_value.h"
#include "trainer/state/checkpoint.h"
#include "trainer/state/files.h"
#include "trainer/state/safetensors.h"

/* Makes RUN with its parents and takes its lock, which shows that it can be written, before any work is done. */
static enum nn_status prepare_folder(struct run *run)
{
	char path[PATH_MAX];
	enum nn_status status = path_format(path, sizeof(path), "%s", run->options.out);

	if (!*path)
		return nn_error(NN_ERR_USAGE, "--out is empty; name a folder for the run");
	for (char *slash = path + 1; status == NN_OK && *slash; slash++)
		if (*slash == '/') {
			*slash = '\0';
			status = folder_create(path);
			*slash = '/';
		}
	if (status == NN_OK)
		status = folder_create(run->options.out);
	if (status == NN_OK)
		status = run_lock_acquire(&run->lock, run->options.out);
	return status == NN_OK ? checkpoint_tidy(run->options.out) : status;
}

static bool same_run(const char *folder, const char *run)
{
	char a[PATH_MAX], b[PATH_MAX];
	size_t length;

	if (!realpath(folder, a) || !realpath(run, b))
		return false;
	length = strlen(b);
	return strncmp(a, b, length) == 0 && a[length] == '/';
}

/* Chooses the checkpoint, on rank 0. */
static enum nn_status choose(struct resume_point *point, const struct run *run)
{
	const char *resume = run->options.resume, *out = run->options.out;
	char own[PATH_MAX];
	enum nn_status status = checkpoint_resolve(own, sizeof(own), point->warning, sizeof(point->warning), out);

	if (status != NN_OK)
		return status;
	if (strcmp(resume, "auto") == 0) {
		snprintf(point->folder, sizeof(point->folder), "%s", own);
	} else if (strcmp(resume, "never") != 0) {
		status = checkpoint_resolve(point->folder, sizeof(point->folder), point->warning, sizeof(point->warning), resume);
		if (status == NN_OK && !*point->folder)
			return nn_error(NN_ERR_CHECKPOINT, "--resume %s: no checkpoint there", resume);
	}
	point->own = *point->folder && same_run(point->folder, out);
	if (status == NN_OK && *own && !point->own)
		return nn_error(NN_ERR_USAGE,
				"%s already has a run (%s); name another --out, or remove it, or leave --resume away to go on "
				"with it",
				out, own);
	return status;
}

/* Gives every rank the text of state.json, and its folder. */
static enum nn_status share_state(struct resume_point *point, struct run *run)
{
	char *text = point->state ? json_dumps(point->state, JSON_COMPACT) : NULL;
	uint64_t bytes = text ? strlen(text) + 1 : 0;
	char *copy = NULL;
	bool failed = point->state && !text;
	enum nn_status status =
	    comm_agree(run->comm, failed ? nn_error(NN_ERR_MEMORY, "out of memory for the checkpoint's state") : NN_OK);

	if (status != NN_OK)
		return status;
	comm_broadcast(run->comm, &bytes, sizeof(bytes), 0);
	comm_broadcast(run->comm, point->folder, sizeof(point->folder), 0);
	comm_broadcast(run->comm, &point->own, sizeof(point->own), 0);
	status = comm_agree(run->comm, nn_alloc(&copy, bytes));
	if (status == NN_OK && bytes > 0) {
		if (text)
			memcpy(copy, text, bytes);
		comm_broadcast(run->comm, copy, bytes, 0);
		if (!point->state)
			point->state = json_loads(copy, 0, NULL);
		if (!point->state)
			status = nn_error(NN_ERR_MEMORY, "out of memory while reading the state of the checkpoint");
		status = comm_agree(run->comm, status);
	}
	free(text);
	nn_free(copy);
	return status;
}

enum nn_status resume_find(struct resume_point *point, struct run *run)
{
	enum nn_status status = NN_OK;

	memset(point, 0, sizeof(*point));
	if (run->master) {
		status = prepare_folder(run);
		if (status == NN_OK)
			status = choose(point, run);
		if (status == NN_OK && *point->folder)
			status = checkpoint_load_state(&point->state, point->folder);
	}
	status = comm_agree(run->comm, status);
	return status == NN_OK ? share_state(point, run) : status;
}

void resume_release(struct resume_point *point)
{
	json_decref(point->state);
	point->state = NULL;
}

static const char *state_text(const json_t *state, const char *key)
{
	const char *text = json_string_value(json_object_get(state, key));

	return text ? text : "";
}

/* Where a run lies, and how it is gone on with, may always be another. */
static void note_change(void *context, const struct option_change *change)
{
	if (strcmp(change->name, "out") == 0 || strcmp(change->name, "resume") == 0 || strcmp(change->name, "allow-change") == 0)
		return;
	run_say(context, "--%s was %s and is now %s", change->name, change->was, change->now);
}

static enum nn_status check_options(struct run *run, const struct resume_point *point)
{
	char config[PATH_MAX];
	const char *arch = state_text(point->state, "arch");
	enum nn_status status;

	if (strcmp(arch, run->options.arch) != 0)
		return nn_error(NN_ERR_CHECKPOINT, "the checkpoint %s is of %s, not of %s; use --arch %s or another --out",
				point->folder, arch, run->options.arch, arch);
	status = point->own ? path_format(config, sizeof(config), "%s/config.ini", run->options.out)
			    : path_format(config, sizeof(config), "%s/../../config.ini", point->folder);
	if (status != NN_OK || !run->master || access(config, R_OK) != 0)
		return status;
	return options_compare(&run->options, config, note_change, run);
}

/* The list of images that were left out counts for the same data only. */
static enum nn_status check_data(struct run *run, const struct resume_point *point)
{
	enum nn_status status = NN_OK;
	char digest[20];

	snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)dataset_digest(run->train));
	if (strcmp(state_text(point->state, "train_digest"), digest) == 0) {
		status = bad_images_read(&run->bad, point->state, run->train, SPLIT_TRAIN);
		return status == NN_OK && run->val ? bad_images_read(&run->bad, point->state, run->val, SPLIT_VAL) : status;
	}
	if (option_named(run->options.allow_change, "data"))
		return NN_OK;
	return nn_error(NN_ERR_CHECKPOINT,
			"the training images in %s are not those of the checkpoint %s; name that data set, or another --out, or "
			"--allow-change data to go on with these",
			run->options.data, point->folder);
}

/* The numeric environment: bits may differ in another one. */
static void check_environment(struct run *run, const struct resume_point *point)
{
	const char *isa = state_text(point->state, "isa");

	if (strcmp(isa, run->kernels->name) != 0)
		run_note(run, "the checkpoint was computed with %s and this run uses %s: bits will differ", isa,
			 run->kernels->name);
}

/* Says what another number of ranks or shards means. */
static void note_ranks(struct run *run, const struct resume_point *point)
{
	int ranks = (int)json_integer_value(json_object_get(point->state, "ranks"));
	int shards = (int)json_integer_value(json_object_get(point->state, "shards"));

	if (shards != run->options.shards)
		run_say(run,
			"each batch is cut into %d shards and no longer into %d: every image still comes once an epoch, but sums "
			"are rounded in another order",
			run->options.shards, shards);
	else if (ranks != comm_size(run->comm))
		run_say(run, "%d ranks go on where %d were: the same bits, since each batch is still cut into %d shards",
			comm_size(run->comm), ranks, shards);
}

/* A position counts steps, which mean something only in epochs of equal length. */
static enum nn_status check_epoch(const struct run *run, const struct resume_point *point)
{
	if (run->position.steps_per_epoch == run->length.steps_per_epoch || run->position.step == 0)
		return NN_OK;
	return nn_error(
	    NN_ERR_CHECKPOINT,
	    "an epoch has %lld steps in the checkpoint %s and %lld in this run (batch, images, holdout or --drop-last changed); "
	    "begin a new run with --init-from %s/model.safetensors",
	    (long long)run->position.steps_per_epoch, point->folder, (long long)run->length.steps_per_epoch, point->folder);
}

enum nn_status resume_check(struct run *run, const struct resume_point *point)
{
	const json_t *shards = json_object_get(point->state, "shards");
	enum nn_status status;

	run->position = position_start();
	run->saved_step = -1;
	if (!point->state)
		return NN_OK;
	if (*point->warning)
		run_note(run, "%s", point->warning);
	status = check_options(run, point);
	if (status == NN_OK)
		status = check_data(run, point);
	if (status == NN_OK)
		status = position_read(&run->position, point->state, point->folder);
	if (status != NN_OK)
		return status;
	check_environment(run, point);
	if (run->options.shards == 0)
		run->options.shards = (int)json_integer_value(shards);
	if (point->own)
		run->saved_step = run->position.step;
	note_ranks(run, point);
	return check_epoch(run, point);
}

/* --init-from: every tensor by name, but for the head when it is to be reset. */
static enum nn_status load_initial(struct run *run)
{
	const struct network_entries *entries = &run->model_entries;
	struct safetensors *file;
	enum nn_status status = safetensors_open(&file, run->options.init_from);

	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < entries->count && status == NN_OK; i++) {
			const struct tensor_entry *entry = &entries->entries[i];
			bool head = i == entries->head || i == entries->head + 1;

			if (entry->type == TENSOR_I64 || (head && run->options.reset_head))
				continue;
			status = pass == 0 ? safetensors_check(file, entry) : safetensors_read(file, entry);
		}
	safetensors_close(file);
	return status;
}

static enum nn_status load_weights(struct run *run, const struct resume_point *point)
{
	enum nn_status status;

	if (!*point->folder)
		return *run->options.init_from ? load_initial(run) : NN_OK;
	status = checkpoint_load_model(point->folder, run->model_entries.entries, run->model_entries.count);
	if (status == NN_OK)
		status = checkpoint_load_optimizer(point->folder, run->velocity_entries.entries, run->velocity_entries.count);
	return status;
}

enum nn_status resume_weights(struct run *run, const struct resume_point *point)
{
	float *parameters = network_parameters(run->network), *statistics = network_statistics(run->network);
	enum nn_status status = NN_OK;

	graph_init_parameters(parameters, statistics, &run->graph, run->options.seed);
	if (run->master)
		status = load_weights(run, point);
	status = comm_agree(run->comm, status);
	if (status != NN_OK)
		return status;
	comm_broadcast(run->comm, parameters, run->graph.parameters * sizeof(float), 0);
	comm_broadcast(run->comm, statistics, run->graph.statistics * sizeof(float), 0);
	comm_broadcast(run->comm, run->velocity, run->graph.parameters * sizeof(float), 0);
	return NN_OK;
}
