/* resnet-train: trains a residual network on the ranks that mpirun or srun started. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/world.h"
#include "nn/core/alloc.h"
#include "trainer/run/option_agree.h"
#include "trainer/run/options.h"
#include "trainer/run/plan_print.h"
#include "trainer/run/run.h"
#include "trainer/run/stop.h"

static const char program[] = "resnet-train";

enum {
	EXIT_AGAIN = 85,    /* "saved, run me again" */
	SETUP_SECONDS = 30, /* the least that the watchdog allows before the first step */
};

static const char advice[] = "the same command goes on from the last checkpoint; --watchdog sets how long ranks wait";

/* Rank 0 may have to wait until the lock of a job that crashed is 20 s old. */
static double setup_limit(double watchdog)
{
	return watchdog > 0 && watchdog < SETUP_SECONDS ? SETUP_SECONDS : watchdog;
}

/* *again = the run ended before its last step, as it was asked to. */
static enum nn_status train(bool *again, struct comm *comm, const struct options *options)
{
	struct run *run;
	enum nn_status status;

	comm_watch(comm, setup_limit(options->watchdog), advice);
	status = comm_agree(comm, nn_alloc(&run, sizeof(*run)));
	if (status == NN_OK) {
		status = run_open(run, comm, options);
		comm_watch(comm, options->watchdog, advice);
		if (status == NN_OK)
			status = run_train(run);
		*again = run->stop != STOP_NONE;
		run_close(run);
	}
	nn_free(run);
	return status;
}

int main(int argc, char **argv)
{
	struct comm *comm;
	struct options options;
	bool again = false;
	enum nn_status status;

	stop_install();
	status = comm_create(&comm, &argc, &argv);
	if (status != NN_OK) {
		fprintf(stderr, "%s: error: %s\n", program, nn_error_message());
		return nn_exit_code(status);
	}
	status = comm_agree(comm, options_parse(&options, argc, argv));
	if (status == NN_OK)
		status = options_same(comm, &options);
	if (status == NN_OK && options.exit_text) {
		if (comm_rank(comm) == 0)
			fputs(options.exit_text, stdout);
	} else if (status == NN_OK && options.plan) {
		status = plan_print(comm, &options);
	} else if (status == NN_OK) {
		status = train(&again, comm, &options);
	}
	fflush(stdout);
	if (status != NN_OK && comm_rank(comm) == 0)
		fprintf(stderr, "%s: error: %s (rank %d)\n", program, nn_error_message(),
			comm_failed_rank(comm) < 0 ? 0 : comm_failed_rank(comm));
	options_release(&options);
	comm_destroy(comm);
	return status == NN_OK && again ? EXIT_AGAIN : nn_exit_code(status);
}
