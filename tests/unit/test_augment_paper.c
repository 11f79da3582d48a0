#include <math.h>
#include <string.h>

#include "tests/unit/suites.h"
#include "trainer/data/views.h"

enum { SIZE = 6, VALUES = SIZE * SIZE * 3 };

static const struct protocol single = {.kind = PROTOCOL_SINGLE};
static const struct augment paper = {.kind = AUGMENT_PAPER, .size = SIZE, .normal.inverse_std = {255, 255, 255}, .eval_scale = 1};

/* Red grows by 2 a pixel along x and green along y. For size 6 the paper's 256 ... 480 are 7 ... 13, and 91 pixels are divided by
 * 7 and 13 without a rest: a step of the sample is 2 * 91 / side. */
static void short_sides_cover_the_papers_range_and_crops_cover_the_picture(void)
{
	enum { WIDTH = 120, HEIGHT = 91, SAMPLES = 3000 };
	struct augment_scratch scratch = {0};
	struct image image = {0};
	int times[20] = {0}, mirrored = 0;
	double leftmost = WIDTH, rightmost = 0;

	CU_ASSERT_EQUAL_FATAL(image_set_size(&image, WIDTH, HEIGHT), NN_OK);
	for (int i = 0; i < WIDTH * HEIGHT; i++) {
		image.pixels[3 * i] = (uint8_t)(i % WIDTH * 2);
		image.pixels[3 * i + 1] = (uint8_t)(i / WIDTH * 2);
	}
	for (uint64_t sample = 0; sample < SAMPLES; sample++) {
		float out[VALUES];
		double side, x;

		CU_ASSERT_EQUAL(augment_train(out, &image, &paper, rng_stream(1, 2, sample), &scratch), NN_OK);
		side = 2.0 * HEIGHT * 3 / (out[3 * SIZE * 4 + 1] - out[3 * SIZE + 1]);
		times[(int)lround(side)]++;
		mirrored += out[0] > out[3];
		x = fmin(out[3], out[3 * (SIZE - 2)]) / 2;
		leftmost = fmin(leftmost, x);
		rightmost = fmax(rightmost, fmax(out[3], out[3 * (SIZE - 2)]) / 2);
	}
	for (int side = 0; side < 20; side++)
		CU_ASSERT(side >= 7 && side <= 13 ? times[side] > SAMPLES / 10 : times[side] == 0);
	CU_ASSERT(mirrored > SAMPLES * 0.45 && mirrored < SAMPLES * 0.55);
	/* The second column of a sample, from the second pixel on one end to the second pixel on the other. */
	CU_ASSERT(leftmost < 12 && rightmost > WIDTH - 12);
	image_release(&image);
	augment_scratch_release(&scratch);
}

/* The first axis has 20 grey levels of red, the second 10 of green and blue: deviations of 2, 1 and 1. */
static void colour_noise_is_one_shift_of_the_whole_picture_along_the_axes(void)
{
	enum { SAMPLES = 4000 };
	struct augment augment = paper;
	struct augment_scratch scratch = {0};
	struct image image = {0};
	double sums[3] = {0}, squares[3] = {0};

	augment.colour_axes[0][0] = 20 / 255.0f;
	augment.colour_axes[1][1] = augment.colour_axes[1][2] = 10 / 255.0f;
	CU_ASSERT_EQUAL_FATAL(image_set_size(&image, 20, 20), NN_OK);
	memset(image.pixels, 100, 20 * 20 * 3);
	for (uint64_t sample = 0; sample < SAMPLES; sample++) {
		float out[VALUES];

		CU_ASSERT_EQUAL(augment_train(out, &image, &augment, rng_stream(1, 3, sample), &scratch), NN_OK);
		CU_ASSERT_DOUBLE_EQUAL(out[1], out[2], 1e-4);
		for (int c = 0; c < 3; c++) {
			CU_ASSERT_EQUAL(out[c], out[VALUES - 3 + c]);
			sums[c] += out[c] - 100;
			squares[c] += (out[c] - 100) * (out[c] - 100);
		}
	}
	for (int c = 0; c < 3; c++) {
		CU_ASSERT_DOUBLE_EQUAL(sums[c] / SAMPLES, 0, 0.15);
		CU_ASSERT_DOUBLE_EQUAL(sqrt(squares[c] / SAMPLES), c ? 1 : 2, 0.1);
	}
	image_release(&image);
	augment_scratch_release(&scratch);
}

static void evaluation_has_no_colour_noise(void)
{
	struct augment augment = paper;
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float out[VALUES];

	augment.colour_axes[0][0] = 20 / 255.0f;
	CU_ASSERT_EQUAL_FATAL(image_set_size(&image, SIZE, SIZE), NN_OK);
	memset(image.pixels, 100, VALUES);
	CU_ASSERT_EQUAL(views_crops(out, &image, &augment, &single, &scratch), NN_OK);
	CU_ASSERT_DOUBLE_EQUAL(out[0], 100, 1e-4);
	image_release(&image);
	augment_scratch_release(&scratch);
}

/* A picture that is its own mean becomes zeros wherever it is moved to and however it is turned. */
static void a_per_pixel_mean_moves_with_the_picture(void)
{
	struct augment augment = {.kind = AUGMENT_CIFAR, .size = SIZE, .normal.inverse_std = {3, 4, 5}, .eval_scale = 1};
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float mean[VALUES], out[VALUES];

	CU_ASSERT_EQUAL_FATAL(image_set_size(&image, SIZE, SIZE), NN_OK);
	for (int i = 0; i < VALUES; i++) {
		image.pixels[i] = (uint8_t)(i * 2);
		mean[i] = (float)(i * 2) / 255.0f;
	}
	augment.normal.pixel_mean = mean;
	for (uint64_t sample = 0; sample < 100; sample++) {
		CU_ASSERT_EQUAL(augment_train(out, &image, &augment, rng_stream(1, 4, sample), &scratch), NN_OK);
		for (int i = 0; i < VALUES; i++)
			CU_ASSERT_EQUAL(out[i], 0.0f);
	}
	image_release(&image);
	augment_scratch_release(&scratch);
}

/* Pixel 51 is 0.2; the mean of the last value is 0.5, of the others 0: (0.2 - 0.5) * 5 = -1.5. */
static void a_per_pixel_mean_replaces_that_of_the_channel(void)
{
	struct augment augment = {
	    .kind = AUGMENT_NONE, .size = SIZE, .normal = {.mean = {9, 9, 9}, .inverse_std = {3, 4, 5}}, .eval_scale = 1};
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float mean[VALUES] = {0}, out[VALUES];

	CU_ASSERT_EQUAL_FATAL(image_set_size(&image, SIZE, SIZE), NN_OK);
	memset(image.pixels, 51, VALUES);
	mean[VALUES - 1] = 0.5f;
	augment.normal.pixel_mean = mean;
	CU_ASSERT_EQUAL(views_crops(out, &image, &augment, &single, &scratch), NN_OK);
	CU_ASSERT_DOUBLE_EQUAL(out[0], 0.6, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(out[VALUES - 2], 0.8, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(out[VALUES - 1], -1.5, 1e-6);
	image_release(&image);
	augment_scratch_release(&scratch);
}

void suite_augment_paper(void)
{
	static const struct test_row rows[] = {
	    TEST(short_sides_cover_the_papers_range_and_crops_cover_the_picture),
	    TEST(colour_noise_is_one_shift_of_the_whole_picture_along_the_axes),
	    TEST(evaluation_has_no_colour_noise),
	    TEST(a_per_pixel_mean_moves_with_the_picture),
	    TEST(a_per_pixel_mean_replaces_that_of_the_channel),
	};

	ADD_SUITE("augment_paper", rows);
}
