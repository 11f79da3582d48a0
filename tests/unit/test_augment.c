#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "tests/unit/suites.h"
#include "trainer/data/views.h"

enum { SIZE = 6, VALUES = SIZE * SIZE * 3 };

static const struct protocol single = {.kind = PROTOCOL_SINGLE};
static const struct augment plain = {.kind = AUGMENT_NONE, .size = SIZE, .normal.inverse_std = {255, 255, 255}, .eval_scale = 1};

/* Every pixel is told apart: red counts pixels, green and blue tell the place. */
static void make_image(struct image *image, int width, int height)
{
	CU_ASSERT_EQUAL_FATAL(image_set_size(image, width, height), NN_OK);
	for (int i = 0; i < width * height; i++) {
		image->pixels[3 * i] = (uint8_t)(i + 1);
		image->pixels[3 * i + 1] = (uint8_t)(i % width);
		image->pixels[3 * i + 2] = (uint8_t)(i / width);
	}
}

static void values_are_normalised_channel_by_channel(void)
{
	struct augment augment = {
	    .kind = AUGMENT_NONE, .size = 1, .normal = {.mean = {0.5f, 0.25f, 0}, .inverse_std = {2, 4, 1}}, .eval_scale = 1};
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float out[3];

	CU_ASSERT_EQUAL_FATAL(image_set_size(&image, 1, 1), NN_OK);
	memcpy(image.pixels, (const uint8_t[]){255, 51, 102}, 3);
	CU_ASSERT_EQUAL(views_crops(out, &image, &augment, &single, &scratch), NN_OK);
	CU_ASSERT_DOUBLE_EQUAL(out[0], 1, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(out[1], -0.2, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(out[2], 0.4, 1e-6);
	image_release(&image);
	augment_scratch_release(&scratch);
}

static void a_picture_of_the_right_size_is_taken_as_it_is(void)
{
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float out[VALUES], again[VALUES];

	make_image(&image, SIZE, SIZE);
	CU_ASSERT_EQUAL(augment_train(out, &image, &plain, rng_stream(1, 2, 3), &scratch), NN_OK);
	CU_ASSERT_EQUAL(views_crops(again, &image, &plain, &single, &scratch), NN_OK);
	for (int i = 0; i < VALUES; i++) {
		CU_ASSERT_DOUBLE_EQUAL(out[i], image.pixels[i], 1e-4);
		CU_ASSERT_EQUAL(out[i], again[i]);
	}
	image_release(&image);
	augment_scratch_release(&scratch);
}

/* Width 9 and 11 leave (9 - 6) / 2 = 1.5 and 2.5 columns on the left: torchvision rounds both to 2. */
static void the_centre_is_cut_out_where_torchvision_cuts_it(void)
{
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float out[VALUES];

	for (int width = 9; width <= 11; width += 2) {
		make_image(&image, width, SIZE);
		CU_ASSERT_EQUAL(views_crops(out, &image, &plain, &single, &scratch), NN_OK);
		CU_ASSERT_DOUBLE_EQUAL(out[1], 2, 1e-4);
		CU_ASSERT_DOUBLE_EQUAL(out[2], 0, 1e-4);
	}
	make_image(&image, SIZE, 8);
	CU_ASSERT_EQUAL(views_crops(out, &image, &plain, &single, &scratch), NN_OK);
	CU_ASSERT_DOUBLE_EQUAL(out[2], 1, 1e-4);
	image_release(&image);
	augment_scratch_release(&scratch);
}

/* With scale 2 a 12 x 12 picture keeps its size and loses 3 pixels on each side; without, it is halved. */
static void evaluation_scales_the_short_side_before_it_crops(void)
{
	struct augment augment = plain;
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float out[VALUES];

	make_image(&image, 12, 12);
	augment.eval_scale = 2;
	CU_ASSERT_EQUAL(views_crops(out, &image, &augment, &single, &scratch), NN_OK);
	CU_ASSERT_DOUBLE_EQUAL(out[1], 3, 1e-4);
	CU_ASSERT_DOUBLE_EQUAL(out[VALUES - 1], 8, 1e-4);
	CU_ASSERT_EQUAL(views_crops(out, &image, &plain, &single, &scratch), NN_OK);
	CU_ASSERT_DOUBLE_EQUAL(out[3 * (2 * SIZE + 3) + 1], 6.5, 0.51);
	CU_ASSERT_DOUBLE_EQUAL(out[3 * (2 * SIZE + 3) + 2], 4.5, 0.51);
	image_release(&image);
	augment_scratch_release(&scratch);
}

/* Whether out is the picture moved by (dx, dy), mirrored or not, with zeros around. */
static bool is_moved(const float *out, const struct image *image, int dx, int dy, bool mirrored)
{
	for (int y = 0; y < SIZE; y++)
		for (int x = 0; x < SIZE; x++) {
			int from_x = (mirrored ? SIZE - 1 - x : x) + dx, from_y = y + dy;
			bool inside = from_x >= 0 && from_x < SIZE && from_y >= 0 && from_y < SIZE;
			float expected = inside ? image->pixels[3 * (from_y * SIZE + from_x)] : 0;

			if (fabsf(out[3 * (y * SIZE + x)] - expected) > 1e-3f)
				return false;
		}
	return true;
}

/* Of 9 x 9 places and 2 sides each comes about 25 times in 4050 samples. */
static void cifar_samples_are_all_crops_of_the_padded_picture(void)
{
	struct augment augment = plain;
	struct augment_scratch scratch = {0};
	struct image image = {0};
	int times[9 * 9 * 2] = {0};
	float out[VALUES];

	augment.kind = AUGMENT_CIFAR;
	make_image(&image, SIZE, SIZE);
	for (uint64_t sample = 0; sample < 25 * 162; sample++) {
		int matches = 0;

		CU_ASSERT_EQUAL(augment_train(out, &image, &augment, rng_stream(1, 2, sample), &scratch), NN_OK);
		for (int i = 0; i < 162; i++)
			if (is_moved(out, &image, i / 18 - 4, i / 2 % 9 - 4, i % 2)) {
				times[i]++;
				matches++;
			}
		CU_ASSERT_EQUAL(matches, 1);
	}
	for (int i = 0; i < 162; i++)
		CU_ASSERT(times[i] > 3 && times[i] < 60);
	image_release(&image);
	augment_scratch_release(&scratch);
}

static void the_padding_is_zero_after_normalising(void)
{
	struct augment augment = {
	    .kind = AUGMENT_CIFAR, .size = SIZE, .normal = {.mean = {0.5f, 0.5f, 0.5f}, .inverse_std = {4, 4, 4}}, .eval_scale = 1};
	struct augment_scratch scratch = {0};
	struct image image = {0};
	int zeros = 0;

	CU_ASSERT_EQUAL_FATAL(image_set_size(&image, SIZE, SIZE), NN_OK);
	memset(image.pixels, 255, VALUES);
	for (uint64_t sample = 0; sample < 50; sample++) {
		float out[VALUES];

		CU_ASSERT_EQUAL(augment_train(out, &image, &augment, rng_stream(1, 2, sample), &scratch), NN_OK);
		for (int i = 0; i < VALUES; i++) {
			CU_ASSERT(out[i] == 0.0f || out[i] == 2.0f);
			zeros += out[i] == 0.0f;
		}
	}
	CU_ASSERT(zeros > 0);
	image_release(&image);
	augment_scratch_release(&scratch);
}

/* On a picture whose red grows from 0 to 255 along x, and green along y, the ends of a sample tell its crop. */
static void inception_samples_cover_areas_and_shapes_as_torchvision_does(void)
{
	enum { SIDE = 256, SAMPLES = 2000 };
	struct augment augment = plain;
	struct augment_scratch scratch = {0};
	struct image image = {0};
	int mirrored = 0, small = 0;
	double area_sum = 0;

	augment.kind = AUGMENT_INCEPTION;
	CU_ASSERT_EQUAL_FATAL(image_set_size(&image, SIDE, SIDE), NN_OK);
	for (int i = 0; i < SIDE * SIDE; i++) {
		image.pixels[3 * i] = (uint8_t)(i % SIDE);
		image.pixels[3 * i + 1] = (uint8_t)(i / SIDE);
	}
	for (uint64_t sample = 0; sample < SAMPLES; sample++) {
		float out[VALUES];
		double width, height, area;

		CU_ASSERT_EQUAL(augment_train(out, &image, &augment, rng_stream(3, 0, sample), &scratch), NN_OK);
		width = (double)(out[3 * (SIZE - 2)] - out[3]) * SIZE / (SIZE - 3);
		height = (double)(out[3 * SIZE * (SIZE - 2) + 1] - out[3 * SIZE + 1]) * SIZE / (SIZE - 3);
		area = fabs(width) * height / (SIDE * SIDE);
		mirrored += width < 0;
		small += area < 0.5;
		area_sum += area;
		CU_ASSERT(area > 0.07 && area < 1.03);
		CU_ASSERT(fabs(width) / height > 0.72 && fabs(width) / height < 1.39);
	}
	CU_ASSERT(mirrored > SAMPLES * 0.45 && mirrored < SAMPLES * 0.55);
	/* Large areas are refused more often, since they fit only in some shapes: the mean is below the 0.54 of all tries. */
	CU_ASSERT(area_sum / SAMPLES > 0.44 && area_sum / SAMPLES < 0.54);
	CU_ASSERT(small > SAMPLES * 0.45 && small < SAMPLES * 0.65);
	image_release(&image);
	augment_scratch_release(&scratch);
}

static void extreme_shapes_fall_back_to_their_centre(void)
{
	static const int shapes[][2] = {{1, 1}, {1, 3000}, {3000, 1}, {2, 65535}, {5, 7}};
	struct augment augment = plain;
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float out[VALUES];

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		for (int kind = AUGMENT_NONE; kind <= AUGMENT_PAPER; kind++) {
			augment.kind = (enum augment_kind)kind;
			CU_ASSERT_EQUAL_FATAL(image_set_size(&image, shapes[i][0], shapes[i][1]), NN_OK);
			memset(image.pixels, 90, (size_t)image.width * (size_t)image.height * 3);
			CU_ASSERT_EQUAL(augment_train(out, &image, &augment, rng_stream(1, 1, i), &scratch), NN_OK);
			CU_ASSERT(out[VALUES / 2] == 0.0f || fabsf(out[VALUES / 2] - 90) < 1e-3f);
			CU_ASSERT_EQUAL(views_crops(out, &image, &augment, &single, &scratch), NN_OK);
			CU_ASSERT_DOUBLE_EQUAL(out[0], 90, 1e-3);
			CU_ASSERT_DOUBLE_EQUAL(out[VALUES - 1], 90, 1e-3);
		}
	image_release(&image);
	augment_scratch_release(&scratch);
}

static bool same(const float *a, const float *b)
{
	for (int i = 0; i < VALUES; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

static void equal_streams_give_equal_samples_and_no_allocation(void)
{
	struct augment augment = plain;
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float a[VALUES], b[VALUES];
	int different = 0;
	long before;

	augment.kind = AUGMENT_INCEPTION;
	make_image(&image, 40, 30);
	for (uint64_t sample = 0; sample < 300; sample++)
		CU_ASSERT_EQUAL(augment_train(b, &image, &augment, rng_stream(4, 0, sample), &scratch), NN_OK);
	before = nn_alloc_count();
	for (uint64_t sample = 0; sample < 300; sample++) {
		CU_ASSERT_EQUAL(augment_train(a, &image, &augment, rng_stream(4, 0, sample), &scratch), NN_OK);
		different += !same(a, b);
	}
	CU_ASSERT(same(a, b));
	CU_ASSERT_EQUAL(different, 299);
	CU_ASSERT_EQUAL(nn_alloc_count(), before);
	image_release(&image);
	augment_scratch_release(&scratch);
}

void suite_augment(void)
{
	static const struct test_row rows[] = {
	    TEST(values_are_normalised_channel_by_channel),
	    TEST(a_picture_of_the_right_size_is_taken_as_it_is),
	    TEST(the_centre_is_cut_out_where_torchvision_cuts_it),
	    TEST(evaluation_scales_the_short_side_before_it_crops),
	    TEST(cifar_samples_are_all_crops_of_the_padded_picture),
	    TEST(the_padding_is_zero_after_normalising),
	    TEST(inception_samples_cover_areas_and_shapes_as_torchvision_does),
	    TEST(extreme_shapes_fall_back_to_their_centre),
	    TEST(equal_streams_give_equal_samples_and_no_allocation),
	};

	ADD_SUITE("augment", rows);
}
