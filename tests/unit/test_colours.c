#include <math.h>
#include <string.h>

#include "tests/unit/suites.h"
#include "trainer/data/colours.h"

static void add(struct colour_sums *sums, const uint8_t *pixels, int count)
{
	struct image image = {0};

	CU_ASSERT_EQUAL_FATAL(image_set_size(&image, count, 1), NN_OK);
	memcpy(image.pixels, pixels, (size_t)count * 3);
	colours_add(sums, &image);
	image_release(&image);
}

/* Red 0, 0, 255, 255; green 10, 20, 30, 40; blue 7. */
static void channel_statistics_are_those_of_all_pixels(void)
{
	struct colour_sums sums = {0};
	float mean[3], inverse_std[3];

	add(&sums, (const uint8_t[]){0, 10, 7, 255, 20, 7}, 2);
	add(&sums, (const uint8_t[]){0, 30, 7, 255, 40, 7}, 2);
	CU_ASSERT_EQUAL(sums.pixels, 4);
	CU_ASSERT_EQUAL(sums.sums[1], 100);
	CU_ASSERT_EQUAL(sums.products[1][1], 3000);
	CU_ASSERT_EQUAL(sums.products[0][1], 255 * 60);
	colours_moments(mean, inverse_std, &sums);
	CU_ASSERT_DOUBLE_EQUAL(mean[0], 0.5, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(mean[1], 25.0 / 255, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(inverse_std[0], sqrt(3.0), 1e-5);
	CU_ASSERT_DOUBLE_EQUAL(inverse_std[1], 255 / sqrt(500.0 / 3), 1e-4);
	CU_ASSERT_EQUAL(inverse_std[2], 1.0f);
}

/* Black and white: every covariance is 1/2, so the eigenvalue along (1, 1, 1) / sqrt(3) is 3/2 and the others are 0. */
static void grey_pixels_vary_along_one_axis(void)
{
	struct colour_sums sums = {0};
	float axes[3][3];

	add(&sums, (const uint8_t[]){0, 0, 0, 255, 255, 255}, 2);
	colours_axes(axes, &sums);
	for (int c = 0; c < 3; c++) {
		CU_ASSERT_DOUBLE_EQUAL(axes[0][c], 1.5 / sqrt(3.0), 1e-6);
		CU_ASSERT_DOUBLE_EQUAL(axes[1][c], 0, 1e-6);
		CU_ASSERT_DOUBLE_EQUAL(axes[2][c], 0, 1e-6);
	}
}

/* Green 0 or 255 has variance 1/3 over four pixels, red 0 or 51 independently of it 1/75. */
static void independent_channels_are_the_axes_in_order_of_variance(void)
{
	struct colour_sums sums = {0};
	float axes[3][3];

	add(&sums, (const uint8_t[]){0, 0, 9, 0, 255, 9, 51, 0, 9, 51, 255, 9}, 4);
	colours_axes(axes, &sums);
	CU_ASSERT_DOUBLE_EQUAL(axes[0][1], 1.0 / 3, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(axes[1][0], 1.0 / 75, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(axes[0][0], 0, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(axes[2][2], 0, 1e-9);
}

/* The sum of axis axis^T / eigenvalue is the covariance again. */
static void the_axes_make_up_the_covariance(void)
{
	enum { COUNT = 50 };
	struct colour_sums sums = {0};
	uint8_t pixels[COUNT * 3];
	float axes[3][3];
	double mean[3] = {0}, length[3];

	for (int i = 0; i < COUNT * 3; i++)
		pixels[i] = (uint8_t)(i * i * 31 + i / 3 * 7);
	add(&sums, pixels, COUNT);
	colours_axes(axes, &sums);
	for (int i = 0; i < 3; i++)
		length[i] =
		    sqrt((double)axes[i][0] * axes[i][0] + (double)axes[i][1] * axes[i][1] + (double)axes[i][2] * axes[i][2]);
	CU_ASSERT(length[0] > length[1] && length[1] > length[2] && length[2] > 0);
	for (int i = 0; i < COUNT * 3; i++)
		mean[i % 3] += pixels[i] / 255.0 / COUNT;
	for (int c = 0; c < 3; c++)
		for (int d = 0; d < 3; d++) {
			double covariance = 0, made = 0;

			for (int i = 0; i < COUNT; i++)
				covariance += (pixels[3 * i + c] / 255.0 - mean[c]) * (pixels[3 * i + d] / 255.0 - mean[d]);
			for (int i = 0; i < 3; i++)
				made += (double)axes[i][c] * axes[i][d] / length[i];
			CU_ASSERT_DOUBLE_EQUAL(made, covariance / (COUNT - 1), 1e-6);
		}
}

void suite_colours(void)
{
	static const struct test_row rows[] = {
	    TEST(channel_statistics_are_those_of_all_pixels),
	    TEST(grey_pixels_vary_along_one_axis),
	    TEST(independent_channels_are_the_axes_in_order_of_variance),
	    TEST(the_axes_make_up_the_covariance),
	};

	ADD_SUITE("colours", rows);
}
