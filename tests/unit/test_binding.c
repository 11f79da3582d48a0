#include <stdio.h>
#include <string.h>

#include "tests/unit/suites.h"
#include "trainer/run/binding.h"

/* A node of 16 cores in two NUMA nodes. */
static struct binding on_sixteen(int node_ranks, int threads, int bound, int sharing)
{
	return (struct binding){.ranks = 2 * node_ranks,
				.nodes = 2,
				.node_ranks = node_ranks,
				.threads = threads,
				.use = {bound, sharing},
				.cpus = 16,
				.cores = 16,
				.numa = 2};
}

static enum binding_fault judged(int node_ranks, int threads, int bound, int sharing)
{
	struct binding binding = on_sixteen(node_ranks, threads, bound, sharing);

	return binding_judge(&binding);
}

static void ranks_with_cores_of_their_own_are_fine(void)
{
	CU_ASSERT_EQUAL(judged(16, 1, 1, 1), BINDING_FINE);
	CU_ASSERT_EQUAL(judged(4, 4, 4, 1), BINDING_FINE);
	CU_ASSERT_EQUAL(judged(4, 4, 16, 4), BINDING_FINE);
	CU_ASSERT_EQUAL(judged(2, 4, 4, 1), BINDING_FINE);
}

static void one_core_is_a_fault_when_others_are_idle_or_threads_are_many(void)
{
	CU_ASSERT_EQUAL(judged(2, 1, 1, 1), BINDING_IDLE);
	CU_ASSERT_EQUAL(judged(2, 8, 1, 1), BINDING_SINGLE);
	CU_ASSERT_EQUAL(judged(16, 2, 1, 1), BINDING_SINGLE);
	CU_ASSERT_EQUAL(judged(2, 1, 2, 1), BINDING_FINE);
}

static void more_threads_than_cores_are_a_fault(void)
{
	CU_ASSERT_EQUAL(judged(4, 5, 16, 4), BINDING_CROWDED);
	CU_ASSERT_EQUAL(judged(17, 1, 16, 17), BINDING_CROWDED);
	CU_ASSERT_EQUAL(judged(4, 5, 4, 1), BINDING_CROWDED);
}

static void a_core_with_two_hardware_threads_is_one_core(void)
{
	struct binding binding = on_sixteen(2, 2, 2, 1);

	binding.cores = 8;
	CU_ASSERT_EQUAL(binding_judge(&binding), BINDING_IDLE);
	binding.threads = 4;
	CU_ASSERT_EQUAL(binding_judge(&binding), BINDING_SINGLE);
	binding = on_sixteen(8, 2, 2, 1);
	binding.cores = 8;
	CU_ASSERT_EQUAL(binding_judge(&binding), BINDING_FINE);
}

static void an_unknown_machine_has_no_idle_cores(void)
{
	struct binding binding = on_sixteen(2, 1, 1, 1);
	char text[512];

	binding.cpus = binding.cores = binding.numa = 0;
	CU_ASSERT_EQUAL(binding_judge(&binding), BINDING_FINE);
	binding_describe(text, sizeof(text), &binding);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "the node has unknown"));
}

static void the_report_says_ranks_threads_cores_and_numa_nodes(void)
{
	struct binding binding = on_sixteen(4, 4, 16, 4);
	char text[512];

	binding_describe(text, sizeof(text), &binding);
	CU_ASSERT_STRING_EQUAL(
	    text, "4 ranks x 4 threads on this node, each bound to 16 cpus shared by 4 ranks; the node has 16 cores, 2 NUMA nodes");
	binding.cores = 8;
	binding_describe(text, sizeof(text), &binding);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "8 cores with 16 hardware threads, 2 NUMA nodes"));
}

static void the_advice_gives_each_rank_its_share_of_cores(void)
{
	struct binding binding = on_sixteen(4, 1, 1, 1);
	char text[512];

	binding_advise(text, sizeof(text), &binding);
	CU_ASSERT_STRING_EQUAL(text, "mpirun -np 8 --map-by ppr:4:node:PE=4 --bind-to core, or srun --nodes=2 --ntasks=8 "
				     "--ntasks-per-node=4 --cpus-per-task=4 --cpu-bind=cores");
	binding.cores = 8;
	binding_advise(text, sizeof(text), &binding);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, ":PE=2 "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "--cpus-per-task=4 "));
	binding.cores = 2;
	binding_advise(text, sizeof(text), &binding);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "--oversubscribe --bind-to none"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "--overcommit --cpu-bind=none"));
}

static void the_warning_names_a_rank_and_what_to_do(void)
{
	struct binding binding = on_sixteen(2, 1, 1, 1);
	char text[1024];

	binding_warn(text, sizeof(text), &binding, "h");
	CU_ASSERT_STRING_EQUAL(text, "");
	binding.fault = BINDING_IDLE;
	binding.faulty_rank = 3;
	binding.faulty_ranks = 1;
	binding_warn(text, sizeof(text), &binding, "h");
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(text, "rank 3 on host h is bound to one core while cores of its node are idle; use mpirun -np 4 --map-by"));
	binding = on_sixteen(4, 5, 16, 4);
	binding.fault = BINDING_CROWDED;
	binding.faulty_ranks = 8;
	binding_warn(text, sizeof(text), &binding, "h");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "rank 0 on host h, like 7 more of 8, shares cores with more threads than there are "
					    "cores; use --threads 4 with mpirun"));
	binding = on_sixteen(17, 1, 16, 17);
	binding.fault = BINDING_CROWDED;
	binding.faulty_ranks = 1;
	binding_warn(text, sizeof(text), &binding, "h");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "use at most 16 ranks on this node, or let them share with mpirun"));
	CU_ASSERT_PTR_NULL(strstr(text, "OMP_WAIT_POLICY"));
}

void suite_binding(void)
{
	static const struct test_row rows[] = {
	    TEST(ranks_with_cores_of_their_own_are_fine),	 TEST(one_core_is_a_fault_when_others_are_idle_or_threads_are_many),
	    TEST(more_threads_than_cores_are_a_fault),		 TEST(a_core_with_two_hardware_threads_is_one_core),
	    TEST(an_unknown_machine_has_no_idle_cores),		 TEST(the_report_says_ranks_threads_cores_and_numa_nodes),
	    TEST(the_advice_gives_each_rank_its_share_of_cores), TEST(the_warning_names_a_rank_and_what_to_do),
	};

	ADD_SUITE("binding", rows);
}
