/* Backward passes over so many samples that the weight gradient is summed in ranges, and that threads share chunks. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

/* in h, in w, in channels, out channels, kernel, stride, padding, samples. The last two are wide for Winograd's algorithm. */
static const int shapes[][8] = {{16, 16, 3, 16, 3, 1, 1, 19}, {16, 16, 16, 16, 3, 1, 1, 33}, {16, 16, 16, 32, 3, 2, 1, 30},
				{8, 8, 16, 64, 1, 1, 0, 40},  {8, 8, 64, 64, 3, 1, 1, 29},   {7, 7, 256, 272, 3, 1, 1, 17},
				{5, 7, 272, 256, 3, 1, 1, 5}};

struct example {
	struct conv conv;
	size_t samples;
	struct conv_env env;
	float *in, *d_out, *weight; /* in and d_out hold bf16 when env.bf16 */
};

/* Images from the second on, made into the room as batch norms in front make them. */
static const void *copy(void *context, void *room, size_t first, size_t count)
{
	const struct example *example = context;
	size_t in = reference_in_size(&example->conv), bytes = example->env.bf16 ? 2 : 4;

	memcpy(room, (const char *)example->in + first * in * bytes, count * in * bytes);
	return room;
}

/* What a sink was called for: each sample but the first once, then by the caller's thread that these were all. */
struct seen {
	int *times;
	size_t samples;
	int ends;
	pthread_t caller;
};

static void count_samples(void *context, const void *in, size_t first, size_t count)
{
	struct seen *seen = context;

	(void)in;
	for (size_t n = first; n < first + count; n++)
		seen->times[n]++;
}

static bool each_once(const struct seen *seen)
{
	bool once = true;

	for (size_t n = 0; n < seen->samples; n++)
		once = once && seen->times[n] == (n > 0);
	return once;
}

static void count_end(void *context)
{
	struct seen *seen = context;

	CU_ASSERT(each_once(seen));
	CU_ASSERT(pthread_equal(pthread_self(), seen->caller));
	seen->ends++;
}

/* All samples but the first; d_in is added to what is there. */
static void run(float *d_weight, void *d_in, struct example *example, int threads)
{
	struct seen seen = {reference_alloc(example->samples * sizeof(int)), example->samples, 0, pthread_self()};
	struct sink sink = {.done = count_samples, .context = &seen, .all_done = count_end};
	const struct conv *conv = &example->conv;
	struct conv_env *env = &example->env;
	size_t packed_size, scratch_size;
	float *packed;

	env->threads = threads;
	packed_size = conv_packed_size(conv, env, true);
	scratch_size = conv_scratch_size(conv, env, true);
	packed = guard_alloc(packed_size);
	env->scratch = guard_alloc(scratch_size);
	conv_pack(packed, example->weight, NULL, conv, env, true);
	conv_backward(d_weight, d_in, (struct source){.values = example->d_out}, (struct source){.make = copy, .context = example},
		      packed, conv, env, 1, example->samples - 1, true, d_in ? sink : (struct sink){0});
	CU_ASSERT_EQUAL(seen.ends, d_in ? 1 : 0);
	free(seen.times);
	CU_ASSERT(guard_intact(packed, packed_size));
	CU_ASSERT(guard_intact(env->scratch, scratch_size));
	guard_free(packed);
	guard_free(env->scratch);
}

/* Bits with 1 thread and with others: fewer than ranges, as many and more. */
static void check_threads(struct example *example)
{
	static const int threads[] = {1, 2, 3, 17};
	size_t weight = reference_weight_size(&example->conv);
	size_t bytes = reference_in_size(&example->conv) * example->samples * (example->env.bf16 ? 2 : 4);
	float *first = reference_alloc(weight * 4), *other = reference_alloc(weight * 4);
	void *d_first = reference_alloc(bytes), *d_other = reference_alloc(bytes);

	for (size_t i = 0; i < sizeof(threads) / sizeof(*threads); i++) {
		memset(other, 0xff, weight * 4);
		memset(d_other, 0, bytes);
		run(i == 0 ? first : other, i == 0 ? d_first : d_other, example, threads[i]);
		CU_ASSERT(i == 0 || same_bits(first, other, weight * 4));
		CU_ASSERT(i == 0 || same_bits(d_first, d_other, bytes));
	}
	free(first);
	free(other);
	free(d_first);
	free(d_other);
}

static void each_example(void (*check)(struct example *), const struct kernels *set, bool bf16)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes) - (bf16 ? 3 : 0); i++)
		for (int winograd = 0; winograd < 2; winograd++) {
			const int *s = shapes[i];
			struct example example = {.samples = (size_t)s[7],
						  .env = {.kernels = set, .winograd = winograd, .bf16 = bf16}};
			size_t in, out, weight;

			CU_ASSERT_EQUAL(conv_init(&example.conv, s[0], s[1], s[2], s[3], s[4], s[5], s[6]), NN_OK);
			in = reference_in_size(&example.conv);
			out = reference_out_size(&example.conv);
			weight = reference_weight_size(&example.conv);
			example.in = reference_values(example.samples * in + 64, 1);
			example.d_out = reference_values(example.samples * out + 64, 2);
			example.weight = reference_values(weight, 3);
			if (bf16) {
				set->narrow((void *)example.in, example.in, example.samples * in + 64);
				set->narrow((void *)example.d_out, example.d_out, example.samples * out + 64);
			}
			check(&example);
			free(example.in);
			free(example.d_out);
			free(example.weight);
		}
}

static void threads_change_no_bits(void)
{
	for (int s = 0; reference_set(s); s++)
		each_example(check_threads, reference_set(s), false);
}

static void threads_change_no_bits_of_bf16(void)
{
	for (int s = 0; reference_bf16_set(s); s++)
		each_example(check_threads, reference_bf16_set(s), true);
}

static void check_double(struct example *example)
{
	size_t in = reference_in_size(&example->conv), out = reference_out_size(&example->conv);
	size_t weight = reference_weight_size(&example->conv);
	struct reference_conv reference = {.shape = example->conv,
					   .in = reference_doubles(example->in + in, in * (example->samples - 1)),
					   .weight = reference_doubles(example->weight, weight),
					   .out = reference_doubles(example->d_out + out, out * (example->samples - 1)),
					   .samples = example->samples - 1};
	float *d_weight = reference_alloc(weight * 4);
	double error = example->env.winograd && conv_winograd(&example->conv) ? 1e-5 : 2e-6;

	run(d_weight, NULL, example, 2);
	reference_conv_weight(&reference);
	CU_ASSERT(reference_distance(d_weight, reference.weight, weight) < error * reference_largest(reference.weight, weight));
	free(reference.in);
	free(reference.weight);
	free(reference.out);
	free(d_weight);
}

static void sums_of_ranges_match_double(void)
{
	for (int s = 0; reference_set(s); s++)
		each_example(check_double, reference_set(s), false);
}

void suite_conv_ranges(void)
{
	static const struct test_row rows[] = {
	    TEST(threads_change_no_bits),
	    TEST(threads_change_no_bits_of_bf16),
	    TEST(sums_of_ranges_match_double),
	};

	ADD_SUITE("conv_ranges", rows);
}
