#include <string.h>

#include "comm/doubling.h"
#include "nn/core/alloc.h"
#include "nn/core/shards.h"
#include "tests/mpi/suites.h"

enum { V_MOST = 17, FLOATS = 300, SLOTS_MOST = 64 };

static const char what[] = "a test of recursive doubling";

static void fill(float *values, int v)
{
	for (int i = 0; i < FLOATS; i++)
		values[i] = 1 / (float)(1 + v * FLOATS + i);
}

/* Sums of fp32, whose bits tell the order of the tree; a context that is passed on scales the right one. */
static void add(const void *context, void *into, const void *from, size_t bytes)
{
	const float *scale = context, *right = from;
	float *left = into;

	for (size_t i = 0; i < bytes / sizeof(*left); i++)
		left[i] += *scale * right[i];
}

static void tree(float *values, int lo, int hi, float scale)
{
	float right[FLOATS];
	int mid = lo + (hi - lo) / 2;

	if (hi - lo == 1) {
		fill(values, lo);
		return;
	}
	tree(values, lo, mid, scale);
	tree(right, mid, hi, scale);
	add(&scale, values, right, sizeof(right));
}

/* The leaders alone, since ranks of a node are another matter; others count no failure. */
static void sums_equal_one_process(enum channel channel, int count, int group, size_t floats, float scale)
{
	static float slots[SLOTS_MOST * FLOATS];
	const int *firsts = test_comm->node_firsts + test_comm->node_index;
	struct shards range = {.count = count};
	struct shard_node cover[SHARD_COVER_MAX];
	struct doubling doubling;
	float expected[FLOATS];
	struct doubling_values values = {slots, floats * sizeof(float), add, &scale};

	if (test_comm->node_rank != 0)
		return;
	range.lo = firsts[0] * count / test_comm->size;
	range.hi = firsts[1] * count / test_comm->size;
	memset(slots, 0x55, sizeof(slots));
	CU_ASSERT_EQUAL(doubling_init(&doubling, test_comm, channel, count, group, FLOATS * sizeof(float), what), NN_OK);
	CU_ASSERT_EQUAL(doubling.plan.own, shards_cover(cover, &range));
	for (int i = 0; i < doubling.plan.own; i++) {
		tree(expected, cover[i].lo, cover[i].hi, scale);
		memcpy(slots + (size_t)i * floats, expected, values.bytes);
	}
	tree(expected, 0, count, scale);
	CU_ASSERT_EQUAL(memcmp(doubling_run(&doubling, &values), expected, values.bytes), 0);
	doubling_release(&doubling);
}

static void leaders_get_the_sum_of_the_tree_in_each_channel(void)
{
	for (int count = 1; count <= V_MOST; count++)
		for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
			sums_equal_one_process((enum channel)channel, count, 2, FLOATS, 1);
			sums_equal_one_process((enum channel)channel, count, 4, 1, -0.5F);
		}
}

/* One plan is run again and again, with values of any width, by leaders that come early and late; nothing is allocated. */
static void a_plan_is_run_again_with_other_widths(void)
{
	static float slots[SLOTS_MOST * FLOATS];
	static const float one = 1;
	int count = test_comm->size, wrong = 0;
	float expected[FLOATS], *first;
	struct doubling doubling;
	long before;

	if (test_comm->node_rank != 0)
		return;
	CU_ASSERT_EQUAL(doubling_init(&doubling, test_comm, CHANNEL_GRADIENT, count, 2, FLOATS * sizeof(float), what), NN_OK);
	tree(expected, 0, count, 1);
	before = nn_alloc_count();
	for (int i = 0; i < 300; i++) {
		size_t floats = i % 3 == 0 ? FLOATS : 1 + (size_t)(i % 7);
		struct doubling_values values = {slots, floats * sizeof(float), add, &one};
		struct shards range = {.count = count,
				       .lo = test_comm->node_firsts[test_comm->node_index],
				       .hi = test_comm->node_firsts[test_comm->node_index + 1]};
		struct shard_node cover[SHARD_COVER_MAX];

		for (int k = 0; k < shards_cover(cover, &range); k++) {
			float value[FLOATS];

			tree(value, cover[k].lo, cover[k].hi, 1);
			memcpy(slots + (size_t)k * floats, value, values.bytes);
		}
		first = doubling_run(&doubling, &values);
		wrong += memcmp(first, expected, values.bytes) != 0;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(nn_alloc_count(), before);
	doubling_release(&doubling);
}

void suite_doubling(void)
{
	static const struct test_row rows[] = {
	    TEST(leaders_get_the_sum_of_the_tree_in_each_channel),
	    TEST(a_plan_is_run_again_with_other_widths),
	};

	ADD_SUITE("doubling", rows);
}
