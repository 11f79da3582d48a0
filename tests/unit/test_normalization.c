#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "tests/unit/suites.h"
#include "trainer/run/normalization.h"
#include "trainer/state/float_text.h"

enum { SIZE = 4, FLOATS = SIZE * SIZE * 3 };

/* A state as save.c would write it, through the text of a file. */
static json_t *through_text(const struct augment *augment)
{
	json_t *state = json_object(), *again;
	char *text;

	CU_ASSERT_EQUAL(normalization_write(state, augment), NN_OK);
	text = json_dumps(state, JSON_COMPACT);
	again = json_loads(text, 0, NULL);
	free(text);
	json_decref(state);
	return again;
}

static void everything_comes_back_from_state_json_to_the_bit(void)
{
	float mean[FLOATS];
	struct augment before = {.kind = AUGMENT_PAPER,
				 .size = SIZE,
				 .normal = {.mean = {0.1f, 1 / 3.0f, 0.7f}, .inverse_std = {4.3f, 1e-7f, 9}, .pixel_mean = mean},
				 .colour_axes = {{0.1f, 0.2f, 1 / 7.0f}, {-0.3f, 0, 0}, {1, 2, 3}}};
	struct augment after = {.size = SIZE};
	struct normalization_parts found;
	float *pixel_mean = NULL;
	json_t *state;

	for (int i = 0; i < FLOATS; i++)
		mean[i] = (float)sin(i) / 3;
	state = through_text(&before);
	CU_ASSERT_EQUAL(normalization_read(&after, &pixel_mean, &found, state, "run"), NN_OK);
	CU_ASSERT(found.channels && found.pixel_mean && found.colour_axes);
	CU_ASSERT_EQUAL(memcmp(before.normal.mean, after.normal.mean, sizeof(after.normal.mean)), 0);
	CU_ASSERT_EQUAL(memcmp(before.normal.inverse_std, after.normal.inverse_std, sizeof(after.normal.inverse_std)), 0);
	CU_ASSERT_EQUAL(memcmp(before.colour_axes, after.colour_axes, sizeof(after.colour_axes)), 0);
	CU_ASSERT_EQUAL(memcmp(mean, pixel_mean, sizeof(mean)), 0);
	CU_ASSERT_PTR_EQUAL(after.normal.pixel_mean, pixel_mean);
	nn_free(pixel_mean);
	json_decref(state);
}

static void what_a_run_does_not_need_is_not_kept(void)
{
	struct augment before = {.kind = AUGMENT_CIFAR, .size = SIZE}, after = {.size = SIZE};
	struct normalization_parts found;
	float *pixel_mean = NULL;
	json_t *state = through_text(&before);

	CU_ASSERT_EQUAL(normalization_read(&after, &pixel_mean, &found, state, "run"), NN_OK);
	CU_ASSERT(found.channels && !found.pixel_mean && !found.colour_axes);
	CU_ASSERT_PTR_NULL(pixel_mean);
	CU_ASSERT_PTR_NULL(after.normal.pixel_mean);
	json_decref(state);
}

static void refused(const char *text, const char *key)
{
	struct augment augment = {.size = SIZE};
	struct normalization_parts found;
	float *pixel_mean = NULL;
	json_t *state = json_loads(text, 0, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(state);
	CU_ASSERT_EQUAL(normalization_read(&augment, &pixel_mean, &found, state, "run"), NN_ERR_CHECKPOINT);
	CU_ASSERT(strstr(nn_error_message(), key) != NULL);
	nn_free(pixel_mean);
	json_decref(state);
}

static void a_state_without_usable_numbers_is_refused(void)
{
	refused("{}", "normalization");
	refused("{\"normalization\": {\"mean\": [1, 2], \"inverse_std\": [1, 2, 3]}}", "normalization");
	refused("{\"normalization\": {\"mean\": [1, 2, 3], \"inverse_std\": [1, 2, \"x\"]}}", "normalization");
	refused("{\"normalization\": {\"mean\": [1, 2, 3], \"inverse_std\": [1, 2, 3], \"colour_axes\": [[1, 2, 3]]}}",
		"colour_axes");
	refused("{\"normalization\": {\"mean\": [1, 2, 3], \"inverse_std\": [1, 2, 3], \"pixel_mean\": \"00\"}}", "pixel_mean");
	refused("{\"normalization\": {\"mean\": [1, 2, 3], \"inverse_std\": [1, 2, 3], \"pixel_mean\": 7}}", "pixel_mean");
}

/* 1.0f is 0x3f800000 and -2.5f 0xc0200000, lowest byte first. */
static void floats_become_their_little_endian_bytes(void)
{
	const float values[2] = {1.0f, -2.5f};
	float again[2];
	char *text;

	CU_ASSERT_EQUAL_FATAL(float_text_write(&text, values, 2), NN_OK);
	CU_ASSERT_STRING_EQUAL(text, "0000803f000020c0");
	CU_ASSERT_EQUAL(float_text_read(again, 2, text), NN_OK);
	CU_ASSERT_EQUAL(memcmp(values, again, sizeof(values)), 0);
	text[3] = 'G';
	CU_ASSERT_EQUAL(float_text_read(again, 2, text), NN_ERR_DATA);
	CU_ASSERT_EQUAL(float_text_read(again, 1, text), NN_ERR_DATA);
	nn_free(text);
}

void suite_normalization(void)
{
	static const struct test_row rows[] = {
	    TEST(everything_comes_back_from_state_json_to_the_bit),
	    TEST(what_a_run_does_not_need_is_not_kept),
	    TEST(a_state_without_usable_numbers_is_refused),
	    TEST(floats_become_their_little_endian_bytes),
	};

	ADD_SUITE("normalization", rows);
}
