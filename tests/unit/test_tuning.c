#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/algorithms.h"
#include "trainer/run/option_table.h"
#include "trainer/run/tuning_file.h"
#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"

static const char key[] = "resnet-train 1, MPI 2, 8 ranks on 2 nodes";
static const struct reduce_choice chosen = {{REDUCE_DOUBLING, REDUCE_HALVING, REDUCE_RING, REDUCE_PAIRWISE}};

static bool equal(const struct reduce_choice *a, const struct reduce_choice *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void every_word_of_allreduce_is_the_algorithm_of_that_name(void)
{
	const struct option_spec *spec = option_find("allreduce", strlen("allreduce"));

	for (int i = 0; i < REDUCE_ALGORITHMS; i++) {
		CU_ASSERT_STRING_EQUAL(spec->words[i], reduce_name((enum reduce_algorithm)i));
		CU_ASSERT_EQUAL(reduce_named(spec->words[i]), (enum reduce_algorithm)i);
	}
	CU_ASSERT_PTR_NULL(spec->words[REDUCE_ALGORITHMS]);
	CU_ASSERT_EQUAL(reduce_named("rings"), REDUCE_ALGORITHMS);
}

static void a_size_goes_with_the_nearest_measured_one(void)
{
	for (int i = 0; i < REDUCE_SIZES; i++) {
		CU_ASSERT_EQUAL(reduce_choose(&chosen, reduce_sizes[i]), chosen.by_size[i]);
		CU_ASSERT_EQUAL(reduce_choose(&chosen, reduce_sizes[i] * 2), chosen.by_size[i]);
		CU_ASSERT_EQUAL(reduce_choose(&chosen, reduce_sizes[i] / 2), chosen.by_size[i]);
	}
	CU_ASSERT_EQUAL(reduce_choose(&chosen, 0), REDUCE_DOUBLING);
	CU_ASSERT_EQUAL(reduce_choose(&chosen, (size_t)1 << 40), REDUCE_PAIRWISE);
}

static void a_choice_is_told_in_one_line(void)
{
	static const struct reduce_choice two = {{REDUCE_DOUBLING, REDUCE_DOUBLING, REDUCE_RING, REDUCE_RING}};
	static const struct reduce_choice one = {{REDUCE_RING, REDUCE_RING, REDUCE_RING, REDUCE_RING}};
	char text[128];

	reduce_choice_print(text, sizeof(text), &two);
	CU_ASSERT_STRING_EQUAL(text, "doubling up to 181 KiB, ring above");
	reduce_choice_print(text, sizeof(text), &one);
	CU_ASSERT_STRING_EQUAL(text, "ring");
	reduce_choice_print(text, sizeof(text), &chosen);
	CU_ASSERT_STRING_EQUAL(text, "doubling up to 16 KiB, halving up to 181 KiB, ring up to 1448 KiB, pairwise above");
	reduce_choice_print(text, 10, &chosen);
	CU_ASSERT_STRING_EQUAL(text, "doubling ");
}

static void what_was_measured_is_found_again_by_its_key_only(void)
{
	char folder[SCRATCH_PATH], path[2 * SCRATCH_PATH], other[2 * SCRATCH_PATH];
	struct reduce_choice found = reduce_choice_default(3);

	scratch_make(folder);
	snprintf(path, sizeof(path), "%s/file", folder);
	CU_ASSERT_FALSE(tuning_file_read(&found, path, key));
	CU_ASSERT_EQUAL(tuning_file_write(path, key, &chosen), NN_OK);
	CU_ASSERT_FALSE(tuning_file_read(&found, path, "another"));
	CU_ASSERT_FALSE(equal(&found, &chosen));
	CU_ASSERT_TRUE(tuning_file_read(&found, path, key));
	CU_ASSERT_TRUE(equal(&found, &chosen));
	setenv("XDG_CACHE_HOME", folder, 1);
	CU_ASSERT_EQUAL(tuning_file_path(path, sizeof(path), key), NN_OK);
	CU_ASSERT_EQUAL(tuning_file_path(other, sizeof(other), "another"), NN_OK);
	CU_ASSERT_EQUAL(strncmp(path, folder, strlen(folder)), 0);
	CU_ASSERT_STRING_NOT_EQUAL(path, other);
	CU_ASSERT_EQUAL(tuning_file_write(path, key, &chosen), NN_OK);
	unsetenv("XDG_CACHE_HOME");
	scratch_remove(folder);
}

static void a_file_that_is_not_exactly_as_written_counts_for_nothing(void)
{
	static const char rows[] = "4096 bytes: doubling\n65536 bytes: ring\n524288 bytes: ring\n4194304 bytes: ring\n";
	static const char *const wrong[][2] = {
	    {"4096", "4097"},
	    {"doubling", "mpi"},
	    {"doubling", "own"},
	    {"doubling", "dubling"},
	    {"doubling\n", "doubling"},
	    {"4194304 bytes: ring\n", ""},
	    {"4194304 bytes: ring\n", "4194304 bytes: ring\n\n"},
	    {rows, ""},
	};
	char folder[SCRATCH_PATH], path[2 * SCRATCH_PATH], text[1024];
	struct reduce_choice found = chosen;

	scratch_make(folder);
	snprintf(path, sizeof(path), "%s/file", folder);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *at = strstr(rows, wrong[i][0]);

		snprintf(text, sizeof(text), "%s\n%.*s%s%s", key, (int)(at - rows), rows, wrong[i][1], at + strlen(wrong[i][0]));
		scratch_write(folder, "file", text, strlen(text));
		CU_ASSERT_FALSE(tuning_file_read(&found, path, key));
	}
	CU_ASSERT_TRUE(equal(&found, &chosen));
	snprintf(text, sizeof(text), "%s\n%s", key, rows);
	scratch_write(folder, "file", text, strlen(text));
	CU_ASSERT_TRUE(tuning_file_read(&found, path, key));
	scratch_remove(folder);
}

static void without_a_home_there_is_no_cache(void)
{
	char path[SCRATCH_PATH], home[SCRATCH_PATH];

	snprintf(home, sizeof(home), "%s", getenv("HOME") ? getenv("HOME") : "");
	unsetenv("HOME");
	unsetenv("XDG_CACHE_HOME");
	CU_ASSERT_EQUAL(tuning_file_path(path, sizeof(path), key), NN_ERR_IO);
	setenv("XDG_CACHE_HOME", "/dev/null", 1);
	CU_ASSERT_EQUAL(tuning_file_path(path, sizeof(path), key), NN_ERR_IO);
	unsetenv("XDG_CACHE_HOME");
	setenv("HOME", home, 1);
}

void suite_tuning(void)
{
	static const struct test_row rows[] = {
	    TEST(every_word_of_allreduce_is_the_algorithm_of_that_name),
	    TEST(a_size_goes_with_the_nearest_measured_one),
	    TEST(a_choice_is_told_in_one_line),
	    TEST(what_was_measured_is_found_again_by_its_key_only),
	    TEST(a_file_that_is_not_exactly_as_written_counts_for_nothing),
	    TEST(without_a_home_there_is_no_cache),
	};

	ADD_SUITE("tuning", rows);
}
