#include "tests/torture/scenarios.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "trainer/state/file_writer.h"
#include "trainer/state/files.h"

static bool save(const char *run, long long step, int keep, bool best)
{
	return tiny_save(run, (struct tiny){.step = step}, keep, best) == NN_OK;
}

static bool nothing(const char *run)
{
	return folder_create(run) == NN_OK;
}

static bool one(const char *run)
{
	return folder_create(run) == NN_OK && save(run, 1, 1, true);
}

static bool three_and_best(const char *run)
{
	return folder_create(run) == NN_OK && save(run, 1, 3, false) && save(run, 2, 3, true) && save(run, 3, 3, false);
}

/* A run that was sent back from step 5 to step 2. */
static bool sent_back(const char *run)
{
	char link[PATH_MAX];

	return folder_create(run) == NN_OK && save(run, 2, 9, false) && save(run, 4, 9, false) && save(run, 5, 9, true) &&
	       path_format(link, sizeof(link), "%s/checkpoints/latest", run) == NN_OK &&
	       symlink_replace(link, "step-0000000002") == NN_OK;
}

/* What three saves that ended in the middle could have left: one that replaced step 2, one of step 3, a removal of step 1. */
static bool interrupted(const char *run)
{
	char from[PATH_MAX], to[PATH_MAX], folder[PATH_MAX], file[PATH_MAX];

	return folder_create(run) == NN_OK && save(run, 1, 2, false) && save(run, 2, 2, true) &&
	       path_format(from, sizeof(from), "%s/checkpoints/step-0000000002", run) == NN_OK &&
	       path_format(to, sizeof(to), "%s/checkpoints/.tmp-old-step-0000000002", run) == NN_OK &&
	       file_rename(from, to) == NN_OK &&
	       path_format(folder, sizeof(folder), "%s/checkpoints/.tmp-step-0000000003", run) == NN_OK &&
	       folder_create(folder) == NN_OK && path_format(file, sizeof(file), "%s/model.safetensors", folder) == NN_OK &&
	       file_write(file, "half", 4) == NN_OK &&
	       path_format(from, sizeof(from), "%s/checkpoints/step-0000000001", run) == NN_OK &&
	       path_format(to, sizeof(to), "%s/checkpoints/.tmp-gone-step-0000000001", run) == NN_OK &&
	       file_rename(from, to) == NN_OK && path_format(file, sizeof(file), "%s/state.json", to) == NN_OK &&
	       folder_remove(file) == NN_OK;
}

static const struct scenario all[] = {
    {.name = "first", .prepare = nothing, .save = {.step = 1}, .keep = 1, .best = true},
    {.name = "next", .prepare = three_and_best, .save = {.step = 4}, .keep = 2},
    {.name = "next_best", .prepare = one, .save = {.step = 2}, .keep = 1, .best = true},
    {.name = "again", .prepare = three_and_best, .save = {.step = 3, .variant = 1}, .keep = 1, .best = true},
    {.name = "sent_back", .prepare = sent_back, .save = {.step = 3}, .keep = 2},
    {.name = "interrupted", .prepare = interrupted, .save = {.step = 3}, .keep = 2},
};

const struct scenario *scenarios(int *count)
{
	*count = (int)(sizeof(all) / sizeof(all[0]));
	return all;
}

const struct scenario *scenario_find(const char *name)
{
	int count;
	const struct scenario *list = scenarios(&count);

	for (int i = 0; i < count; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

enum nn_status scenario_save(const struct scenario *scenario, const char *run)
{
	return tiny_save(run, scenario->save, scenario->keep, scenario->best);
}

enum nn_status outcome_read(struct outcome *outcome, const char *run)
{
	char warning[1024];
	enum nn_status status = tiny_check(&outcome->latest, warning, sizeof(warning), run);

	return status == NN_OK ? tiny_check_best(&outcome->best, run) : status;
}

static bool allowed(const struct scenario *scenario, struct tiny found, struct tiny before, bool saved_too)
{
	return tiny_same(found, before) || (saved_too && tiny_same(found, scenario->save));
}

/* The program goes on from what it finds: one step further, keeping one, so that a later save cannot hide behind old ones. */
static void go_on(char *problem, int size, const struct scenario *scenario, const char *run)
{
	struct tiny next = {.step = scenario->save.step + 1, .variant = 5};
	struct outcome after;

	if (tiny_save(run, next, 1, false) != NN_OK || outcome_read(&after, run) != NN_OK)
		snprintf(problem, (size_t)size, "the next save: %.400s", nn_error_message());
	else if (!tiny_same(after.latest, next))
		snprintf(problem, (size_t)size, "after the next save, of step %lld, the run gives step %lld", next.step,
			 after.latest.step);
	else if (*tiny_unfinished(run))
		snprintf(problem, (size_t)size, "%s is still there after the next save", tiny_unfinished(run));
}

bool scenario_judge(char *problem, int size, const struct scenario *scenario, const struct outcome *before, const char *run)
{
	struct outcome after;
	enum nn_status status = outcome_read(&after, run);

	*problem = '\0';
	if (status != NN_OK)
		snprintf(problem, (size_t)size, "%.400s", nn_error_message());
	else if (!allowed(scenario, after.latest, before->latest, true))
		snprintf(problem, (size_t)size, "the run gives step %lld, variant %d", after.latest.step, after.latest.variant);
	/* a step that replaces the best one is the best until it is known not to be */
	else if (!allowed(scenario, after.best, before->best, scenario->best || before->best.step == scenario->save.step))
		snprintf(problem, (size_t)size, "`best` gives step %lld, variant %d", after.best.step, after.best.variant);
	if (!*problem)
		go_on(problem, size, scenario, run);
	return status == NN_OK && tiny_same(after.latest, scenario->save);
}
