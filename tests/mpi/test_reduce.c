#include <stdint.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/reduce.h"
#include "nn/core/alloc.h"
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

/* Element i of the sum of shards lo .. hi-1, in the order of the tree. */
static float sum_of(int lo, int hi, size_t i)
{
	int mid = lo + (hi - lo) / 2;

	return hi - lo == 1 ? element(lo, i) : sum_of(lo, mid, i) + sum_of(mid, hi, i);
}

static int same_bits(const void *a, const void *b, size_t bytes)
{
	return memcmp(a, b, bytes) == 0;
}

/* A rank's partials, each with MARGIN floats before and after the range. */
struct partials {
	int held;
	size_t count;
	float *vectors[SHARD_COVER_MAX];
};

static void partials_create(struct partials *partials, const struct shards *mine, size_t count)
{
	struct shard_node cover[SHARD_COVER_MAX];
	int nodes = shards_cover(cover, mine);

	partials->held = nodes > 0 ? nodes : 1;
	partials->count = count;
	for (int p = 0; p < partials->held; p++) {
		if (nn_alloc(&partials->vectors[p], sizeof(float) * (count + 2 * MARGIN)) != NN_OK)
			comm_abort(test_comm, "mpi-tests", NN_ERR_MEMORY, nn_error_message());
		for (size_t i = 0; i < count + 2 * MARGIN; i++)
			partials->vectors[p][i] = nodes == 0 ? -7.0f : sum_of(cover[p].lo, cover[p].hi, i);
	}
}

static void partials_release(struct partials *partials)
{
	for (int p = 0; p < partials->held; p++)
		nn_free(partials->vectors[p]);
}

/* How many of `checked` evenly spaced elements of the range differ from the serial sum; every element for short ranges. */
static size_t count_wrong(const struct partials *partials, int shard_count, size_t checked)
{
	size_t stride = partials->count / checked + 1;
	size_t wrong = 0;

	for (size_t i = MARGIN; i < MARGIN + partials->count; i += stride) {
		float expected = sum_of(0, shard_count, i);

		wrong += !same_bits(&partials->vectors[0][i], &expected, sizeof(expected));
	}
	return wrong;
}

static void sum_equals_one_process(int shard_count, size_t count, size_t max_count)
{
	struct shards mine = comm_shards(test_comm, shard_count);
	struct reducer *reducer;
	struct partials partials;
	float before[MARGIN], after[MARGIN];

	partials_create(&partials, &mine, count);
	memcpy(before, partials.vectors[0], sizeof(before));
	memcpy(after, partials.vectors[0] + MARGIN + count, sizeof(after));
	CU_ASSERT_EQUAL(reducer_create(&reducer, test_comm, mine, max_count), NN_OK);
	CU_ASSERT_EQUAL(reducer_partials(reducer), partials.held);
	reducer_sum(reducer, partials.vectors, MARGIN, count);
	CU_ASSERT_EQUAL(count_wrong(&partials, shard_count, 10007), 0);
	CU_ASSERT(same_bits(before, partials.vectors[0], sizeof(before)));
	CU_ASSERT(same_bits(after, partials.vectors[0] + MARGIN + count, sizeof(after)));
	reducer_destroy(reducer);
	partials_release(&partials);
}

static void a_sum_has_the_bits_of_one_process(void)
{
	static const size_t counts[] = {0, 1, 5, 2048, 2049, 4097};

	for (int shard_count = 1; shard_count <= V_MOST; shard_count++)
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
			sum_equals_one_process(shard_count, counts[i], counts[i]);
}

/* One more than a multiple of the chunk on 2, 4 and 8 ranks: the last chunk leaves most places an empty slice. */
static void a_long_sum_in_chunks_has_the_bits_of_one_process(void)
{
	static const int shard_counts[] = {1, 2, 3, 8, V_MOST};

	for (size_t i = 0; i < sizeof(shard_counts) / sizeof(shard_counts[0]); i++)
		sum_equals_one_process(shard_counts[i], LONGEST + 1, LONGEST + 1);
}

static void all_ranks_have_the_same_bits_in_every_element(void)
{
	struct shards mine = comm_shards(test_comm, V_MOST);
	struct reducer *reducer;
	struct partials partials;

	partials_create(&partials, &mine, 300001);
	CU_ASSERT_EQUAL(reducer_create(&reducer, test_comm, mine, LONGEST), NN_OK);
	reducer_sum(reducer, partials.vectors, MARGIN, 300001);
	CU_ASSERT_EQUAL(comm_same(test_comm, partials.vectors[0] + MARGIN, sizeof(float) * 300001, "sum"), NN_OK);
	reducer_destroy(reducer);
	partials_release(&partials);
}

/* Buckets are ranges of one vector: how it is cut must not show. */
static void bits_do_not_depend_on_how_the_vector_is_cut(void)
{
	static const size_t cuts[] = {0, 1, 6, 4100, 9000, 9001, 60000};
	struct shards mine = comm_shards(test_comm, 11);
	struct reducer *reducer;
	struct partials partials;

	partials_create(&partials, &mine, 60000);
	CU_ASSERT_EQUAL(reducer_create(&reducer, test_comm, mine, 60000), NN_OK);
	for (size_t i = 0; i + 1 < sizeof(cuts) / sizeof(cuts[0]); i++)
		reducer_sum(reducer, partials.vectors, MARGIN + cuts[i], cuts[i + 1] - cuts[i]);
	CU_ASSERT_EQUAL(count_wrong(&partials, 11, 60000), 0);
	reducer_destroy(reducer);
	partials_release(&partials);
}

static void a_sum_allocates_nothing_after_creation(void)
{
	struct shards mine = comm_shards(test_comm, 7);
	struct reducer *reducer;
	struct partials partials;
	long before;

	partials_create(&partials, &mine, 50000);
	CU_ASSERT_EQUAL(reducer_create(&reducer, test_comm, mine, 50000), NN_OK);
	before = nn_alloc_count();
	for (int i = 0; i < 5; i++) {
		reducer_sum(reducer, partials.vectors, MARGIN, 50000);
		reducer_sum(reducer, partials.vectors, MARGIN, 100);
	}
	CU_ASSERT_EQUAL(nn_alloc_count(), before);
	reducer_destroy(reducer);
	partials_release(&partials);
}

static void every_failed_allocation_of_a_reducer_is_reported(void)
{
	struct shards mine = comm_shards(test_comm, V_MOST);
	struct reducer *reducer = NULL;
	long before = nn_alloc_count(), needed;

	CU_ASSERT_EQUAL(reducer_create(&reducer, test_comm, mine, 1000), NN_OK);
	needed = nn_alloc_count() - before;
	reducer_destroy(reducer);
	CU_ASSERT(needed > 0);
	for (long nth = 1; nth <= needed; nth++) {
		nn_alloc_fail_at(nth);
		CU_ASSERT_EQUAL(reducer_create(&reducer, test_comm, mine, 1000), NN_ERR_MEMORY);
		CU_ASSERT_PTR_NULL(reducer);
	}
	nn_alloc_fail_at(0);
}

void suite_reduce(void)
{
	static const struct test_row rows[] = {
	    TEST(a_sum_has_the_bits_of_one_process),
	    TEST(a_long_sum_in_chunks_has_the_bits_of_one_process),
	    TEST(all_ranks_have_the_same_bits_in_every_element),
	    TEST(bits_do_not_depend_on_how_the_vector_is_cut),
	    TEST(a_sum_allocates_nothing_after_creation),
	    TEST(every_failed_allocation_of_a_reducer_is_reported),
	};

	ADD_SUITE("reduce", rows);
}
