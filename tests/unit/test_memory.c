/* What control groups still allow, as files of a group say it. */
#include <stdint.h>
#include <string.h>

#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/run/memory.h"

/* What a group with these files allows: memory.max, memory.current and memory.stat, or those of version 1; NULL: there is none. */
static size_t allowed(int version, const char *limit, const char *used, const char *stat)
{
	static const char *const names[2][3] = {
	    {"memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"},
	    {"memory.max", "memory.current", "memory.stat"}};
	const char *const texts[] = {limit, used, stat};
	char folder[SCRATCH_PATH];
	size_t bytes;

	scratch_make(folder);
	for (int i = 0; i < 3; i++)
		if (texts[i])
			scratch_write(folder, names[version - 1][i], texts[i], strlen(texts[i]));
	bytes = memory_group_available(folder);
	scratch_remove(folder);
	return bytes;
}

static void no_limit_is_no_limit(void)
{
	CU_ASSERT_EQUAL(allowed(2, NULL, NULL, NULL), SIZE_MAX);
	CU_ASSERT_EQUAL(allowed(2, "max\n", "1000\n", NULL), SIZE_MAX);
}

static void the_page_cache_can_be_had(void)
{
	static const char stat[] = "file 6000\ninactive_anon 2000\nactive_anon 1000\ninactive_file 4000\nactive_file 1500\n";

	CU_ASSERT_EQUAL(allowed(2, "10000\n", "9000\n", NULL), 1000);
	CU_ASSERT_EQUAL(allowed(2, "10000\n", "9000\n", stat), 6500);
	CU_ASSERT_EQUAL(allowed(2, "10000\n", "20000\n", stat), 0);
	CU_ASSERT_EQUAL(allowed(2, "10000\n", "5000\n", stat), 10000);
}

static void version_1_counts_a_group_with_its_children(void)
{
	CU_ASSERT_EQUAL(
	    allowed(1, "10000\n", "9000\n", "inactive_file 10\nactive_file 20\ntotal_inactive_file 4000\ntotal_active_file 1500\n"),
	    6500);
}

void suite_memory(void)
{
	static const struct test_row rows[] = {
	    TEST(no_limit_is_no_limit),
	    TEST(the_page_cache_can_be_had),
	    TEST(version_1_counts_a_group_with_its_children),
	};

	ADD_SUITE("memory", rows);
}
