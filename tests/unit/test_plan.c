
#include "nn/core/alloc.h"
#include "nn/core/rng.h"
#include "nn/models/plan.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

enum { UNIT = 16, ITEMS = 60, TIMES = 40 };

static size_t rounded(size_t size)
{
	return (size + UNIT - 1) / UNIT * UNIT;
}

static void random_items(struct plan_item *items, uint64_t seed)
{
	struct rng rng = rng_stream(seed, 0, 0);

	for (int i = 0; i < ITEMS; i++) {
		items[i] = (struct plan_item){.size = (size_t)rng_below(&rng, 300), .first = (int)rng_below(&rng, TIMES)};
		items[i].last = items[i].first + (int)rng_below(&rng, (uint64_t)(TIMES - items[i].first));
	}
}

static bool collide(const struct plan_item *a, const struct plan_item *b)
{
	bool time = a->first <= b->last && b->first <= a->last;

	return time && a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

static void buffers_alive_together_never_overlap(void)
{
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct plan_item items[ITEMS];
		size_t total, sum = 0, top = 0;

		random_items(items, seed);
		CU_ASSERT_EQUAL(plan_place(items, ITEMS, &total), NN_OK);
		for (int i = 0; i < ITEMS; i++) {
			CU_ASSERT(items[i].size == 0 || items[i].offset % UNIT == 0);
			CU_ASSERT(items[i].size == 0 || items[i].offset + items[i].size <= total);
			sum += rounded(items[i].size);
			if (items[i].size && items[i].offset + rounded(items[i].size) > top)
				top = items[i].offset + rounded(items[i].size);
			for (int k = 0; k < i; k++)
				CU_ASSERT(!collide(&items[i], &items[k]));
		}
		CU_ASSERT_EQUAL(total, top);
		CU_ASSERT(total <= sum);
	}
}

/* The least that any placement needs: the largest sum over buffers that live at one time. */
static size_t peak(const struct plan_item *items, int count)
{
	size_t largest = 0;

	for (int time = 0; time < TIMES; time++) {
		size_t sum = 0;

		for (int i = 0; i < count; i++)
			sum += items[i].first <= time && time <= items[i].last ? rounded(items[i].size) : 0;
		largest = sum > largest ? sum : largest;
	}
	return largest;
}

static void the_total_is_near_the_peak_of_random_lifetimes(void)
{
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct plan_item items[ITEMS];
		size_t total;

		random_items(items, seed);
		CU_ASSERT_EQUAL(plan_place(items, ITEMS, &total), NN_OK);
		CU_ASSERT(total >= peak(items, ITEMS));
		CU_ASSERT(total <= peak(items, ITEMS) * 3 / 2);
	}
}

static void a_chain_needs_two_buffers_only(void)
{
	struct plan_item items[TIMES - 1];
	size_t total;

	for (int i = 0; i < TIMES - 1; i++)
		items[i] = (struct plan_item){.size = 100, .first = i, .last = i + 1};
	CU_ASSERT_EQUAL(plan_place(items, TIMES - 1, &total), NN_OK);
	CU_ASSERT_EQUAL(total, 2 * rounded(100));
}

static void a_gap_is_filled_by_what_fits(void)
{
	struct plan_item items[] = {{64, 0, 9, 0}, {48, 0, 4, 0}, {32, 5, 9, 0}, {16, 5, 9, 0}, {0, 0, 9, 0}};
	size_t total;

	CU_ASSERT_EQUAL(plan_place(items, 5, &total), NN_OK);
	CU_ASSERT_EQUAL(total, 112);
	CU_ASSERT_EQUAL(plan_place(items, 0, &total), NN_OK);
	CU_ASSERT_EQUAL(total, 0);
}

static void a_failing_allocation_is_reported(void)
{
	struct plan_item item = {64, 0, 9, 0};
	size_t total;

	nn_alloc_fail_at(1);
	CU_ASSERT_EQUAL(plan_place(&item, 1, &total), NN_ERR_MEMORY);
	nn_alloc_fail_at(0);
}

/* Values of a net that only evaluates live from their making to their last use; one that trains makes some of them twice. */
static void evaluation_needs_far_less_memory_than_training(void)
{
	struct graph graph = fixture_graph("resnet110", 32, 10, SHORTCUT_DEFAULT);
	struct network_setup setup = fixture_setup(reference_set(0), 16, 1);
	size_t training, evaluation, activations = 0;

	for (int i = 1; i < graph.node_count; i++)
		activations += node_size(&graph.nodes[i]) * setup.capacity * sizeof(float);
	CU_ASSERT_EQUAL(network_plan_bytes(&training, &graph, &setup), NN_OK);
	setup.training = false;
	CU_ASSERT_EQUAL(network_plan_bytes(&evaluation, &graph, &setup), NN_OK);
	/* Weights, rearranged weights, four times as many for Winograd, and little else. */
	CU_ASSERT(evaluation < 5 * graph.parameters * sizeof(float) + activations / 20);
	CU_ASSERT(training > activations / 2);
	CU_ASSERT(training < graph.parameters * 2 * sizeof(float) + activations * 4 / 5);
	graph_release(&graph);
}

void suite_plan(void)
{
	static const struct test_row rows[] = {
	    TEST(buffers_alive_together_never_overlap), TEST(the_total_is_near_the_peak_of_random_lifetimes),
	    TEST(a_chain_needs_two_buffers_only),	TEST(a_gap_is_filled_by_what_fits),
	    TEST(a_failing_allocation_is_reported),	TEST(evaluation_needs_far_less_memory_than_training),
	};

	ADD_SUITE("plan", rows);
}
