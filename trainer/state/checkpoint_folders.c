#include "trainer/state/checkpoint_folders.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer/state/files.h"

void checkpoint_parse_name(long long *step, const char *name)
{
	static const char aside[] = ".tmp-old-";
	const char *plain = strncmp(name, aside, strlen(aside)) == 0 ? name + strlen(aside) : name;
	char again[32];

	*step = strncmp(plain, "step-", 5) == 0 ? strtoll(plain + 5, NULL, 10) : -1;
	snprintf(again, sizeof(again), CHECKPOINT_STEP, *step);
	if (*step < 0 || strcmp(again, plain) != 0)
		*step = -1;
}

enum nn_status checkpoint_step_before(long long *step, const char *checkpoints, long long before)
{
	DIR *folder = opendir(checkpoints);
	const struct dirent *item;
	int reason;

	*step = -1;
	if (!folder)
		return nn_error(NN_ERR_CHECKPOINT, "cannot list %s: %s; check its permissions", checkpoints, strerror(errno));
	while (errno = 0, (item = readdir(folder))) {
		long long one;

		checkpoint_parse_name(&one, item->d_name);
		if (one < before && one > *step)
			*step = one;
	}
	/* a list that broke off must not pass for "no checkpoint" */
	reason = errno;
	closedir(folder);
	if (reason)
		return nn_error(NN_ERR_CHECKPOINT, "cannot list %s: %s; try again", checkpoints, strerror(reason));
	return NN_OK;
}

enum nn_status checkpoint_step_path(char *path, size_t size, const char *checkpoints, long long step)
{
	enum nn_status status = path_format(path, size, "%s/" CHECKPOINT_ASIDE, checkpoints, step);

	if (status == NN_OK && folder_exists(path)) {
		char plain[PATH_MAX];

		status = path_format(plain, sizeof(plain), "%s/" CHECKPOINT_STEP, checkpoints, step);
		if (status == NN_OK && !folder_exists(plain))
			return NN_OK;
	}
	return path_format(path, size, "%s/" CHECKPOINT_STEP, checkpoints, step);
}

void checkpoint_link_step(long long *step, const char *checkpoints, const char *name)
{
	char path[PATH_MAX], target[64];
	ssize_t length = -1;

	if (path_format(path, sizeof(path), "%s/%s", checkpoints, name) == NN_OK)
		length = readlink(path, target, sizeof(target) - 1);
	target[length < 0 ? 0 : length] = '\0';
	checkpoint_parse_name(step, target);
}

static enum nn_status clean_one(const char *checkpoints, const char *name)
{
	char path[PATH_MAX], home[PATH_MAX];
	long long step;
	enum nn_status status = path_format(path, sizeof(path), "%s/%s", checkpoints, name);

	checkpoint_parse_name(&step, name);
	if (status == NN_OK)
		status = path_format(home, sizeof(home), "%s/" CHECKPOINT_STEP, checkpoints, step);
	if (status != NN_OK)
		return status;
	/* the only copy of its step: what cannot be put back must not be removed either */
	if (step >= 0 && !folder_exists(home))
		return file_rename(path, home);
	folder_remove(path);
	return NN_OK;
}

/* Folders as in checkpoint_folders.h, and the links that symlink_replace makes before it renames them. */
static bool is_unfinished(const char *name)
{
	return strncmp(name, ".tmp-", 5) == 0 || strcmp(name, "latest.tmp") == 0 || strcmp(name, "best.tmp") == 0;
}

enum nn_status checkpoint_clean(const char *checkpoints)
{
	DIR *folder = opendir(checkpoints);
	const struct dirent *item;
	enum nn_status status = NN_OK;

	if (!folder)
		return file_failed("list", checkpoints);
	while (status == NN_OK && (item = readdir(folder)))
		if (is_unfinished(item->d_name))
			status = clean_one(checkpoints, item->d_name);
	closedir(folder);
	return status;
}

/* True when the link checkpoints/name leads to that folder. */
static bool is_target(const char *checkpoints, const char *name, const char *folder)
{
	char path[PATH_MAX];
	struct stat link, target;

	return path_format(path, sizeof(path), "%s/%s", checkpoints, name) == NN_OK && stat(path, &link) == 0 &&
	       stat(folder, &target) == 0 && link.st_dev == target.st_dev && link.st_ino == target.st_ino;
}

/* Moves it aside first: a folder called step-N must never be half removed. */
static void remove_step(const char *checkpoints, const char *folder, long long step)
{
	char aside[PATH_MAX];

	if (path_format(aside, sizeof(aside), "%s/" CHECKPOINT_GONE, checkpoints, step) != NN_OK)
		return;
	if (rename(folder, aside) == 0)
		folder_remove(aside);
}

enum nn_status checkpoint_prune(const char *checkpoints, int keep)
{
	long long before = LLONG_MAX;
	enum nn_status status = NN_OK;

	for (int newer = 0; status == NN_OK; newer++) {
		char folder[PATH_MAX];

		status = checkpoint_step_before(&before, checkpoints, before);
		if (status != NN_OK || before < 0)
			break;
		status = checkpoint_step_path(folder, sizeof(folder), checkpoints, before);
		if (status == NN_OK && newer >= keep && !is_target(checkpoints, "latest", folder) &&
		    !is_target(checkpoints, "best", folder))
			remove_step(checkpoints, folder, before);
	}
	return status;
}
