#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/data/dataset.h"
#include "trainer/data/synth.h"

enum { SIZE = 32, INPUTS = SIZE * SIZE * 3, CLASSES = SYNTH_CLASSES, TRAIN = 1500, TEST_IMAGES = 500, EPOCHS = 12 };

static bool message_has(const char *text)
{
	return strstr(nn_error_message(), text) != NULL;
}

static void pictures_depend_on_class_and_stream_only(void)
{
	struct image a = {0}, b = {0};

	for (int c = 0; c < CLASSES; c++) {
		CU_ASSERT_EQUAL_FATAL(synth_draw(&a, c, SIZE, rng_stream(1, 0, 5)), NN_OK);
		CU_ASSERT(a.width == SIZE && a.height == SIZE);
		CU_ASSERT_EQUAL_FATAL(synth_draw(&b, c, SIZE, rng_stream(1, 0, 5)), NN_OK);
		CU_ASSERT_EQUAL(memcmp(a.pixels, b.pixels, INPUTS), 0);
		CU_ASSERT_EQUAL_FATAL(synth_draw(&b, c, SIZE, rng_stream(1, 0, 6)), NN_OK);
		CU_ASSERT_NOT_EQUAL(memcmp(a.pixels, b.pixels, INPUTS), 0);
		CU_ASSERT_EQUAL_FATAL(synth_draw(&b, (c + 1) % CLASSES, SIZE, rng_stream(1, 0, 5)), NN_OK);
		CU_ASSERT_NOT_EQUAL(memcmp(a.pixels, b.pixels, INPUTS), 0);
	}
	image_release(&a);
	image_release(&b);
}

/* Draws picture i of a split as inputs around 0. */
static void draw(float *inputs, struct image *image, uint64_t split, size_t i)
{
	CU_ASSERT_EQUAL_FATAL(synth_draw(image, (int)(i % CLASSES), SIZE, rng_stream(0, split, i)), NN_OK);
	for (int k = 0; k < INPUTS; k++)
		inputs[k] = (float)image->pixels[k] / 128 - 1;
}

static void scores_of(float scores[CLASSES], const float *weights, const float *inputs)
{
	for (int c = 0; c < CLASSES; c++) {
		scores[c] = 0;
		for (int k = 0; k < INPUTS; k++)
			scores[c] += weights[c * INPUTS + k] * inputs[k];
	}
}

/* One step of gradient descent on the cross entropy. */
static void learn(float *weights, const float *inputs, int label, float rate)
{
	float scores[CLASSES], largest = -1e30f, sum = 0;

	scores_of(scores, weights, inputs);
	for (int c = 0; c < CLASSES; c++)
		largest = fmaxf(largest, scores[c]);
	for (int c = 0; c < CLASSES; c++)
		sum += scores[c] = expf(scores[c] - largest);
	for (int c = 0; c < CLASSES; c++) {
		float slope = rate * (scores[c] / sum - (c == label ? 1.0f : 0.0f));

		for (int k = 0; k < INPUTS; k++)
			weights[c * INPUTS + k] -= slope * inputs[k];
	}
}

static void no_linear_model_tells_the_classes_apart(void)
{
	float *weights = calloc(CLASSES * INPUTS, sizeof(*weights)), *inputs = calloc((size_t)TRAIN * INPUTS, sizeof(*inputs));
	struct image image = {0};
	int right = 0;

	for (size_t i = 0; i < TRAIN; i++)
		draw(inputs + i * INPUTS, &image, 0, i);
	for (int epoch = 0; epoch < EPOCHS; epoch++)
		for (size_t i = 0; i < TRAIN; i++)
			learn(weights, inputs + i * INPUTS, (int)(i % CLASSES), 1e-3f / (float)(1 + epoch));
	for (size_t i = 0; i < TEST_IMAGES; i++) {
		float scores[CLASSES];
		int best = 0;

		draw(inputs, &image, 1, i);
		scores_of(scores, weights, inputs);
		for (int c = 1; c < CLASSES; c++)
			best = scores[c] > scores[best] ? c : best;
		right += best == (int)(i % CLASSES);
	}
	/* More than chance shows that the model did learn. */
	CU_ASSERT(right > TEST_IMAGES * 0.105 && right < TEST_IMAGES * 0.6);
	free(weights);
	free(inputs);
	image_release(&image);
}

static void a_written_set_opens_as_an_image_folder(void)
{
	char folder[SCRATCH_PATH], out[SCRATCH_PATH + 16], name[DATASET_NAME_MAX];
	const struct synth_options options = {.train = 43, .val = 10, .seed = 3, .size = 20};
	struct image image = {0}, drawn = {0};
	struct dataset *train, *val;
	bool made;

	scratch_make(folder);
	snprintf(out, sizeof(out), "%s/set/", folder);
	CU_ASSERT_EQUAL_FATAL(synth_write(&made, out, &options), NN_OK);
	CU_ASSERT(made);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&train, out, SPLIT_TRAIN), NN_OK);
	CU_ASSERT_EQUAL_FATAL(dataset_open(&val, out, SPLIT_VAL), NN_OK);
	CU_ASSERT_EQUAL(dataset_count(train), 43);
	CU_ASSERT_EQUAL(dataset_count(val), 10);
	CU_ASSERT_EQUAL(dataset_classes(train), CLASSES);
	for (int c = 0; c < CLASSES; c++)
		CU_ASSERT_STRING_EQUAL(dataset_class_name(train, c), synth_class_name(c));
	dataset_file_name(train, 4, name);
	CU_ASSERT_STRING_EQUAL(name, "train/arrow/0004.png");
	CU_ASSERT_EQUAL_FATAL(dataset_read(train, 4, &image), NN_OK);
	CU_ASSERT_EQUAL_FATAL(synth_draw(&drawn, 0, 20, rng_stream(3, 0, 40)), NN_OK);
	CU_ASSERT(image.width == 20 && image.height == 20);
	CU_ASSERT_EQUAL(memcmp(image.pixels, drawn.pixels, 20 * 20 * 3), 0);
	CU_ASSERT_EQUAL(synth_write(&made, out, &options), NN_OK);
	CU_ASSERT_FALSE(made);
	dataset_close(train);
	dataset_close(val);
	image_release(&image);
	image_release(&drawn);
	scratch_remove(folder);
}

static void what_it_did_not_make_is_not_touched(void)
{
	char folder[SCRATCH_PATH], out[SCRATCH_PATH + 16], file[SCRATCH_PATH + 32];
	struct synth_options options = {.train = 10, .val = 10, .seed = 3, .size = 16};
	bool made;

	scratch_make(folder);
	snprintf(out, sizeof(out), "%s/set", folder);
	scratch_write(folder, "set/mine", "x", 1);
	CU_ASSERT_EQUAL(synth_write(&made, out, &options), NN_ERR_USAGE);
	CU_ASSERT(message_has("/set exists and is no drawn data set"));
	snprintf(out, sizeof(out), "%s/other", folder);
	scratch_write(folder, "other.tmp/mine", "x", 1);
	CU_ASSERT_EQUAL(synth_write(&made, out, &options), NN_ERR_USAGE);
	snprintf(file, sizeof(file), "%s/other.tmp/mine", folder);
	CU_ASSERT_EQUAL(access(file, F_OK), 0);
	snprintf(out, sizeof(out), "%s/third", folder);
	CU_ASSERT_EQUAL(synth_write(&made, out, &options), NN_OK);
	options.seed++;
	CU_ASSERT_EQUAL(synth_write(&made, out, &options), NN_ERR_USAGE);
	CU_ASSERT(message_has("seed 3"));
	scratch_remove(folder);
}

static void an_interrupted_set_is_made_anew(void)
{
	char folder[SCRATCH_PATH], out[SCRATCH_PATH + 16], file[SCRATCH_PATH + 64];
	const struct synth_options options = {.train = 10, .val = 10, .seed = 3, .size = 16};
	bool made;

	scratch_make(folder);
	snprintf(out, sizeof(out), "%s/set", folder);
	scratch_write(folder, "set.tmp/synth.txt", "resnet-data synth: train 99", 27);
	scratch_write(folder, "set.tmp/train/arrow/0098.png", "x", 1);
	CU_ASSERT_EQUAL(synth_write(&made, out, &options), NN_OK);
	CU_ASSERT(made);
	snprintf(file, sizeof(file), "%s/set/train/arrow/0098.png", folder);
	CU_ASSERT_NOT_EQUAL(access(file, F_OK), 0);
	snprintf(file, sizeof(file), "%s/set.tmp", folder);
	CU_ASSERT_NOT_EQUAL(access(file, F_OK), 0);
	scratch_remove(folder);
}

static void options_out_of_range_are_refused(void)
{
	const struct synth_options few = {9, 10, 0, 32}, none = {10, 0, 0, 32}, small = {10, 10, 0, 15}, large = {10, 10, 0, 513};
	bool made;

	CU_ASSERT_EQUAL(synth_write(&made, "unused", &few), NN_ERR_USAGE);
	CU_ASSERT_EQUAL(synth_write(&made, "unused", &none), NN_ERR_USAGE);
	CU_ASSERT_EQUAL(synth_write(&made, "unused", &small), NN_ERR_USAGE);
	CU_ASSERT_EQUAL(synth_write(&made, "unused", &large), NN_ERR_USAGE);
	CU_ASSERT_FALSE(made);
}

void suite_synth(void)
{
	static const struct test_row rows[] = {
	    TEST(pictures_depend_on_class_and_stream_only), TEST(no_linear_model_tells_the_classes_apart),
	    TEST(a_written_set_opens_as_an_image_folder),   TEST(what_it_did_not_make_is_not_touched),
	    TEST(an_interrupted_set_is_made_anew),	    TEST(options_out_of_range_are_refused),
	};

	ADD_SUITE("synth", rows);
}
