/* What a network promises beside the values: bits, ranges, allocations, batches of any size. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/optim/optimizer.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

static float *gradient_of(const struct fixture *fixture)
{
	int count;

	return network_gradients(fixture->network, &count)[0];
}

/* One step of resnet20 with shortcut B on 8 x 8 images; released by fixture_release. */
static void stepped(struct fixture *fixture, struct batch_result *result, const struct kernels *kernels, int threads, int shards,
		    size_t samples)
{
	struct network_setup setup = fixture_setup(kernels, samples, shards);

	setup.threads = threads;
	fixture_init(fixture, fixture_graph("resnet20", 8, 10, SHORTCUT_B), &setup, samples);
	CU_ASSERT_EQUAL(fixture_step(result, fixture, 0.1), NN_OK);
}

static void a_step_has_the_same_bits_for_every_number_of_threads_and_again(void)
{
	for (int s = 0; reference_set(s); s++) {
		struct fixture one, many;
		struct batch_result first, other;

		stepped(&one, &first, reference_set(s), 1, 8, 13);
		for (int threads = 1; threads <= (s ? 1 : 3); threads++) {
			stepped(&many, &other, reference_set(s), threads, 8, 13);
			CU_ASSERT_EQUAL(first.loss, other.loss);
			CU_ASSERT(same_bits(gradient_of(&one), gradient_of(&many), one.graph.parameters * sizeof(float)));
			fixture_release(&many);
		}
		CU_ASSERT_EQUAL(fixture_step(&other, &one, 0.1), NN_OK);
		CU_ASSERT_EQUAL(first.loss, other.loss);
		fixture_release(&one);
	}
}

/* Passes with momentum 1, 1/2 and 1/3 over three batches leave the mean of what each batch alone leaves with momentum 1. */
static void momenta_of_one_over_k_average_the_statistics_of_k_batches(void)
{
	enum { BATCHES = 3, SAMPLES = 4 };
	struct network_setup setup = fixture_setup(reference_set(0), SAMPLES, 2);
	struct fixture fixture;
	const float *logits;
	double *means;
	float *statistics;

	fixture_init(&fixture, fixture_graph("resnet20", 8, 10, SHORTCUT_B), &setup, SAMPLES * BATCHES);
	statistics = network_statistics(fixture.network);
	CU_ASSERT_EQUAL_FATAL(nn_alloc(&means, fixture.graph.statistics * sizeof(*means)), NN_OK);
	for (int together = 0; together <= 1; together++)
		for (int b = 0; b < BATCHES; b++) {
			size_t first, samples;

			network_begin_batch(fixture.network, SAMPLES, &first, &samples);
			network_set_momentum(fixture.network, together ? 1.0 / (b + 1) : 1);
			CU_ASSERT_EQUAL(network_forward(&logits, fixture.network, fixture.images + b * SAMPLES * 8 * 8 * 3, true),
					NN_OK);
			for (size_t i = 0; !together && i < fixture.graph.statistics; i++)
				means[i] += (double)statistics[i] / BATCHES;
		}
	for (size_t i = 0; i < fixture.graph.statistics; i++)
		CU_ASSERT_DOUBLE_EQUAL(statistics[i], means[i], 1e-5 * (1 + fabs(means[i])));
	nn_free(means);
	fixture_release(&fixture);
}

static double relative_distance(const float *x, const float *y, size_t count)
{
	double difference = 0, size = 0;

	for (size_t i = 0; i < count; i++) {
		difference += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
		size += (double)y[i] * (double)y[i];
	}
	return sqrt(difference / size);
}

static void the_number_of_shards_changes_rounding_only(void)
{
	static const size_t batches[] = {16, 13, 5}; /* the last is smaller than the number of shards */

	for (int i = 0; i < 3; i++) {
		struct fixture one, eight;
		struct batch_result first, other;

		stepped(&one, &first, reference_set(0), 1, 1, batches[i]);
		stepped(&eight, &other, reference_set(0), 1, 8, batches[i]);
		CU_ASSERT_EQUAL((size_t)other.samples, batches[i]);
		CU_ASSERT_EQUAL(first.wrong, other.wrong);
		CU_ASSERT_DOUBLE_EQUAL(first.loss, other.loss, 1e-5 * first.loss);
		CU_ASSERT(relative_distance(gradient_of(&eight), gradient_of(&one), one.graph.parameters) < 1e-5);
		CU_ASSERT(relative_distance(network_statistics(eight.network), network_statistics(one.network),
					    one.graph.statistics) < 1e-6);
		fixture_release(&one);
		fixture_release(&eight);
	}
}

static void every_process_gets_its_part_of_the_batch(void)
{
	struct graph graph = fixture_graph("resnet20", 8, 10, SHORTCUT_DEFAULT);

	for (int lo = 0; lo <= 8; lo++)
		for (int hi = lo; hi <= 8; hi++) {
			struct network_setup setup = fixture_setup(reference_set(0), 5, 8);
			struct network *network;
			size_t first, samples;

			setup.shards = (struct shards){8, lo, hi};
			CU_ASSERT_EQUAL(network_create(&network, &graph, &setup), NN_OK);
			network_begin_batch(network, 5, &first, &samples);
			CU_ASSERT_EQUAL(first, (size_t)lo * 5 / 8);
			CU_ASSERT_EQUAL(first + samples, (size_t)hi * 5 / 8);
			network_destroy(network);
		}
	graph_release(&graph);
}

/* A step on 13 images without the 4th and the last, which the loader has moved together. */
static void step_with_gaps(struct fixture *fixture, struct batch_result *result, int shards)
{
	struct network_setup setup = fixture_setup(reference_set(0), 13, shards);
	size_t first, samples, size = 8 * 8 * 3;
	const float *logits;

	fixture_init(fixture, fixture_graph("resnet20", 8, 10, SHORTCUT_B), &setup, 13);
	memmove(fixture->images + 3 * size, fixture->images + 4 * size, 8 * size * sizeof(float));
	memmove(fixture->labels + 3, fixture->labels + 4, 8 * sizeof(*fixture->labels));
	network_begin_batch(fixture->network, 13, &first, &samples);
	network_leave_out(fixture->network, 12);
	network_leave_out(fixture->network, 3);
	network_set_global_samples(fixture->network, 11);
	CU_ASSERT_EQUAL(network_forward(&logits, fixture->network, fixture->images, true), NN_OK);
	CU_ASSERT_EQUAL(network_loss(result, fixture->network, fixture->labels, 0.1), NN_OK);
	CU_ASSERT_EQUAL(network_backward(fixture->network, NULL, NULL), NN_OK);
}

static void samples_that_are_left_out_make_the_batch_smaller_and_nothing_else(void)
{
	struct network_setup setup = fixture_setup(reference_set(0), 11, 1);
	struct fixture whole, gaps, shards;
	struct batch_result first, second, third;

	step_with_gaps(&gaps, &second, 1);
	step_with_gaps(&shards, &third, 5);
	fixture_init(&whole, fixture_graph("resnet20", 8, 10, SHORTCUT_B), &setup, 11);
	memcpy(whole.images, gaps.images, 11 * 8 * 8 * 3 * sizeof(float));
	memcpy(whole.labels, gaps.labels, 11 * sizeof(*whole.labels));
	CU_ASSERT_EQUAL(fixture_step(&first, &whole, 0.1), NN_OK);
	CU_ASSERT(first.samples == 11 && second.samples == 11 && third.samples == 11);
	CU_ASSERT_EQUAL(first.loss, second.loss);
	CU_ASSERT(same_bits(gradient_of(&whole), gradient_of(&gaps), whole.graph.parameters * sizeof(float)));
	CU_ASSERT_DOUBLE_EQUAL(first.loss, third.loss, 1e-5 * first.loss);
	CU_ASSERT(relative_distance(network_statistics(shards.network), network_statistics(whole.network), whole.graph.statistics) <
		  1e-6);
	fixture_release(&whole);
	fixture_release(&gaps);
	fixture_release(&shards);
}

/* Copies what is announced, to be compared with the gradient at the end. */
struct ready {
	const struct fixture *fixture;
	float *copy;
	size_t end; /* the next range must end here */
	int calls, fail_at;
};

static enum nn_status on_ready(void *context, size_t offset, size_t count)
{
	struct ready *ready = context;

	CU_ASSERT(count > 0);
	CU_ASSERT_EQUAL(offset + count, ready->end);
	memcpy(ready->copy + offset, gradient_of(ready->fixture) + offset, count * sizeof(float));
	ready->end = offset;
	return ++ready->calls == ready->fail_at ? nn_error(NN_ERR_PEER, "a test stops here") : NN_OK;
}

static void check_ready(const char *arch)
{
	struct network_setup setup = fixture_setup(reference_set(0), 4, 1);
	struct fixture fixture;
	struct batch_result result;
	struct ready ready = {.fixture = &fixture};

	fixture_init(&fixture, fixture_graph(arch, 8, 10, SHORTCUT_B), &setup, 4);
	CU_ASSERT_EQUAL(fixture_step(&result, &fixture, 0), NN_OK);
	for (ready.fail_at = 0; ready.fail_at < 4; ready.fail_at += 3) {
		size_t first, samples;
		const float *logits;

		network_begin_batch(fixture.network, 4, &first, &samples);
		CU_ASSERT_EQUAL(network_forward(&logits, fixture.network, fixture.images, true), NN_OK);
		CU_ASSERT_EQUAL(network_loss(&result, fixture.network, fixture.labels, 0), NN_OK);
		ready.copy = reference_alloc(fixture.graph.parameters * sizeof(float));
		ready.end = fixture.graph.parameters;
		ready.calls = 0;
		CU_ASSERT_EQUAL(network_backward(fixture.network, on_ready, &ready), ready.fail_at ? NN_ERR_PEER : NN_OK);
		CU_ASSERT(ready.fail_at ? ready.calls == ready.fail_at : ready.end == 0);
		CU_ASSERT(same_bits(ready.copy + ready.end, gradient_of(&fixture) + ready.end,
				    (fixture.graph.parameters - ready.end) * sizeof(float)));
		free(ready.copy);
	}
	fixture_release(&fixture);
}

static void finished_ranges_come_from_the_back_without_gaps(void)
{
	check_ready("resnet20");
	check_ready("plain20");
	check_ready("preresnet110");
}

static void steps_and_evaluations_allocate_nothing(void)
{
	struct fixture fixture;
	struct batch_result result;
	const float *logits;
	long before;

	stepped(&fixture, &result, reference_set(0), 1, 4, 6);
	before = nn_alloc_count();
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(fixture_step(&result, &fixture, 0), NN_OK);
		network_begin_samples(fixture.network, 3);
		CU_ASSERT_EQUAL(network_forward(&logits, fixture.network, fixture.images, false), NN_OK);
	}
	CU_ASSERT_EQUAL(nn_alloc_count(), before);
	fixture_release(&fixture);
}

static void every_failing_allocation_of_a_network_is_reported(void)
{
	struct graph graph = fixture_graph("resnet18", 32, 10, SHORTCUT_DEFAULT);
	struct network_setup setup = fixture_setup(reference_set(0), 2, 2);
	long before = nn_alloc_count(), needed;
	struct network *network;
	size_t bytes;

	CU_ASSERT_EQUAL(network_create(&network, &graph, &setup), NN_OK);
	network_destroy(network);
	needed = nn_alloc_count() - before;
	CU_ASSERT(needed > 10);
	for (long n = 1; n <= needed; n++) {
		nn_alloc_fail_at(n);
		CU_ASSERT_EQUAL(network_create(&network, &graph, &setup), NN_ERR_MEMORY);
		CU_ASSERT_PTR_NULL(network);
	}
	before = nn_alloc_count();
	nn_alloc_fail_at(0);
	CU_ASSERT_EQUAL(network_plan_bytes(&bytes, &graph, &setup), NN_OK);
	needed = nn_alloc_count() - before;
	for (long n = 1; n <= needed; n++) {
		nn_alloc_fail_at(n);
		CU_ASSERT_EQUAL(network_plan_bytes(&bytes, &graph, &setup), NN_ERR_MEMORY);
	}
	nn_alloc_fail_at(0);
	network_destroy(NULL);
	graph_release(&graph);
}

static void evaluation_uses_the_running_statistics_of_training(void)
{
	struct fixture fixture;
	struct batch_result result;
	struct reference reference;
	const float *logits;
	float *kept;
	size_t bytes;

	stepped(&fixture, &result, reference_set(0), 1, 1, 6);
	CU_ASSERT_EQUAL(fixture_step(&result, &fixture, 0), NN_OK);
	bytes = fixture.graph.statistics * sizeof(float);
	kept = reference_alloc(bytes);
	memcpy(kept, network_statistics(fixture.network), bytes);
	reference_init(&reference, &fixture.graph, network_parameters(fixture.network), fixture.images, 6);
	reference.statistics = kept;
	reference_run(&reference, 1);
	network_begin_samples(fixture.network, 6);
	CU_ASSERT_EQUAL(network_forward(&logits, fixture.network, fixture.images, false), NN_OK);
	CU_ASSERT(reference_distance(logits, reference.values[fixture.graph.node_count - 1], 60) < 1e-5);
	CU_ASSERT(same_bits(kept, network_statistics(fixture.network), bytes));
	free(kept);
	reference_release(&reference);
	fixture_release(&fixture);
}

/* With a network for evaluation only, whose memory is shared much more. */
static void an_image_has_the_same_logits_alone_and_in_a_batch(void)
{
	for (int s = 0; reference_set(s); s++) {
		struct network_setup setup = fixture_setup(reference_set(s), 5, 1);
		struct fixture fixture;
		float kept[50];
		const float *logits;

		setup.training = false;
		fixture_init(&fixture, fixture_graph("resnet18", 40, 10, SHORTCUT_DEFAULT), &setup, 5);
		network_begin_samples(fixture.network, 5);
		CU_ASSERT_EQUAL(network_forward(&logits, fixture.network, fixture.images, false), NN_OK);
		memcpy(kept, logits, sizeof(kept));
		for (size_t n = 0; n < 5; n++) {
			network_begin_samples(fixture.network, 1);
			CU_ASSERT_EQUAL(network_forward(&logits, fixture.network, fixture.images + n * 4800, false), NN_OK);
			CU_ASSERT(same_bits(logits, kept + 10 * n, 10 * sizeof(float)));
		}
		fixture_release(&fixture);
	}
}

static void repeated_steps_lower_the_loss(void)
{
	const struct optimizer sgd = {.kind = OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 1e-4, .decay_bn = true};
	struct fixture fixture;
	struct batch_result first, result;
	float *velocity;

	stepped(&fixture, &first, reference_set(0), 1, 1, 16);
	velocity = reference_alloc(fixture.graph.parameters * sizeof(float));
	for (int i = 0; i < 30; i++) {
		optimizer_step(network_parameters(fixture.network), velocity, gradient_of(&fixture), &sgd, &fixture.graph,
			       reference_set(0), 0.05, 1);
		CU_ASSERT_EQUAL(fixture_step(&result, &fixture, 0), NN_OK);
	}
	CU_ASSERT(result.loss < 0.1 * first.loss);
	CU_ASSERT_EQUAL(result.wrong, 0);
	free(velocity);
	fixture_release(&fixture);
}

void suite_network(void)
{
	static const struct test_row rows[] = {
	    TEST(momenta_of_one_over_k_average_the_statistics_of_k_batches),
	    TEST(a_step_has_the_same_bits_for_every_number_of_threads_and_again),
	    TEST(the_number_of_shards_changes_rounding_only),
	    TEST(every_process_gets_its_part_of_the_batch),
	    TEST(samples_that_are_left_out_make_the_batch_smaller_and_nothing_else),
	    TEST(finished_ranges_come_from_the_back_without_gaps),
	    TEST(steps_and_evaluations_allocate_nothing),
	    TEST(every_failing_allocation_of_a_network_is_reported),
	    TEST(evaluation_uses_the_running_statistics_of_training),
	    TEST(an_image_has_the_same_logits_alone_and_in_a_batch),
	    TEST(repeated_steps_lower_the_loss),
	};

	ADD_SUITE("network", rows);
}
