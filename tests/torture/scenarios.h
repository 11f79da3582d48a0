/* What a run folder may look like before a save, the save, and how to judge what it left. */
#ifndef TESTS_TORTURE_SCENARIOS_H
#define TESTS_TORTURE_SCENARIOS_H

#include <stdbool.h>

#include "tests/torture/tiny.h"

struct scenario {
	const char *name;
	bool (*prepare)(const char *run); /* makes the run folder, which must not exist; false: could not */
	struct tiny save;
	int keep;
	bool best;
};

/* The scenarios; *count of them. */
const struct scenario *scenarios(int *count);

/* The one of that name, or NULL. */
const struct scenario *scenario_find(const char *name);

/* Does the scenario's save. Errors: those of checkpoint_save. */
enum nn_status scenario_save(const struct scenario *scenario, const char *run);

/* What a run folder gives. */
struct outcome {
	struct tiny latest, best; /* step -1: none */
};

/* Errors: as tiny_check, for the run and for its `best`. */
enum nn_status outcome_read(struct outcome *outcome, const char *run);

/* Whether a run folder is sound after an interrupted or failed save: it gives the checkpoint of before or the saved one, the same
 * for `best`, and the next save goes well and leaves nothing unfinished. Writes what is wrong to problem, "" when nothing is.
 * Returns whether it gave the saved one. */
bool scenario_judge(char *problem, int size, const struct scenario *scenario, const struct outcome *before, const char *run);

#endif
