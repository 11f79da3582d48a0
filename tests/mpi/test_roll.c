#include <time.h>

#include "comm/agree.h"
#include "comm/internal.h"
#include "comm/roll.h"
#include "tests/mpi/suites.h"

enum { LAST = 16000, TRIES = 50000, NAP_NS = 100000 };

static bool all_have_answered(int question)
{
	bool all = true;

	for (int k = 0; k < test_comm->nodes; k++)
		all = all && (k == test_comm->node_index || roll_answered(test_comm, k, question));
	return all;
}

static bool none_has_answered(int question)
{
	bool none = true;

	for (int k = 0; k < test_comm->nodes; k++)
		none = none && !roll_answered(test_comm, k, question);
	return none;
}

/* Others answer while they ask themselves, or wait at the barrier. */
static void ask(void)
{
	int question = roll_call(test_comm);

	CU_ASSERT(question >= 1 && question <= LAST);
	CU_ASSERT(none_has_answered(question));
	for (int i = 0; i < TRIES && !all_have_answered(question); i++) {
		roll_answer(test_comm);
		nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
	}
	CU_ASSERT(all_have_answered(question));
}

static void ask_from(unsigned asked)
{
	if (roll_asks(test_comm)) {
		atomic_store(&test_comm->questions, asked);
		for (int i = 0; i < 4; i++)
			ask();
	}
	comm_barrier(test_comm);
}

static void nodes_that_wait_answer(void)
{
	ask_from(atomic_load(&test_comm->questions));
}

/* In between, so that the numbers of answers do not go back. */
static void after_the_last_number_comes_the_first(void)
{
	ask_from(LAST / 3);
	ask_from(2 * LAST / 3);
	ask_from(LAST - 2);
}

void suite_roll(void)
{
	static const struct test_row rows[] = {
	    TEST(nodes_that_wait_answer),
	    TEST(after_the_last_number_comes_the_first),
	};

	ADD_SUITE("roll", rows);
}
