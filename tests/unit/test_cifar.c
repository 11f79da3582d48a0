#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/data/dataset.h"

enum { PLANE = 1024, RECORD_MAX = 2 + 3 * PLANE, RECORDS_MAX = 4 };

static bool message_has(const char *text)
{
	return strstr(nn_error_message(), text) != NULL;
}

static uint8_t pixel(size_t record, int c, int i)
{
	return (uint8_t)(record * 50 + (size_t)c * 77 + (size_t)i * 3);
}

/* Writes records with labels from `first` on; each has `extra` bytes before its label. `surplus` bytes follow the last. */
static void add_batch(const char *folder, const char *name, size_t records, int first, size_t extra, size_t surplus)
{
	uint8_t bytes[RECORDS_MAX * RECORD_MAX + 8] = {0};
	size_t at = 0;

	for (size_t r = 0; r < records; r++) {
		at += extra;
		bytes[at++] = (uint8_t)(first + (int)r);
		for (int c = 0; c < 3; c++)
			for (int i = 0; i < PLANE; i++)
				bytes[at++] = pixel(r, c, i);
	}
	scratch_write(folder, name, bytes, at + surplus);
}

static void check_pixels(const struct dataset *dataset, size_t index, size_t record)
{
	struct image image = {0};

	CU_ASSERT_EQUAL_FATAL(dataset_read(dataset, index, &image), NN_OK);
	CU_ASSERT(image.width == 32 && image.height == 32);
	for (int i = 0; i < PLANE; i++)
		for (int c = 0; c < 3; c++)
			CU_ASSERT_EQUAL(image.pixels[3 * i + c], pixel(record, c, i));
	image_release(&image);
}

static void cifar_10_batches_follow_each_other(void)
{
	char folder[SCRATCH_PATH], name[DATASET_NAME_MAX];
	struct dataset *train, *val;

	scratch_make(folder);
	add_batch(folder, "data_batch_1.bin", 2, 4, 0, 0);
	add_batch(folder, "data_batch_2.bin", 3, 7, 0, 0);
	add_batch(folder, "test_batch.bin", 1, 9, 0, 0);
	scratch_write(folder, "batches.meta.txt", "a\nb\r\nc\nd\ne\nf\ng\nh\ni\njay\n\n", 24);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_count(train), 5);
	CU_ASSERT_EQUAL(dataset_classes(train), 10);
	CU_ASSERT_STRING_EQUAL(dataset_class_name(train, 1), "b");
	CU_ASSERT_STRING_EQUAL(dataset_class_name(train, 9), "jay");
	CU_ASSERT_EQUAL(dataset_label(train, 1), 5);
	CU_ASSERT_EQUAL(dataset_label(train, 4), 9);
	dataset_file_name(train, 4, name);
	CU_ASSERT_STRING_EQUAL(name, "data_batch_2.bin record 2");
	check_pixels(train, 1, 1);
	check_pixels(train, 4, 2);
	CU_ASSERT_FALSE(dataset_is_test(train));
	CU_ASSERT_EQUAL_FATAL(dataset_open(&val, folder, SPLIT_VAL), NN_OK);
	CU_ASSERT(dataset_is_test(val));
	CU_ASSERT_EQUAL(dataset_label(val, 0), 9);
	CU_ASSERT_EQUAL(dataset_check_classes(train, val), NN_OK);
	CU_ASSERT_NOT_EQUAL(dataset_digest(train), dataset_digest(val));
	dataset_close(train);
	dataset_close(val);
	scratch_remove(folder);
}

static void cifar_100_is_read_with_its_fine_labels(void)
{
	char folder[SCRATCH_PATH];
	struct dataset *train;

	scratch_make(folder);
	add_batch(folder, "train.bin", 4, 96, 1, 0);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL(dataset_count(train), 4);
	CU_ASSERT_EQUAL(dataset_classes(train), 100);
	CU_ASSERT_STRING_EQUAL(dataset_class_name(train, 42), "42");
	CU_ASSERT_EQUAL(dataset_label(train, 3), 99);
	CU_ASSERT_FALSE(dataset_has_split(folder, SPLIT_VAL));
	check_pixels(train, 3, 3);
	dataset_close(train);
	scratch_remove(folder);
}

static void check_refused(const char *folder, const char *text)
{
	struct dataset *train;

	CU_ASSERT_EQUAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_ERR_DATA);
	CU_ASSERT_PTR_NULL(train);
	CU_ASSERT(message_has(text));
}

static void damaged_cifar_files_are_refused_with_file_and_sizes(void)
{
	char folder[SCRATCH_PATH];

	scratch_make(folder);
	add_batch(folder, "data_batch_2.bin", 1, 0, 0, 0);
	check_refused(folder, "/data_batch_1.bin: cannot open");
	add_batch(folder, "data_batch_1.bin", 2, 0, 0, 1);
	check_refused(folder, "/data_batch_1.bin: 6147 bytes are not a whole number of records of 3073 bytes");
	add_batch(folder, "data_batch_1.bin", 0, 0, 0, 0);
	check_refused(folder, "/data_batch_1.bin: 0 bytes");
	add_batch(folder, "data_batch_1.bin", 3, 8, 0, 0);
	check_refused(folder, "/data_batch_1.bin: label 10 in record 2 (allowed: 0 to 9)");
	add_batch(folder, "data_batch_1.bin", 1, 8, 0, 0);
	scratch_write(folder, "batches.meta.txt", "a\nb\n", 4);
	check_refused(folder, "/batches.meta.txt: 2 class names instead of 10");
	scratch_write(folder, "batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nb\ni\nj\n", 20);
	check_refused(folder, "/batches.meta.txt: two classes are called b");
	scratch_remove(folder);
}

static void a_file_that_changes_while_it_is_open_is_an_error_and_not_a_signal(void)
{
	char folder[SCRATCH_PATH], path[SCRATCH_PATH + 32];
	struct dataset *train;
	struct image image = {0};

	scratch_make(folder);
	snprintf(path, sizeof(path), "%s/data_batch_1.bin", folder);
	add_batch(folder, "data_batch_1.bin", 4, 0, 0, 0);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	add_batch(folder, "data_batch_1.bin", 3, 1, 0, 0);
	CU_ASSERT_EQUAL(dataset_read(train, 2, &image), NN_ERR_DATA);
	CU_ASSERT(message_has("/data_batch_1.bin: record 2 had the label 2 at the start and has 3 now"));
	CU_ASSERT_EQUAL(dataset_read(train, 3, &image), NN_ERR_DATA);
	CU_ASSERT(message_has("/data_batch_1.bin: became shorter while it was read"));
	add_batch(folder, "data_batch_1.bin", 4, 0, 0, 0);
	CU_ASSERT_EQUAL(dataset_read(train, 3, &image), NN_OK);
	CU_ASSERT_EQUAL(unlink(path), 0);
	check_pixels(train, 3, 3);
	image_release(&image);
	dataset_close(train);
	scratch_remove(folder);
}

static uint64_t digest_of(const char *folder)
{
	struct dataset *train;
	uint64_t digest;

	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	digest = dataset_digest(train);
	dataset_close(train);
	return digest;
}

static void the_digest_follows_labels_sizes_and_file_names(void)
{
	char folder[SCRATCH_PATH];
	uint64_t digests[4];

	scratch_make(folder);
	add_batch(folder, "data_batch_1.bin", 2, 0, 0, 0);
	digests[0] = digest_of(folder);
	CU_ASSERT_EQUAL(digest_of(folder), digests[0]);
	add_batch(folder, "data_batch_1.bin", 2, 1, 0, 0);
	digests[1] = digest_of(folder);
	add_batch(folder, "data_batch_1.bin", 1, 0, 0, 0);
	add_batch(folder, "data_batch_2.bin", 1, 1, 0, 0);
	digests[2] = digest_of(folder);
	add_batch(folder, "data_batch_1.bin", 3, 0, 0, 0);
	digests[3] = digest_of(folder);
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < i; j++)
			CU_ASSERT_NOT_EQUAL(digests[i], digests[j]);
	scratch_remove(folder);
}

static void many_threads_read_one_data_set(void)
{
	char folder[SCRATCH_PATH];
	struct dataset *train;
	int wrong = 0;

	scratch_make(folder);
	add_batch(folder, "data_batch_1.bin", 4, 0, 0, 0);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
#pragma omp parallel for num_threads(4) reduction(+ : wrong)
	for (int i = 0; i < 400; i++) {
		struct image image = {0};
		size_t index = (size_t)i % 4;

		wrong += dataset_read(train, index, &image) != NN_OK || image.pixels[3 * 5 + 1] != pixel(index, 1, 5);
		image_release(&image);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	dataset_close(train);
	scratch_remove(folder);
}

void suite_cifar(void)
{
	static const struct test_row rows[] = {
	    TEST(cifar_10_batches_follow_each_other),
	    TEST(cifar_100_is_read_with_its_fine_labels),
	    TEST(damaged_cifar_files_are_refused_with_file_and_sizes),
	    TEST(a_file_that_changes_while_it_is_open_is_an_error_and_not_a_signal),
	    TEST(the_digest_follows_labels_sizes_and_file_names),
	    TEST(many_threads_read_one_data_set),
	};

	ADD_SUITE("cifar", rows);
}
