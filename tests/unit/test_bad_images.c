#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/run/bad_images.h"

enum { MANY = 100 };

static struct bad_image image(enum data_split split, uint32_t index)
{
	struct bad_image bad = {.split = (int32_t)split, .index = index};

	snprintf(bad.message, sizeof(bad.message), "image %u is damaged", index);
	return bad;
}

static void an_image_is_in_the_list_once(void)
{
	struct bad_images bad = {0};

	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < MANY; i++) {
			struct bad_image one = image(i % 2 ? SPLIT_VAL : SPLIT_TRAIN, i);

			CU_ASSERT_EQUAL(bad_images_add(&bad, &one), NN_OK);
		}
	CU_ASSERT_EQUAL(bad.count, MANY);
	CU_ASSERT(bad_images_have(&bad, SPLIT_TRAIN, 42));
	CU_ASSERT_FALSE(bad_images_have(&bad, SPLIT_VAL, 42));
	CU_ASSERT_STRING_EQUAL(bad.list[MANY - 1].message, "image 99 is damaged");
	bad_images_release(&bad);
	CU_ASSERT_EQUAL(bad.count, 0);
}

/* A folder of three training images and one validation image. */
static void make_data(char folder[SCRATCH_PATH])
{
	scratch_make(folder);
	scratch_write(folder, "train/a/0.png", "", 0);
	scratch_write(folder, "train/a/1.png", "", 0);
	scratch_write(folder, "train/a/2.png", "", 0);
	scratch_write(folder, "val/a/0.png", "", 0);
}

static void the_list_comes_back_out_of_a_checkpoint(void)
{
	char folder[SCRATCH_PATH];
	struct dataset *train, *val;
	struct bad_images bad = {0}, back = {0};
	struct bad_image images[] = {image(SPLIT_VAL, 0), image(SPLIT_TRAIN, 2), image(SPLIT_TRAIN, 1)};
	json_t *state = json_object();

	make_data(folder);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&val, folder, SPLIT_VAL), NN_OK);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(bad_images_add(&bad, &images[i]), NN_OK);
	CU_ASSERT_EQUAL(bad_images_write(state, &bad), NN_OK);
	CU_ASSERT_EQUAL(bad_images_read(&back, state, train, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL(bad_images_read(&back, state, val, SPLIT_VAL), NN_OK);
	CU_ASSERT_EQUAL(back.count, 3);
	for (int i = 0; i < 3; i++)
		CU_ASSERT(bad_images_have(&back, (enum data_split)images[i].split, images[i].index));
	CU_ASSERT_STRING_EQUAL(back.list[0].message, "train/a/2.png: left out before this start");
	bad_images_release(&bad);
	bad_images_release(&back);
	dataset_close(train);
	dataset_close(val);
	json_decref(state);
	scratch_remove(folder);
}

static void numbers_that_the_data_does_not_have_are_passed_over(void)
{
	static const char *const states[] = {"{}", "{\"bad_images\": 7}", "{\"bad_images\": {\"train\": {}}}",
					     "{\"bad_images\": {\"train\": [3, -1, 4294967297, \"0\", 0.5, null]}}"};
	char folder[SCRATCH_PATH];
	struct dataset *train;
	struct bad_images bad = {0};

	make_data(folder);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, folder, SPLIT_TRAIN), NN_OK);
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		json_t *state = json_loads(states[i], 0, NULL);

		CU_ASSERT_EQUAL(bad_images_read(&bad, state, train, SPLIT_TRAIN), NN_OK);
		CU_ASSERT_EQUAL(bad.count, 0);
		json_decref(state);
	}
	dataset_close(train);
	scratch_remove(folder);
}

static void a_failed_allocation_is_reported_and_keeps_the_list(void)
{
	struct bad_images bad = {0};
	struct bad_image one = image(SPLIT_TRAIN, 1);

	nn_alloc_fail_at(1);
	CU_ASSERT_EQUAL(bad_images_add(&bad, &one), NN_ERR_MEMORY);
	nn_alloc_fail_at(0);
	CU_ASSERT_EQUAL(bad.count, 0);
	CU_ASSERT_EQUAL(bad_images_add(&bad, &one), NN_OK);
	CU_ASSERT_EQUAL(bad.count, 1);
	bad_images_release(&bad);
}

void suite_bad_images(void)
{
	static const struct test_row rows[] = {
	    TEST(an_image_is_in_the_list_once),
	    TEST(the_list_comes_back_out_of_a_checkpoint),
	    TEST(numbers_that_the_data_does_not_have_are_passed_over),
	    TEST(a_failed_allocation_is_reported_and_keeps_the_list),
	};

	ADD_SUITE("bad_images", rows);
}
