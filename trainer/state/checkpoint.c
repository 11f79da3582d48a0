#include "trainer/state/checkpoint.h"

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "nn/core/alloc.h"
#include "trainer/state/checkpoint_folders.h"
#include "trainer/state/checkpoint_state.h"
#include "trainer/state/files.h"
#include "trainer/state/safetensors.h"

/* Removes a folder that was not finished, to give its space back; keeps the error that is on record. */
static enum nn_status discard(const char *folder, enum nn_status status)
{
	char message[1024];

	snprintf(message, sizeof(message), "%s", nn_error_message());
	folder_remove(folder);
	return nn_error(status, "%s", message);
}

/* *record = the file's record for state.json; the caller's. */
static enum nn_status write_tensors(json_t **record, const char *folder, const char *name, const struct tensor_entry *entries,
				    int count)
{
	static const char *const metadata[] = {"format", "pt", NULL};
	struct safetensors_written written;
	char path[PATH_MAX];
	enum nn_status status = path_format(path, sizeof(path), "%s/%s", folder, name);

	*record = NULL;
	if (status == NN_OK)
		status = nn_alloc(&written.tensors, (size_t)count * sizeof(*written.tensors));
	if (status != NN_OK)
		return status;
	status = safetensors_write_digested(&written, path, entries, count, metadata);
	if (status == NN_OK)
		*record = checkpoint_file_record(&written, entries, count);
	nn_free(written.tensors);
	return status;
}

static enum nn_status write_files(const char *folder, const struct checkpoint *checkpoint)
{
	json_t *model = NULL, *optimizer = NULL;
	enum nn_status status = write_tensors(&model, folder, CHECKPOINT_MODEL, checkpoint->model, checkpoint->model_count);

	if (status == NN_OK)
		status =
		    write_tensors(&optimizer, folder, CHECKPOINT_OPTIMIZER, checkpoint->optimizer, checkpoint->optimizer_count);
	if (status == NN_OK)
		return checkpoint_state_write(folder, checkpoint->step, checkpoint->state, model, optimizer);
	json_decref(model);
	return status;
}

/* Gives the finished folder its name. A folder that has the name moves aside first and back if that fails. */
static enum nn_status publish(const char *checkpoints, const char *temporary, long long step)
{
	char folder[PATH_MAX], aside[PATH_MAX];
	bool replaces;
	enum nn_status status = path_format(folder, sizeof(folder), "%s/" CHECKPOINT_STEP, checkpoints, step);

	if (status == NN_OK)
		status = path_format(aside, sizeof(aside), "%s/" CHECKPOINT_ASIDE, checkpoints, step);
	if (status != NN_OK)
		return status;
	replaces = folder_exists(folder);
	if (replaces)
		status = file_rename(folder, aside);
	if (status == NN_OK)
		status = file_rename(temporary, folder);
	if (replaces && status == NN_OK)
		folder_remove(aside);
	else if (replaces)
		rename(aside, folder);
	return status;
}

static enum nn_status link_step(const char *checkpoints, const char *name, long long step)
{
	char path[PATH_MAX], target[32];
	enum nn_status status = path_format(path, sizeof(path), "%s/%s", checkpoints, name);

	if (status == NN_OK)
		status = path_format(target, sizeof(target), CHECKPOINT_STEP, step);
	return status == NN_OK ? symlink_replace(path, target) : status;
}

/* RUN/checkpoints, there and clean, and an empty folder in it for the new checkpoint. */
static enum nn_status prepare(char checkpoints[PATH_MAX], char temporary[PATH_MAX], const char *run, long long step,
			      const char *owner)
{
	enum nn_status status = path_format(checkpoints, PATH_MAX, "%s/checkpoints", run);

	if (status == NN_OK)
		status = path_format(temporary, PATH_MAX, "%s/" CHECKPOINT_WRITING "%s%s", checkpoints, step, owner ? "." : "",
				     owner ? owner : "");
	if (status == NN_OK)
		status = folder_create(checkpoints);
	if (status == NN_OK)
		status = checkpoint_clean(checkpoints);
	if (status == NN_OK)
		status = folder_remove(temporary);
	if (status == NN_OK)
		status = folder_create(temporary);
	return status;
}

static enum nn_status permitted(const struct checkpoint *checkpoint)
{
	return checkpoint->permit ? checkpoint->permit(checkpoint->context) : NN_OK;
}

enum nn_status checkpoint_save(const char *run, const struct checkpoint *checkpoint)
{
	char checkpoints[PATH_MAX], temporary[PATH_MAX];
	enum nn_status status = permitted(checkpoint);

	assert(checkpoint->step >= 0);
	if (status == NN_OK)
		status = prepare(checkpoints, temporary, run, checkpoint->step, checkpoint->owner);
	if (status != NN_OK)
		return status;
	status = write_files(temporary, checkpoint);
	if (status == NN_OK)
		status = permitted(checkpoint);
	if (status == NN_OK)
		status = publish(checkpoints, temporary, checkpoint->step);
	if (status != NN_OK)
		return discard(temporary, status);
	/* `best` first: a run that ends between the two takes the same step again, but would not know it for the best again */
	if (checkpoint->best)
		status = link_step(checkpoints, "best", checkpoint->step);
	if (status == NN_OK)
		status = link_step(checkpoints, "latest", checkpoint->step);
	if (status != NN_OK)
		return status;
	if (checkpoint->saved)
		checkpoint->saved(checkpoint->context);
	checkpoint_prune(checkpoints, checkpoint->keep);
	return NN_OK;
}

static enum nn_status leave_step(const char *checkpoints, long long step)
{
	char from[PATH_MAX], to[PATH_MAX];
	enum nn_status status = checkpoint_step_path(from, sizeof(from), checkpoints, step);

	if (status == NN_OK)
		status = path_format(to, sizeof(to), "%s/" CHECKPOINT_LEFT, checkpoints, step);
	if (status == NN_OK)
		status = folder_remove(to);
	return status == NN_OK ? file_rename(from, to) : status;
}

/* `latest` comes first: from then on a run that is killed goes on from there. */
enum nn_status checkpoint_rewind(int *left, const char *run, long long step)
{
	char checkpoints[PATH_MAX], best_path[PATH_MAX];
	long long best, other = LLONG_MAX;
	enum nn_status status = path_format(checkpoints, sizeof(checkpoints), "%s/checkpoints", run);

	*left = 0;
	if (status == NN_OK)
		status = path_format(best_path, sizeof(best_path), "%s/best", checkpoints);
	if (status == NN_OK)
		status = link_step(checkpoints, "latest", step);
	if (status != NN_OK)
		return status;
	checkpoint_link_step(&best, checkpoints, "best");
	if (best > step)
		status = folder_remove(best_path);
	while (status == NN_OK) {
		status = checkpoint_step_before(&other, checkpoints, other);
		if (status != NN_OK || other <= step)
			break;
		status = leave_step(checkpoints, other);
		++*left;
	}
	return status;
}

bool checkpoint_has_best(const char *run)
{
	char path[PATH_MAX];

	return path_format(path, sizeof(path), "%s/checkpoints/best", run) == NN_OK && folder_exists(path);
}

enum nn_status checkpoint_tidy(const char *run)
{
	char checkpoints[PATH_MAX];
	enum nn_status status = path_format(checkpoints, sizeof(checkpoints), "%s/checkpoints", run);

	return status == NN_OK && folder_exists(checkpoints) ? checkpoint_clean(checkpoints) : status;
}
