#include <stdio.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/replicas.h"
#include "tests/mpi/suites.h"

enum { MOST = 256 };

static void every_rank_sees_the_numbers_of_all(void)
{
	int64_t all[MOST];

	replicas_gather(test_comm, all, INT64_C(-1000000000000) * (comm_rank(test_comm) + 1));
	for (int r = 0; r < comm_size(test_comm); r++)
		CU_ASSERT_EQUAL(all[r], INT64_C(-1000000000000) * (r + 1));
}

static void equal_digests_are_alike(void)
{
	int64_t all[MOST];

	CU_ASSERT_EQUAL(replicas_compare(test_comm, all, 0), NN_OK);
	CU_ASSERT_EQUAL(replicas_compare(test_comm, all, INT64_MAX), NN_OK);
	CU_ASSERT_EQUAL(replicas_compare(test_comm, all, INT64_MIN), NN_OK);
}

/* Of two ranks nobody can say which is wrong; the later one is named first. */
static void the_one_rank_that_differs_is_named(void)
{
	int64_t all[MOST];
	char expected[128];

	for (int odd = 0; odd < comm_size(test_comm) && comm_size(test_comm) > 1; odd++) {
		int named = comm_size(test_comm) == 2 ? 1 : odd;

		CU_ASSERT_EQUAL(replicas_compare(test_comm, all, comm_rank(test_comm) == odd ? 7 : 8), NN_ERR_PEER);
		snprintf(expected, sizeof(expected), "rank %d on host %s ", named, comm_host_of(test_comm, named));
		CU_ASSERT_EQUAL(strncmp(nn_error_message(), expected, strlen(expected)), 0);
		CU_ASSERT_EQUAL(comm_failed_rank(test_comm), named);
	}
}

void suite_replicas(void)
{
	static const struct test_row rows[] = {
	    TEST(every_rank_sees_the_numbers_of_all),
	    TEST(equal_digests_are_alike),
	    TEST(the_one_rank_that_differs_is_named),
	};

	ADD_SUITE("replicas", rows);
}
