/* Recomputation gives the bits of a step without it, in less memory; and steps take no memory once they have run. */
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "nn/core/alloc.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

enum { SAMPLES = 7, STEPS = 2 };

struct net {
	const char *arch;
	int image_size;
	enum shortcut shortcut;
};

/* One of each family, and each kind of shortcut; projections of 32 x 32 pixels work on parts of a sample. */
static const struct net nets[] = {
    {"resnet20", 8, SHORTCUT_A},     {"resnet20", 32, SHORTCUT_C},	{"plain20", 8, SHORTCUT_DEFAULT},
    {"resnet50", 32, SHORTCUT_B},    {"plain18", 32, SHORTCUT_DEFAULT}, {"preresnet110", 8, SHORTCUT_A},
    {"preresnet164", 8, SHORTCUT_C}, {"vgg19", 32, SHORTCUT_DEFAULT}, /* the last: its linear layers take most of the time */
};
enum { NETS = sizeof(nets) / sizeof(nets[0]) };

static void init(struct fixture *fixture, const struct net *net, bool recompute, int threads, int shards)
{
	struct network_setup setup = fixture_setup(reference_set(0), SAMPLES, shards);

	setup.threads = threads;
	setup.recompute = recompute;
	fixture_init(fixture, fixture_graph(net->arch, net->image_size, 10, net->shortcut), &setup, SAMPLES);
}

static void check_same(const struct net *net, int threads, int shards)
{
	struct fixture kept, again;
	int partials;

	init(&kept, net, false, 1, shards);
	init(&again, net, true, threads, shards);
	for (int i = 0; i < STEPS; i++) {
		struct batch_result a, b;
		float *const *one, *const *other;

		CU_ASSERT_EQUAL(fixture_step(&a, &kept, 0.1), NN_OK);
		CU_ASSERT_EQUAL(fixture_step(&b, &again, 0.1), NN_OK);
		CU_ASSERT(same_bits(&a, &b, sizeof(a)));
		one = network_gradients(kept.network, &partials);
		other = network_gradients(again.network, &partials);
		for (int p = 0; p < partials; p++)
			CU_ASSERT(same_bits(one[p], other[p], kept.graph.parameters * sizeof(float)));
		CU_ASSERT(same_bits(network_statistics(kept.network), network_statistics(again.network),
				    kept.graph.statistics * sizeof(float)));
	}
	fixture_release(&kept);
	fixture_release(&again);
}

static void losses_gradients_and_running_statistics_keep_their_bits(void)
{
	for (int i = 0; i < NETS; i++)
		check_same(&nets[i], 1, 1);
}

static void so_they_do_with_threads_and_shards(void)
{
	for (int i = 0; i < NETS - 1; i++) {
		check_same(&nets[i], 2, 1);
		check_same(&nets[i], 3, 5);
	}
}

static void evaluation_with_a_network_that_recomputes_has_the_same_logits(void)
{
	for (int i = 0; i < NETS - 1; i++) {
		struct fixture kept, again;
		const float *one, *other;

		init(&kept, &nets[i], false, 1, 1);
		init(&again, &nets[i], true, 1, 1);
		network_begin_samples(kept.network, SAMPLES);
		network_begin_samples(again.network, SAMPLES);
		CU_ASSERT_EQUAL(network_forward(&one, kept.network, kept.images, false), NN_OK);
		CU_ASSERT_EQUAL(network_forward(&other, again.network, again.images, false), NN_OK);
		CU_ASSERT(same_bits(one, other, SAMPLES * 10 * sizeof(float)));
		fixture_release(&kept);
		fixture_release(&again);
	}
}

static enum nn_status counting_exchange(void *context, double *rows, int channels, enum merge merge)
{
	(void)rows;
	(void)channels;
	(void)merge;
	++*(int *)context;
	return NN_OK;
}

static void statistics_are_exchanged_no_more_often(void)
{
	int calls[2] = {0, 0};

	for (int recompute = 0; recompute <= 1; recompute++) {
		struct network_setup setup = fixture_setup(reference_set(0), SAMPLES, 1);
		struct fixture fixture;
		struct batch_result result;

		setup.recompute = recompute;
		setup.exchange = counting_exchange;
		setup.exchange_context = &calls[recompute];
		fixture_init(&fixture, fixture_graph("resnet20", 8, 10, SHORTCUT_B), &setup, SAMPLES);
		CU_ASSERT_EQUAL(fixture_step(&result, &fixture, 0), NN_OK);
		fixture_release(&fixture);
	}
	CU_ASSERT(calls[0] > 0);
	CU_ASSERT_EQUAL(calls[0], calls[1]);
}

static void deep_nets_need_a_fraction_of_the_activations(void)
{
	static const struct net deep[] = {{"resnet1202", 32, SHORTCUT_A}, {"resnet152", 224, SHORTCUT_B}};
	static const size_t batches[] = {128, 32}, fractions[] = {15, 4};

	for (int i = 0; i < 2; i++) {
		struct graph graph = fixture_graph(deep[i].arch, deep[i].image_size, 10, deep[i].shortcut);
		struct network_setup setup = fixture_setup(reference_set(0), batches[i], 1);
		struct network_memory kept, again;

		CU_ASSERT_EQUAL(network_plan_memory(&kept, &graph, &setup), NN_OK);
		setup.recompute = true;
		CU_ASSERT_EQUAL(network_plan_memory(&again, &graph, &setup), NN_OK);
		CU_ASSERT(again.activations < kept.activations / fractions[i]);
		CU_ASSERT(again.activations < (size_t)2 << 30);
		graph_release(&graph);
	}
}

/* They would take 1034 MiB with the values of all blocks. */
static void every_second_block_keeps_no_value_for_the_backward_pass(void)
{
	struct graph graph = fixture_graph("resnet50", 224, 1000, SHORTCUT_B);
	struct network_setup setup = fixture_setup(reference_set(0), 16, 1);
	struct network_memory memory;

	CU_ASSERT_EQUAL(network_plan_memory(&memory, &graph, &setup), NN_OK);
	CU_ASSERT(memory.activations < (size_t)931 << 20);
	graph_release(&graph);
}

static long page_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* The few that are allowed are those of the kernel's and the threads' own doing; a layer's buffer has hundreds of pages. The
 * address sanitizer touches pages of its own, and only allocations are counted then. */
#ifdef __SANITIZE_ADDRESS__
static const long faults_most = LONG_MAX;
#else
static const long faults_most = 16;
#endif

static void from_the_third_step_on_nothing_is_allocated_and_no_page_touched_first(void)
{
	for (int threads = 1; threads <= 2; threads++)
		for (int recompute = 0; recompute <= 1; recompute++) {
			struct fixture fixture;
			struct batch_result result;
			long allocations, faults;

			init(&fixture, &(struct net){"resnet50", 32, SHORTCUT_B}, recompute, threads, 2);
			for (int i = 0; i < 2; i++)
				CU_ASSERT_EQUAL(fixture_step(&result, &fixture, 0), NN_OK);
			allocations = nn_alloc_count();
			faults = page_faults();
			for (int i = 0; i < 5; i++)
				CU_ASSERT_EQUAL(fixture_step(&result, &fixture, 0), NN_OK);
			CU_ASSERT(page_faults() - faults <= faults_most);
			CU_ASSERT_EQUAL(nn_alloc_count(), allocations);
			fixture_release(&fixture);
		}
}

void suite_recompute(void)
{
	static const struct test_row rows[] = {
	    TEST(losses_gradients_and_running_statistics_keep_their_bits),
	    TEST(so_they_do_with_threads_and_shards),
	    TEST(evaluation_with_a_network_that_recomputes_has_the_same_logits),
	    TEST(statistics_are_exchanged_no_more_often),
	    TEST(deep_nets_need_a_fraction_of_the_activations),
	    TEST(every_second_block_keeps_no_value_for_the_backward_pass),
	    TEST(from_the_third_step_on_nothing_is_allocated_and_no_page_touched_first),
	};

	ADD_SUITE("recompute", rows);
}
