/* Convolutions of bf16 against double, on the rounded operands, with every kernel set and in all three directions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/rng.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

enum { SAMPLES = 3 };

static float widened(uint16_t x)
{
	uint32_t bits = (uint32_t)x << 16;
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* `count` values of bf16 with `behind` more that are not numbers: convolutions may read them, but must not use them. Ownership: the
 * caller's, by free. */
static uint16_t *rounded_values(size_t count, uint64_t seed, size_t behind)
{
	float *values = reference_values(count, seed);
	uint16_t *result = reference_alloc((count + behind) * sizeof(*result));

	reference_set(0)->narrow(result, values, count);
	memset(result + count, 0xff, behind * sizeof(*result));
	free(values);
	return result;
}

static double *doubles(const uint16_t *values, size_t count)
{
	double *result = reference_alloc(count * sizeof(*result));

	for (size_t i = 0; i < count; i++)
		result[i] = (double)widened(values[i]);
	return result;
}

struct conv_case {
	struct conv conv;
	struct conv_env env;
	uint16_t *in, *weight, *out;
	float *weight_floats;
	struct reference_conv reference;
};

static void case_init(struct conv_case *test, struct conv conv)
{
	size_t reach = conv_reach(&conv);

	memset(test, 0, sizeof(*test));
	test->conv = conv;
	test->env = (struct conv_env){.bf16 = true, .winograd = true};
	test->in = rounded_values(SAMPLES * reference_in_size(&conv), 1, reach);
	test->weight = rounded_values(reference_weight_size(&conv), 2, 0);
	test->out = rounded_values(SAMPLES * reference_out_size(&conv), 3, reach);
	test->weight_floats = reference_alloc(reference_weight_size(&conv) * sizeof(float));
	for (size_t i = 0; i < reference_weight_size(&conv); i++)
		test->weight_floats[i] = widened(test->weight[i]);
	test->reference = (struct reference_conv){conv, SAMPLES, doubles(test->in, SAMPLES * reference_in_size(&conv)),
						  doubles(test->weight, reference_weight_size(&conv)),
						  doubles(test->out, SAMPLES * reference_out_size(&conv))};
}

static void case_release(struct conv_case *test)
{
	free(test->in);
	free(test->weight);
	free(test->out);
	free(test->weight_floats);
	free(test->reference.in);
	free(test->reference.weight);
	free(test->reference.out);
}

/* Float sums of so many products below 1, rounded to 8 bits once or, when added to a value, of up to 1, once more. */
static void check_rounded(const uint16_t *values, const double *wanted, const double *before, size_t count, size_t terms)
{
	bool close = true;

	for (size_t i = 0; i < count; i++) {
		double sum = wanted[i] + (before ? before[i] : 0);

		close &= fabs((double)widened(values[i]) - sum) <= fabs(sum) / 256 + 1e-6 + 2.4e-7 * (double)terms;
	}
	CU_ASSERT(close);
}

/* Result, packed weights and scratch, all with guards. */
struct rooms {
	float *result, *packed, *scratch;
	size_t result_size, packed_size, scratch_size;
};

static void rooms_init(struct rooms *rooms, struct conv_case *test, size_t values, bool backward)
{
	rooms->result_size = (values + 1) / 2;
	rooms->packed_size = conv_packed_size(&test->conv, &test->env, backward);
	rooms->scratch_size = conv_scratch_size(&test->conv, &test->env, backward);
	rooms->result = guard_alloc(rooms->result_size);
	rooms->packed = guard_alloc(rooms->packed_size);
	rooms->scratch = test->env.scratch = guard_alloc(rooms->scratch_size);
}

static void rooms_release(struct rooms *rooms)
{
	CU_ASSERT(guard_intact(rooms->result, rooms->result_size));
	CU_ASSERT(guard_intact(rooms->packed, rooms->packed_size));
	CU_ASSERT(guard_intact(rooms->scratch, rooms->scratch_size));
	guard_free(rooms->result);
	guard_free(rooms->packed);
	guard_free(rooms->scratch);
}

static void check_forward(struct conv_case *test)
{
	size_t size = SAMPLES * reference_out_size(&test->conv);
	struct rooms rooms;

	rooms_init(&rooms, test, size, false);
	conv_pack(rooms.packed, test->weight_floats, NULL, &test->conv, &test->env, false);
	conv_forward(rooms.result, (struct source){.values = test->in}, rooms.packed, &test->conv, &test->env, SAMPLES,
		     (struct conv_finish){0}, (struct sink){0});
	reference_conv_forward(&test->reference);
	check_rounded((const void *)rooms.result, test->reference.out, NULL, size,
		      reference_weight_size(&test->conv) / (size_t)test->conv.out_c);
	rooms_release(&rooms);
}

static void check_data(struct conv_case *test)
{
	size_t size = SAMPLES * reference_in_size(&test->conv),
	       terms = reference_weight_size(&test->conv) / (size_t)test->conv.in_c;

	for (int accumulate = 0; accumulate < 2; accumulate++) {
		double *before = accumulate ? doubles(test->in, size) : NULL;
		struct rooms rooms;

		rooms_init(&rooms, test, size, true);
		if (accumulate)
			memcpy(rooms.result, test->in, size * sizeof(*test->in));
		conv_pack(rooms.packed, test->weight_floats, NULL, &test->conv, &test->env, true);
		conv_backward(NULL, rooms.result, (struct source){.values = test->out}, (struct source){.values = test->in},
			      rooms.packed, &test->conv, &test->env, 0, SAMPLES, accumulate, (struct sink){0});
		reference_conv_data(&test->reference);
		check_rounded((const void *)rooms.result, test->reference.in, before, size, terms);
		rooms_release(&rooms);
		free(before);
	}
}

static void check_weight(struct conv_case *test)
{
	size_t size = reference_weight_size(&test->conv),
	       terms = SAMPLES * reference_out_size(&test->conv) / (size_t)test->conv.out_c;
	double largest;
	struct rooms rooms;

	rooms_init(&rooms, test, 2 * size, true);
	conv_backward(rooms.result, NULL, (struct source){.values = test->out}, (struct source){.values = test->in}, NULL,
		      &test->conv, &test->env, 0, SAMPLES, false, (struct sink){0});
	reference_conv_weight(&test->reference);
	largest = reference_largest(test->reference.weight, size);
	CU_ASSERT(reference_distance(rooms.result, test->reference.weight, size) <
		  (conv_by_winograd(&test->conv, &test->env) ? 1e-5 * largest : 1e-6 + 2.4e-7 * (double)terms));
	rooms_release(&rooms);
}

typedef void (*check_fn)(struct conv_case *test);

/* Shapes of the nets first, then random ones; each with every set, and with 1 thread or 3. */
static void each_shape(check_fn check)
{
	static const int shapes[][7] = {{32, 32, 3, 16, 3, 1, 1}, {20, 20, 16, 32, 3, 2, 1}, {8, 8, 64, 64, 3, 1, 1},
					{30, 30, 3, 64, 7, 2, 3}, {28, 28, 64, 33, 1, 1, 0}, {9, 9, 64, 70, 1, 2, 0},
					{7, 7, 96, 48, 3, 2, 1}};
	enum { NAMED = sizeof(shapes) / sizeof(*shapes), COUNT = 60 };
	struct rng rng = rng_stream(5, 0, 0);

	for (int i = 0; i < COUNT; i++) {
		struct conv_case test;
		struct conv conv;
		int pick[7];

		do {
			for (int k = 0; k < 7; k++)
				pick[k] = i < NAMED ? shapes[i][k]
						    : (int)rng_below(&rng, k < 2    ? 13
									   : k < 4  ? 70
									   : k == 4 ? 7
										    : 3) +
							  (k < 6);
		} while (conv_init(&conv, pick[0], pick[1], pick[2], pick[3], pick[4], pick[5], pick[6]) != NN_OK);
		case_init(&test, conv);
		for (int s = 0; reference_bf16_set(s); s++) {
			test.env.kernels = reference_bf16_set(s);
			test.env.threads = i % 2 ? 3 : 1;
			check(&test);
		}
		case_release(&test);
	}
}

static void forward_matches_double_on_many_shapes(void)
{
	each_shape(check_forward);
}

static void data_gradient_matches_double_on_many_shapes(void)
{
	each_shape(check_data);
}

static void weight_gradient_matches_double_on_many_shapes(void)
{
	each_shape(check_weight);
}

void suite_conv_bf16(void)
{
	static const struct test_row rows[] = {
	    TEST(forward_matches_double_on_many_shapes),
	    TEST(data_gradient_matches_double_on_many_shapes),
	    TEST(weight_gradient_matches_double_on_many_shapes),
	};

	ADD_SUITE("conv_bf16", rows);
}
