#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/data/packed_write.h"
#include "trainer/data/split.h"

enum { CLASSES = 4, IMAGES = 60 };

static const int sizes[CLASSES] = {1, 25, 17, 17};

/* DATA/train with classes of these sizes; files are told apart by their length. */
struct fixture {
	char folder[SCRATCH_PATH];
	char data[SCRATCH_PATH + 16], out[SCRATCH_PATH + 16];
};

static void fixture_init(struct fixture *fixture)
{
	char bytes[IMAGES] = "";
	int number = 0;

	scratch_make(fixture->folder);
	snprintf(fixture->data, sizeof(fixture->data), "%s/data", fixture->folder);
	snprintf(fixture->out, sizeof(fixture->out), "%s/out", fixture->folder);
	scratch_folder(fixture->folder, "data");
	for (int c = 0; c < CLASSES; c++)
		for (int i = 0; i < sizes[c]; i++) {
			char name[64];

			snprintf(name, sizeof(name), "train/%c/%02d.png", 'a' + c, i);
			scratch_write(fixture->data, name, bytes, (size_t)number++);
		}
}

/* Opens the training images, chooses, and counts how many of each class validate. */
static enum nn_status choose(struct split_choice *choice, int of_class[CLASSES], const struct fixture *fixture,
			     struct split_size size, uint64_t seed)
{
	struct dataset *whole;
	enum nn_status status;

	memset(of_class, 0, CLASSES * sizeof(int));
	CU_ASSERT_EQUAL_FATAL(dataset_open(&whole, fixture->data, SPLIT_TRAIN), NN_OK);
	status = split_choose(choice, whole, size, seed);
	for (size_t i = 0; i < choice->val_count; i++)
		of_class[dataset_label(whole, choice->val[i])]++;
	dataset_close(whole);
	return status;
}

static void every_image_is_in_one_part_and_every_class_has_its_share(void)
{
	struct fixture fixture;
	int of_class[CLASSES];

	fixture_init(&fixture);
	for (uint64_t val = 1; val <= IMAGES - CLASSES; val++) {
		struct split_choice choice;
		int seen[IMAGES] = {0};

		CU_ASSERT_EQUAL(choose(&choice, of_class, &fixture, (struct split_size){.count = val}, 3), NN_OK);
		CU_ASSERT_EQUAL(choice.val_count, val);
		CU_ASSERT_EQUAL(choice.train_count, IMAGES - val);
		for (size_t i = 0; i < choice.train_count; i++)
			seen[choice.train[i]]++;
		for (size_t i = 0; i < choice.val_count; i++)
			seen[choice.val[i]]++;
		for (int i = 0; i < IMAGES; i++)
			CU_ASSERT_EQUAL(seen[i], 1);
		for (size_t i = 1; i < choice.val_count; i++)
			CU_ASSERT(choice.val[i - 1] < choice.val[i]);
		for (int c = 0; c < CLASSES; c++) {
			double share = (double)val * sizes[c] / IMAGES;

			CU_ASSERT(of_class[c] < sizes[c]);
			CU_ASSERT(val > 50 || (of_class[c] > share - 1.001 && of_class[c] < share + 1.001));
		}
		split_choice_release(&choice);
	}
	scratch_remove(fixture.folder);
}

/* Of 60 images 10 % are 6: 0.1, 2.5, 1.7 and 1.7 of the classes, so 0, 2, 2 and 2. */
static void a_share_is_rounded_to_whole_images_by_the_largest_remainders(void)
{
	struct fixture fixture;
	struct split_choice choice, again, other;
	int of_class[CLASSES];

	fixture_init(&fixture);
	CU_ASSERT_EQUAL(choose(&other, of_class, &fixture, (struct split_size){.share = 0.1}, 1), NN_OK);
	CU_ASSERT_EQUAL(choose(&again, of_class, &fixture, (struct split_size){.count = 6}, 0), NN_OK);
	CU_ASSERT_EQUAL(choose(&choice, of_class, &fixture, (struct split_size){.share = 0.1}, 0), NN_OK);
	CU_ASSERT(of_class[0] == 0 && of_class[1] == 2 && of_class[2] == 2 && of_class[3] == 2);
	CU_ASSERT(choice.val_count == 6 && again.val_count == 6 && other.val_count == 6);
	CU_ASSERT_EQUAL(memcmp(choice.val, again.val, 6 * sizeof(uint32_t)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(choice.val, other.val, 6 * sizeof(uint32_t)), 0);
	split_choice_release(&choice);
	split_choice_release(&again);
	split_choice_release(&other);
	scratch_remove(fixture.folder);
}

/* Over 1000 seeds each of 25 images of a class validates about 80 times when two of them do (standard deviation 8.6). */
static void every_image_of_a_class_is_equally_likely(void)
{
	struct fixture fixture;
	int times[IMAGES] = {0}, of_class[CLASSES];

	fixture_init(&fixture);
	for (uint64_t seed = 0; seed < 1000; seed++) {
		struct split_choice choice;

		CU_ASSERT_EQUAL(choose(&choice, of_class, &fixture, (struct split_size){.count = 6}, seed), NN_OK);
		for (size_t i = 0; i < choice.val_count; i++)
			times[choice.val[i]]++;
		split_choice_release(&choice);
	}
	for (int i = 1; i <= 25; i++)
		CU_ASSERT(times[i] > 40 && times[i] < 120);
	scratch_remove(fixture.folder);
}

static void sizes_that_leave_nothing_are_refused(void)
{
	static const struct split_size refused[] = {
	    {.count = 0}, {.count = IMAGES - CLASSES + 1}, {.share = 0.001}, {.share = 0.99}};
	struct fixture fixture;
	int of_class[CLASSES];

	fixture_init(&fixture);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct split_choice choice;

		CU_ASSERT_EQUAL(choose(&choice, of_class, &fixture, refused[i], 0), NN_ERR_USAGE);
		CU_ASSERT(strstr(nn_error_message(), "at most 56 so that each class keeps one") != NULL);
		split_choice_release(&choice);
	}
	scratch_remove(fixture.folder);
}

/* Each image of `part` is, by name and length, one of the whole; *links: how many are the same file. */
static size_t check_part(const struct fixture *fixture, const char *folder, enum data_split split)
{
	struct dataset *part;
	struct image image = {0};
	size_t links = 0, count;

	CU_ASSERT_EQUAL_FATAL(dataset_open(&part, folder, split), NN_OK);
	count = dataset_count(part);
	for (size_t i = 0; i < count; i++) {
		char name[DATASET_NAME_MAX], path[2 * SCRATCH_PATH + DATASET_NAME_MAX];
		struct stat before, after;
		size_t size;

		dataset_file_name(part, i, name);
		CU_ASSERT_EQUAL(dataset_load(part, i, &image, &size), NN_OK);
		snprintf(path, sizeof(path), "%s/train%s", fixture->data, strchr(name, '/'));
		CU_ASSERT(stat(path, &before) == 0 && (size_t)before.st_size == size);
		snprintf(path, sizeof(path), "%s/%s", folder, name);
		links += stat(path, &after) == 0 && before.st_ino == after.st_ino;
	}
	CU_ASSERT(links == 0 || links == count);
	image_release(&image);
	dataset_close(part);
	return count;
}

static uint64_t digest_of(const char *folder, enum data_split split)
{
	struct dataset *dataset;
	uint64_t digest;

	CU_ASSERT_EQUAL_FATAL(dataset_open(&dataset, folder, split), NN_OK);
	digest = dataset_digest(dataset);
	dataset_close(dataset);
	return digest;
}

static void folders_and_packed_sets_are_split_alike(void)
{
	const struct split_size size = {.share = 0.2};
	struct fixture fixture;
	struct split_facts facts;
	char flat[SCRATCH_PATH + 32], packed[SCRATCH_PATH + 32], outs[3][SCRATCH_PATH + 32];
	const char *from[3] = {fixture.data, flat, packed};
	bool made;

	fixture_init(&fixture);
	snprintf(flat, sizeof(flat), "%s/train", fixture.data);
	snprintf(packed, sizeof(packed), "%s/packed", fixture.folder);
	CU_ASSERT_EQUAL(packed_write(&made, packed, fixture.data, &(struct pack_options){.piece_bytes = 100, .threads = 2}), NN_OK);
	for (int i = 0; i < 3; i++) {
		snprintf(outs[i], sizeof(outs[i]), "%s/out%d", fixture.folder, i);
		CU_ASSERT_EQUAL(split_write(&facts, outs[i], from[i], size, 5, 2), NN_OK);
		CU_ASSERT(facts.train == 48 && facts.val == 12 && facts.classes == CLASSES && facts.copied == 0);
		CU_ASSERT_EQUAL(check_part(&fixture, outs[i], SPLIT_TRAIN), 48);
		CU_ASSERT_EQUAL(check_part(&fixture, outs[i], SPLIT_VAL), 12);
		CU_ASSERT_EQUAL(digest_of(outs[i], SPLIT_TRAIN), digest_of(outs[0], SPLIT_TRAIN));
		CU_ASSERT_EQUAL(digest_of(outs[i], SPLIT_VAL), digest_of(outs[0], SPLIT_VAL));
	}
	CU_ASSERT_TRUE(dataset_is_packed(outs[2]));
	CU_ASSERT_EQUAL(split_write(&facts, outs[0], fixture.data, size, 5, 2), NN_ERR_USAGE);
	CU_ASSERT(strstr(nn_error_message(), "/out0 exists; choose another") != NULL);
	scratch_remove(fixture.folder);
}

static void a_link_is_followed_and_its_target_linked(void)
{
	struct fixture fixture;
	struct split_facts facts;
	char path[SCRATCH_PATH + 64];
	struct stat info;

	fixture_init(&fixture);
	snprintf(path, sizeof(path), "%s/train/a/00.png", fixture.data);
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(symlink("../b/07.png", path), 0);
	CU_ASSERT_EQUAL(split_write(&facts, fixture.out, fixture.data, (struct split_size){.count = 6}, 0, 1), NN_OK);
	snprintf(path, sizeof(path), "%s/train/a/00.png", fixture.out);
	CU_ASSERT(lstat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 8);
	scratch_remove(fixture.folder);
}

static void every_failed_allocation_is_reported_and_leaves_no_folder(void)
{
	struct fixture fixture;
	struct split_facts facts;
	enum nn_status status = NN_ERR_MEMORY;
	int failures = 0;

	fixture_init(&fixture);
	for (long nth = 1; status != NN_OK && nth < 200; nth++) {
		nn_alloc_fail_at(nth);
		status = split_write(&facts, fixture.out, fixture.data, (struct split_size){.share = 0.1}, 0, 1);
		nn_alloc_fail_at(0);
		CU_ASSERT(status == NN_OK || (status == NN_ERR_MEMORY && access(fixture.out, F_OK) != 0));
		failures += status != NN_OK;
	}
	CU_ASSERT(status == NN_OK && failures > 10);
	scratch_remove(fixture.folder);
}

void suite_split(void)
{
	static const struct test_row rows[] = {
	    TEST(every_image_is_in_one_part_and_every_class_has_its_share),
	    TEST(a_share_is_rounded_to_whole_images_by_the_largest_remainders),
	    TEST(every_image_of_a_class_is_equally_likely),
	    TEST(sizes_that_leave_nothing_are_refused),
	    TEST(folders_and_packed_sets_are_split_alike),
	    TEST(a_link_is_followed_and_its_target_linked),
	    TEST(every_failed_allocation_is_reported_and_leaves_no_folder),
	};

	ADD_SUITE("split", rows);
}
