#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/core/rng.h"
#include "nn/core/shards.h"
#include "nn/core/status.h"
#include "tests/unit/suites.h"

static void shards_cut_a_batch_without_gap_or_overlap(void)
{
	for (int count = 1; count <= 9; count++)
		for (size_t samples = 0; samples < 40; samples++) {
			CU_ASSERT_EQUAL(shard_begin(0, count, samples), 0);
			CU_ASSERT_EQUAL(shard_begin(count, count, samples), samples);
			for (int v = 0; v < count; v++) {
				size_t size = shard_begin(v + 1, count, samples) - shard_begin(v, count, samples);

				CU_ASSERT(size >= samples / (size_t)count && size <= samples / (size_t)count + 1);
			}
		}
}

static void covers_hold_every_shard_once_and_in_order(void)
{
	for (int count = 1; count <= 33; count++)
		for (int lo = 0; lo <= count; lo++)
			for (int hi = lo; hi <= count; hi++) {
				struct shards shards = {count, lo, hi};
				struct shard_node cover[SHARD_COVER_MAX];
				int nodes = shards_cover(cover, &shards);
				int at = lo;

				for (int i = 0; i < nodes; i++) {
					CU_ASSERT_EQUAL(cover[i].lo, at);
					at = cover[i].hi;
				}
				CU_ASSERT_EQUAL(at, hi);
				CU_ASSERT(nodes <= 2 * shards_depth(0, count) + 1);
			}
}

static void a_tree_is_as_deep_as_its_shards_ask_for(void)
{
	CU_ASSERT_EQUAL(shards_depth(0, 1), 0);
	CU_ASSERT_EQUAL(shards_depth(0, 2), 1);
	CU_ASSERT_EQUAL(shards_depth(3, 8), 3);
	CU_ASSERT_EQUAL(shards_depth(0, INT_MAX), 31); /* the most that --shards takes */
}

/* rows for shard v: count v % 3, mean and M2 that vary; the merge must have the same bits however ranks cut the range. */
static void statistics_have_the_same_bits_for_every_number_of_ranks(void)
{
	enum { V = 13, C = 3, W = 1 + 2 * C };
	double whole[V * W], reference[W] = {0};

	for (int merge = MERGE_SUM; merge <= MERGE_MOMENTS; merge++)
		for (int ranks = 1; ranks <= V + 2; ranks++) {
			double collected[V * W];
			struct shard_node all[V];
			int nodes = 0;

			for (int v = 0; v < V; v++)
				for (int i = 0; i < W; i++)
					whole[v * W + i] = i == 0 ? v % 3 : v % 3 ? sin(v * 7.0 + i) + 2 : 0;
			for (int r = 0; r < ranks; r++) {
				struct shards mine = {V, r * V / ranks, (r + 1) * V / ranks};
				struct shard_node cover[SHARD_COVER_MAX];
				int n = shards_cover(cover, &mine);

				for (int i = 0; i < n; i++) {
					statistics_subtree(whole + cover[i].lo * W, cover[i].lo, cover[i].hi, C, (enum merge)merge);
					memcpy(collected + nodes * W, whole + cover[i].lo * W, sizeof(double) * W);
					all[nodes++] = cover[i];
				}
			}
			statistics_tree(collected, all, nodes, V, C, (enum merge)merge);
			if (ranks == 1)
				memcpy(reference, collected, sizeof(reference));
			CU_ASSERT_EQUAL(memcmp(reference, collected, sizeof(reference)), 0);
			CU_ASSERT_DOUBLE_EQUAL(collected[0], 13 - 1, 0);
		}
}

static void merged_moments_are_those_of_all_values(void)
{
	const double values[] = {1, 5, 2, 8, -3, 0.5};
	double rows[6 * 3];
	double mean = 0, m2 = 0;

	for (int i = 0; i < 6; i++) {
		rows[i * 3] = 1;
		rows[i * 3 + 1] = values[i];
		rows[i * 3 + 2] = 0;
		mean += values[i] / 6;
	}
	for (int i = 0; i < 6; i++)
		m2 += (values[i] - mean) * (values[i] - mean);
	statistics_subtree(rows, 0, 6, 1, MERGE_MOMENTS);
	CU_ASSERT_DOUBLE_EQUAL(rows[0], 6, 0);
	CU_ASSERT_DOUBLE_EQUAL(rows[1], mean, 1e-14);
	CU_ASSERT_DOUBLE_EQUAL(rows[2], m2, 1e-12);
}

static void random_streams_depend_on_their_key_only(void)
{
	struct rng a = rng_stream(1, 2, 3), b = rng_stream(1, 2, 3), c = rng_stream(1, 3, 2);
	double sum = 0, squares = 0;

	CU_ASSERT_EQUAL(rng_next(&a), rng_next(&b));
	CU_ASSERT_NOT_EQUAL(rng_next(&a), rng_next(&c));
	for (int i = 0; i < 100000; i++) {
		double x = rng_normal(&a);

		sum += x;
		squares += x * x;
		CU_ASSERT(rng_below(&b, 7) < 7);
	}
	CU_ASSERT_DOUBLE_EQUAL(sum / 1e5, 0, 0.02);
	CU_ASSERT_DOUBLE_EQUAL(squares / 1e5, 1, 0.02);
}

static void the_nth_allocation_fails_when_asked(void)
{
	void *a, *b;

	nn_alloc_fail_at(2);
	CU_ASSERT_EQUAL(nn_alloc(&a, 10), NN_OK);
	CU_ASSERT_EQUAL(nn_alloc(&b, 10), NN_ERR_MEMORY);
	CU_ASSERT_PTR_NULL(b);
	CU_ASSERT(strstr(nn_error_message(), "out of memory") != NULL);
	CU_ASSERT_EQUAL((uintptr_t)a % NN_ALIGN, 0);
	nn_free(a);
	nn_alloc_fail_at(0);
}

static void statuses_have_their_exit_codes(void)
{
	CU_ASSERT_EQUAL(nn_exit_code(NN_OK), 0);
	CU_ASSERT_EQUAL(nn_exit_code(NN_ERR_USAGE), 2);
	CU_ASSERT_EQUAL(nn_exit_code(NN_ERR_DATA), 3);
	CU_ASSERT_EQUAL(nn_exit_code(NN_ERR_CHECKPOINT), 4);
	CU_ASSERT_EQUAL(nn_exit_code(NN_ERR_IO), 5);
	CU_ASSERT_EQUAL(nn_exit_code(NN_ERR_NUMBER), 6);
	CU_ASSERT_EQUAL(nn_exit_code(NN_ERR_PEER), 7);
}

void suite_core(void)
{
	static const struct test_row rows[] = {
	    TEST(shards_cut_a_batch_without_gap_or_overlap), TEST(covers_hold_every_shard_once_and_in_order),
	    TEST(a_tree_is_as_deep_as_its_shards_ask_for),   TEST(statistics_have_the_same_bits_for_every_number_of_ranks),
	    TEST(merged_moments_are_those_of_all_values),    TEST(random_streams_depend_on_their_key_only),
	    TEST(the_nth_allocation_fails_when_asked),	     TEST(statuses_have_their_exit_codes),
	};

	ADD_SUITE("core", rows);
}
