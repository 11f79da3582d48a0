#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/torture/faults.h"
#include "tests/torture/scenarios.h"
#include "tests/torture/torture.h"
#include "trainer/state/files.h"

struct kind {
	const char *name;
	enum fault_kind fault;
	int error;
	bool lasts; /* from that call on, and not that call alone */
};

static const struct kind kinds[] = {
    {"SIGKILL", FAULT_KILL, 0, false},
    {"a short write", FAULT_SHORT, 0, false},
    {"short writes", FAULT_SHORT, 0, true},
    {"EIO", FAULT_ERROR, EIO, false},
    {"EIO from then on", FAULT_ERROR, EIO, true},
    {"ENOSPC", FAULT_ERROR, ENOSPC, false},
    {"ENOSPC from then on", FAULT_ERROR, ENOSPC, true},
    {"EDQUOT", FAULT_ERROR, EDQUOT, false},
    {"EDQUOT from then on", FAULT_ERROR, EDQUOT, true},
    {"EROFS", FAULT_ERROR, EROFS, false},
    {"EROFS from then on", FAULT_ERROR, EROFS, true},
    {"EINTR", FAULT_ERROR, EINTR, false},
};

struct tally {
	long points, killed, failed, saved_all_the_same;
	int wrong;
};

/* Calls whose failure must fail the save: their bytes or names are what it is about. Of the others, some only clear away. */
static bool must_fail(const char *call, const struct kind *kind)
{
	static const char *const calls[] = {"write", "fsync", "mkdir", "symlink"};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(call, calls[i]) == 0)
			return kind->fault == FAULT_ERROR && kind->error != EINTR;
	return false;
}

/* The save in this process, or for SIGKILL in a child. *status is that of the save; NN_ERR_LOST stands for killed. */
static bool save_with_fault(bool *killed, enum nn_status *status, const struct scenario *scenario, const char *run,
			    struct fault_plan plan)
{
	int ended = 0;
	pid_t child;

	*killed = false;
	*status = NN_OK;
	if (plan.kind != FAULT_KILL) {
		faults_begin(plan);
		*status = scenario_save(scenario, run);
		faults_end();
		return true;
	}
	child = fork();
	if (child == 0) {
		faults_begin(plan);
		scenario_save(scenario, run);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &ended, 0) != child)
		return false;
	*killed = WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL;
	return *killed;
}

/* What is wrong with the way the save ended; "" when nothing is. */
static void judge_status(char *problem, int size, const char *call, const struct kind *kind, enum nn_status status, bool gives_new)
{
	if (status == NN_OK && !gives_new)
		snprintf(problem, (size_t)size, "the save went well, but the run does not give its checkpoint");
	else if (status == NN_OK && must_fail(call, kind))
		snprintf(problem, (size_t)size, "the save went well in spite of it");
	else if (status != NN_OK && (kind->fault == FAULT_SHORT || (kind->error == EINTR && strcmp(call, "write") == 0) ||
				     (kind->error == EINTR && strcmp(call, "fsync") == 0)))
		snprintf(problem, (size_t)size, "the save failed: %.300s", nn_error_message());
	else if (status != NN_OK && status != NN_ERR_IO)
		snprintf(problem, (size_t)size, "status %d instead of that of I/O", (int)status);
}

/* One fault at one call. */
static void point(struct tally *tally, const struct scenario *scenario, const struct kind *kind, const char *scratch, long nth,
		  const char *call)
{
	struct fault_plan plan = {.kind = kind->fault, .error = kind->error, .first = nth, .last = kind->lasts ? LONG_MAX : nth};
	char run[PATH_MAX], problem[512] = "", message[512];
	struct outcome before;
	enum nn_status status = NN_OK;
	bool killed = false, gives_new;

	if (path_format(run, sizeof(run), "%s/run", scratch) != NN_OK || folder_remove(run) != NN_OK || !scenario->prepare(run) ||
	    outcome_read(&before, run) != NN_OK || !save_with_fault(&killed, &status, scenario, run, plan)) {
		snprintf(problem, sizeof(problem), "cannot be tried: %.400s", nn_error_message());
	} else {
		snprintf(message, sizeof(message), "%s", status == NN_OK ? "" : nn_error_message());
		gives_new = scenario_judge(problem, sizeof(problem), scenario, &before, run);
		if (!*problem && !killed)
			judge_status(problem, sizeof(problem), call, kind, status, gives_new);
		if (!*problem && status != NN_OK && (!*message || strchr(message, '\n')))
			snprintf(problem, sizeof(problem), "the message is not one line: '%.400s'", message);
	}
	tally->points++;
	tally->killed += killed;
	tally->failed += status != NN_OK;
	tally->saved_all_the_same += !killed && status == NN_OK;
	if (*problem && tally->wrong++ < 10)
		printf("FAIL calls: %s, %s at call %ld (%s): %s\n", scenario->name, kind->name, nth, call, problem);
}

/* The calls of an undisturbed save, by name. Returns how many. */
static long count_calls(const char *names[], long size, const struct scenario *scenario, const char *scratch)
{
	char run[PATH_MAX];
	long count;
	bool fine =
	    path_format(run, sizeof(run), "%s/run", scratch) == NN_OK && folder_remove(run) == NN_OK && scenario->prepare(run);

	faults_begin((struct fault_plan){.kind = FAULT_NONE});
	fine = fine && scenario_save(scenario, run) == NN_OK;
	count = faults_end();
	for (long nth = 1; nth <= count && nth <= size; nth++)
		names[nth - 1] = faults_call(nth);
	return fine && count <= size ? count : 0;
}

int torture_calls(const char *scratch)
{
	enum { CALLS = 1000 };
	const char *names[CALLS];
	struct tally tally = {0};
	int count;
	const struct scenario *list = scenarios(&count);

	faults_skip_fsync(true);
	for (int s = 0; s < count; s++) {
		long calls = count_calls(names, CALLS, &list[s], scratch);

		if (calls < 20) {
			printf("FAIL calls: %s: the undisturbed save has %ld calls\n", list[s].name, calls);
			tally.wrong++;
		}
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			for (long nth = 1; nth <= calls; nth++)
				point(&tally, &list[s], &kinds[k], scratch, nth, names[nth - 1]);
	}
	faults_skip_fsync(false);
	printf("calls: %d scenarios, %ld points: killed %ld, save failed %ld, save went well %ld; wrong %d\n", count, tally.points,
	       tally.killed, tally.failed, tally.saved_all_the_same, tally.wrong);
	return tally.wrong;
}
