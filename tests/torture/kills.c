#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/torture/scenarios.h"
#include "tests/torture/torture.h"
#include "trainer/state/files.h"

/* Shared with the process that saves, so that it is known what was begun and what had returned when it was killed. */
struct progress {
	atomic_llong begun, done; /* step * 2 + variant */
};

static long long number(struct tiny what)
{
	return what.step < 0 ? -1 : what.step * 2 + what.variant;
}

/* Saves for ever: each step twice, so that every second save replaces a folder; every third step is the best so far. */
static void save_for_ever(struct progress *progress, const char *run)
{
	for (long long next = progress->done + 1;; next++) {
		struct tiny what = {.step = next / 2, .variant = (int)(next % 2)};

		progress->begun = next;
		if (tiny_save(run, what, 2, what.step % 3 == 0) != NN_OK) {
			fprintf(stderr, "%s\n", nn_error_message());
			_exit(1);
		}
		progress->done = next;
	}
}

static void wait_microseconds(long microseconds)
{
	struct timespec time = {.tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000};

	nanosleep(&time, NULL);
}

/* Kills one saving process. Returns false when it ended by itself. */
static bool kill_one(struct progress *progress, const char *run, long microseconds)
{
	int ended;
	pid_t child = fork();

	if (child == 0)
		save_for_ever(progress, run);
	wait_microseconds(microseconds);
	return child > 0 && kill(child, SIGKILL) == 0 && waitpid(child, &ended, 0) == child && WIFSIGNALED(ended);
}

struct tally {
	long first, between, older, newer;
	int wrong;
};

/* The run must give what had been saved or what was being saved; it goes on from there. */
static void judge(struct tally *tally, struct progress *progress, const char *run, long nth)
{
	struct outcome outcome;
	char problem[512] = "";
	long long begun = progress->begun, done = progress->done, got = -1;

	if (outcome_read(&outcome, run) != NN_OK)
		snprintf(problem, sizeof(problem), "%.400s", nn_error_message());
	else
		got = number(outcome.latest);
	if (!*problem && got != done && got != begun)
		snprintf(problem, sizeof(problem), "saved %lld, saving %lld, the run gives %lld", done, begun, got);
	else if (!*problem && outcome.best.step >= 0 && outcome.best.step % 3 != 0)
		snprintf(problem, sizeof(problem), "`best` gives step %lld", outcome.best.step);
	tally->first += done < 0;
	tally->between += done >= 0 && begun == done;
	tally->older += done >= 0 && begun != done && got == done;
	tally->newer += done >= 0 && begun != done && got == begun;
	progress->done = progress->begun = got;
	if (*problem && tally->wrong++ < 10)
		printf("FAIL kills: kill %ld: %s\n", nth, problem);
}

int torture_kills(const char *scratch, long kills, unsigned seed)
{
	struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct tally tally = {0};
	char run[PATH_MAX];
	long longest = 20000;

	if (progress == MAP_FAILED || path_format(run, sizeof(run), "%s/kills", scratch) != NN_OK)
		return 1;
	srandom(seed);
	for (long nth = 0; nth < kills; nth++) {
		/* a new folder now and then: the first save of a run is a case of its own */
		if (nth % 50 == 0) {
			if (folder_remove(run) != NN_OK || folder_create(run) != NN_OK)
				return 1;
			progress->done = progress->begun = -1;
		}
		if (!kill_one(progress, run, nth % 50 == 0 ? random() % 2000 : random() % longest)) {
			printf("FAIL kills: the saving process ended by itself\n");
			return tally.wrong + 1;
		}
		judge(&tally, progress, run, nth);
	}
	munmap(progress, sizeof(*progress));
	printf("kills: %ld by seed %u: before the first was saved %ld, between saves %ld, while saving: old one %ld, new one %ld; "
	       "wrong %d\n",
	       kills, seed, tally.first, tally.between, tally.older, tally.newer, tally.wrong);
	return tally.wrong;
}
