#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/layers/pool.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

static void maxpool_by_hand_with_ties_and_without_winning_padding(void)
{
	/* All negative, so that a padding of 0 would win; -1 stands twice in the last window. */
	const float in[16] = {-5, -6, -7, -8, -9, -4, -3, -2, -10, -11, -1, -1, -12, -13, -14, -15};
	const float wanted[4] = {-4, -2, -4, -1}, d_out[4] = {1, 2, 4, 8};
	const float d_wanted[16] = {0, 0, 0, 0, 0, 5, 0, 2, 0, 0, 8, 0, 0, 0, 0, 0};
	const uint8_t taps[4] = {8, 8, 2, 4};
	float out[4], d_in[16];
	uint8_t index[4];
	struct conv shape;

	CU_ASSERT_EQUAL(conv_init(&shape, 4, 4, 1, 1, 3, 2, 1), NN_OK);
	maxpool_forward(out, index, in, &shape, &reference_set(0)->fp32, 1, 1);
	CU_ASSERT(same_bits(out, wanted, sizeof(wanted)));
	CU_ASSERT(same_bits(index, taps, sizeof(taps)));
	maxpool_backward(d_in, d_out, index, &shape, &reference_set(0)->fp32, 1, 1);
	CU_ASSERT(same_bits(d_in, d_wanted, sizeof(d_wanted)));
}

static void a_nan_wins_the_maxpool(void)
{
	for (int at = 0; at < 4; at++) {
		float in[4] = {1, 2, 3, 4}, out;
		uint8_t index;
		struct conv shape;

		in[at] = NAN;
		CU_ASSERT_EQUAL(conv_init(&shape, 2, 2, 1, 1, 2, 2, 0), NN_OK);
		maxpool_forward(&out, &index, in, &shape, &reference_set(0)->fp32, 1, 1);
		CU_ASSERT(isnan(out));
		CU_ASSERT_EQUAL(index, at);
	}
}

/* One pooling layer behind one face, for differences. */
struct layer {
	struct conv shape;
	struct avgpool average; /* cells 0: not this */
	bool subsample;
	size_t in, out; /* sizes of one sample */
};

static void layer_forward(float *out, const struct layer *layer, const float *in, size_t samples, int threads)
{
	uint8_t *index = reference_alloc(samples * layer->out);

	if (layer->average.cells)
		avgpool_forward(out, in, &layer->average, &reference_set(0)->fp32, samples, threads);
	else if (layer->subsample)
		subsample_forward(out, in, &layer->shape, &reference_set(0)->fp32, samples, threads);
	else
		maxpool_forward(out, index, in, &layer->shape, &reference_set(0)->fp32, samples, threads);
	free(index);
}

static void layer_backward(float *d_in, const struct layer *layer, const float *in, const float *d_out, size_t samples, int threads)
{
	uint8_t *index = reference_alloc(samples * layer->out);
	float *out = reference_alloc(samples * layer->out * sizeof(float));

	if (layer->average.cells) {
		avgpool_backward(d_in, d_out, &layer->average, &reference_set(0)->fp32, samples, threads);
	} else if (layer->subsample) {
		memset(d_in, 0, samples * layer->in * sizeof(float));
		subsample_backward(d_in, d_out, &layer->shape, &reference_set(0)->fp32, samples, threads);
	} else {
		maxpool_forward(out, index, in, &layer->shape, &reference_set(0)->fp32, samples, threads);
		maxpool_backward(d_in, d_out, index, &layer->shape, &reference_set(0)->fp32, samples, threads);
	}
	free(index);
	free(out);
}

/* sum of d_out * (layer(in + 0.25 at position i) - layer(in)) / 0.25. Inputs are whole numbers that all differ, so the largest of a
 * window stays the largest and the layer is linear in between. */
static double difference(const struct layer *layer, float *in, const float *d_out, size_t samples, size_t i)
{
	size_t count = samples * layer->out;
	float *before = guard_alloc(count), *after = guard_alloc(count);
	double sum = 0;

	layer_forward(before, layer, in, samples, 1);
	in[i] += 0.25f;
	layer_forward(after, layer, in, samples, 1);
	in[i] -= 0.25f;
	for (size_t k = 0; k < count; k++)
		sum += (double)d_out[k] * ((double)after[k] - (double)before[k]) / 0.25;
	CU_ASSERT(guard_intact(before, count));
	guard_free(before);
	guard_free(after);
	return sum;
}

static void check_layer(const struct layer *layer, double bound)
{
	enum { SAMPLES = 2 };
	size_t count = SAMPLES * layer->in;
	float *in = reference_alloc(count * sizeof(float)), *d_out = reference_values(SAMPLES * layer->out, 1);
	float *d_in = guard_alloc(count), *other = reference_alloc(count * sizeof(float));

	for (size_t i = 0; i < count; i++)
		in[i] = (float)(i * 769 % 1009) - 500; /* a permutation: 1009 is prime and larger than count */
	layer_backward(d_in, layer, in, d_out, SAMPLES, 1);
	CU_ASSERT(count < 1009 && guard_intact(d_in, count));
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_DOUBLE_EQUAL(d_in[i], difference(layer, in, d_out, SAMPLES, i), bound);
	layer_backward(other, layer, in, d_out, SAMPLES, 3);
	CU_ASSERT(same_bits(d_in, other, count * sizeof(float)));
	free(in);
	free(d_out);
	guard_free(d_in);
	free(other);
}

static struct layer window_layer(int h, int w, int in_c, int out_c, int kernel, int stride, int pad)
{
	struct layer layer = {.subsample = kernel == 1};

	CU_ASSERT_EQUAL(conv_init(&layer.shape, h, w, in_c, out_c, kernel, stride, pad), NN_OK);
	layer.in = (size_t)h * (size_t)w * (size_t)in_c;
	layer.out = (size_t)layer.shape.out_h * (size_t)layer.shape.out_w * (size_t)out_c;
	return layer;
}

/* Sums of up to 4 float products of size 1. */
static void maxpool_gradient_matches_differences(void)
{
	static const int shapes[][6] = {{7, 9, 5, 3, 2, 1}, {8, 6, 3, 2, 2, 0}, {5, 5, 17, 3, 1, 1}, {4, 7, 1, 4, 3, 2}};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const int *s = shapes[i];
		struct layer layer = window_layer(s[0], s[1], s[2], s[2], s[3], s[4], s[5]);

		check_layer(&layer, 1e-6);
	}
}

static void subsample_gradient_matches_differences(void)
{
	static const int shapes[][5] = {{7, 9, 5, 8, 2}, {8, 6, 3, 6, 2}, {5, 5, 17, 17, 1}, {6, 7, 2, 3, 3}};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const int *s = shapes[i];
		struct layer layer = window_layer(s[0], s[1], s[2], s[3], 1, s[4], 0);

		check_layer(&layer, 0);
	}
}

/* Float averages of numbers up to 500: 1e-7 * 500 / 0.25 each. */
static void average_gradient_matches_differences(void)
{
	static const int shapes[][4] = {{10, 10, 3, 7}, {7, 9, 5, 1}, {3, 3, 20, 7}, {6, 12, 4, 3}};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const int *s = shapes[i];
		struct layer layer = {
		    .average = {s[0], s[1], s[2], s[3]}, .in = (size_t)(s[0] * s[1] * s[2]), .out = (size_t)(s[3] * s[3] * s[2])};

		check_layer(&layer, 2e-3);
	}
}

/* 7 cells on 10 pixels: cell i covers rows floor(10 i / 7) .. ceil(10 (i + 1) / 7) - 1. */
static void overlapping_cells_average_their_pixels(void)
{
	static const int begin[7] = {0, 1, 2, 4, 5, 7, 8}, end[7] = {2, 3, 5, 6, 8, 9, 10};
	const struct avgpool shape = {10, 10, 1, 7};
	float in[100], out[49];

	for (int h = 0; h < 10; h++)
		for (int w = 0; w < 10; w++)
			in[h * 10 + w] = (float)(h + 100 * w);
	avgpool_forward(out, in, &shape, &reference_set(0)->fp32, 1, 1);
	for (int i = 0; i < 7; i++)
		for (int j = 0; j < 7; j++) { /* the average of a plane is its value in the middle */
			double h = 0.5 * (begin[i] + end[i] - 1), w = 0.5 * (begin[j] + end[j] - 1);

			CU_ASSERT_DOUBLE_EQUAL(out[i * 7 + j], h + 100 * w, 1e-4);
		}
}

static void a_single_pixel_fills_every_cell(void)
{
	const struct avgpool shape = {1, 1, 2, 7};
	const float in[2] = {3, -4};
	float out[98], d_in[2];

	avgpool_forward(out, in, &shape, &reference_set(0)->fp32, 1, 1);
	for (int i = 0; i < 98; i++)
		CU_ASSERT_EQUAL(out[i], in[i % 2]);
	avgpool_backward(d_in, out, &shape, &reference_set(0)->fp32, 1, 1);
	CU_ASSERT_EQUAL(d_in[0], 49 * 3);
	CU_ASSERT_EQUAL(d_in[1], 49 * -4);
}

static void subsample_takes_every_second_pixel_and_appends_zeros(void)
{
	const float in[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, wanted[12] = {1, 0, 0, 3, 0, 0, 7, 0, 0, 9, 0, 0};
	const float d_wanted[9] = {2, 2, 6, 4, 5, 6, 14, 8, 18};
	float out[12], d_in[9];
	struct layer layer = window_layer(3, 3, 1, 3, 1, 2, 0);

	subsample_forward(out, in, &layer.shape, &reference_set(0)->fp32, 1, 1);
	CU_ASSERT(same_bits(out, wanted, sizeof(wanted)));
	memcpy(d_in, in, sizeof(in));
	subsample_backward(d_in, out, &layer.shape, &reference_set(0)->fp32, 1, 1);
	CU_ASSERT(same_bits(d_in, d_wanted, sizeof(d_wanted)));
}

void suite_pool(void)
{
	static const struct test_row rows[] = {
	    TEST(maxpool_by_hand_with_ties_and_without_winning_padding),
	    TEST(a_nan_wins_the_maxpool),
	    TEST(overlapping_cells_average_their_pixels),
	    TEST(a_single_pixel_fills_every_cell),
	    TEST(subsample_takes_every_second_pixel_and_appends_zeros),
	    TEST(maxpool_gradient_matches_differences),
	    TEST(subsample_gradient_matches_differences),
	    TEST(average_gradient_matches_differences),
	};

	ADD_SUITE("pool", rows);
}
