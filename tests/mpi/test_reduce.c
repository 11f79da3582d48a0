#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/reduce.h"
#include "comm/tune.h"
#include "nn/core/alloc.h"
#include "nn/core/bf16.h"
#include "nn/core/rng.h"
#include "nn/core/shards.h"
#include "tests/mpi/suites.h"

enum { V_MOST = 17, MARGIN = 3, LONGEST = 1 << 20 };

/* Element i of the gradient of shard v, the same on every rank that asks; sizes differ so that the order of adding shows. */
static float element(int v, size_t i)
{
	struct rng rng = {.key = (uint64_t)v << 40, .counter = i};
	uint64_t bits = rng_next(&rng);

	return ((float)(int32_t)(bits >> 32)) * (bits & 1 ? 0x1p-31f : 0x1p-23f);
}

/* Of the test at hand: with bf16 every node of the tree is rounded. */
static bool bf16;
static enum reduce_algorithm algorithm = REDUCE_OWN;

static float rounded(float x)
{
	return bf16 ? bf16_to_float(bf16_from_float(x)) : x;
}

/* Element i of the sum of shards lo .. hi-1, in the order of the tree. */
static float sum_of(int lo, int hi, size_t i)
{
	int mid = lo + (hi - lo) / 2;

	return rounded(hi - lo == 1 ? element(lo, i) : sum_of(lo, mid, i) + sum_of(mid, hi, i));
}

static int same_bits(const void *a, const void *b, size_t bytes)
{
	return memcmp(a, b, bytes) == 0;
}

/* Writes this rank's partials: `count` elements, with MARGIN before and after. */
static void fill(struct reducer *reducer, const struct shards *mine, size_t count)
{
	struct shard_node cover[SHARD_COVER_MAX];
	int nodes = shards_cover(cover, mine);
	size_t floats = count + 2 * MARGIN;
	float *partials = reducer_memory(reducer);

	CU_ASSERT_EQUAL(reducer_partials(reducer), nodes > 0 ? nodes : 1);
	for (int p = 0; p < reducer_partials(reducer); p++)
		for (size_t i = 0; i < floats; i++)
			partials[(size_t)p * floats + i] = nodes == 0 ? -7.0f : sum_of(cover[p].lo, cover[p].hi, i);
}

static struct reducer *reducer_for(int shard_count, size_t count)
{
	struct shards mine = comm_shards(test_comm, shard_count);
	struct reducer *reducer;

	if (reducer_create(&reducer, test_comm, mine, count + 2 * MARGIN, algorithm, bf16) != NN_OK)
		comm_abort(test_comm, "mpi-tests", NN_ERR_MEMORY, nn_error_message());
	fill(reducer, &mine, count);
	return reducer;
}

/* How many of `checked` evenly spaced elements of the range differ from the serial sum; every element for short ranges. */
static size_t count_wrong(const struct reducer *reducer, int shard_count, size_t count, size_t checked)
{
	size_t stride = count / checked + 1;
	size_t wrong = 0;

	for (size_t i = MARGIN; i < MARGIN + count; i += stride) {
		float expected = sum_of(0, shard_count, i);

		wrong += !same_bits(&reducer_total(reducer)[i], &expected, sizeof(expected));
	}
	return wrong;
}

static void sum_equals_one_process(int shard_count, size_t count)
{
	struct reducer *reducer = reducer_for(shard_count, count);
	float before[MARGIN], after[MARGIN];

	comm_barrier(test_comm);
	memcpy(before, reducer_total(reducer), sizeof(before));
	memcpy(after, reducer_total(reducer) + MARGIN + count, sizeof(after));
	reducer_sum(reducer, MARGIN, count);
	CU_ASSERT_EQUAL(count_wrong(reducer, shard_count, count, 10007), 0);
	CU_ASSERT(same_bits(before, reducer_total(reducer), sizeof(before)));
	CU_ASSERT(same_bits(after, reducer_total(reducer) + MARGIN + count, sizeof(after)));
	comm_barrier(test_comm);
	reducer_destroy(reducer);
}

/* Calls `test` with each algorithm that keeps the order of the tree. */
static void with_every_algorithm(void (*test)(void))
{
	for (int i = REDUCE_OWN; i < REDUCE_ALGORITHMS; i++)
		if (i != REDUCE_MPI) {
			algorithm = (enum reduce_algorithm)i;
			test();
		}
	algorithm = REDUCE_OWN;
}

static void short_sums(void)
{
	static const size_t counts[] = {0, 1, 5, 2048, 2049, 4097};

	for (int shard_count = 1; shard_count <= V_MOST; shard_count++)
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
			sum_equals_one_process(shard_count, counts[i]);
}

static void a_sum_has_the_bits_of_one_process(void)
{
	with_every_algorithm(short_sums);
}

/* One more than a multiple of the chunk on 2, 4 and 8 nodes: the last chunk leaves most of them an empty slice. */
static void long_sums(void)
{
	static const int shard_counts[] = {1, 2, 3, 8, V_MOST};

	for (size_t i = 0; i < sizeof(shard_counts) / sizeof(shard_counts[0]); i++)
		sum_equals_one_process(shard_counts[i], LONGEST + 1);
}

static void a_long_sum_in_chunks_has_the_bits_of_one_process(void)
{
	with_every_algorithm(long_sums);
}

static void long_sum(void)
{
	sum_equals_one_process(8, LONGEST + 1);
}

static void sums_of_bf16_have_the_bits_of_one_process_too(void)
{
	bf16 = true;
	with_every_algorithm(short_sums);
	with_every_algorithm(long_sum);
	bf16 = false;
}

static void all_ranks_have_the_same_bits_in_every_element(void)
{
	struct reducer *reducer = reducer_for(V_MOST, 300001);

	reducer_sum(reducer, MARGIN, 300001);
	CU_ASSERT_EQUAL(comm_same(test_comm, reducer_total(reducer) + MARGIN, sizeof(float) * 300001, "sum"), NN_OK);
	reducer_destroy(reducer);
}

/* Buckets are ranges of one vector: how it is cut must not show. */
static void bits_do_not_depend_on_how_the_vector_is_cut(void)
{
	static const size_t cuts[] = {0, 1, 6, 4100, 9000, 9001, 60000};
	struct reducer *reducer = reducer_for(11, 60000);

	for (size_t i = 0; i + 1 < sizeof(cuts) / sizeof(cuts[0]); i++)
		reducer_sum(reducer, MARGIN + cuts[i], cuts[i + 1] - cuts[i]);
	CU_ASSERT_EQUAL(count_wrong(reducer, 11, 60000, 60000), 0);
	comm_barrier(test_comm);
	reducer_destroy(reducer);
}

/* As a step does: write, sum, read, and meet before the next. */
static void sums_follow_each_other_in_the_same_memory(void)
{
	struct shards mine = comm_shards(test_comm, 7);
	struct reducer *reducer = reducer_for(7, 5000);
	long before = nn_alloc_count();

	for (int i = 0; i < 20; i++) {
		fill(reducer, &mine, 5000);
		reducer_sum(reducer, MARGIN, 5000);
		CU_ASSERT_EQUAL(count_wrong(reducer, 7, 5000, 5000), 0);
		comm_barrier(test_comm);
	}
	CU_ASSERT_EQUAL(nn_alloc_count(), before);
	reducer_destroy(reducer);
}

static void a_choice_is_measured_and_the_same_everywhere(void)
{
	struct reduce_choice choice = {{REDUCE_OWN}};

	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(reduce_tune(&choice, test_comm, 8, i == 1), NN_OK);
		CU_ASSERT_TRUE(reduce_choice_is_valid(&choice));
		CU_ASSERT_EQUAL(comm_same(test_comm, &choice, sizeof(choice), "choice"), NN_OK);
	}
}

static void a_choice_without_memory_is_an_error_everywhere(void)
{
	bool leads = comm_nodes(test_comm) > 2 && comm_node_rank(test_comm) == 0;
	struct reduce_choice choice;

	nn_alloc_fail_at(leads ? 3 : 0);
	CU_ASSERT_EQUAL(reduce_tune(&choice, test_comm, 8, false), comm_nodes(test_comm) > 2 ? NN_ERR_MEMORY : NN_OK);
	nn_alloc_fail_at(0);
}

/* Another algorithm for every size, as it follows from a measurement. */
static void a_choice_changes_no_bits(void)
{
	static const size_t bytes[] = {4 << 10, 64 << 10, 512 << 10};
	static const struct reduce_choice choices[] = {
	    {{REDUCE_RING, REDUCE_DOUBLING, REDUCE_HALVING, REDUCE_PAIRWISE}},
	    {{REDUCE_HALVING, REDUCE_PAIRWISE, REDUCE_DOUBLING, REDUCE_RING}},
	};

	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
		for (int c = 0; c < 2; c++) {
			size_t count = bytes[i] / sizeof(float);
			struct reducer *reducer = reducer_for(V_MOST, count);

			reducer_choose(reducer, &choices[c]);
			reducer_sum(reducer, MARGIN, count);
			CU_ASSERT_EQUAL(count_wrong(reducer, V_MOST, count, 2000), 0);
			comm_barrier(test_comm);
			reducer_destroy(reducer);
		}
}

/* The nth allocation fails, of those ranks that have so many: no rank waits for one that has given up. */
static void every_failed_allocation_of_a_reducer_is_reported(void)
{
	struct shards mine = comm_shards(test_comm, V_MOST);
	struct reducer *reducer = NULL;
	long before = nn_alloc_count(), needed;

	CU_ASSERT_EQUAL(reducer_create(&reducer, test_comm, mine, 1000, REDUCE_OWN, false), NN_OK);
	needed = (long)comm_max_double(test_comm, (double)(nn_alloc_count() - before));
	reducer_destroy(reducer);
	CU_ASSERT(needed > 0);
	for (long nth = 1; nth <= needed; nth++) {
		enum nn_status status;

		nn_alloc_fail_at(nth);
		status = reducer_create(&reducer, test_comm, mine, 1000, REDUCE_OWN, false);
		nn_alloc_fail_at(0);
		CU_ASSERT_EQUAL(status != NN_OK, reducer == NULL);
		CU_ASSERT_EQUAL(comm_agree(test_comm, status), NN_ERR_MEMORY);
		reducer_destroy(reducer);
	}
}

static void a_failure_of_one_rank_is_one_of_its_node(void)
{
	struct shards mine = comm_shards(test_comm, V_MOST);
	struct reducer *reducer = NULL;
	int last = comm_node_ranks(test_comm) - 1;

	nn_alloc_fail_at(comm_node_rank(test_comm) == last ? 2 : 0);
	CU_ASSERT_EQUAL(reducer_create(&reducer, test_comm, mine, 1000, REDUCE_OWN, false), NN_ERR_MEMORY);
	CU_ASSERT_PTR_NULL(reducer);
	CU_ASSERT(strstr(nn_error_message(), "asked for by a test") != NULL);
	nn_alloc_fail_at(0);
}

static void a_sum_by_mpi_is_as_good_as_the_order_allows(void)
{
	struct shards mine = comm_shards(test_comm, V_MOST);
	struct reducer *reducer;
	size_t wrong = 0;

	CU_ASSERT_EQUAL(reducer_create(&reducer, test_comm, mine, 4000 + 2 * MARGIN, REDUCE_MPI, false), NN_OK);
	for (int twice = 0; twice < 2; twice++) {
		fill(reducer, &mine, 4000);
		reducer_sum(reducer, MARGIN, 3000);
		reducer_sum(reducer, MARGIN + 3000, 1000);
		for (size_t i = MARGIN; i < MARGIN + 4000; i++)
			wrong += fabsf(reducer_total(reducer)[i] - sum_of(0, V_MOST, i)) > 256 * V_MOST * FLT_EPSILON;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	reducer_destroy(reducer);
}

void suite_reduce(void)
{
	static const struct test_row rows[] = {
	    TEST(a_sum_has_the_bits_of_one_process),
	    TEST(a_long_sum_in_chunks_has_the_bits_of_one_process),
	    TEST(sums_of_bf16_have_the_bits_of_one_process_too),
	    TEST(all_ranks_have_the_same_bits_in_every_element),
	    TEST(bits_do_not_depend_on_how_the_vector_is_cut),
	    TEST(sums_follow_each_other_in_the_same_memory),
	    TEST(a_choice_is_measured_and_the_same_everywhere),
	    TEST(a_choice_without_memory_is_an_error_everywhere),
	    TEST(a_choice_changes_no_bits),
	    TEST(every_failed_allocation_of_a_reducer_is_reported),
	    TEST(a_failure_of_one_rank_is_one_of_its_node),
	    TEST(a_sum_by_mpi_is_as_good_as_the_order_allows),
	};

	ADD_SUITE("reduce", rows);
}
