#include <string.h>

#include "comm/agree.h"
#include "comm/exchange.h"
#include "nn/core/alloc.h"
#include "nn/core/rng.h"
#include "nn/core/shards.h"
#include "tests/mpi/suites.h"

enum { V_MOST = 19, CHANNELS = 5, WIDTH = 1 + 2 * CHANNELS };

/* The row of shard v, the same on every rank that asks; some shards are without samples. */
static void fill_row(double *row, int v, int channels)
{
	struct rng rng = rng_stream(11, (uint64_t)v, (uint64_t)channels);

	row[0] = v % 4 == 1 ? 0 : 1 + v % 3;
	for (int i = 1; i < 1 + 2 * channels; i++)
		row[i] = row[0] == 0 ? 0 : i > channels ? rng_uniform(&rng) : rng_normal(&rng);
}

static void fill_rows(double *rows, int lo, int hi, int channels)
{
	for (int v = lo; v < hi; v++)
		fill_row(rows + (v - lo) * (1 + 2 * channels), v, channels);
}

/* One process alone: the nodes of the cover of `range`, merged left to right; one node when it is everything. */
static void reference(double *row, const struct shards *range, int channels, enum merge merge)
{
	double rows[V_MOST * WIDTH];
	struct shard_node cover[SHARD_COVER_MAX];
	int nodes = shards_cover(cover, range);
	size_t bytes = sizeof(double) * (1 + 2 * (size_t)channels);

	memset(row, 0, bytes);
	for (int i = 0; i < nodes; i++) {
		fill_rows(rows, cover[i].lo, cover[i].hi, channels);
		statistics_subtree(rows, cover[i].lo, cover[i].hi, channels, merge);
		if (i == 0)
			memcpy(row, rows, bytes);
		else
			statistics_merge(row, rows, channels, merge);
	}
}

/* The shards of this rank's scope, worked out from the places of its members. */
static struct shards scope_range(enum exchange_scope scope, int count)
{
	int places = comm_size(test_comm), place = comm_order(test_comm);
	int first = place - comm_node_rank(test_comm), after = first + comm_node_ranks(test_comm);

	if (scope == EXCHANGE_GLOBAL)
		return (struct shards){count, 0, count};
	if (scope == EXCHANGE_OFF)
		return (struct shards){count, place * count / places, (place + 1) * count / places};
	return (struct shards){count, first * count / places, after * count / places};
}

/* early: this rank begins the exchange before it asks for the result. */
static void exchange_equals_one_process(enum exchange_scope scope, int count, int channels, enum merge merge, bool early)
{
	struct shards mine = comm_shards(test_comm, count);
	struct shards range = scope_range(scope, count);
	double rows[V_MOST * WIDTH], expected[WIDTH];
	struct exchange *exchange;

	memset(rows, 0x55, sizeof(rows));
	fill_rows(rows, mine.lo, mine.hi, channels);
	reference(expected, &range, channels, merge);
	CU_ASSERT_EQUAL(exchange_create(&exchange, test_comm, mine, scope, CHANNELS), NN_OK);
	if (early)
		exchange_begin(exchange, rows, channels, merge);
	CU_ASSERT_EQUAL(exchange_statistics(exchange, rows, channels, merge), NN_OK);
	CU_ASSERT_EQUAL(memcmp(rows, expected, sizeof(double) * (1 + 2 * (size_t)channels)), 0);
	exchange_destroy(exchange);
}

static void check_scope(enum exchange_scope scope)
{
	for (int count = 1; count <= V_MOST; count++)
		for (int merge = MERGE_SUM; merge <= MERGE_MOMENTS; merge++) {
			exchange_equals_one_process(scope, count, CHANNELS, (enum merge)merge, false);
			exchange_equals_one_process(scope, count, 1, (enum merge)merge, true);
			exchange_equals_one_process(scope, count, CHANNELS, (enum merge)merge, comm_rank(test_comm) % 2);
		}
}

static void a_global_exchange_has_the_bits_of_one_process(void)
{
	check_scope(EXCHANGE_GLOBAL);
}

static void a_node_exchange_merges_the_shards_of_the_node(void)
{
	check_scope(EXCHANGE_NODE);
}

static void an_exchange_that_is_off_merges_the_shards_of_the_rank(void)
{
	check_scope(EXCHANGE_OFF);
}

static void shards_without_samples_give_a_count_of_zero(void)
{
	struct shards mine = comm_shards(test_comm, V_MOST);
	double rows[V_MOST * WIDTH] = {0};
	struct exchange *exchange;

	CU_ASSERT_EQUAL(exchange_create(&exchange, test_comm, mine, EXCHANGE_GLOBAL, CHANNELS), NN_OK);
	for (int merge = MERGE_SUM; merge <= MERGE_MOMENTS; merge++) {
		rows[0] = 3;
		if (mine.hi > mine.lo)
			rows[0] = 0;
		CU_ASSERT_EQUAL(exchange_statistics(exchange, rows, CHANNELS, (enum merge)merge), NN_OK);
		for (int i = 0; i < WIDTH; i++)
			CU_ASSERT_EQUAL(rows[i], 0);
	}
	exchange_destroy(exchange);
}

static void an_exchange_allocates_nothing_after_creation(void)
{
	struct shards mine = comm_shards(test_comm, V_MOST);
	double rows[V_MOST * WIDTH];
	struct exchange *exchange;
	long before;

	CU_ASSERT_EQUAL(exchange_create(&exchange, test_comm, mine, EXCHANGE_GLOBAL, CHANNELS), NN_OK);
	before = nn_alloc_count();
	for (int i = 0; i < 20; i++) {
		fill_rows(rows, mine.lo, mine.hi, CHANNELS);
		CU_ASSERT_EQUAL(exchange_statistics(exchange, rows, CHANNELS, MERGE_MOMENTS), NN_OK);
	}
	CU_ASSERT_EQUAL(nn_alloc_count(), before);
	exchange_destroy(exchange);
}

/* The nth allocation fails, of those ranks that have so many. */
static void every_failed_allocation_of_an_exchange_is_reported(void)
{
	struct shards mine = comm_shards(test_comm, V_MOST);
	struct exchange *exchange = NULL;
	long before = nn_alloc_count(), needed;

	CU_ASSERT_EQUAL(exchange_create(&exchange, test_comm, mine, EXCHANGE_GLOBAL, CHANNELS), NN_OK);
	needed = (long)comm_max_double(test_comm, (double)(nn_alloc_count() - before));
	exchange_destroy(exchange);
	CU_ASSERT(needed > 0);
	for (long nth = 1; nth <= needed; nth++) {
		enum nn_status status;

		nn_alloc_fail_at(nth);
		status = exchange_create(&exchange, test_comm, mine, EXCHANGE_GLOBAL, CHANNELS);
		nn_alloc_fail_at(0);
		CU_ASSERT_EQUAL(status != NN_OK, exchange == NULL);
		CU_ASSERT_EQUAL(comm_agree(test_comm, status), NN_ERR_MEMORY);
		exchange_destroy(exchange);
	}
}

/* Wide and narrow rows follow each other, as in a network, and ranks come early and late. */
static void exchanges_of_any_width_follow_each_other(void)
{
	struct shards mine = comm_shards(test_comm, 8);
	struct shards all = {8, 0, 8};
	double rows[V_MOST * WIDTH], expected[2][WIDTH];
	struct exchange *exchange;
	int wrong = 0;

	reference(expected[0], &all, CHANNELS, MERGE_MOMENTS);
	reference(expected[1], &all, 1, MERGE_MOMENTS);
	CU_ASSERT_EQUAL(exchange_create(&exchange, test_comm, mine, EXCHANGE_GLOBAL, CHANNELS), NN_OK);
	for (int i = 0; i < 500; i++) {
		int channels = i % 2 ? 1 : CHANNELS;

		fill_rows(rows, mine.lo, mine.hi, channels);
		if ((i + comm_rank(test_comm)) % 3)
			exchange_begin(exchange, rows, channels, MERGE_MOMENTS);
		wrong += exchange_statistics(exchange, rows, channels, MERGE_MOMENTS) != NN_OK;
		wrong += memcmp(rows, expected[i % 2], sizeof(double) * (1 + 2 * (size_t)channels)) != 0;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	exchange_destroy(exchange);
}

void suite_exchange(void)
{
	static const struct test_row rows[] = {
	    TEST(a_global_exchange_has_the_bits_of_one_process),
	    TEST(a_node_exchange_merges_the_shards_of_the_node),
	    TEST(an_exchange_that_is_off_merges_the_shards_of_the_rank),
	    TEST(shards_without_samples_give_a_count_of_zero),
	    TEST(an_exchange_allocates_nothing_after_creation),
	    TEST(every_failed_allocation_of_an_exchange_is_reported),
	    TEST(exchanges_of_any_width_follow_each_other),
	};

	ADD_SUITE("exchange", rows);
}
