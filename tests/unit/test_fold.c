/* Evaluation's batch norm inside convolutions: scales in weights, and bias, residual and ReLU as values are written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

enum { SAMPLES = 5, GAP = 3 };

/* in h, in w, in channels, out channels, kernel, stride, padding: tails of tiles and vectors, several chains, Winograd. */
static const int shapes[][7] = {{9, 7, 20, 33, 1, 1, 0}, {5, 5, 600, 17, 1, 1, 0},  {6, 6, 40, 16, 3, 2, 1},
				{11, 9, 3, 24, 7, 2, 3}, {13, 10, 16, 48, 3, 1, 1}, {7, 7, 272, 256, 3, 1, 1}};

/* One convolution with what goes into it and what becomes of it; out and weights are numbers of floats. */
struct example {
	struct conv conv;
	struct conv_env env;
	struct conv_finish finish;
	float *in, *weight, *scale, *bias, *residual;
	size_t out, weights;
};

static double *wanted(const struct example *example)
{
	const struct conv *conv = &example->conv;
	struct reference_conv reference = {*conv, SAMPLES,
					   reference_doubles(example->in, SAMPLES * (size_t)(conv->in_h * conv->in_w * conv->in_c)),
					   reference_doubles(example->weight, example->weights), reference_alloc(example->out * 8)};

	for (size_t i = 0; i < example->weights; i++)
		reference.weight[i] *= (double)example->scale[i % (size_t)conv->out_c];
	reference_conv_forward(&reference);
	for (size_t i = 0; i < example->out; i++) {
		double y = reference.out[i] + (double)example->bias[i % (size_t)conv->out_c];

		if (example->finish.residual)
			y += (double)example->residual[i];
		reference.out[i] = example->finish.relu ? fmax(y, 0) : y;
	}
	free(reference.in);
	free(reference.weight);
	return reference.out;
}

static void run(float *out, struct example *example, int threads)
{
	const struct conv *conv = &example->conv;
	struct conv_env *env = &example->env;
	float *packed;

	env->threads = threads;
	packed = guard_alloc(conv_packed_size(conv, env, false));
	env->scratch = guard_alloc(conv_scratch_size(conv, env, false));
	conv_pack(packed, example->weight, example->scale, conv, env, false);
	conv_forward(out, (struct source){.values = example->in}, packed, conv, env, SAMPLES, example->finish, (struct sink){0});
	CU_ASSERT(guard_intact(packed, conv_packed_size(conv, env, false)));
	guard_free(packed);
	guard_free(env->scratch);
}

static void check(struct example *example)
{
	float *out = guard_alloc(example->out), *other = guard_alloc(example->out);
	double *reference = wanted(example), largest = 0;

	for (size_t i = 0; i < example->out; i++)
		largest = fmax(largest, fabs(reference[i]));
	for (int s = 0; reference_set(s); s++) {
		example->env.kernels = reference_set(s);
		run(out, example, 1);
		run(other, example, 3);
		CU_ASSERT(reference_distance(out, reference, example->out) < (example->env.winograd ? 1e-5 : 2e-6) * largest);
		CU_ASSERT(same_bits(out, other, example->out * sizeof(float)));
		CU_ASSERT(guard_intact(out, example->out));
	}
	guard_free(out);
	guard_free(other);
	free(reference);
}

static void outputs_are_scaled_and_finished_like_double(void)
{
	for (size_t i = 0; i < 2 * sizeof(shapes) / sizeof(*shapes); i++) {
		const int *s = shapes[i / 2];
		struct example example = {.env = {.winograd = true}};
		struct conv *conv = &example.conv;

		CU_ASSERT_EQUAL(conv_init(conv, s[0], s[1], s[2], s[3], s[4], s[5], s[6]), NN_OK);
		example.env.winograd = conv_winograd(conv);
		example.out = SAMPLES * (size_t)(conv->out_h * conv->out_w * conv->out_c);
		example.weights = (size_t)(conv->kernel * conv->kernel * conv->in_c * conv->out_c);
		example.in = reference_values(SAMPLES * (size_t)(conv->in_h * conv->in_w * conv->in_c), 1);
		example.weight = reference_values(example.weights, 2);
		example.scale = reference_values((size_t)conv->out_c, 3);
		example.bias = reference_values((size_t)conv->out_c, 4);
		example.residual = reference_values(example.out, 5);
		example.finish = (struct conv_finish){example.bias, i % 2 ? example.residual : NULL, i / 2 % 2 == 0};
		check(&example);
		free(example.in);
		free(example.weight);
		free(example.scale);
		free(example.bias);
		free(example.residual);
	}
}

/* (sum + bias) + residual, then ReLU, in float: what a tile without an ending gives, ended here. */
static float ended(float sum, const struct tile_finish *finish, ptrdiff_t at, int channel)
{
	sum += finish->bias[channel];
	if (finish->residual)
		sum += finish->residual[at];
	return finish->relu && sum < 0 ? 0 : sum;
}

static const struct prefetch not_asking = {(uintptr_t) "", 0};

static void check_tile(const struct kernels *set, int pixels, int vectors, bool accumulate, const struct tile_finish *finish)
{
	enum { TAPS = 19, LINE = 32 + GAP };
	size_t count = 16 * LINE;
	float *in = reference_values(16 * TAPS, 1), *weight = reference_values(TAPS * 32, 2), *before = reference_values(count, 3);
	float *plain = guard_alloc(count), *out = guard_alloc(count);
	bool equal = true;

	memcpy(plain, before, count * sizeof(float));
	memcpy(out, before, count * sizeof(float));
	set->conv_tile[vectors - 1][pixels - 1](plain, in, weight, LINE, TAPS, 0, 1, TAPS, accumulate, NULL, not_asking);
	set->conv_tile[vectors - 1][pixels - 1](out, in, weight, LINE, TAPS, 0, 1, TAPS, accumulate, finish, not_asking);
	for (int p = 0; p < pixels; p++)
		for (int c = 0; c < vectors * set->vector; c++)
			equal = equal && out[p * LINE + c] == ended(plain[p * LINE + c], finish, p * LINE + c, c);
	CU_ASSERT(equal);
	CU_ASSERT(guard_intact(out, count));
	free(in);
	free(weight);
	free(before);
	guard_free(plain);
	guard_free(out);
}

static void check_winograd_tile(const struct kernels *set, int size, bool accumulate, const struct tile_finish *finish)
{
	int channels = 2 * set->vector, line = 4 * channels + GAP, position = channels + GAP;
	size_t count = 4 * (size_t)line;
	float *m = reference_values(36 * (size_t)position, 1), *before = reference_values(count, 2);
	float *plain = guard_alloc(count), *out = guard_alloc(count);
	bool equal = true;

	memcpy(plain, before, count * sizeof(float));
	memcpy(out, before, count * sizeof(float));
	set->winograd_output(plain, m, line, channels, position, size, size, accumulate, NULL);
	set->winograd_output(out, m, line, channels, position, size, size, accumulate, finish);
	for (int i = 0; i < size; i++)
		for (int j = 0; j < size * channels; j++)
			equal = equal && out[i * line + j] == ended(plain[i * line + j], finish, i * line + j, j % channels);
	CU_ASSERT(equal);
	CU_ASSERT(guard_intact(out, count));
	free(m);
	free(before);
	guard_free(plain);
	guard_free(out);
}

static void tiles_of_every_size_end_with_bias_residual_and_relu(void)
{
	float *bias = reference_values(32, 6), *residual = reference_values(16 * (32 + GAP), 7);

	for (int s = 0; reference_set(s); s++)
		for (int kind = 0; kind < 8; kind++) {
			struct tile_finish finish = {bias, kind & 1 ? residual : NULL, kind & 2};
			const struct kernels *set = reference_set(s);

			for (int pixels = 1; pixels <= set->tile_pixels; pixels++)
				for (int vectors = 1; vectors <= KERNEL_VECTORS; vectors++)
					check_tile(set, pixels, vectors, kind & 4, &finish);
			for (int size = 1; size <= 4; size++)
				check_winograd_tile(set, size, kind & 4, &finish);
		}
	free(bias);
	free(residual);
}

/* The logits of a network that only evaluates, after its weights were written. */
static void evaluate(float *logits, struct fixture *fixture, const float *parameters, float factor)
{
	const float *result;
	float *statistics;

	memcpy(network_parameters(fixture->network), parameters, fixture->graph.parameters * sizeof(float));
	statistics = network_statistics(fixture->network);
	for (size_t i = 0; i < fixture->graph.statistics; i++)
		statistics[i] *= factor; /* means are 0 */
	network_begin_samples(fixture->network, 3);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(network_forward(&result, fixture->network, fixture->images, false), NN_OK);
	memcpy(logits, result, 30 * sizeof(float));
}

static void weights_that_are_written_again_are_seen(void)
{
	for (int bf16 = 0; bf16 < 2; bf16++) {
		struct network_setup setup = fixture_setup(reference_set(0), 3, 1);
		struct fixture first, other;
		float logits[4][30], *values;
		size_t count;

		setup.training = false;
		setup.bf16 = bf16;
		fixture_init(&first, fixture_graph("resnet20", 32, 10, SHORTCUT_DEFAULT), &setup, 3);
		fixture_init(&other, fixture_graph("resnet20", 32, 10, SHORTCUT_DEFAULT), &setup, 3);
		count = first.graph.parameters;
		values = reference_alloc(count * sizeof(float));
		memcpy(values, network_parameters(first.network), count * sizeof(float));
		evaluate(logits[0], &first, values, 1);
		for (size_t i = 0; i < count; i++)
			values[i] *= 1.25f;
		evaluate(logits[3], &first, values, 2);
		evaluate(logits[1], &first, values, 0.5f);
		evaluate(logits[2], &other, values, 1);
		CU_ASSERT(!same_bits(logits[0], logits[1], sizeof(logits[0])));
		CU_ASSERT(!same_bits(logits[3], logits[1], sizeof(logits[0])));
		CU_ASSERT(same_bits(logits[1], logits[2], sizeof(logits[0])));
		free(values);
		fixture_release(&first);
		fixture_release(&other);
	}
}

void suite_fold(void)
{
	static const struct test_row rows[] = {
	    TEST(outputs_are_scaled_and_finished_like_double),
	    TEST(tiles_of_every_size_end_with_bias_residual_and_relu),
	    TEST(weights_that_are_written_again_are_seen),
	};

	ADD_SUITE("fold", rows);
}
