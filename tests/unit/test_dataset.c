#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "tests/unit/image_maker.h"
#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/data/dataset.h"

enum { GREY_PNG = 0 };

static bool message_has(const char *text)
{
	return strstr(nn_error_message(), text) != NULL;
}

/* Adds picture files of `width` x 1 pixels, by which a test knows them again. */
static void add_picture(const char *folder, const char *name, int width)
{
	struct encoded file;

	maker_png(&file, &(struct png_spec){width, 1, GREY_PNG, 8, false, false});
	scratch_write(folder, name, file.bytes, file.size);
	free(file.bytes);
}

static void fill_folder(char folder[SCRATCH_PATH])
{
	scratch_make(folder);
	add_picture(folder, "train/cat/b.png", 1);
	add_picture(folder, "train/cat/a9.png", 2);
	add_picture(folder, "train/cat/a10.png", 3);
	add_picture(folder, "train/Zebra/no-ending", 4);
	add_picture(folder, "train/ant/\xc3\xa4.jpg", 5);
	add_picture(folder, "train/ant/z.jpg", 6);
	scratch_write(folder, "train/ant/.hidden", "x", 1);
	scratch_write(folder, "train/.cache/x", "x", 1);
	scratch_write(folder, "train/notes.txt", "x", 1);
	add_picture(folder, "val/cat/1.png", 7);
}

static void folders_are_read_in_byte_order_of_their_names(void)
{
	static const char *const names[] = {"train/Zebra/no-ending", "train/ant/z.jpg",	 "train/ant/\xc3\xa4.jpg",
					    "train/cat/a10.png",     "train/cat/a9.png", "train/cat/b.png"};
	static const int labels[] = {0, 1, 1, 2, 2, 2}, widths[] = {4, 6, 5, 3, 2, 1};
	char folder[SCRATCH_PATH], name[DATASET_NAME_MAX];
	struct dataset *train;
	struct image image = {0};

	fill_folder(folder);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_count(train), 6);
	CU_ASSERT_EQUAL(dataset_classes(train), 3);
	CU_ASSERT_STRING_EQUAL(dataset_class_name(train, 0), "Zebra");
	CU_ASSERT_STRING_EQUAL(dataset_class_name(train, 2), "cat");
	CU_ASSERT_FALSE(dataset_is_test(train));
	for (size_t i = 0; i < 6; i++) {
		dataset_file_name(train, i, name);
		CU_ASSERT_STRING_EQUAL(name, names[i]);
		CU_ASSERT_EQUAL(dataset_label(train, i), labels[i]);
		CU_ASSERT_EQUAL(dataset_read(train, i, &image), NN_OK);
		CU_ASSERT_EQUAL(image.width, widths[i]);
	}
	image_release(&image);
	dataset_close(train);
	scratch_remove(folder);
}

static void validation_labels_follow_the_training_classes(void)
{
	char folder[SCRATCH_PATH];
	struct dataset *train, *val;

	fill_folder(folder);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&val, folder, SPLIT_VAL), NN_OK);
	CU_ASSERT_EQUAL(dataset_count(val), 1);
	CU_ASSERT_EQUAL(dataset_classes(val), 3);
	CU_ASSERT_EQUAL(dataset_label(val, 0), 2);
	CU_ASSERT_FALSE(dataset_is_test(val));
	CU_ASSERT_EQUAL(dataset_check_classes(train, val), NN_OK);
	dataset_close(val);
	dataset_close(train);
	add_picture(folder, "val/cow/1.png", 1);
	CU_ASSERT_EQUAL(dataset_open(&val, folder, SPLIT_VAL), NN_ERR_DATA);
	CU_ASSERT_PTR_NULL(val);
	CU_ASSERT(message_has("class cow of the validation images is not a class of the training images"));
	scratch_remove(folder);
}

static void splits_of_different_folders_are_told_apart(void)
{
	char folder[SCRATCH_PATH], other[SCRATCH_PATH];
	struct dataset *train, *val;

	fill_folder(folder);
	scratch_make(other);
	add_picture(other, "test/ant/1.png", 1);
	add_picture(other, "test/cat/1.png", 1);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&val, other, SPLIT_VAL), NN_OK);
	CU_ASSERT(dataset_is_test(val));
	CU_ASSERT_EQUAL(dataset_label(val, 1), 1);
	CU_ASSERT_EQUAL(dataset_check_classes(train, val), NN_ERR_DATA);
	CU_ASSERT(message_has("class ant (number 0)"));
	dataset_close(val);
	dataset_close(train);
	scratch_remove(folder);
	scratch_remove(other);
}

static void a_folder_called_test_stands_in_for_val(void)
{
	char folder[SCRATCH_PATH];
	struct dataset *val;

	scratch_make(folder);
	add_picture(folder, "train/a/1.png", 1);
	CU_ASSERT(dataset_has_split(folder, SPLIT_TRAIN));
	CU_ASSERT_FALSE(dataset_has_split(folder, SPLIT_VAL));
	CU_ASSERT_EQUAL(dataset_open(&val, folder, SPLIT_VAL), NN_ERR_DATA);
	CU_ASSERT(message_has("no validation images"));
	add_picture(folder, "test/a/1.png", 1);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&val, folder, SPLIT_VAL), NN_OK);
	CU_ASSERT(dataset_is_test(val));
	dataset_close(val);
	add_picture(folder, "val/a/1.png", 1);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&val, folder, SPLIT_VAL), NN_OK);
	CU_ASSERT_FALSE(dataset_is_test(val));
	dataset_close(val);
	scratch_remove(folder);
}

/* Opening the training images must fail with a message that holds `text`. */
static void check_refused(const char *folder, const char *text)
{
	struct dataset *train;

	CU_ASSERT_EQUAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_ERR_DATA);
	CU_ASSERT_PTR_NULL(train);
	CU_ASSERT(message_has(text));
}

static void folders_that_hold_no_data_set_are_refused_with_a_reason(void)
{
	char folder[SCRATCH_PATH], path[SCRATCH_PATH + 16];

	scratch_make(folder);
	check_refused(folder, "no data set in this folder; expected train/CLASS/");
	snprintf(path, sizeof(path), "%s/missing", folder);
	check_refused(path, "/missing: no such data folder");
	scratch_folder(folder, "val/cat");
	check_refused(folder, "no training images");
	scratch_folder(folder, "train");
	check_refused(folder, "/train: no class folders; put the images");
	add_picture(folder, "train/1.png", 1);
	check_refused(folder, "/train: no class folders, only files");
	scratch_folder(folder, "train/dog");
	check_refused(folder, "/train/dog: class without images");
	add_picture(folder, "train/dog/1.png", 1);
	scratch_folder(folder, "train/dog/puppies");
	check_refused(folder, "/train/dog/puppies: folder inside a class");
	scratch_remove(folder);
}

static void link_to(const char *target, const char *folder, const char *name)
{
	char path[SCRATCH_PATH + 64];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	CU_ASSERT_EQUAL(symlink(target, path), 0);
}

static void unlink_name(const char *folder, const char *name)
{
	char path[SCRATCH_PATH + 64];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	CU_ASSERT_EQUAL(unlink(path), 0);
}

static void links_are_followed_and_those_that_lead_nowhere_are_named(void)
{
	char folder[SCRATCH_PATH];
	struct dataset *val;

	fill_folder(folder);
	link_to("a9.png", folder, "train/cat/again.png");
	link_to("cat", folder, "train/dog");
	CU_ASSERT_EQUAL_FATAL(dataset_open(&val, folder, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL(dataset_classes(val), 4);
	CU_ASSERT_EQUAL(dataset_count(val), 6 + 1 + 4);
	dataset_close(val);
	link_to("loop.png", folder, "train/cat/loop.png");
	check_refused(folder,
		      "/train/cat/loop.png: neither a file nor a folder nor a link to one (Too many levels of symbolic links)");
	unlink_name(folder, "train/cat/loop.png");
	link_to("nowhere", folder, "train/lion");
	check_refused(folder, "/train/lion: neither a file nor a folder nor a link to one (No such file or directory)");
	unlink_name(folder, "train/lion");
	link_to("..", folder, "train/lion");
	check_refused(folder, ": folder inside a class; a class holds image files only");
	CU_ASSERT(message_has("/train/lion/"));
	unlink_name(folder, "train/lion");
	link_to(".", folder, "train/cat/here");
	check_refused(folder, "/train/cat/here: folder inside a class");
	unlink_name(folder, "train/cat/here");
	link_to("test", folder, "test");
	CU_ASSERT_EQUAL_FATAL(dataset_open(&val, folder, SPLIT_VAL), NN_OK);
	dataset_close(val);
	scratch_remove(folder);
}

static void a_validation_folder_that_leads_nowhere_is_not_passed_over(void)
{
	char folder[SCRATCH_PATH];
	struct dataset *val;

	scratch_make(folder);
	add_picture(folder, "train/a/1.png", 1);
	link_to("val", folder, "val");
	CU_ASSERT(dataset_has_split(folder, SPLIT_VAL));
	CU_ASSERT_EQUAL(dataset_open(&val, folder, SPLIT_VAL), NN_ERR_DATA);
	CU_ASSERT(message_has("/val: cannot open the folder: Too many levels of symbolic links"));
	scratch_remove(folder);
}

static void two_data_sets_in_one_folder_are_refused(void)
{
	char folder[SCRATCH_PATH];

	fill_folder(folder);
	scratch_write(folder, "test_batch.bin", "", 0);
	check_refused(folder, ": two data sets in one folder, CIFAR-10 files and folders of images; move one away");
	scratch_remove(folder);
}

static void names_of_any_bytes_are_read_and_are_one_text_each(void)
{
	static const char *const names[] = {"train/caf\xe9/\n.png", "train/caf\xe9/\\ \x1b[0m\".png", "train/caf\\xe9/-rf *.png"};
	static const char *const texts[] = {"caf\\x5cxe9", "caf\\xe9"};
	char folder[SCRATCH_PATH], text[DATASET_CLASS_TEXT];
	struct dataset *train;
	struct image image = {0};

	scratch_make(folder);
	for (int i = 0; i < 3; i++)
		add_picture(folder, names[i], 1 + i);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_classes(train), 2);
	for (int c = 0; c < 2; c++) {
		dataset_class_text(text, train, c);
		CU_ASSERT_STRING_EQUAL(text, texts[c]);
	}
	for (size_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(dataset_read(train, i, &image), NN_OK);
	scratch_write(folder, names[0], "?", 1);
	CU_ASSERT_EQUAL(dataset_read(train, 1, &image), NN_ERR_DATA);
	CU_ASSERT(message_has("/caf\xe9/\\x0a.png: not a PNG or JPEG"));
	image_release(&image);
	dataset_close(train);
	scratch_remove(folder);
}

static void a_file_that_is_no_picture_is_named_when_it_is_read(void)
{
	char folder[SCRATCH_PATH];
	struct dataset *train;
	struct image image = {0};

	scratch_make(folder);
	scratch_write(folder, "train/cat/7.png", "GIF89a", 6);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL(dataset_read(train, 0, &image), NN_ERR_DATA);
	CU_ASSERT(message_has(folder));
	CU_ASSERT(message_has("/train/cat/7.png: not a PNG or JPEG image"));
	dataset_close(train);
	image_release(&image);
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

static void the_digest_follows_names_and_not_the_place(void)
{
	char folder[SCRATCH_PATH], other[SCRATCH_PATH];
	uint64_t digest;

	fill_folder(folder);
	fill_folder(other);
	digest = digest_of(folder);
	CU_ASSERT_EQUAL(digest_of(other), digest);
	add_picture(other, "train/cat/b.png", 9);
	CU_ASSERT_EQUAL(digest_of(other), digest);
	add_picture(other, "train/cat/c.png", 1);
	CU_ASSERT_NOT_EQUAL(digest_of(other), digest);
	scratch_remove(folder);
	scratch_remove(other);
}

static void every_failed_allocation_while_opening_is_reported(void)
{
	char folder[SCRATCH_PATH];
	enum nn_status status = NN_ERR_MEMORY;
	int failures = 0;

	fill_folder(folder);
	for (long nth = 1; status != NN_OK && nth < 100; nth++) {
		struct dataset *val;

		nn_alloc_fail_at(nth);
		status = dataset_open(&val, folder, SPLIT_VAL);
		nn_alloc_fail_at(0);
		CU_ASSERT(status == NN_OK || (status == NN_ERR_MEMORY && !val));
		failures += status != NN_OK;
		dataset_close(val);
	}
	CU_ASSERT_EQUAL(status, NN_OK);
	CU_ASSERT(failures > 8);
	scratch_remove(folder);
}

static void many_names_keep_their_order_and_label(void)
{
	enum { FILES = 3000 };
	char folder[SCRATCH_PATH], name[DATASET_NAME_MAX], last[DATASET_NAME_MAX] = "";
	struct dataset *train;

	scratch_make(folder);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "train/%c/%d", "xab"[i % 3], i * 7919 % FILES);
		scratch_write(folder, name, "", 0);
	}
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL(dataset_count(train), FILES);
	for (size_t i = 0; i < dataset_count(train); i++) {
		dataset_file_name(train, i, name);
		CU_ASSERT(strcmp(last, name) < 0);
		CU_ASSERT_EQUAL(name[6], "abx"[dataset_label(train, i)]);
		memcpy(last, name, sizeof(last));
	}
	dataset_close(train);
	scratch_remove(folder);
}

void suite_dataset(void)
{
	static const struct test_row rows[] = {
	    TEST(folders_are_read_in_byte_order_of_their_names),
	    TEST(validation_labels_follow_the_training_classes),
	    TEST(splits_of_different_folders_are_told_apart),
	    TEST(a_folder_called_test_stands_in_for_val),
	    TEST(folders_that_hold_no_data_set_are_refused_with_a_reason),
	    TEST(links_are_followed_and_those_that_lead_nowhere_are_named),
	    TEST(a_validation_folder_that_leads_nowhere_is_not_passed_over),
	    TEST(two_data_sets_in_one_folder_are_refused),
	    TEST(names_of_any_bytes_are_read_and_are_one_text_each),
	    TEST(a_file_that_is_no_picture_is_named_when_it_is_read),
	    TEST(the_digest_follows_names_and_not_the_place),
	    TEST(every_failed_allocation_while_opening_is_reported),
	    TEST(many_names_keep_their_order_and_label),
	};

	ADD_SUITE("dataset", rows);
}
