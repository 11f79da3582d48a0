#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "trainer/state/checkpoint.h"
#include "trainer/state/checkpoint_folders.h"
#include "trainer/state/checkpoint_state.h"
#include "trainer/state/files.h"

/* A search through a run's checkpoints for the first good one. */
struct search {
	const char *checkpoints;
	char found[PATH_MAX]; /* "": none yet */
	char reason[768];     /* why the first choice was passed over; "" when it was not */
	int damaged;
};

static enum nn_status try_folder(struct search *search, const char *folder)
{
	enum nn_status status = checkpoint_verify(folder);

	if (status == NN_OK)
		return path_format(search->found, sizeof(search->found), "%s", folder);
	if (status != NN_ERR_CHECKPOINT)
		return status;
	if (search->damaged++ == 0)
		snprintf(search->reason, sizeof(search->reason), "%s", nn_error_message());
	return NN_OK;
}

static enum nn_status try_step(struct search *search, long long step)
{
	char folder[PATH_MAX];
	enum nn_status status = checkpoint_step_path(folder, sizeof(folder), search->checkpoints, step);

	return status == NN_OK ? try_folder(search, folder) : status;
}

/* Tries what `latest` leads to, a folder of that name after a copy without links, too. *step = its step or -1. */
static enum nn_status try_latest(struct search *search, long long *step)
{
	char latest[PATH_MAX];
	enum nn_status status = path_format(latest, sizeof(latest), "%s/latest", search->checkpoints);

	checkpoint_link_step(step, search->checkpoints, "latest");
	if (status != NN_OK)
		return status;
	if (*step >= 0)
		return try_step(search, *step);
	if (folder_exists(latest))
		return try_folder(search, latest);
	snprintf(search->reason, sizeof(search->reason), "%.700s is missing", latest);
	return NN_OK;
}

static enum nn_status resolve_run(char *folder, size_t size, char *warning, size_t warning_size, const char *checkpoints)
{
	struct search search = {.checkpoints = checkpoints};
	long long before = LLONG_MAX, latest;
	enum nn_status status = try_latest(&search, &latest);

	while (status == NN_OK && !search.found[0]) {
		status = checkpoint_step_before(&before, checkpoints, before);
		if (status != NN_OK || before < 0)
			break;
		if (before != latest)
			status = try_step(&search, before);
	}
	if (status != NN_OK)
		return status;
	if (!search.found[0] && search.damaged)
		return nn_error(NN_ERR_CHECKPOINT, "none of the %d checkpoints in %s is good; the newest: %s", search.damaged,
				checkpoints, search.reason);
	if (search.found[0] && search.reason[0])
		snprintf(warning, warning_size, "%s; going on from %s", search.reason, search.found);
	return path_format(folder, size, "%s", search.found);
}

/* Whether a folder is, or was meant to be, a checkpoint and not a run. */
static bool is_checkpoint(const char *folder)
{
	static const char *const files[] = {CHECKPOINT_STATE, CHECKPOINT_MODEL, CHECKPOINT_OPTIMIZER};
	const char *slash = strrchr(folder, '/');
	struct stat info;
	long long step;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[PATH_MAX];

		if (path_format(path, sizeof(path), "%s/%s", folder, files[i]) == NN_OK && stat(path, &info) == 0)
			return true;
	}
	checkpoint_parse_name(&step, slash ? slash + 1 : folder);
	return step >= 0;
}

/* real = the folder that has stood aside since a save that was to replace it ended in the middle: `path` is its name or a link. */
static bool find_aside(char real[PATH_MAX], const char *path)
{
	char parent[PATH_MAX], folder[PATH_MAX];
	char *slash;
	long long step;

	if (path_format(parent, sizeof(parent), "%s", path) != NN_OK)
		return false;
	slash = strrchr(parent, '/');
	if (!slash)
		return false;
	*slash = '\0';
	checkpoint_parse_name(&step, slash + 1);
	if (step < 0)
		checkpoint_link_step(&step, parent, slash + 1);
	return step >= 0 && checkpoint_step_path(folder, sizeof(folder), parent, step) == NN_OK && realpath(folder, real);
}

/* A folder without links in its path; for a model.safetensors, the folder that holds it. */
static enum nn_status find_folder(char real[PATH_MAX], const char *path)
{
	struct stat info;
	char *slash;

	if ((!realpath(path, real) && !find_aside(real, path)) || stat(real, &info) != 0)
		return nn_error(NN_ERR_CHECKPOINT, "there is no checkpoint at %s: %s; check the path", path, strerror(errno));
	slash = strrchr(real, '/');
	if (S_ISDIR(info.st_mode))
		return NN_OK;
	if (!slash || strcmp(slash + 1, CHECKPOINT_MODEL) != 0)
		return nn_error(NN_ERR_CHECKPOINT, "%s is not a checkpoint; give a run folder or a checkpoint folder", path);
	*slash = '\0';
	return NN_OK;
}

enum nn_status checkpoint_resolve(char *folder, size_t size, char *warning, size_t warning_size, const char *path)
{
	char real[PATH_MAX], checkpoints[PATH_MAX];
	enum nn_status status = find_folder(real, path);

	snprintf(folder, size, "%s", "");
	snprintf(warning, warning_size, "%s", "");
	if (status != NN_OK)
		return status;
	status = path_format(checkpoints, sizeof(checkpoints), "%s/checkpoints", path);
	if (status == NN_OK && folder_exists(checkpoints))
		return resolve_run(folder, size, warning, warning_size, checkpoints);
	if (status == NN_OK && is_checkpoint(real)) {
		status = checkpoint_verify(real);
		return status == NN_OK ? path_format(folder, size, "%s", real) : status;
	}
	return status;
}
