/* What control groups still allow, as files of a group say it. */
#include <stdint.h>
#include <string.h>

#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/run/memory.h"

static void write_text(const char *folder, const char *name, const char *text)
{
	scratch_write(folder, name, text, strlen(text));
}

static void no_limit_is_no_limit(void)
{
	char folder[SCRATCH_PATH];

	scratch_make(folder);
	CU_ASSERT_EQUAL(memory_group_available(folder), SIZE_MAX);
	write_text(folder, "memory.max", "max\n");
	write_text(folder, "memory.current", "1000\n");
	CU_ASSERT_EQUAL(memory_group_available(folder), SIZE_MAX);
	scratch_remove(folder);
}

static void the_page_cache_can_be_had(void)
{
	char folder[SCRATCH_PATH];

	scratch_make(folder);
	write_text(folder, "memory.max", "10000\n");
	write_text(folder, "memory.current", "9000\n");
	CU_ASSERT_EQUAL(memory_group_available(folder), 1000);
	write_text(folder, "memory.stat",
		   "anon 3000\nfile 6000\ninactive_anon 2000\nactive_anon 1000\ninactive_file 4000\nactive_file "
		   "1500\nunevictable 0\n");
	CU_ASSERT_EQUAL(memory_group_available(folder), 6500);
	write_text(folder, "memory.current", "20000\n");
	CU_ASSERT_EQUAL(memory_group_available(folder), 0);
	write_text(folder, "memory.current", "5000\n");
	CU_ASSERT_EQUAL(memory_group_available(folder), 10000);
	scratch_remove(folder);
}

static void version_1_counts_a_group_with_its_children(void)
{
	char folder[SCRATCH_PATH];

	scratch_make(folder);
	write_text(folder, "memory/memory.limit_in_bytes", "10000\n");
	write_text(folder, "memory/memory.usage_in_bytes", "9000\n");
	write_text(folder, "memory/memory.stat",
		   "inactive_file 10\nactive_file 20\ntotal_inactive_file 4000\ntotal_active_file 1500\n");
	CU_ASSERT_EQUAL(memory_group_available(folder), 6500);
	scratch_remove(folder);
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
