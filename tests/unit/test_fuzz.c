/* Gives every kept input of tests/fuzz to its target: what libFuzzer once found, or needed to get far, is a test from then on. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/suites.h"
#include "trainer/state/files.h"

enum { PATH_BYTES = 512, INPUT_MAX = 1 << 20, FEWEST = 3 };

/* Returns how many inputs tests/fuzz/corpus/NAME has. */
static int replay(const char *name, void (*target)(const uint8_t *bytes, size_t size))
{
	char folder[PATH_BYTES / 2], path[PATH_BYTES];
	struct dirent *entry;
	DIR *stream;
	int count = 0;

	snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s", name);
	stream = opendir(folder);
	CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
	while ((entry = readdir(stream))) {
		char *bytes;
		size_t size;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%.200s", folder, entry->d_name);
		CU_ASSERT_EQUAL_FATAL(file_read(&bytes, &size, path, INPUT_MAX), NN_OK);
		target((const uint8_t *)bytes, size);
		nn_free(bytes);
		count++;
	}
	closedir(stream);
	return count;
}

static void every_reader_bears_every_kept_input(void)
{
#define REPLAY(name) CU_ASSERT(replay(#name, fuzz_##name) >= FEWEST);
	FUZZ_TARGETS(REPLAY)
#undef REPLAY
}

/* Inputs of a few bytes, which no corpus would keep. */
static void every_reader_bears_no_bytes_and_few_bytes(void)
{
	static const uint8_t few[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0xff, 0xd8, 0xff, '[', '\n', 0};

	for (size_t begin = 0; begin < sizeof(few); begin++)
		for (size_t end = begin; end <= sizeof(few); end++) {
#define REPLAY(name) fuzz_##name(few + begin, end - begin);
			FUZZ_TARGETS(REPLAY)
#undef REPLAY
		}
}

void suite_fuzz(void)
{
	static const struct test_row rows[] = {
	    TEST(every_reader_bears_every_kept_input),
	    TEST(every_reader_bears_no_bytes_and_few_bytes),
	};

	ADD_SUITE("fuzz", rows);
}
