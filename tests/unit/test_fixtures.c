/* Layers, loss and optimiser against what PyTorch computed in float64. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "nn/core/alloc.h"
#include "nn/layers/batchnorm.h"
#include "nn/layers/conv.h"
#include "nn/layers/loss.h"
#include "nn/layers/pool.h"
#include "nn/optim/optimizer.h"
#include "tests/unit/fixture.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

/* Rounding of a few hundred additions in float32. */
static const double tolerance = 2e-6;

static struct safetensors *file;

static void check(const float *got, const char *case_name, const char *name, size_t count)
{
	float *expected = fixture_read(file, case_name, name);

	CU_ASSERT(fixture_error(got, expected, count) <= tolerance);
	nn_free(expected);
}

static float *zeros(size_t count)
{
	float *memory;

	CU_ASSERT_EQUAL_FATAL(nn_alloc(&memory, count * sizeof(float)), NN_OK);
	return memory;
}

/* A tensor of a case's input, by the rule. */
static float *input(const char *case_name, const char *name, size_t count)
{
	char full[64];

	snprintf(full, sizeof(full), "%s/%s", case_name, name);
	return fixture_new(full, count, 1, 0);
}

struct conv_case {
	const char *name;
	int samples, h, w, c, out_c, kernel, stride, pad;
};

static void check_conv(const struct conv_case *test, const struct kernels *kernels)
{
	struct conv conv;
	char name[64];
	int status = (int)conv_init(&conv, test->h, test->w, test->c, test->out_c, test->kernel, test->stride, test->pad);
	struct tensor_entry weight = {
	    .name = name, .dims = 4, .shape = {test->out_c, test->c, test->kernel, test->kernel}, .hwio = true};
	size_t weights = tensor_entry_count(&weight), samples = (size_t)test->samples;
	size_t ins = samples * (size_t)(conv.in_h * conv.in_w * conv.in_c),
	       outs = samples * (size_t)(conv.out_h * conv.out_w * conv.out_c);
	float *in = input(test->name, "in", ins), *d_out = input(test->name, "d_out", outs), *out = zeros(outs), *d_in = zeros(ins);
	struct conv_env env = {.kernels = kernels, .threads = 1};
	float *forward = zeros(conv_packed_size(&conv, &env, false)), *backward = zeros(conv_packed_size(&conv, &env, true));
	float *scratch = zeros(conv_scratch_size(&conv, &env, true)), *d_weight = zeros(weights), *expected = zeros(weights);

	env.scratch = scratch;
	CU_ASSERT_EQUAL(status, NN_OK);
	snprintf(name, sizeof(name), "%s/weight", test->name);
	weight.values = zeros(weights);
	fixture_fill(&weight, 1, 0);
	conv_pack(forward, weight.values, NULL, &conv, &env, false);
	conv_pack(backward, weight.values, NULL, &conv, &env, true);
	conv_forward(out, (struct source){.values = in}, forward, &conv, &env, samples, (struct conv_finish){0}, (struct sink){0});
	check(out, test->name, "out", outs);
	conv_backward(d_weight, d_in, (struct source){.values = d_out}, (struct source){.values = in}, backward, &conv, &env, 0,
		      samples, false, (struct sink){0});
	check(d_in, test->name, "d_in", ins);
	nn_free(weight.values);
	weight.values = expected;
	fixture_read_entry(file, test->name, "d_weight", weight);
	CU_ASSERT(fixture_error(d_weight, expected, weights) <= tolerance);
	for (int i = 0; i < 9; i++)
		nn_free((float *[]){in, d_out, out, d_in, forward, backward, scratch, d_weight, expected}[i]);
}

static void convolutions_match_pytorch_in_all_directions(void)
{
	static const struct conv_case cases[] = {
	    {"conv3x3", 2, 5, 6, 5, 7, 3, 1, 1},	   {"conv3x3_stride", 2, 7, 6, 3, 20, 3, 2, 1},
	    {"conv7x7_stride", 1, 15, 13, 3, 16, 7, 2, 3}, {"conv1x1", 2, 4, 3, 18, 9, 1, 1, 0},
	    {"conv1x1_stride", 2, 5, 7, 6, 33, 1, 2, 0},   {"conv5x5_even", 1, 8, 8, 2, 4, 5, 3, 1},
	};

	file = fixture_open("layers");
	for (int k = 0; kernels_all[k]; k++)
		for (size_t i = 0; kernels_usable(kernels_all[k]) && i < sizeof(cases) / sizeof(cases[0]); i++)
			check_conv(&cases[i], kernels_all[k]);
	safetensors_close(file);
}

enum { BN_SAMPLES = 3, BN_PIXELS = 20, BN_CHANNELS = 19, BN_SIZE = BN_SAMPLES * BN_PIXELS * BN_CHANNELS };

/* y = relu(bn(x) + residual), backward, and the same in evaluation with the new statistics. */
static void check_batchnorm(struct batchnorm *bn, const struct context *context)
{
	float *x = fixture_new("bn/in", BN_SIZE, 2, 0.5), *residual = input("bn", "residual", BN_SIZE),
	      *d = input("bn", "d_out", BN_SIZE);
	float *mean = input("bn", "mean", BN_CHANNELS), *variance = fixture_new("bn/variance", BN_CHANNELS, 0.5, 1);
	float *gamma = fixture_new("bn/gamma", BN_CHANNELS, 0.5, 1), *beta = input("bn", "beta", BN_CHANNELS);
	float *out = zeros(BN_SIZE), *d_gamma = zeros(BN_CHANNELS), *d_beta = zeros(BN_CHANNELS);

	CU_ASSERT_EQUAL(batchnorm_train(out, mean, variance, bn, x, residual, true, gamma, beta, context), NN_OK);
	check(out, "bn", "out", BN_SIZE);
	check(mean, "bn", "running_mean", BN_CHANNELS);
	check(variance, "bn", "running_var", BN_CHANNELS);
	batchnorm_backward_sums(d, bn, out, true, x, context);
	check(d, "bn", "d_residual", BN_SIZE);
	for (int n = 0; n < BN_SAMPLES; n++)
		for (int c = 0; c < BN_CHANNELS; c++) {
			const double *row = context->sample_rows + n * (1 + 2 * BN_CHANNELS);

			d_beta[c] += (float)row[1 + c];
			d_gamma[c] += (float)row[1 + BN_CHANNELS + c];
		}
	check(d_gamma, "bn", "d_gamma", BN_CHANNELS);
	check(d_beta, "bn", "d_beta", BN_CHANNELS);
	batchnorm_gather(bn, context, MERGE_SUM);
	CU_ASSERT_EQUAL(batchnorm_backward_data(d, bn, d, x, gamma, false, context), NN_OK);
	check(d, "bn", "d_in", BN_SIZE);
	batchnorm_eval(out, bn, x, NULL, false, gamma, beta, mean, variance, context);
	check(out, "bn", "eval", BN_SIZE);
	for (int i = 0; i < 10; i++)
		nn_free((float *[]){x, residual, d, mean, variance, gamma, beta, out, d_gamma, d_beta}[i]);
}

static void batch_norm_with_residual_and_relu_matches_pytorch(void)
{
	float memory[4 * BN_CHANNELS];
	double sample_rows[BN_SAMPLES * (1 + 2 * BN_CHANNELS)], shard_rows[2 * (1 + 2 * BN_CHANNELS)];
	const size_t begin[] = {0, 2, BN_SAMPLES};

	file = fixture_open("layers");
	for (int k = 0; kernels_all[k]; k++) {
		struct context context = {.kernels = kernels_all[k],
					  .threads = 1,
					  .samples = BN_SAMPLES,
					  .shards = {2, 0, 2},
					  .shard_begin = begin,
					  .sample_rows = sample_rows,
					  .shard_rows = shard_rows};
		struct batchnorm bn = {BN_CHANNELS,	     BN_PIXELS, memory, memory + BN_CHANNELS, memory + 2 * BN_CHANNELS, 1,
				       &kernels_all[k]->fp32};

		if (kernels_usable(kernels_all[k]))
			check_batchnorm(&bn, &context);
	}
	safetensors_close(file);
}

/* Inputs with ties, as the maker rounds them. */
static float *pool_input(const char *case_name, size_t count)
{
	float *x = input(case_name, "in", count);

	for (size_t i = 0; i < count; i++)
		x[i] = rintf(4 * x[i]) / 4;
	return x;
}

static void max_pooling_matches_pytorch_on_ties_too(void)
{
	struct conv shape;
	uint8_t taps[2 * 4 * 4 * 5];
	float *x = pool_input("maxpool", 2 * 7 * 8 * 5), *d_out = input("maxpool", "d_out", sizeof(taps));
	float out[sizeof(taps)], d_in[2 * 7 * 8 * 5];

	file = fixture_open("layers");
	CU_ASSERT_EQUAL(conv_init(&shape, 7, 8, 5, 5, 3, 2, 1), NN_OK);
	maxpool_forward(out, taps, x, &shape, &reference_set(0)->fp32, 2, 1);
	check(out, "maxpool", "out", sizeof(taps));
	maxpool_backward(d_in, d_out, taps, &shape, &reference_set(0)->fp32, 2, 1);
	check(d_in, "maxpool", "d_in", 2 * 7 * 8 * 5);
	safetensors_close(file);
	nn_free(x);
	nn_free(d_out);
}

static void adaptive_average_pooling_matches_pytorch_on_overlapping_cells(void)
{
	enum { IN = 2 * 10 * 10 * 3, OUT = 2 * 7 * 7 * 3 };
	const struct avgpool shape = {10, 10, 3, 7};
	float *x = pool_input("avgpool", IN), *d_out = input("avgpool", "d_out", OUT);
	float out[OUT], d_in[IN];

	file = fixture_open("layers");
	avgpool_forward(out, x, &shape, &reference_set(0)->fp32, 2, 1);
	check(out, "avgpool", "out", OUT);
	avgpool_backward(d_in, d_out, &shape, &reference_set(0)->fp32, 2, 1);
	check(d_in, "avgpool", "d_in", IN);
	safetensors_close(file);
	nn_free(x);
	nn_free(d_out);
}

static void shortcut_a_matches_pytorch(void)
{
	enum { IN = 2 * 7 * 6 * 3, OUT = 2 * 4 * 3 * 8 };
	const struct conv shape = {7, 6, 3, 4, 3, 8, 1, 2, 0};
	float *x = pool_input("subsample", IN), *d_out = input("subsample", "d_out", OUT);
	float out[OUT], d_in[IN] = {0};

	file = fixture_open("layers");
	subsample_forward(out, x, &shape, &reference_set(0)->fp32, 2, 1);
	check(out, "subsample", "out", OUT);
	subsample_backward(d_in, d_out, &shape, &reference_set(0)->fp32, 2, 1);
	check(d_in, "subsample", "d_in", IN);
	safetensors_close(file);
	nn_free(x);
	nn_free(d_out);
}

static void check_loss(const char *case_name, double smoothing, const struct kernels *kernels)
{
	enum { SAMPLES = 6, LABELS = 11 };
	float *logits = fixture_new("loss/logits", SAMPLES * LABELS, 8, 0), d_logits[SAMPLES * LABELS], single[SAMPLES];
	double loss[SAMPLES];
	int rank[SAMPLES];
	int32_t labels[SAMPLES];

	for (int n = 0; n < SAMPLES; n++)
		labels[n] = n * 3 % LABELS;
	loss_softmax(loss, rank, d_logits, logits, labels, kernels, LABELS, smoothing, 1.0 / SAMPLES, SAMPLES);
	for (int n = 0; n < SAMPLES; n++)
		single[n] = (float)loss[n];
	check(single, case_name, "loss", SAMPLES);
	check(d_logits, case_name, "d_logits", SAMPLES * LABELS);
	nn_free(logits);
}

static void cross_entropy_matches_pytorch_with_and_without_smoothing(void)
{
	file = fixture_open("layers");
	for (int k = 0; kernels_all[k]; k++) {
		if (!kernels_usable(kernels_all[k]))
			continue;
		check_loss("loss", 0, kernels_all[k]);
		check_loss("loss_smooth", 0.1, kernels_all[k]);
	}
	safetensors_close(file);
}

static void check_sgd(const char *case_name, bool nesterov, const struct kernels *kernels)
{
	enum { COUNT = 37 };
	struct param param = {.kind = PARAM_CONV, .count = COUNT};
	const struct graph graph = {.params = &param, .param_count = 1, .parameters = COUNT};
	const struct optimizer optimizer = {.momentum = 0.9, .nesterov = nesterov, .weight_decay = 0.01};
	float *w = input("sgd", "weight", COUNT), velocity[COUNT] = {0};

	for (int step = 0; step < 3; step++) {
		float *gradient = input("sgd", (const char *[]){"gradient0", "gradient1", "gradient2"}[step], COUNT);

		optimizer_step(w, velocity, gradient, &optimizer, &graph, kernels, step < 2 ? 0.1 : 0.01, 1);
		nn_free(gradient);
	}
	check(w, case_name, "weight", COUNT);
	check(velocity, case_name, "velocity", COUNT);
	nn_free(w);
}

static void sgd_steps_match_pytorch_with_and_without_nesterov(void)
{
	file = fixture_open("layers");
	for (int k = 0; kernels_all[k]; k++) {
		if (!kernels_usable(kernels_all[k]))
			continue;
		check_sgd("sgd", false, kernels_all[k]);
		check_sgd("sgd_nesterov", true, kernels_all[k]);
	}
	safetensors_close(file);
}

void suite_fixtures(void)
{
	static const struct test_row rows[] = {
	    TEST(convolutions_match_pytorch_in_all_directions),
	    TEST(batch_norm_with_residual_and_relu_matches_pytorch),
	    TEST(max_pooling_matches_pytorch_on_ties_too),
	    TEST(adaptive_average_pooling_matches_pytorch_on_overlapping_cells),
	    TEST(shortcut_a_matches_pytorch),
	    TEST(cross_entropy_matches_pytorch_with_and_without_smoothing),
	    TEST(sgd_steps_match_pytorch_with_and_without_nesterov),
	};

	ADD_SUITE("fixtures", rows);
}
