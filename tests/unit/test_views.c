#include <math.h>
#include <string.h>

#include "tests/unit/suites.h"
#include "trainer/data/views.h"

enum { SIZE = 4, VALUES = SIZE * SIZE * 3, WIDTH = 9, HEIGHT = 6 };

/* For a short side of 6, so that the picture keeps its size. Red tells the column, green the row. */
static const struct augment augment = {.size = SIZE, .normal.inverse_std = {255, 255, 255}, .eval_scale = 1.5f};

static void make_image(struct image *image)
{
	CU_ASSERT_EQUAL_FATAL(image_set_size(image, WIDTH, HEIGHT), NN_OK);
	for (int i = 0; i < WIDTH * HEIGHT; i++) {
		image->pixels[3 * i] = (uint8_t)(i % WIDTH);
		image->pixels[3 * i + 1] = (uint8_t)(i / WIDTH);
		image->pixels[3 * i + 2] = 77;
	}
}

/* The view begins at column x and row y; step -1: mirrored. */
static void check_view(const float *view, int x, int y, int step)
{
	CU_ASSERT_DOUBLE_EQUAL(view[0], x, 1e-4);
	CU_ASSERT_DOUBLE_EQUAL(view[1], y, 1e-4);
	CU_ASSERT_DOUBLE_EQUAL(view[3], x + step, 1e-4);
	CU_ASSERT_DOUBLE_EQUAL(view[VALUES - 3], x + 3 * step, 1e-4);
	CU_ASSERT_DOUBLE_EQUAL(view[VALUES - 2], y + 3, 1e-4);
	CU_ASSERT_DOUBLE_EQUAL(view[VALUES - 1], 77, 1e-4);
}

/* A margin of 5 columns: 2.5 is rounded to 2 on the left of the picture, and of the mirrored one, where column 2 is column 6. */
static void ten_crops_are_corners_and_centre_of_the_picture_and_its_mirror_image(void)
{
	static const int begin[10][2] = {{0, 0}, {5, 0}, {0, 2}, {5, 2}, {2, 1}, {8, 0}, {3, 0}, {8, 2}, {3, 2}, {6, 1}};
	const struct protocol protocol = {.kind = PROTOCOL_TEN_CROP};
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float out[10 * VALUES];

	make_image(&image);
	CU_ASSERT_EQUAL_FATAL(views_count(&protocol), 10);
	CU_ASSERT_EQUAL(views_crops(out, &image, &augment, &protocol, &scratch), NN_OK);
	for (int i = 0; i < 10; i++)
		check_view(out + i * VALUES, begin[i][0], begin[i][1], i < 5 ? 1 : -1);
	image_release(&image);
	augment_scratch_release(&scratch);
}

static void a_flip_mirrors_the_central_crop_itself(void)
{
	const struct protocol single = {.kind = PROTOCOL_SINGLE}, flip = {.kind = PROTOCOL_SINGLE, .flip = true};
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float out[2 * VALUES], alone[VALUES];

	make_image(&image);
	CU_ASSERT_EQUAL(views_count(&single), 1);
	CU_ASSERT_EQUAL(views_count(&flip), 2);
	CU_ASSERT_EQUAL(views_crops(alone, &image, &augment, &single, &scratch), NN_OK);
	CU_ASSERT_EQUAL(views_crops(out, &image, &augment, &flip, &scratch), NN_OK);
	CU_ASSERT_EQUAL(memcmp(out, alone, sizeof(alone)), 0);
	check_view(out, 2, 1, 1);
	check_view(out + VALUES, 5, 1, -1);
	image_release(&image);
	augment_scratch_release(&scratch);
}

/* For size 56 the five short sides are a quarter of those for 224; 9 x 6 pixels become 1.5 times as wide as high. */
static void scales_are_in_proportion_to_the_size_of_the_net(void)
{
	static const int sides[VIEW_SCALES] = {56, 64, 96, 120, 160};
	const struct protocol protocol = {.kind = PROTOCOL_MULTI_SCALE, .flip = true};
	struct augment quarter = augment;
	struct image image = {0};

	make_image(&image);
	quarter.size = 56;
	CU_ASSERT_EQUAL(views_count(&protocol), 10);
	for (int i = 0; i < VIEW_SCALES; i++) {
		struct fit fit = views_scale(&image, &quarter, i);

		CU_ASSERT_EQUAL(fit.height, sides[i]);
		CU_ASSERT_EQUAL(fit.width, sides[i] * 3 / 2);
		CU_ASSERT_EQUAL(fit.crop_width, fit.width);
		CU_ASSERT_EQUAL(fit.crop_height, fit.height);
	}
	image_release(&image);
}

static void whole_pictures_are_normalised_by_channel_and_mirrored(void)
{
	struct augment with_mean = augment;
	struct augment_scratch scratch = {0};
	struct image image = {0};
	float out[WIDTH * HEIGHT * 3], pixel_mean[VALUES] = {9};
	struct fit fit;

	make_image(&image);
	with_mean.normal.mean[1] = 2 / 255.0f;
	with_mean.normal.pixel_mean = pixel_mean;
	fit = fit_whole(&image, HEIGHT);
	CU_ASSERT_EQUAL(views_whole(out, &image, &with_mean, &fit, true, &scratch), NN_OK);
	CU_ASSERT_DOUBLE_EQUAL(out[0], WIDTH - 1, 1e-4);
	CU_ASSERT_DOUBLE_EQUAL(out[1], -2, 1e-4);
	CU_ASSERT_DOUBLE_EQUAL(out[WIDTH * HEIGHT * 3 - 3], 0, 1e-4);
	CU_ASSERT_DOUBLE_EQUAL(out[WIDTH * HEIGHT * 3 - 2], 3, 1e-4);
	image_release(&image);
	augment_scratch_release(&scratch);
}

static void flips_beside_ten_crops_are_refused(void)
{
	const struct protocol ten = {.kind = PROTOCOL_TEN_CROP}, both = {.kind = PROTOCOL_TEN_CROP, .flip = true};

	CU_ASSERT_EQUAL(protocol_check(&ten), NN_OK);
	CU_ASSERT_EQUAL(protocol_check(&both), NN_ERR_USAGE);
}

void suite_views(void)
{
	static const struct test_row rows[] = {
	    TEST(ten_crops_are_corners_and_centre_of_the_picture_and_its_mirror_image),
	    TEST(a_flip_mirrors_the_central_crop_itself),
	    TEST(scales_are_in_proportion_to_the_size_of_the_net),
	    TEST(whole_pictures_are_normalised_by_channel_and_mirrored),
	    TEST(flips_beside_ten_crops_are_refused),
	};

	ADD_SUITE("views", rows);
}
