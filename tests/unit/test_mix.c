#include <math.h>
#include <string.h>

#include "tests/unit/suites.h"
#include "trainer/data/erase.h"
#include "trainer/data/mix.h"

enum { SIZE = 20, PIXELS = SIZE * SIZE, VALUES = PIXELS * 3 };

static void fill(float *sample, float value)
{
	for (int i = 0; i < VALUES; i++)
		sample[i] = value;
}

/* Of ones beside twos, mixup makes share + 2 (1 - share) = 2 - share everywhere. */
static void mixup_blends_all_values_by_the_share(void)
{
	const struct mix mix = {.mixup = 0.2};
	float sample[VALUES], partner[VALUES];

	for (uint32_t n = 0; n < 50; n++) {
		float share;

		fill(sample, 1);
		fill(partner, 2);
		share = mix_samples(sample, partner, SIZE, &mix, mix_stream(1, 2, n));
		CU_ASSERT(share >= 0 && share <= 1);
		for (int i = 0; i < VALUES; i++)
			CU_ASSERT_DOUBLE_EQUAL(sample[i], 2 - share, 1e-6);
		CU_ASSERT_EQUAL(partner[VALUES / 2], 2);
	}
}

/* The twos are one rectangle, and the share is the part of ones. */
static void cutmix_pastes_a_rectangle_and_tells_the_area_that_is_left(void)
{
	const struct mix mix = {.cutmix = 1};
	float sample[VALUES], partner[VALUES];
	double sum = 0;

	for (uint32_t n = 0; n < 400; n++) {
		int left = SIZE, right = -1, top = SIZE, bottom = -1, pasted = 0;
		float share;

		fill(sample, 1);
		fill(partner, 2);
		share = mix_samples(sample, partner, SIZE, &mix, mix_stream(1, 2, n));
		for (int i = 0; i < PIXELS; i++) {
			if (sample[3 * i] == 1)
				continue;
			CU_ASSERT(sample[3 * i + 1] == 2 && sample[3 * i + 2] == 2);
			pasted++;
			left = i % SIZE < left ? i % SIZE : left;
			right = i % SIZE > right ? i % SIZE : right;
			top = i / SIZE < top ? i / SIZE : top;
			bottom = i / SIZE > bottom ? i / SIZE : bottom;
		}
		CU_ASSERT_EQUAL(pasted, pasted ? (right - left + 1) * (bottom - top + 1) : 0);
		CU_ASSERT_DOUBLE_EQUAL(share, 1 - (double)pasted / PIXELS, 1e-6);
		sum += (double)share;
	}
	/* Uniform shares of 1/2 on average, and more where the border cuts rectangles off. */
	CU_ASSERT(sum / 400 > 0.55 && sum / 400 < 0.8);
}

/* mean = 1/2 and variance = 1 / (4 (2 alpha + 1)). */
static void shares_have_the_moments_of_the_beta_distribution(void)
{
	static const double alphas[] = {0.1, 0.2, 1, 3, 50};
	enum { COUNT = 20000 };

	for (size_t i = 0; i < sizeof(alphas) / sizeof(alphas[0]); i++) {
		struct rng rng = rng_stream(5, i, 0);
		double sum = 0, squares = 0, expected = 1 / (4 * (2 * alphas[i] + 1));

		for (int n = 0; n < COUNT; n++) {
			double x = mix_beta(&rng, alphas[i]);

			CU_ASSERT(x >= 0 && x <= 1);
			sum += x;
			squares += (x - 0.5) * (x - 0.5);
		}
		CU_ASSERT_DOUBLE_EQUAL(sum / COUNT, 0.5, 0.01);
		CU_ASSERT_DOUBLE_EQUAL(squares / COUNT / expected, 1, 0.05);
	}
}

static void tiny_alphas_give_shares_of_one_or_nothing(void)
{
	struct rng rng = rng_stream(6, 0, 0);

	for (int n = 0; n < 100; n++) {
		double x = mix_beta(&rng, 1e-5);

		CU_ASSERT(x < 1e-6 || x > 1 - 1e-6);
	}
}

static void with_both_each_sample_gets_one_of_them(void)
{
	const struct mix mix = {.mixup = 1, .cutmix = 1};
	float sample[VALUES], partner[VALUES];
	int blended = 0;

	for (uint32_t n = 0; n < 400; n++) {
		int others = 0;

		fill(sample, 1);
		fill(partner, 2);
		mix_samples(sample, partner, SIZE, &mix, mix_stream(1, 2, n));
		for (int i = 0; i < VALUES; i++)
			others += sample[i] != 1 && sample[i] != 2;
		CU_ASSERT(others == 0 || others == VALUES);
		blended += others > 0;
	}
	CU_ASSERT(blended > 160 && blended < 240);
}

static void erasing_clears_one_rectangle_of_an_allowed_shape(void)
{
	int erased = 0;

	for (uint64_t n = 0; n < 1000; n++) {
		struct rng rng = rng_stream(7, 0, n);
		int width = 0, height = 0, zeros = 0;
		float sample[VALUES];

		fill(sample, 1);
		erase_random(sample, SIZE, 0.25, &rng);
		for (int i = 0; i < PIXELS; i++)
			zeros += sample[3 * i] == 0;
		if (!zeros)
			continue;
		for (int i = 0; i < SIZE; i++) {
			int column = 0, row = 0;

			for (int k = 0; k < SIZE; k++) {
				column += sample[3 * (k * SIZE + i)] == 0;
				row += sample[3 * (i * SIZE + k)] == 0;
			}
			width += column > 0;
			height += row > 0;
		}
		erased++;
		CU_ASSERT_EQUAL(zeros, width * height);
		CU_ASSERT(zeros >= PIXELS * 0.01 && zeros <= PIXELS * 0.37);
		CU_ASSERT(height < SIZE && width < SIZE);
		CU_ASSERT((height - 0.5) / (width + 0.5) < 3.3 && (height + 0.5) / (width - 0.5) > 0.3);
	}
	CU_ASSERT(erased > 200 && erased < 300);
}

void suite_mix(void)
{
	static const struct test_row rows[] = {
	    TEST(mixup_blends_all_values_by_the_share),
	    TEST(cutmix_pastes_a_rectangle_and_tells_the_area_that_is_left),
	    TEST(shares_have_the_moments_of_the_beta_distribution),
	    TEST(tiny_alphas_give_shares_of_one_or_nothing),
	    TEST(with_both_each_sample_gets_one_of_them),
	    TEST(erasing_clears_one_rectangle_of_an_allowed_shape),
	};

	ADD_SUITE("mix", rows);
}
