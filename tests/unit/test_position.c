#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/unit/suites.h"
#include "trainer/run/position.h"

static bool message_has(const char *text)
{
	return strstr(nn_error_message(), text) != NULL;
}

/* Every field with a value that a careless conversion would change. */
static struct position awkward_position(void)
{
	return (struct position){.step = 9007199254740993,
				 .epoch = INT_MAX,
				 .epoch_step = 9007199254740995,
				 .samples = INT64_MAX,
				 .loss_sum = 0.1,
				 .wrong_sum = 1.0 / 3,
				 .sample_sum = 5,
				 .val_loss = 1e-300,
				 .val_error = 123456789.123456789,
				 .val_error_top5 = nextafter(0.1, 1),
				 .val_images = 4294967297,
				 .best_error = 5e-324,
				 .metrics_bytes = 1099511627776};
}

/* The state as a checkpoint's file has it. */
static char *file_text(const struct position *position)
{
	json_t *state = json_object();
	char *text;

	CU_ASSERT_EQUAL(json_object_set_new(state, "step", json_integer(position->step)), 0);
	CU_ASSERT_EQUAL(position_write(state, position), NN_OK);
	text = json_dumps(state, JSON_INDENT(2));
	json_decref(state);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	return text;
}

static enum nn_status read_text(struct position *position, const char *text)
{
	json_t *state = json_loads(text, 0, NULL);
	enum nn_status status;

	CU_ASSERT_PTR_NOT_NULL_FATAL(state);
	status = position_read(position, state, "runs/a/checkpoints/step-3");
	json_decref(state);
	return status;
}

static void check_same(const struct position *a, const struct position *b)
{
	CU_ASSERT_EQUAL(a->step, b->step);
	CU_ASSERT_EQUAL(a->epoch, b->epoch);
	CU_ASSERT_EQUAL(a->epoch_step, b->epoch_step);
	CU_ASSERT_EQUAL(a->samples, b->samples);
	CU_ASSERT_EQUAL(a->loss_sum, b->loss_sum);
	CU_ASSERT_EQUAL(a->wrong_sum, b->wrong_sum);
	CU_ASSERT_EQUAL(a->sample_sum, b->sample_sum);
	CU_ASSERT_EQUAL(a->val_loss, b->val_loss);
	CU_ASSERT_EQUAL(a->val_error, b->val_error);
	CU_ASSERT_EQUAL(a->val_error_top5, b->val_error_top5);
	CU_ASSERT_EQUAL(a->val_images, b->val_images);
	CU_ASSERT_EQUAL(a->best_error, b->best_error);
	CU_ASSERT_EQUAL(a->metrics_bytes, b->metrics_bytes);
}

static void a_position_comes_back_from_text_with_every_bit(void)
{
	struct position position = awkward_position(), back;
	char *text = file_text(&position);

	CU_ASSERT_EQUAL(read_text(&back, text), NN_OK);
	check_same(&back, &position);
	free(text);
}

static void errors_that_are_not_there_yet_stay_not_a_number(void)
{
	struct position position = position_start(), back = awkward_position();
	char *text;

	position.step = 3;
	text = file_text(&position);
	CU_ASSERT_PTR_NULL(strstr(text, "NaN"));
	CU_ASSERT_EQUAL(read_text(&back, text), NN_OK);
	CU_ASSERT_EQUAL(back.step, 3);
	CU_ASSERT_EQUAL(back.epoch, 0);
	CU_ASSERT_EQUAL(back.loss_sum, 0);
	CU_ASSERT(isnan(back.val_loss));
	CU_ASSERT(isnan(back.val_error));
	CU_ASSERT(isnan(back.val_error_top5));
	CU_ASSERT(isnan(back.best_error));
	free(text);
}

/* Reads the awkward position with one key given another value (NULL: taken away). */
static enum nn_status read_changed(const char *key, json_t *value)
{
	struct position position = awkward_position(), back;
	char *text = file_text(&position);
	json_t *state = json_loads(text, 0, NULL);
	enum nn_status status;

	CU_ASSERT_EQUAL(value ? json_object_set_new(state, key, value) : json_object_del(state, key), 0);
	status = position_read(&back, state, "runs/a/checkpoints/step-3");
	json_decref(state);
	free(text);
	return status;
}

static void a_missing_key_is_named_with_its_folder(void)
{
	static const char *const keys[] = {
	    "step",	"epoch",     "epoch_step",     "samples",    "epoch_loss_sum", "epoch_wrong_sum", "epoch_sample_sum",
	    "val_loss", "val_error", "val_error_top5", "val_images", "best_error",     "metrics_bytes"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		CU_ASSERT_EQUAL(read_changed(keys[i], NULL), NN_ERR_CHECKPOINT);
		CU_ASSERT(message_has(keys[i]));
		CU_ASSERT(message_has("runs/a/checkpoints/step-3/state.json"));
	}
}

static void values_of_the_wrong_kind_are_refused(void)
{
	CU_ASSERT_EQUAL(read_changed("step", json_string("3")), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(read_changed("step", json_real(3)), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(read_changed("epoch", json_real(1)), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(read_changed("epoch", json_null()), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(read_changed("val_loss", json_string("0.1")), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(read_changed("val_loss", json_integer(1)), NN_OK);
}

static void numbers_out_of_range_are_refused(void)
{
	CU_ASSERT_EQUAL(read_changed("step", json_integer(-1)), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(read_changed("samples", json_integer(-1)), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(read_changed("epoch", json_integer(1LL + INT_MAX)), NN_ERR_CHECKPOINT);
	CU_ASSERT(message_has("epoch"));
}

void suite_position(void)
{
	static const struct test_row rows[] = {
	    TEST(a_position_comes_back_from_text_with_every_bit),
	    TEST(errors_that_are_not_there_yet_stay_not_a_number),
	    TEST(a_missing_key_is_named_with_its_folder),
	    TEST(values_of_the_wrong_kind_are_refused),
	    TEST(numbers_out_of_range_are_refused),
	};

	ADD_SUITE("position", rows);
}
