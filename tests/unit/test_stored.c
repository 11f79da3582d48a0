/* Loops over stored values on every tail, of every kernel set that this processor can run. Those over bf16 give the bits of those
 * over fp32, which other tests compare with double, on the same values, rounded where they are stored. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/bf16.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

enum { PIXELS = 67, ARRAYS = 3 }; /* more pixels than a block of 64 */

/* Three arrays (PIXELS, channels), as bf16 and as floats of the same values; b and c hold negative ones, zeros and a NaN. */
struct twins {
	const struct kernels *set;
	int channels;
	size_t n;
	uint16_t *narrow[ARRAYS];
	float *wide[ARRAYS], *row[4]; /* (channels) */
};

typedef void (*twins_fn)(const struct twins *twins);

static void twins_init(struct twins *twins, const struct kernels *set, int channels)
{
	*twins = (struct twins){.set = set, .channels = channels, .n = PIXELS * (size_t)channels};
	for (int i = 0; i < 4; i++)
		twins->row[i] = reference_values((size_t)channels, (uint64_t)i + 10);
	for (int i = 0; i < ARRAYS; i++) {
		twins->wide[i] = reference_values(twins->n, (uint64_t)i);
		twins->wide[i][(size_t)(7 * i) % twins->n] = 0;
		bf16_round(twins->wide[i], twins->n);
		twins->narrow[i] = reference_alloc((twins->n + 1) * sizeof(uint16_t));
		for (size_t k = 0; k < twins->n; k++)
			twins->narrow[i][k] = bf16_from_float(twins->wide[i][k]);
		twins->narrow[i][twins->n] = 0x1234;
	}
}

static void twins_release(struct twins *twins)
{
	for (int i = 0; i < 4; i++)
		free(twins->row[i]);
	for (int i = 0; i < ARRAYS; i++) {
		free(twins->wide[i]);
		free(twins->narrow[i]);
	}
}

static void each_tail(twins_fn check)
{
	for (int s = 0; reference_set(s); s++)
		for (int channels = 1; channels <= 2 * reference_set(s)->vector + 3; channels++) {
			struct twins twins;

			twins_init(&twins, reference_set(s), channels);
			check(&twins);
			for (int i = 0; i < ARRAYS; i++)
				CU_ASSERT_EQUAL(twins.narrow[i][twins.n], 0x1234);
			twins_release(&twins);
		}
}

/* Whether both arrays i are the same values once the floats are rounded; makes them so for what follows. */
static bool alike(const struct twins *twins, int i)
{
	bool same = true;

	bf16_round(twins->wide[i], twins->n);
	for (size_t k = 0; k < twins->n; k++)
		same = same && twins->narrow[i][k] == bf16_from_float(twins->wide[i][k]);
	return same;
}

static void check_moments(const struct twins *twins)
{
	size_t bytes = (size_t)twins->channels * sizeof(double);
	double *got = reference_alloc(2 * bytes), *wanted = reference_alloc(2 * bytes);

	twins->set->bf16.moments(got, got + twins->channels, twins->narrow[0], PIXELS, twins->channels);
	twins->set->fp32.moments(wanted, wanted + twins->channels, twins->wide[0], PIXELS, twins->channels);
	CU_ASSERT(same_bits(got, wanted, 2 * bytes));
	for (int relu = 0; relu < 2; relu++) {
		twins->set->bf16.bn_backward_sums(got, got + twins->channels, twins->narrow[0], twins->narrow[1], relu,
						  twins->narrow[2], twins->row[0], twins->row[1], PIXELS, twins->channels);
		twins->set->fp32.bn_backward_sums(wanted, wanted + twins->channels, twins->wide[0], twins->wide[1], relu,
						  twins->wide[2], twins->row[0], twins->row[1], PIXELS, twins->channels);
		CU_ASSERT(same_bits(got, wanted, 2 * bytes));
		CU_ASSERT(alike(twins, 0));
	}
	free(got);
	free(wanted);
}

static void sums_over_bf16_have_the_bits_of_sums_over_the_same_floats(void)
{
	each_tail(check_moments);
}

static void check_batchnorm(const struct twins *twins)
{
	float *const *row = twins->row;

	for (int kind = 0; kind < 4; kind++) {
		bool relu = kind & 1, add = kind & 2;

		twins->set->bf16.bn_forward(twins->narrow[0], twins->narrow[1], add ? twins->narrow[2] : NULL, relu, row[0], row[1],
					    row[2], PIXELS, twins->channels);
		twins->set->fp32.bn_forward(twins->wide[0], twins->wide[1], add ? twins->wide[2] : NULL, relu, row[0], row[1],
					    row[2], PIXELS, twins->channels);
		CU_ASSERT(alike(twins, 0));
		twins->set->bf16.bn_backward(twins->narrow[0], twins->narrow[1], twins->narrow[2], row[0], row[1], row[2], row[3],
					     relu, PIXELS, twins->channels);
		twins->set->fp32.bn_backward(twins->wide[0], twins->wide[1], twins->wide[2], row[0], row[1], row[2], row[3], relu,
					     PIXELS, twins->channels);
		CU_ASSERT(alike(twins, 0));
	}
}

static void batch_norm_of_bf16_is_that_of_floats_rounded(void)
{
	each_tail(check_batchnorm);
}

/* n is every multiple of PIXELS here, and so every length behind whole vectors of 4, 8 and 16. */
static void check_arrays(const struct twins *twins)
{
	const struct pointwise *bf16 = &twins->set->bf16, *fp32 = &twins->set->fp32;

	twins->wide[1][twins->n / 2] = NAN;
	twins->narrow[1][twins->n / 2] = bf16_from_float(NAN);
	bf16->add(twins->narrow[0], twins->narrow[2], twins->n);
	fp32->add(twins->wide[0], twins->wide[2], twins->n);
	CU_ASSERT(alike(twins, 0));
	for (int kind = 0; kind < 4; kind++) {
		const float *bias = kind & 2 ? twins->row[0] : NULL;

		bf16->bias_relu(twins->narrow[0], twins->narrow[1], bias, kind & 1, twins->n, twins->channels);
		fp32->bias_relu(twins->wide[0], twins->wide[1], bias, kind & 1, twins->n, twins->channels);
		CU_ASSERT(alike(twins, 0));
		bf16->relu_backward(twins->narrow[0], twins->narrow[2], twins->narrow[1], kind & 1, twins->n);
		fp32->relu_backward(twins->wide[0], twins->wide[2], twins->wide[1], kind & 1, twins->n);
		CU_ASSERT(alike(twins, 0));
	}
}

/* Floats that are no bf16 yet. */
static void check_round(const struct twins *twins)
{
	float *got = reference_values(twins->n, 30), *wanted = reference_values(twins->n, 30);

	twins->set->round(got, twins->n);
	bf16_round(wanted, twins->n);
	CU_ASSERT(same_bits(got, wanted, twins->n * sizeof(float)));
	free(got);
	free(wanted);
}

static void floats_are_rounded_in_place_to_bf16(void)
{
	each_tail(check_round);
}

static void additions_and_relus_of_bf16_are_those_of_floats_rounded(void)
{
	each_tail(check_arrays);
}

/* Pooling of two pixels that lie `channels` apart: the larger of each channel, its place, and a gradient that goes back there. */
static void check_max(const struct pointwise *pointwise, void *values, const void *gradient, const uint8_t *wanted, int channels)
{
	uint8_t *index = reference_alloc((size_t)channels);
	const ptrdiff_t places[2] = {channels, 2 * (ptrdiff_t)channels};

	pointwise->max_tap(values, index, stored(pointwise, values, (size_t)channels), channels, 1);
	CU_ASSERT(same_bits(index, wanted, (size_t)channels));
	pointwise->unpool(values, gradient, index, places, channels);
	free(index);
}

static void check_pooling(const struct twins *twins)
{
	int channels = twins->channels;
	float *sums[2] = {reference_values((size_t)channels, 20), reference_values((size_t)channels, 20)};
	double *wanted = reference_doubles(twins->wide[0], twins->n), *before = reference_doubles(sums[0], (size_t)channels);
	uint8_t *second = reference_alloc((size_t)channels);

	for (int c = 0; c < channels; c++) {
		second[c] = wanted[channels + c] > wanted[c];
		wanted[c] = fmax(wanted[c], wanted[channels + c]);
		wanted[(1 + second[c]) * channels + c] += (double)twins->wide[1][c];
	}
	check_max(&twins->set->bf16, twins->narrow[0], twins->narrow[1], second, channels);
	check_max(&twins->set->fp32, twins->wide[0], twins->wide[1], second, channels);
	CU_ASSERT(reference_distance(twins->wide[0], wanted, twins->n) < 0x1p-22);
	CU_ASSERT(alike(twins, 0));

	for (int c = 0; c < channels; c++)
		wanted[c] = (double)twins->wide[2][c] + 0.3f * (double)twins->row[1][c];
	twins->set->bf16.sum(sums[0], twins->narrow[2], channels);
	twins->set->fp32.sum(sums[1], twins->wide[2], channels);
	CU_ASSERT(same_bits(sums[0], sums[1], (size_t)channels * sizeof(float)));
	for (int c = 0; c < channels; c++)
		sums[1][c] -= twins->wide[2][c];
	CU_ASSERT(reference_distance(sums[1], before, (size_t)channels) < 0x1p-22);
	twins->set->bf16.spread(twins->narrow[2], twins->row[1], 0.3f, channels);
	twins->set->fp32.spread(twins->wide[2], twins->row[1], 0.3f, channels);
	CU_ASSERT(reference_distance(twins->wide[2], wanted, (size_t)channels) < 0x1p-22);
	CU_ASSERT(alike(twins, 2));
	free(sums[0]);
	free(sums[1]);
	free(wanted);
	free(before);
	free(second);
}

static void pooling_takes_and_spreads_values_of_both_kinds(void)
{
	each_tail(check_pooling);
}

void suite_stored(void)
{
	static const struct test_row rows[] = {
	    TEST(sums_over_bf16_have_the_bits_of_sums_over_the_same_floats),
	    TEST(batch_norm_of_bf16_is_that_of_floats_rounded),
	    TEST(additions_and_relus_of_bf16_are_those_of_floats_rounded),
	    TEST(floats_are_rounded_in_place_to_bf16),
	    TEST(pooling_takes_and_spreads_values_of_both_kinds),
	};

	ADD_SUITE("stored", rows);
}
