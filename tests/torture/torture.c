/* torture: what a checkpoint must survive.
 *   torture calls SCRATCH              kills and errors at every call of a save
 *   torture kills SCRATCH KILLS SEED   kills at random moments
 *   torture damage SCRATCH             flipped bits and other lengths
 * and for the scripts beside it:
 *   torture scenarios                  prints their names
 *   torture prepare NAME RUN           a scenario's run folder
 *   torture save NAME RUN [LOG]        its save; LOG: the calls that change files
 *   torture check RUN...               prints of each run "STEP VARIANT BEST_STEP BEST_VARIANT", or "error" and the message
 *   torture judge NAME BEFORE RUN...   goes on from each run; prints "old", "new" or "FAIL" and what is wrong
 *   torture resolve RUN                prints the folder that a program would go on from, and the warning
 * Exit codes: 0; 1 something is wrong; 2 usage; those of resnet-train for save and resolve. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/torture/faults.h"
#include "tests/torture/scenarios.h"
#include "tests/torture/torture.h"
#include "trainer/state/checkpoint.h"

static int failed(enum nn_status status)
{
	if (status != NN_OK)
		fprintf(stderr, "torture: error: %s\n", nn_error_message());
	return nn_exit_code(status);
}

static int list_scenarios(void)
{
	int count;
	const struct scenario *list = scenarios(&count);

	for (int i = 0; i < count; i++)
		puts(list[i].name);
	return 0;
}

static int prepare(const struct scenario *scenario, const char *run)
{
	return scenario->prepare(run) ? 0 : failed(NN_ERR_IO);
}

static int save(const struct scenario *scenario, const char *run, const char *log)
{
	enum nn_status status;

	if (log && !faults_log(log))
		return 1;
	status = scenario_save(scenario, run);
	faults_end();
	return failed(status);
}

static int check(int count, char **runs)
{
	for (int i = 0; i < count; i++) {
		struct outcome outcome;

		if (outcome_read(&outcome, runs[i]) == NN_OK)
			printf("%lld %d %lld %d\n", outcome.latest.step, outcome.latest.variant, outcome.best.step,
			       outcome.best.variant);
		else
			printf("error %s\n", nn_error_message());
	}
	return 0;
}

static int judge(const struct scenario *scenario, const char *before_run, int count, char **runs)
{
	struct outcome before;

	if (outcome_read(&before, before_run) != NN_OK)
		return failed(NN_ERR_CHECKPOINT);
	faults_skip_fsync(true);
	for (int i = 0; i < count; i++) {
		char problem[512];
		bool gives_new = scenario_judge(problem, sizeof(problem), scenario, &before, runs[i]);

		printf("%s%s\n", *problem ? "FAIL " : gives_new ? "new" : "old", problem);
	}
	return 0;
}

static int resolve(const char *run)
{
	char folder[PATH_MAX], warning[1024];
	enum nn_status status = checkpoint_resolve(folder, sizeof(folder), warning, sizeof(warning), run);

	if (status == NN_OK)
		printf("%s\n%s\n", folder, warning);
	return failed(status);
}

static int usage(void)
{
	fputs("usage: torture calls|kills|damage|scenarios|prepare|save|check|judge|resolve ...; see tests/torture/torture.c\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	const struct scenario *scenario = argc > 3 ? scenario_find(argv[2]) : NULL;

	/* else the first JSON object would open /dev/urandom, a call that other saves have not */
	json_object_seed(1);
	if (strcmp(verb, "calls") == 0 && argc == 3)
		return torture_calls(argv[2]) != 0;
	if (strcmp(verb, "kills") == 0 && argc == 5)
		return torture_kills(argv[2], atol(argv[3]), (unsigned)atol(argv[4])) != 0;
	if (strcmp(verb, "damage") == 0 && argc == 3)
		return torture_damage(argv[2]) != 0;
	if (strcmp(verb, "scenarios") == 0)
		return list_scenarios();
	if (strcmp(verb, "check") == 0)
		return check(argc - 2, argv + 2);
	if (strcmp(verb, "resolve") == 0 && argc == 3)
		return resolve(argv[2]);
	if (strcmp(verb, "prepare") == 0 && scenario)
		return prepare(scenario, argv[3]);
	if (strcmp(verb, "save") == 0 && scenario)
		return save(scenario, argv[3], argc > 4 ? argv[4] : NULL);
	if (strcmp(verb, "judge") == 0 && scenario)
		return judge(scenario, argv[3], argc - 4, argv + 4);
	return usage();
}
