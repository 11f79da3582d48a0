/* What a network asks of the exchange of statistics. */
#include <string.h>

#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

/* The first partial gradient. */
static float *gradient_of(const struct fixture *fixture)
{
	int count;

	return network_gradients(fixture->network, &count)[0];
}

/* Stands for ranks with 64 values per channel in all. */
static enum nn_status stub_exchange(void *context, double *rows, int channels, enum merge merge)
{
	++*(int *)context;
	rows[0] = 64;
	for (int i = 1; i <= 2 * channels; i++)
		rows[i] = merge == MERGE_SUM ? 3 : i <= channels ? 0.5 : 64;
	return NN_OK;
}

static void a_process_without_samples_takes_part_and_adds_nothing(void)
{
	struct network_setup setup = fixture_setup(reference_set(0), 1, 8);
	struct fixture fixture;
	struct batch_result result;
	int calls = 0, partials;

	setup.shards = (struct shards){8, 3, 3};
	setup.exchange = setup.loss_exchange = stub_exchange;
	setup.exchange_context = setup.loss_context = &calls;
	fixture_init(&fixture, fixture_graph("resnet20", 8, 10, SHORTCUT_B), &setup, 8);
	CU_ASSERT_EQUAL(fixture_step(&result, &fixture, 0), NN_OK);
	CU_ASSERT_EQUAL(calls, 2 * fixture.graph.buffer_count / 2 + 1); /* forward and backward of each batch norm, and the loss */
	CU_ASSERT(result.samples == 64 && result.loss == 3 && result.wrong == 3);
	CU_ASSERT_PTR_NOT_NULL(network_gradients(fixture.network, &partials)[0]);
	CU_ASSERT_EQUAL(partials, 0);
	for (size_t i = 0; i < fixture.graph.parameters; i++)
		CU_ASSERT_EQUAL(gradient_of(&fixture)[i], 0);
	for (int b = 0; b < fixture.graph.buffer_count; b++)
		CU_ASSERT_DOUBLE_EQUAL(network_statistics(fixture.network)[fixture.graph.buffers[b].offset],
				       b % 2 ? 0.9 + 0.1 * 64 / 63 : 0.05, 1e-6);
	fixture_release(&fixture);
}

/* The exchange at hand, of a process that has the only shard. */
struct begun {
	bool under_way;
	int count, early;
	const double *rows;
	int channels;
	enum merge merge;
};

static void begin_exchange(void *context, double *rows, int channels, enum merge merge)
{
	struct begun *begun = context;

	CU_ASSERT_FALSE(begun->under_way);
	*begun = (struct begun){true, begun->count + 1, begun->early, rows, channels, merge};
}

static enum nn_status end_exchange(void *context, double *rows, int channels, enum merge merge)
{
	struct begun *begun = context;

	CU_ASSERT(begun->under_way && begun->rows == rows && begun->channels == channels && begun->merge == merge);
	begun->under_way = false;
	return NN_OK;
}

/* Counts the weight gradients that are complete while an exchange is under way: that of the batch norm in front of the layer, whose
 * sums have been sent before the last samples were added to the weight gradient. */
static enum nn_status count_early(void *context, size_t offset, size_t count)
{
	struct begun *begun = context;

	(void)offset;
	(void)count;
	begun->early += begun->under_way;
	return NN_OK;
}

/* early_count: batch norms in front of a convolution, all but those before a pooling, of projections, and of stages that a shortcut
 * without projection leaves. */
static void check_begun(const char *arch, bool recompute, int early_count)
{
	struct network_setup setup = fixture_setup(reference_set(0), 4, 1);
	struct fixture plain, early;
	struct batch_result result;
	struct begun begun = {0};
	const float *logits;
	size_t first, samples;

	setup.recompute = recompute;
	fixture_init(&plain, fixture_graph(arch, 32, 10, SHORTCUT_DEFAULT), &setup, 4);
	setup.exchange_begin = begin_exchange;
	setup.exchange = end_exchange;
	setup.exchange_context = &begun;
	fixture_init(&early, fixture_graph(arch, 32, 10, SHORTCUT_DEFAULT), &setup, 4);
	CU_ASSERT_EQUAL(fixture_step(&result, &plain, 0), NN_OK);
	network_begin_batch(early.network, early.samples, &first, &samples);
	CU_ASSERT_EQUAL(network_forward(&logits, early.network, early.images, true), NN_OK);
	CU_ASSERT_EQUAL(network_loss(&result, early.network, early.labels, 0), NN_OK);
	CU_ASSERT_EQUAL(network_backward(early.network, count_early, &begun), NN_OK);
	CU_ASSERT_EQUAL(begun.early, early_count);
	CU_ASSERT_EQUAL(begun.count, early.graph.buffer_count); /* two for each batch norm, which has two buffers */
	CU_ASSERT_EQUAL(memcmp(gradient_of(&plain), gradient_of(&early), plain.graph.parameters * sizeof(float)), 0);
	fixture_release(&plain);
	fixture_release(&early);
}

static void each_exchange_is_begun_before_it_is_waited_for(void)
{
	check_begun("resnet20", false, 18);
	check_begun("resnet50", false, 47);
	check_begun("resnet50", true, 47);
	check_begun("preresnet110", false, 106);
}

static enum nn_status failing_exchange(void *context, double *rows, int channels, enum merge merge)
{
	(void)rows;
	(void)channels;
	(void)merge;
	return --*(int *)context < 0 ? nn_error(NN_ERR_PEER, "a test's rank is lost") : NN_OK;
}

static void a_failing_exchange_ends_the_step_with_its_status(void)
{
	struct network_setup setup = fixture_setup(reference_set(0), 4, 1);
	struct fixture fixture;

	setup.exchange = setup.loss_exchange = failing_exchange;
	for (int allowed = 0; allowed < 2 * 19 + 1; allowed += 6) {
		struct batch_result result;
		int left = allowed;

		setup.exchange_context = setup.loss_context = &left;
		fixture_init(&fixture, fixture_graph("resnet20", 8, 10, SHORTCUT_DEFAULT), &setup, 4);
		CU_ASSERT_EQUAL(fixture_step(&result, &fixture, 0), NN_ERR_PEER);
		CU_ASSERT_EQUAL(left, -1);
		fixture_release(&fixture);
	}
}

void suite_network_exchange(void)
{
	static const struct test_row rows[] = {
	    TEST(a_process_without_samples_takes_part_and_adds_nothing),
	    TEST(each_exchange_is_begun_before_it_is_waited_for),
	    TEST(a_failing_exchange_ends_the_step_with_its_status),
	};

	ADD_SUITE("network_exchange", rows);
}
