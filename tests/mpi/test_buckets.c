#include <string.h>

#include "comm/agree.h"
#include "comm/buckets.h"
#include "comm/exchange.h"
#include "comm/reduce.h"
#include "nn/core/alloc.h"
#include "nn/core/shards.h"
#include "tests/mpi/suites.h"

enum { SHARDS = 11, FLOATS = 50000, PIECE = 777, CHANNELS = 3 };

/* Whole numbers of this size are summed without rounding, in any order: here only who sums what is at stake. */
static float element(int shard, size_t i, int step)
{
	return (float)((shard + 1) * (int)(i % 1000) + step);
}

static void fill(const struct reducer *reducer, int step)
{
	struct shards mine = comm_shards(test_comm, SHARDS);
	struct shard_node cover[SHARD_COVER_MAX];
	int nodes = shards_cover(cover, &mine);

	for (int p = 0; p < nodes; p++) {
		float *partial = reducer_memory(reducer) + (size_t)p * FLOATS;

		memset(partial, 0, FLOATS * sizeof(float));
		for (int v = cover[p].lo; v < cover[p].hi; v++)
			for (size_t i = 0; i < FLOATS; i++)
				partial[i] += element(v, i, step);
	}
}

static size_t count_wrong(const struct reducer *reducer, size_t offset, size_t count, int step)
{
	size_t wrong = 0;

	for (size_t i = offset; i < offset + count; i++)
		wrong += reducer_total(reducer)[i] != (float)(SHARDS * (SHARDS + 1) / 2 * (int)(i % 1000) + SHARDS * step);
	return wrong;
}

/* Main thread work between buckets, as in a backward pass: it has to get through while buckets are summed. */
static void exchange_once(struct exchange *exchange)
{
	struct shards mine = comm_shards(test_comm, SHARDS);
	double rows[SHARDS * (1 + 2 * CHANNELS)] = {0};
	int local = mine.hi - mine.lo;

	for (int i = 0; i < local * (1 + 2 * CHANNELS); i++)
		rows[i] = 1;
	CU_ASSERT_EQUAL(exchange_statistics(exchange, rows, CHANNELS, MERGE_SUM), NN_OK);
	CU_ASSERT_EQUAL(rows[2 * CHANNELS], SHARDS);
}

static void run_step(struct reducer *reducer, struct buckets *buckets, struct exchange *exchange, int step)
{
	size_t offset, count, front = FLOATS, wrong = 0;

	fill(reducer, step);
	buckets_begin(buckets);
	for (size_t begin = FLOATS; begin > 0;) {
		begin = begin > PIECE ? begin - PIECE : 0;
		buckets_ready(buckets, begin);
		if (begin % 5 == 0)
			exchange_once(exchange);
	}
	while (buckets_next(&offset, &count, buckets)) {
		wrong += offset + count != front;
		front = offset;
		wrong += count_wrong(reducer, offset, count, step);
	}
	CU_ASSERT_EQUAL(front, 0);
	CU_ASSERT_EQUAL(wrong, 0);
	comm_barrier(test_comm);
}

static void check_steps(size_t most, bool overlap)
{
	struct shards mine = comm_shards(test_comm, SHARDS);
	struct reducer *reducer = NULL;
	struct exchange *exchange = NULL;
	struct buckets *buckets = NULL;
	long before;

	if (reducer_create(&reducer, test_comm, mine, FLOATS, REDUCE_OWN, false) != NN_OK ||
	    exchange_create(&exchange, test_comm, mine, EXCHANGE_GLOBAL, CHANNELS) != NN_OK ||
	    buckets_create(&buckets, reducer, FLOATS, most, overlap) != NN_OK)
		comm_abort(test_comm, "mpi-tests", NN_ERR_MEMORY, nn_error_message());
	before = nn_alloc_count();
	for (int step = 0; step < 4; step++)
		run_step(reducer, buckets, exchange, step);
	CU_ASSERT_EQUAL(nn_alloc_count(), before);
	buckets_destroy(buckets);
	exchange_destroy(exchange);
	reducer_destroy(reducer);
}

static void buckets_of_any_size_sum_everything_in_line(void)
{
	static const size_t sizes[] = {1, 1000, 16 * PIECE, FLOATS, 10 * FLOATS};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		check_steps(sizes[i], false);
}

static void buckets_are_summed_while_statistics_are_exchanged(void)
{
	static const size_t sizes[] = {1000, 16 * PIECE, 10 * FLOATS};

	CU_ASSERT(comm_threads(test_comm));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && comm_threads(test_comm); i++)
		check_steps(sizes[i], true);
}

static void a_thread_without_buckets_ends(void)
{
	struct reducer *reducer;
	struct buckets *buckets;

	CU_ASSERT_EQUAL(reducer_create(&reducer, test_comm, comm_shards(test_comm, SHARDS), FLOATS, REDUCE_OWN, false), NN_OK);
	CU_ASSERT_EQUAL(buckets_create(&buckets, reducer, FLOATS, 1000, true), NN_OK);
	buckets_destroy(buckets);
	for (long nth = 1; nth <= 2; nth++) {
		nn_alloc_fail_at(nth);
		CU_ASSERT_EQUAL(buckets_create(&buckets, reducer, FLOATS, 1000, true), NN_ERR_MEMORY);
		CU_ASSERT_PTR_NULL(buckets);
	}
	nn_alloc_fail_at(0);
	reducer_destroy(reducer);
}

void suite_buckets(void)
{
	static const struct test_row rows[] = {
	    TEST(buckets_of_any_size_sum_everything_in_line),
	    TEST(buckets_are_summed_while_statistics_are_exchanged),
	    TEST(a_thread_without_buckets_ends),
	};

	ADD_SUITE("buckets", rows);
}
