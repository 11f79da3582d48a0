#include <stdlib.h>
#include <string.h>

#include "nn/core/shards.h"
#include "tests/unit/suites.h"
#include "trainer/data/sampler.h"

enum { COUNT_MAX = 70 };

static void an_order_holds_every_image_once(void)
{
	for (size_t count = 0; count <= COUNT_MAX; count++) {
		uint32_t order[COUNT_MAX];
		int seen[COUNT_MAX] = {0};

		sampler_permutation(order, count, 7, 3);
		for (size_t i = 0; i < count; i++)
			seen[order[i]]++;
		for (size_t i = 0; i < count; i++)
			CU_ASSERT_EQUAL(seen[i], 1);
	}
}

static void orders_depend_on_seed_and_epoch_only(void)
{
	uint32_t a[COUNT_MAX], b[COUNT_MAX], c[COUNT_MAX], d[COUNT_MAX];

	sampler_permutation(a, COUNT_MAX, 7, 3);
	sampler_permutation(b, COUNT_MAX, 7, 3);
	sampler_permutation(c, COUNT_MAX, 7, 4);
	sampler_permutation(d, COUNT_MAX, 8, 3);
	CU_ASSERT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(a, c, sizeof(a)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(a, d, sizeof(a)), 0);
}

/* Of 6 orders of 3 images each must come about 1000 times in 6000 epochs (standard deviation 29). */
static void all_orders_are_equally_likely(void)
{
	int times[27] = {0};
	int different = 0;

	for (uint64_t epoch = 0; epoch < 6000; epoch++) {
		uint32_t order[3];

		sampler_permutation(order, 3, 1, epoch);
		times[order[0] * 9 + order[1] * 3 + order[2]]++;
	}
	for (int i = 0; i < 27; i++) {
		different += times[i] > 0;
		CU_ASSERT(times[i] == 0 || (times[i] > 850 && times[i] < 1150));
	}
	CU_ASSERT_EQUAL(different, 6);
}

static void steps_follow_count_batch_and_drop_last(void)
{
	CU_ASSERT_EQUAL(sampler_steps(10, 5, false), 2);
	CU_ASSERT_EQUAL(sampler_steps(10, 5, true), 2);
	CU_ASSERT_EQUAL(sampler_steps(11, 5, false), 3);
	CU_ASSERT_EQUAL(sampler_steps(11, 5, true), 2);
	CU_ASSERT_EQUAL(sampler_steps(3, 5, false), 1);
	CU_ASSERT_EQUAL(sampler_steps(3, 5, true), 1);
	CU_ASSERT_EQUAL(sampler_steps(0, 5, false), 0);
	CU_ASSERT_EQUAL(sampler_steps(0, 5, true), 0);
	CU_ASSERT_EQUAL(sampler_batch_size(1, 11, 5), 5);
	CU_ASSERT_EQUAL(sampler_batch_size(2, 11, 5), 1);
	CU_ASSERT_EQUAL(sampler_batch_size(0, 3, 5), 3);
}

/* Counts how often each position of the epoch is dealt when `ranks` ranks hold contiguous ranges of `shards` shards. */
static void deal_epoch(int seen[COUNT_MAX], int ranks, int shards, size_t count, size_t batch, bool drop_last)
{
	for (size_t step = 0; step < sampler_steps(count, batch, drop_last); step++)
		for (int rank = 0; rank < ranks; rank++)
			for (int v = rank * shards / ranks; v < (rank + 1) * shards / ranks; v++) {
				size_t begin, end;

				sampler_range(&begin, &end, step, v, shards, count, batch);
				CU_ASSERT(begin <= end && end <= count);
				for (size_t i = begin; i < end; i++)
					seen[i]++;
			}
}

static void an_epoch_deals_every_image_once_to_any_number_of_ranks(void)
{
	static const int shard_counts[] = {1, 2, 3, 5, 8, 13};
	static const size_t batches[] = {1, 4, 7, 16, COUNT_MAX, 100};

	for (int ranks = 1; ranks <= 8; ranks++)
		for (size_t v = 0; v < sizeof(shard_counts) / sizeof(shard_counts[0]); v++)
			for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++)
				for (int drop = 0; drop < 2; drop++)
					for (size_t count = 63; count <= COUNT_MAX; count++) {
						int seen[COUNT_MAX] = {0};
						size_t dropped = drop && count >= batches[b] ? count % batches[b] : 0;

						deal_epoch(seen, ranks, shard_counts[v], count, batches[b], drop);
						for (size_t i = 0; i < count; i++)
							CU_ASSERT_EQUAL(seen[i], i < count - dropped);
					}
}

static void shards_of_a_step_are_those_of_the_core(void)
{
	size_t begin, end;

	sampler_range(&begin, &end, 2, 1, 3, 100, 10);
	CU_ASSERT_EQUAL(begin, 20 + shard_begin(1, 3, 10));
	CU_ASSERT_EQUAL(end, 20 + shard_begin(2, 3, 10));
	CU_ASSERT_EQUAL(begin, 23);
	CU_ASSERT_EQUAL(end, 26);
}

void suite_sampler(void)
{
	static const struct test_row rows[] = {
	    TEST(an_order_holds_every_image_once),
	    TEST(orders_depend_on_seed_and_epoch_only),
	    TEST(all_orders_are_equally_likely),
	    TEST(steps_follow_count_batch_and_drop_last),
	    TEST(an_epoch_deals_every_image_once_to_any_number_of_ranks),
	    TEST(shards_of_a_step_are_those_of_the_core),
	};

	ADD_SUITE("sampler", rows);
}
