#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "nn/core/status.h"
#include "tests/unit/suites.h"
#include "trainer/state/digest.h"
#include "trainer/state/file_writer.h"
#include "trainer/state/files.h"

/* "a" comes before "b.x" whatever the order of the entries, and values go in as OIHW. */
static void the_weights_digest_is_over_sorted_names_shapes_and_values(void)
{
	float b[4] = {1, 3, 2, 4}, a[1] = {5}, b_file[4] = {1, 2, 3, 4};
	int64_t n = 9;
	const struct tensor_entry entries[] = {
	    {.name = "b.x", .dims = 2, .shape = {2, 2}, .values = b, .hwio = true},
	    {.name = "0", .type = TENSOR_I64, .values = &n},
	    {.name = "a", .dims = 1, .shape = {1}, .values = a},
	};
	const struct tensor_entry file_order[] = {entries[2], {.name = "b.x", .dims = 2, .shape = {2, 2}, .values = b_file}};
	static const unsigned char stream[] = {
	    'a', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,	  0xa0, 0x40, 'b', '.', 'x',  2, 0, 0,	  0,	0, 0, 0,    0,
	    2,	 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3f, 0,    0,   0,	0x40, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40,
	};
	char expected[DIGEST_CHARS], got[DIGEST_CHARS];
	XXH128_hash_t hash = XXH3_128bits(stream, sizeof(stream));

	snprintf(expected, sizeof(expected), "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
	CU_ASSERT_EQUAL(digest_weights(got, entries, 3), NN_OK);
	CU_ASSERT_STRING_EQUAL(got, expected);
	CU_ASSERT_EQUAL(digest_weights(got, file_order, 2), NN_OK);
	CU_ASSERT_STRING_EQUAL(got, expected);
	b[3] = -4;
	CU_ASSERT_EQUAL(digest_weights(got, entries, 3), NN_OK);
	CU_ASSERT_STRING_NOT_EQUAL(got, expected);
}

static void the_file_digest_is_that_of_its_bytes(void)
{
	enum { SIZE = (1 << 18) + 77 };
	char *bytes = calloc(SIZE, 1);
	const char *place = getenv("TMPDIR");
	char memory[DIGEST_CHARS], file[DIGEST_CHARS];
	char folder[480], path[512];

	snprintf(folder, sizeof(folder), "%s/digest-XXXXXX", place && strlen(place) < 400 ? place : "/tmp");
	CU_ASSERT_PTR_NOT_NULL(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/f", folder);
	for (unsigned i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * i >> 3);
	digest_bytes(memory, bytes, SIZE);
	CU_ASSERT_EQUAL(file_write(path, bytes, SIZE), NN_OK);
	CU_ASSERT_EQUAL(digest_file(file, path), NN_OK);
	CU_ASSERT_STRING_EQUAL(memory, file);
	digest_bytes(memory, "", 0);
	CU_ASSERT_STRING_EQUAL(memory, "99aa06d3014798d86001c324468d497f");
	CU_ASSERT_EQUAL(digest_file(file, folder), NN_ERR_IO);
	free(bytes);
	CU_ASSERT_EQUAL(folder_remove(folder), NN_OK);
}

void suite_digest(void)
{
	static const struct test_row rows[] = {
	    TEST(the_weights_digest_is_over_sorted_names_shapes_and_values),
	    TEST(the_file_digest_is_that_of_its_bytes),
	};

	ADD_SUITE("digest", rows);
}
