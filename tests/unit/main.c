/* Runs every unit suite, or those named on the command line. Exit code: 0 when nothing failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "tests/unit/suites.h"

void add_suite(const char *name, const struct test_row *rows, int count)
{
	CU_pSuite suite = CU_add_suite(name, NULL, NULL);

	for (int i = 0; suite && i < count; i++)
		if (!CU_add_test(suite, rows[i].name, rows[i].function))
			suite = NULL;
	if (!suite) {
		fprintf(stderr, "cannot register suite %s: %s\n", name, CU_get_error_msg());
		exit(2);
	}
}

static int wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return 1;
	return argc < 2;
}

int main(int argc, char **argv)
{
	unsigned failures;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
#define RUN(name)                                                                                                                  \
	if (wanted(#name, argc, argv))                                                                                             \
		suite_##name();
	SUITES(RUN)
#undef RUN
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures() + CU_get_number_of_suites_failed();
	CU_cleanup_registry();
	return failures ? 1 : 0;
}
