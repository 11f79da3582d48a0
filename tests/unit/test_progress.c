#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suites.h"
#include "trainer/report/pack_progress.h"
#include "trainer/report/progress.h"

static const struct progress_state state = {
    .epoch = 3,
    .epochs = 164,
    .step = 1200,
    .steps = 64124,
    .images_per_second = 1234.56,
    .loss = 1.23456,
    .train_error = 45.678,
    .val_error = NAN,
    .lr = 0.1,
    .seconds_left = 5025.4,
};

static const char full[] = "epoch 3/164  step 1200/64124  1234.6 images/s  loss 1.2346  error 45.68 %  lr 0.1  left 1:23:45";

static void a_line_shows_what_is_known(void)
{
	struct progress_state some = state;
	char text[200];

	progress_format(text, sizeof(text), &state);
	CU_ASSERT_STRING_EQUAL(text, full);
	some.epochs = 0;
	some.steps = 0;
	some.images_per_second = NAN;
	some.train_error = INFINITY;
	some.val_error = 12.344;
	some.seconds_left = -1;
	progress_format(text, sizeof(text), &some);
	CU_ASSERT_STRING_EQUAL(text, "epoch 3  step 1200  loss 1.2346  validation 12.34 %  lr 0.1");
	some.loss = INFINITY;
	progress_format(text, sizeof(text), &some);
	CU_ASSERT(strstr(text, "loss inf") != NULL);
}

static void a_line_is_cut_to_every_size(void)
{
	for (size_t size = 1; size <= sizeof(full); size++) {
		char text[sizeof(full) + 1];

		memset(text, '#', sizeof(text));
		progress_format(text, size, &state);
		CU_ASSERT_EQUAL(strlen(text), size - 1);
		CU_ASSERT_EQUAL(strncmp(text, full, size - 1), 0);
		CU_ASSERT_EQUAL(text[size], '#');
	}
}

static void times_are_minutes_or_hours(void)
{
	static const struct {
		double seconds;
		const char *text;
	} cases[] = {{0, "0:00"},	  {59.6, "1:00"},    {754, "12:34"},	   {3599.4, "59:59"},
		     {3599.5, "1:00:00"}, {5025, "1:23:45"}, {360000, "100:00:00"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[32];

		progress_format_time(text, sizeof(text), cases[i].seconds);
		CU_ASSERT_STRING_EQUAL(text, cases[i].text);
	}
}

/* What is shown for steps at 0, 0.05, 1, 9.9, 10 and 11 seconds, an epoch's end at 12, and steps at 13 and 22. Freed by the caller.
 */
static char *show(int width)
{
	static const double seconds[] = {0, 0.05, 1, 9.9, 10, 11};
	struct progress_state now = state;
	struct progress progress;
	char *text = NULL;
	size_t bytes;
	FILE *stream = open_memstream(&text, &bytes);

	if (!stream)
		return NULL;
	progress_init(&progress, stream, width);
	for (int i = 0; i < 6; i++) {
		now.step = i;
		CU_ASSERT_EQUAL(progress_step(&progress, &now, seconds[i]), NN_OK);
	}
	CU_ASSERT_EQUAL(progress_epoch(&progress, &now, 12), NN_OK);
	now.step = 6;
	CU_ASSERT_EQUAL(progress_step(&progress, &now, 13), NN_OK);
	now.step = 7;
	CU_ASSERT_EQUAL(progress_step(&progress, &now, 22), NN_OK);
	CU_ASSERT_EQUAL(progress_break(&progress), NN_OK);
	CU_ASSERT_EQUAL(progress_break(&progress), NN_OK);
	fclose(stream);
	return text;
}

static void outside_a_terminal_lines_come_at_epochs_and_every_ten_seconds(void)
{
	static const char *const steps[] = {"step 0/", "step 4/", "step 5/", "step 7/"};
	char *text = show(0), *rest = NULL;
	int lines = 0;

	CU_ASSERT(text && !strchr(text, '\r'));
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++)
		CU_ASSERT(lines < 4 && strstr(line, steps[lines < 4 ? lines : 0]) != NULL);
	CU_ASSERT_EQUAL(lines, 4);
	free(text);
}

static void on_a_terminal_one_line_is_written_over_within_its_width(void)
{
	char *text = show(26), *rest = NULL;
	int lines = 0;

	CU_ASSERT(text && strchr(text, '\n') == text + strlen(text) - 1);
	for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest), lines++)
		CU_ASSERT_EQUAL(strlen(line), 25);
	CU_ASSERT_EQUAL(lines, 8);
	free(text);
}

static void a_shorter_line_covers_the_longer_one_before(void)
{
	struct progress_state shorter = {
	    .epoch = 1, .step = 2, .images_per_second = NAN, .train_error = NAN, .val_error = NAN, .lr = NAN};
	struct progress progress;
	char *text = NULL;
	size_t bytes;
	FILE *stream = open_memstream(&text, &bytes);

	progress_init(&progress, stream, 200);
	shorter.seconds_left = -1;
	CU_ASSERT_EQUAL(progress_epoch(&progress, &state, 0), NN_OK);
	CU_ASSERT_EQUAL(progress_epoch(&progress, &shorter, 1), NN_OK);
	CU_ASSERT_EQUAL(bytes, 2 * sizeof(full));
	CU_ASSERT(text && strstr(text, "\repoch 1  step 2  loss 0.0000    ") != NULL);
	fclose(stream);
	free(text);
}

static void a_stream_that_cannot_be_written_is_an_io_error(void)
{
	struct progress progress;
	FILE *stream = fopen("/dev/full", "w");

	if (!stream)
		return;
	CU_ASSERT_EQUAL(progress_terminal_width(stream), 0);
	progress_init(&progress, stream, 0);
	CU_ASSERT_EQUAL(progress_epoch(&progress, &state, 0), NN_ERR_IO);
	fclose(stream);
}

/* The stream is said to be a terminal of 80 columns; the time between the calls is long enough for a line. */
static void packing_shows_images_bytes_and_rate_and_ends_its_line(void)
{
	static const char expected[] = "\rtrain  11/20 images  2.5 MB  ";
	struct pack_progress progress;
	char text[300] = "";
	FILE *stream = tmpfile();

	CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
	pack_progress_init(&progress, stream);
	CU_ASSERT_EQUAL(progress.line.width, 0);
	pack_progress_show(&progress, "train", 1, 20, 100000);
	CU_ASSERT_EQUAL(ftell(stream), 0);
	progress.line.width = 80;
	progress.line.next_seconds = 0;
	pack_progress_show(&progress, "train", 11, 20, 2500000);
	pack_progress_end(&progress);
	pack_progress_end(&progress);
	rewind(stream);
	text[fread(text, 1, sizeof(text) - 1, stream)] = '\0';
	CU_ASSERT_EQUAL(strncmp(text, expected, strlen(expected)), 0);
	CU_ASSERT(strstr(text, " images/s  left 0:00\n") && strlen(text) < 81);
	fclose(stream);
}

void suite_progress(void)
{
	static const struct test_row rows[] = {
	    TEST(a_line_shows_what_is_known),
	    TEST(a_line_is_cut_to_every_size),
	    TEST(times_are_minutes_or_hours),
	    TEST(outside_a_terminal_lines_come_at_epochs_and_every_ten_seconds),
	    TEST(on_a_terminal_one_line_is_written_over_within_its_width),
	    TEST(a_shorter_line_covers_the_longer_one_before),
	    TEST(a_stream_that_cannot_be_written_is_an_io_error),
	    TEST(packing_shows_images_bytes_and_rate_and_ends_its_line),
	};

	ADD_SUITE("progress", rows);
}
