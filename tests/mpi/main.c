/* Runs every MPI suite on every rank; rank 0 prints. Exit code: 0 when no rank counted a failure.
 *
 *	mpirun -np 4 run                      the suites
 *	mpirun -np 4 run --nodes 2            the suites, with ranks dealt to two made-up nodes
 *	mpirun -np 2 run --abort-on-rank 1    that rank aborts with the exit code of a data error while the others wait
 *	mpirun -np 2 run --compare-calls 1    the suites, as in a debug build; 0: as in a release build
 *	mpirun -np 2 run --barrier-on-rank 1  that rank is in a barrier where the others agree
 *	mpirun -np 2 run --shorter-on-rank 1  that rank sums fewer gradients than the others
 *	mpirun -np 8 run --nodes 8 --silent-on-rank 1   that rank sleeps where others exchange in pairs and watch for a second
 *	mpirun -np 3 run --silent-before-end 1  that rank sleeps where others end, and watch for a second
 *	mpirun -np 3 run --silent-in-finalize 1 that rank sleeps in MPI_Finalize
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "comm/agree.h"
#include "comm/doubling.h"
#include "comm/reduce.h"
#include "tests/mpi/suites.h"

enum { SILENT_SECONDS = 20 };

struct comm *test_comm;
int test_nodes;
static bool sleeps_in_finalize;

int MPI_Finalize(void)
{
	for (unsigned left = sleeps_in_finalize ? SILENT_SECONDS : 0; left > 0;)
		left = sleep(left); /* less after a signal */
	return PMPI_Finalize();
}

void add_suite(const char *name, const struct test_row *rows, int count)
{
	CU_pSuite suite = CU_add_suite(name, NULL, NULL);

	for (int i = 0; suite && i < count; i++)
		if (!CU_add_test(suite, rows[i].name, rows[i].function))
			suite = NULL;
	if (!suite)
		comm_abort(test_comm, "mpi-tests", NN_ERR_USAGE, CU_get_error_msg());
}

/* The number after `option`, or `missing`. */
static int number_option(int argc, char **argv, const char *option, int missing)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], option) == 0)
			return (int)strtol(argv[i + 1], NULL, 10);
	return missing;
}

static void print_failures(void)
{
	for (CU_pFailureRecord failure = CU_get_failure_list(); failure; failure = failure->pNext)
		fprintf(stderr, "rank %d: %s: %s:%u: %s\n", comm_rank(test_comm), failure->pTest ? failure->pTest->pName : "",
			failure->strFileName, failure->uiLineNumber, failure->strCondition);
}

/* Returns the failures of all ranks together. */
static int64_t run_suites(void)
{
	int64_t failures;

	if (CU_initialize_registry() != CUE_SUCCESS)
		comm_abort(test_comm, "mpi-tests", NN_ERR_MEMORY, CU_get_error_msg());
#define RUN(name) suite_##name();
	SUITES(RUN)
#undef RUN
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failures = (int64_t)CU_get_number_of_failures() + CU_get_number_of_suites_failed();
	if (comm_rank(test_comm) != 0)
		print_failures();
	CU_cleanup_registry();
	comm_sum_int64(test_comm, &failures, 1);
	return failures;
}

/* Gradients of 64 floats, of which this rank sums so many. */
static void sum_gradients(size_t count)
{
	struct reducer *reducer;

	if (reducer_create(&reducer, test_comm, comm_shards(test_comm, comm_size(test_comm)), 64, REDUCE_OWN, false) != NN_OK)
		comm_abort(test_comm, "mpi-tests", NN_ERR_MEMORY, nn_error_message());
	reducer_sum(reducer, 0, count);
	reducer_destroy(reducer);
}

static void keep_left(const void *context, void *into, const void *from, size_t bytes)
{
	(void)context, (void)into, (void)from, (void)bytes;
}

/* One rank is silent while pairs of nodes, each a rank, exchange a byte: some wait for others that wait for it. */
static void double_with(int silent)
{
	char slots[64] = "";
	struct doubling_values values = {slots, 1, keep_left, NULL};
	struct doubling doubling;

	if (doubling_init(&doubling, test_comm, CHANNEL_MAIN, comm_size(test_comm), 2, 1, "an exchange of pairs") != NN_OK)
		comm_abort(test_comm, "mpi-tests", NN_ERR_MEMORY, nn_error_message());
	comm_watch(test_comm, 1, NULL);
	if (comm_rank(test_comm) == silent)
		sleep(SILENT_SECONDS);
	doubling_run(&doubling, &values);
	doubling_release(&doubling);
}

/* Watches for a second while one rank is late to end; -1: not asked for. False: none was. */
static bool end_late(int before, int during)
{
	if (before < 0 && during < 0)
		return false;
	comm_watch(test_comm, 1, NULL);
	if (comm_rank(test_comm) == before)
		sleep(SILENT_SECONDS);
	sleeps_in_finalize = comm_rank(test_comm) == during;
	return true;
}

/* A bug on purpose, on rank `barrier`, `shorter` or `silent`; -1: not asked for. False: none was. */
static bool mismatch(int barrier, int shorter, int silent)
{
	if (barrier >= 0 && comm_rank(test_comm) == barrier)
		comm_barrier(test_comm);
	else if (barrier >= 0)
		comm_agree(test_comm, NN_OK);
	if (shorter >= 0)
		sum_gradients(comm_rank(test_comm) == shorter ? 32 : 64);
	if (silent >= 0)
		double_with(silent);
	return barrier >= 0 || shorter >= 0 || silent >= 0;
}

int main(int argc, char **argv)
{
	int aborting = number_option(argc, argv, "--abort-on-rank", -1);
	int compare;
	int64_t failures;

	test_nodes = number_option(argc, argv, "--nodes", 0);
	if (comm_create_on_nodes(&test_comm, &argc, &argv, test_nodes) != NN_OK) {
		fprintf(stderr, "%s\n", nn_error_message());
		return 2;
	}
	compare = number_option(argc, argv, "--compare-calls", -1);
	if (compare >= 0)
		comm_compare_calls(test_comm, compare > 0);
	if (mismatch(number_option(argc, argv, "--barrier-on-rank", -1), number_option(argc, argv, "--shorter-on-rank", -1),
		     number_option(argc, argv, "--silent-on-rank", -1)) ||
	    end_late(number_option(argc, argv, "--silent-before-end", -1), number_option(argc, argv, "--silent-in-finalize", -1))) {
		comm_destroy(test_comm);
		return 0;
	}
	if (comm_rank(test_comm) == aborting)
		comm_abort(test_comm, "mpi-tests", NN_ERR_DATA, "asked to abort");
	if (aborting >= 0)
		comm_barrier(test_comm);
	if (comm_rank(test_comm) != 0 && !freopen("/dev/null", "w", stdout))
		comm_abort(test_comm, "mpi-tests", NN_ERR_IO, "cannot open /dev/null");
	failures = run_suites();
	comm_destroy(test_comm);
	return failures ? 1 : 0;
}
