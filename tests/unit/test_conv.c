/* Convolutions of every kernel set that this processor can run, in all three directions. */
#include <stdlib.h>
#include <string.h>

#include "nn/core/rng.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

enum { SAMPLES = 3 };

/* Rounding of a float chain of so many terms of size 1; Winograd's error is one of the largest result. */
static double tolerance(size_t terms, bool winograd, const double *wanted, size_t count)
{
	return winograd ? 1e-5 * reference_largest(wanted, count) : 1e-6 + 1.2e-7 * (double)terms;
}

/* One random shape with its data, and one call in each direction; output, scratch and packed weights lie between guards. */
struct conv_case {
	struct conv conv;
	struct conv_env env;
	float *in, *weight, *out;
};

static void case_init(struct conv_case *test, struct conv conv, bool winograd)
{
	test->conv = conv;
	test->env = (struct conv_env){.winograd = winograd};
	CU_ASSERT(!winograd || conv_winograd(&conv));
	test->in = reference_values(SAMPLES * reference_in_size(&conv), 1);
	test->weight = reference_values(reference_weight_size(&conv), 2);
	test->out = reference_values(SAMPLES * reference_out_size(&conv), 3);
}

static void case_release(struct conv_case *test)
{
	free(test->in);
	free(test->weight);
	free(test->out);
}

/* A source that hands out copies, as if it made the samples. */
struct copies {
	const float *values;
	size_t size;
};

static const void *copy(void *context, void *room, size_t first, size_t count)
{
	const struct copies *copies = context;

	memcpy(room, copies->values + first * copies->size, count * copies->size * sizeof(float));
	return room;
}

/* The forward pass of samples first .. first + samples - 1, or their data gradient, into result. */
static void run_windows(float *result, struct conv_case *test, bool backward, size_t first, size_t samples, bool accumulate,
			int threads)
{
	const struct conv *conv = &test->conv;
	struct copies ins = {test->in + first * reference_in_size(conv), reference_in_size(conv)},
		      outs = {test->out + first * reference_out_size(conv), reference_out_size(conv)};
	size_t packed_size, scratch_size;
	float *packed, *scratch;

	test->env.threads = threads;
	packed_size = conv_packed_size(conv, &test->env, backward);
	scratch_size = conv_scratch_size(conv, &test->env, backward);
	packed = guard_alloc(packed_size);
	test->env.scratch = scratch = guard_alloc(scratch_size);
	conv_pack(packed, test->weight, NULL, conv, &test->env, backward);
	if (backward)
		conv_backward(NULL, result, (struct source){.make = copy, .context = &outs}, (struct source){.values = test->in},
			      packed, conv, &test->env, 0, samples, accumulate, (struct sink){0});
	else
		conv_forward(result, (struct source){.make = copy, .context = &ins}, packed, conv, &test->env, samples,
			     (struct conv_finish){0}, (struct sink){0});
	CU_ASSERT(guard_intact(packed, packed_size));
	CU_ASSERT(guard_intact(scratch, scratch_size));
	guard_free(packed);
	guard_free(scratch);
}

static void run_weight(float *d_weight, struct conv_case *test, size_t samples, int threads)
{
	const struct conv *conv = &test->conv;
	size_t scratch_size;

	test->env.threads = threads;
	scratch_size = conv_scratch_size(conv, &test->env, true);
	test->env.scratch = guard_alloc(scratch_size);
	conv_backward(d_weight, NULL, (struct source){.values = test->out}, (struct source){.values = test->in}, NULL, conv,
		      &test->env, 0, samples, false, (struct sink){0});
	CU_ASSERT(guard_intact(test->env.scratch, scratch_size));
	guard_free(test->env.scratch);
}

static struct conv random_conv(struct rng *rng)
{
	struct conv conv;
	int pick[8];

	do {
		for (int i = 0; i < 8; i++)
			pick[i] = (int)rng_below(rng, i < 2 ? 13 : i < 4 ? 40 : i == 4 ? 7 : i == 5 ? 3 : 4);
	} while (conv_init(&conv, 1 + pick[0], 1 + pick[1], 1 + pick[2], 1 + pick[3], 1 + pick[4], 1 + pick[5], pick[6]) != NN_OK);
	return conv;
}

/* Every height and width from 1 on, and channels that fill vectors of 4, 8 and 16 in several ways. */
static struct conv winograd_shape(int i)
{
	struct conv conv;

	CU_ASSERT_EQUAL(conv_init(&conv, 1 + i % 11, 1 + i % 13, 16 * (1 + i % 5), 16 * (1 + i / 2 % 4), 3, 1, 1), NN_OK);
	return conv;
}

typedef void (*check_fn)(struct conv_case *test);

/* Runs check on `count` shapes: a few large ones, then random ones. */
static void each_direct(check_fn check, int count)
{
	static const int wide[][7] = {
	    {56, 56, 3, 33, 1, 1, 0}, {40, 30, 5, 17, 3, 1, 1}, {9, 9, 64, 70, 1, 2, 0}, {30, 30, 3, 64, 7, 2, 3}};
	struct rng rng = rng_stream(1, 0, 0);

	for (int i = 0; i < count; i++) {
		struct conv_case test;
		struct conv conv = random_conv(&rng);

		if (i < 4) {
			const int *w = wide[i];

			CU_ASSERT_EQUAL(conv_init(&conv, w[0], w[1], w[2], w[3], w[4], w[5], w[6]), NN_OK);
		}
		case_init(&test, conv, false);
		check(&test);
		case_release(&test);
	}
}

static void each_winograd(check_fn check, int count)
{
	for (int i = 0; i < count; i++) {
		struct conv_case test;

		case_init(&test, winograd_shape(i), true);
		check(&test);
		case_release(&test);
	}
}

static struct reference_conv case_reference(const struct conv_case *test)
{
	const struct conv *conv = &test->conv;

	return (struct reference_conv){*conv, SAMPLES, reference_doubles(test->in, SAMPLES * reference_in_size(conv)),
				       reference_doubles(test->weight, reference_weight_size(conv)),
				       reference_doubles(test->out, SAMPLES * reference_out_size(conv))};
}

static void reference_done(struct reference_conv *reference)
{
	free(reference->in);
	free(reference->weight);
	free(reference->out);
}

static void check_forward(struct conv_case *test)
{
	const struct conv *conv = &test->conv;
	size_t size = SAMPLES * reference_out_size(conv);
	struct reference_conv reference = case_reference(test);
	float *out = guard_alloc(size);

	reference_conv_forward(&reference);
	for (int s = 0; reference_set(s); s++) {
		test->env.kernels = reference_set(s);
		memset(out, 0xff, size * sizeof(float));
		run_windows(out, test, false, 0, SAMPLES, false, 1);
		CU_ASSERT(reference_distance(out, reference.out, size) <
			  tolerance(reference_weight_size(conv) / (size_t)conv->out_c, test->env.winograd, reference.out, size));
		CU_ASSERT(guard_intact(out, size));
	}
	guard_free(out);
	reference_done(&reference);
}

static void forward_matches_double_on_many_shapes(void)
{
	each_direct(check_forward, 250);
	each_winograd(check_forward, 60);
}

static void check_data(struct conv_case *test)
{
	const struct conv *conv = &test->conv;
	size_t size = SAMPLES * reference_in_size(conv);
	struct reference_conv reference = case_reference(test);
	double bound;
	double *sum = reference_alloc(size * sizeof(double));
	float *d_in = guard_alloc(size);

	reference_conv_data(&reference);
	bound = tolerance(reference_weight_size(conv) / (size_t)conv->in_c, test->env.winograd, reference.in, size);
	for (size_t i = 0; i < size; i++)
		sum[i] = reference.in[i] + (double)test->in[i];
	for (int s = 0; reference_set(s); s++) {
		test->env.kernels = reference_set(s);
		memset(d_in, 0xff, size * sizeof(float));
		run_windows(d_in, test, true, 0, SAMPLES, false, 1);
		CU_ASSERT(reference_distance(d_in, reference.in, size) < bound);
		memcpy(d_in, test->in, size * sizeof(float));
		run_windows(d_in, test, true, 0, SAMPLES, true, 1);
		CU_ASSERT(reference_distance(d_in, sum, size) < bound);
		CU_ASSERT(guard_intact(d_in, size));
	}
	guard_free(d_in);
	free(sum);
	reference_done(&reference);
}

static void data_gradient_matches_double_on_many_shapes_also_added(void)
{
	each_direct(check_data, 250);
	each_winograd(check_data, 60);
}

static void check_weight(struct conv_case *test)
{
	const struct conv *conv = &test->conv;
	size_t size = reference_weight_size(conv), terms = SAMPLES * reference_out_size(conv) / (size_t)conv->out_c;
	struct reference_conv reference = case_reference(test);
	float *d_weight = guard_alloc(size);

	reference_conv_weight(&reference);
	for (int s = 0; reference_set(s); s++) {
		memset(d_weight, 0xff, size * sizeof(float));
		test->env.kernels = reference_set(s);
		run_weight(d_weight, test, SAMPLES, 1);
		CU_ASSERT(reference_distance(d_weight, reference.weight, size) <
			  tolerance(terms, test->env.winograd, reference.weight, size));
		CU_ASSERT(guard_intact(d_weight, size));
	}
	guard_free(d_weight);
	reference_done(&reference);
}

static void weight_gradient_matches_double_on_many_shapes(void)
{
	each_direct(check_weight, 250);
	each_winograd(check_weight, 60);
}

/* Both windowed directions with 1, 2 and 3 threads, and sample by sample. */
static void check_bits(struct conv_case *test)
{
	for (int s = 0; reference_set(s); s++)
		for (int backward = 0; backward < 2; backward++) {
			size_t size = backward ? reference_in_size(&test->conv) : reference_out_size(&test->conv),
			       bytes = SAMPLES * size * sizeof(float);
			float *first = reference_alloc(bytes), *other = reference_alloc(bytes);

			test->env.kernels = reference_set(s);
			run_windows(first, test, backward, 0, SAMPLES, false, 1);
			for (int threads = 2; threads <= 3; threads++) {
				run_windows(other, test, backward, 0, SAMPLES, false, threads);
				CU_ASSERT(same_bits(first, other, bytes));
			}
			for (size_t n = 0; n < SAMPLES; n++)
				run_windows(other + n * size, test, backward, n, 1, false, 1);
			CU_ASSERT(same_bits(first, other, bytes));
			free(first);
			free(other);
		}
}

static void bits_depend_on_neither_threads_nor_batch(void)
{
	each_direct(check_bits, 20);
	each_winograd(check_bits, 20);
}

static void check_weight_bits(struct conv_case *test)
{
	size_t bytes = reference_weight_size(&test->conv) * sizeof(float);
	float *first = reference_alloc(bytes), *other = reference_alloc(bytes);

	for (int s = 0; reference_set(s); s++)
		for (int threads = 1; threads <= 3; threads++) {
			test->env.kernels = reference_set(s);
			run_weight(threads == 1 ? first : other, test, SAMPLES, threads);
			CU_ASSERT(threads == 1 || same_bits(first, other, bytes));
		}
	free(first);
	free(other);
}

static void weight_gradient_has_the_same_bits_for_every_number_of_threads(void)
{
	each_direct(check_weight_bits, 20);
	each_winograd(check_weight_bits, 20);
}

static void scratch_of_a_training_step_is_enough_for_its_forward_pass(void)
{
	/* The last two have more input, with zeros around it, than gradients. */
	static const int shapes[][7] = {
	    {32, 32, 16, 16, 3, 1, 1}, {56, 56, 64, 256, 1, 1, 0}, {4, 4, 256, 256, 3, 2, 1}, {2, 2, 512, 512, 3, 2, 1}};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
		for (int s = 0; reference_bf16_set(s); s++)
			for (int bf16 = 0; bf16 < 2; bf16++) {
				const int *shape = shapes[i];
				struct conv_env env = {
				    .kernels = reference_bf16_set(s), .threads = 3, .winograd = true, .bf16 = bf16};
				struct conv conv;

				CU_ASSERT_EQUAL(
				    conv_init(&conv, shape[0], shape[1], shape[2], shape[3], shape[4], shape[5], shape[6]), NN_OK);
				CU_ASSERT(conv_scratch_size(&conv, &env, true) >= conv_scratch_size(&conv, &env, false));
			}
}

/* weight: 1 in the middle, 10 to its right, 100 at the top left. */
static void a_3x3_example_by_hand(void)
{
	float image[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, weight[9] = {100, 0, 0, 0, 1, 10, 0, 0, 0},
	      middle[9] = {0, 0, 0, 0, 1, 0, 0, 0, 0};
	const float wanted[9] = {21, 32, 3, 54, 165, 206, 87, 498, 509};

	for (int s = 0; reference_set(s); s++) {
		struct conv_case test = {.env.kernels = reference_set(s), .in = image, .weight = weight, .out = middle};
		float result[9];

		CU_ASSERT_EQUAL(conv_init(&test.conv, 3, 3, 1, 1, 3, 1, 1), NN_OK);
		run_windows(result, &test, false, 0, 1, false, 1);
		CU_ASSERT(same_bits(result, wanted, sizeof(wanted)));
		run_windows(result, &test, true, 0, 1, false, 1);
		CU_ASSERT(same_bits(result, weight, sizeof(weight)));
		run_weight(result, &test, 1, 1);
		CU_ASSERT(same_bits(result, image, sizeof(image)));
	}
}

/* Samples in parts are more samples of a smaller shape, to the bit. */
static void check_parts(int stride, int parts)
{
	struct conv_case test = {.env.kernels = reference_set(0)};
	struct conv whole;
	float *first, *other;

	CU_ASSERT_EQUAL(conv_init(&whole, 36, 25, 5, 19, 1, stride, 0), NN_OK);
	CU_ASSERT_EQUAL(conv_parts(&whole), parts);
	case_init(&test, whole, false);
	test.env.kernels = reference_set(0);
	first = reference_values(SAMPLES * reference_out_size(&whole), 4);
	other = reference_values(SAMPLES * reference_out_size(&whole), 5);
	run_windows(first, &test, false, 0, SAMPLES, false, 1);
	test.conv = conv_part(&whole);
	run_windows(other, &test, false, 0, (size_t)parts * SAMPLES, false, 1);
	CU_ASSERT(same_bits(first, other, SAMPLES * reference_out_size(&whole) * sizeof(float)));
	case_release(&test);
	free(first);
	free(other);
}

static void a_1x1_convolution_in_parts_has_the_same_bits(void)
{
	check_parts(1, 5);
	check_parts(2, 6);
}

static void only_1x1_convolutions_have_parts(void)
{
	for (int size = 1; size <= 120; size++)
		for (int kernel = 1; kernel <= 3; kernel += 2)
			for (int stride = 1; stride <= 2; stride++) {
				struct conv conv, part;
				int parts;

				CU_ASSERT_EQUAL(conv_init(&conv, size, size, 4, 4, kernel, stride, kernel / 2), NN_OK);
				parts = conv_parts(&conv);
				part = conv_part(&conv);
				CU_ASSERT(parts == 1 || kernel == 1);
				CU_ASSERT_EQUAL(parts * part.out_h * part.out_w, conv.out_h * conv.out_w);
				CU_ASSERT_EQUAL(parts * part.in_h * part.in_w, conv.in_h * conv.in_w);
			}
}

static void no_samples_give_a_zero_weight_gradient(void)
{
	struct conv_case test = {.env.kernels = reference_set(0)};
	float d_weight[9 * 16 * 16];

	CU_ASSERT_EQUAL(conv_init(&test.conv, 3, 3, 16, 16, 3, 1, 1), NN_OK);
	for (int winograd = 0; winograd < 2; winograd++) {
		test.env.winograd = winograd;
		memset(d_weight, 0xff, sizeof(d_weight));
		run_weight(d_weight, &test, 0, 2);
		for (int i = 0; i < 9 * 16 * 16; i++)
			CU_ASSERT_EQUAL(d_weight[i], 0);
	}
}

static void a_kernel_larger_than_the_padded_image_is_refused(void)
{
	struct conv conv;

	CU_ASSERT_EQUAL(conv_init(&conv, 5, 5, 3, 8, 7, 1, 0), NN_ERR_USAGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "5 x 5"));
	CU_ASSERT_EQUAL(conv_init(&conv, 9, 4, 3, 8, 7, 2, 1), NN_ERR_USAGE);
	CU_ASSERT_EQUAL(conv_init(&conv, 5, 5, 3, 8, 7, 3, 1), NN_OK);
	CU_ASSERT_EQUAL(conv.out_h, 1);
	CU_ASSERT_EQUAL(conv.out_w, 1);
}

void suite_conv(void)
{
	static const struct test_row rows[] = {
	    TEST(a_3x3_example_by_hand),
	    TEST(forward_matches_double_on_many_shapes),
	    TEST(data_gradient_matches_double_on_many_shapes_also_added),
	    TEST(weight_gradient_matches_double_on_many_shapes),
	    TEST(bits_depend_on_neither_threads_nor_batch),
	    TEST(weight_gradient_has_the_same_bits_for_every_number_of_threads),
	    TEST(scratch_of_a_training_step_is_enough_for_its_forward_pass),
	    TEST(a_1x1_convolution_in_parts_has_the_same_bits),
	    TEST(only_1x1_convolutions_have_parts),
	    TEST(no_samples_give_a_zero_weight_gradient),
	    TEST(a_kernel_larger_than_the_padded_image_is_refused),
	};

	ADD_SUITE("conv", rows);
}
