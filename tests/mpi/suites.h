/* The list of suites that run under mpirun. Each tests/mpi/test_NAME.c defines suite_NAME, which adds its suite to CUnit's
 * registry. Every rank runs every test; no fatal assertions, since a rank that leaves a test early leaves the others in a
 * collective. */
#ifndef TESTS_MPI_SUITES_H
#define TESTS_MPI_SUITES_H

#include <CUnit/CUnit.h>

#include "comm/world.h"

#define SUITES(X)                                                                                                                  \
	X(world)                                                                                                                   \
	X(roll)                                                                                                                    \
	X(agree)                                                                                                                   \
	X(doubling)                                                                                                                \
	X(exchange)                                                                                                                \
	X(reduce)                                                                                                                  \
	X(buckets)                                                                                                                 \
	X(replicas)

#define DECLARE(name) void suite_##name(void);
SUITES(DECLARE)
#undef DECLARE

/* One row per test; the name is a sentence. */
struct test_row {
	const char *name;
	CU_TestFunc function;
};

/* The ranks that run the tests. */
extern struct comm *test_comm;

/* What --nodes asked for; 0: the real nodes. */
extern int test_nodes;

/* Adds a suite with `count` tests; ends the job when CUnit refuses. */
void add_suite(const char *name, const struct test_row *rows, int count);

#define TEST(function)                                                                                                             \
	{                                                                                                                          \
#function, function                                                                                                \
	}
#define ADD_SUITE(name, rows) add_suite(name, rows, (int)(sizeof(rows) / sizeof((rows)[0])))

#endif
