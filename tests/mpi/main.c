/* Runs every MPI suite on every rank; rank 0 prints. Exit code: 0 when no rank counted a failure.
 *
 *	mpirun -np 4 run                      the suites
 *	mpirun -np 4 run --nodes 2            the suites, with ranks dealt to two made-up nodes
 *	mpirun -np 2 run --abort-on-rank 1    that rank aborts with the exit code of a data error while the others wait
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "comm/agree.h"
#include "tests/mpi/suites.h"

struct comm *test_comm;
int test_nodes;

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

int main(int argc, char **argv)
{
	int aborting = number_option(argc, argv, "--abort-on-rank", -1);
	int64_t failures;

	test_nodes = number_option(argc, argv, "--nodes", 0);
	if (comm_create_on_nodes(&test_comm, &argc, &argv, test_nodes) != NN_OK) {
		fprintf(stderr, "%s\n", nn_error_message());
		return 2;
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
