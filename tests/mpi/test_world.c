#include <stdint.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/world.h"
#include "nn/core/alloc.h"
#include "tests/mpi/suites.h"

static void every_place_is_taken_by_one_rank(void)
{
	enum { MOST = 256 };
	int64_t taken[MOST] = {0};

	taken[comm_order(test_comm)] = 1 + comm_rank(test_comm);
	comm_sum_int64(test_comm, taken, MOST);
	for (int place = 0; place < comm_size(test_comm); place++)
		CU_ASSERT(taken[place] >= 1 && taken[place] <= comm_size(test_comm));
}

static void ranks_of_a_node_are_neighbours_in_the_order_of_ranks(void)
{
	int size = comm_size(test_comm);
	int rank = comm_rank(test_comm);
	int nodes = test_nodes == 0 ? 1 : test_nodes < size ? test_nodes : size;
	int before = 0;

	if (test_nodes == 0 && comm_nodes(test_comm) != 1)
		return; /* really on several hosts, whose names the test does not know */
	for (int other = 0; other < size; other++)
		before += other % nodes < rank % nodes || (other % nodes == rank % nodes && other < rank);
	CU_ASSERT_EQUAL(comm_nodes(test_comm), nodes);
	CU_ASSERT_EQUAL(comm_order(test_comm), before);
	CU_ASSERT_EQUAL(comm_node_rank(test_comm), rank / nodes);
	CU_ASSERT_EQUAL(comm_node_ranks(test_comm), (size - rank % nodes + nodes - 1) / nodes);
}

static void the_host_has_a_name(void)
{
	CU_ASSERT(strlen(comm_host(test_comm)) > 0);
}

static void shards_are_dealt_once_each_and_by_place(void)
{
	enum { MOST = 40 };

	for (int count = 1; count <= MOST; count++) {
		struct shards mine = comm_shards(test_comm, count);
		int64_t holder[MOST] = {0};

		CU_ASSERT_EQUAL(mine.count, count);
		CU_ASSERT(mine.lo <= mine.hi);
		for (int v = mine.lo; v < mine.hi; v++)
			holder[v] = 1 + comm_order(test_comm);
		comm_sum_int64(test_comm, holder, MOST);
		for (int v = 0; v < count; v++) {
			CU_ASSERT(holder[v] >= 1 && holder[v] <= comm_size(test_comm));
			CU_ASSERT(v == 0 || holder[v] >= holder[v - 1]);
		}
	}
}

static void a_failed_allocation_is_reported_before_mpi_starts(void)
{
	struct comm *comm = test_comm;

	nn_alloc_fail_at(1);
	CU_ASSERT_EQUAL(comm_create(&comm, NULL, NULL), NN_ERR_MEMORY);
	CU_ASSERT_PTR_NULL(comm);
	nn_alloc_fail_at(0);
}

void suite_world(void)
{
	static const struct test_row rows[] = {
	    TEST(every_place_is_taken_by_one_rank),
	    TEST(ranks_of_a_node_are_neighbours_in_the_order_of_ranks),
	    TEST(the_host_has_a_name),
	    TEST(shards_are_dealt_once_each_and_by_place),
	    TEST(a_failed_allocation_is_reported_before_mpi_starts),
	};

	ADD_SUITE("world", rows);
}
