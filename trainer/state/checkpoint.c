#include "trainer/state/checkpoint.h"

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

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

static enum nn_status write_tensors(const char *folder, const char *name, const struct tensor_entry *entries, int count)
{
	static const char *const metadata[] = {"format", "pt", NULL};
	char path[PATH_MAX];
	enum nn_status status = path_format(path, sizeof(path), "%s/%s", folder, name);

	return status == NN_OK ? safetensors_write(path, entries, count, metadata) : status;
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
static enum nn_status prepare(char checkpoints[PATH_MAX], char temporary[PATH_MAX], const char *run, long long step)
{
	enum nn_status status = path_format(checkpoints, PATH_MAX, "%s/checkpoints", run);

	if (status == NN_OK)
		status = path_format(temporary, PATH_MAX, "%s/" CHECKPOINT_WRITING, checkpoints, step);
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

enum nn_status checkpoint_save(const char *run, long long step, const struct tensor_entry *model, int model_count,
			       const struct tensor_entry *optimizer, int optimizer_count, json_t *state, int keep)
{
	char checkpoints[PATH_MAX], temporary[PATH_MAX];
	enum nn_status status;

	assert(step >= 0);
	status = prepare(checkpoints, temporary, run, step);
	if (status != NN_OK)
		return status;
	status = write_tensors(temporary, CHECKPOINT_MODEL, model, model_count);
	if (status == NN_OK)
		status = write_tensors(temporary, CHECKPOINT_OPTIMIZER, optimizer, optimizer_count);
	if (status == NN_OK)
		status = checkpoint_state_write(temporary, step, state);
	if (status == NN_OK)
		status = publish(checkpoints, temporary, step);
	if (status != NN_OK)
		return discard(temporary, status);
	status = link_step(checkpoints, "latest", step);
	return status == NN_OK ? checkpoint_prune(checkpoints, keep) : status;
}

enum nn_status checkpoint_mark_best(const char *run, long long step)
{
	char checkpoints[PATH_MAX], folder[PATH_MAX];
	enum nn_status status = path_format(checkpoints, sizeof(checkpoints), "%s/checkpoints", run);

	if (status == NN_OK)
		status = path_format(folder, sizeof(folder), "%s/" CHECKPOINT_STEP, checkpoints, step);
	if (status != NN_OK)
		return status;
	if (!folder_exists(folder))
		return nn_error(NN_ERR_CHECKPOINT, "there is no checkpoint %s to mark as the best; save it first", folder);
	return link_step(checkpoints, "best", step);
}
