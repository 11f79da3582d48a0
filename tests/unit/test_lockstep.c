/* Ranks as threads of this process: a step's bits must not depend on how the shards are dealt. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

enum { SHARDS = 8, SAMPLES = 21, RANKS_MAX = 4, ROW_MAX = 1 + 2 * 64 };

/* Where ranks put the statistics of their shards, and wait for each other. */
struct meeting {
	pthread_barrier_t barrier;
	double rows[SHARDS * ROW_MAX];
};

struct rank {
	struct meeting *meeting;
	struct network_setup setup;
	struct fixture fixture;
	struct batch_result result;
	enum nn_status status;
};

static enum nn_status meet(void *context, double *rows, int channels, enum merge merge)
{
	struct rank *rank = context;
	const struct shards *shards = &rank->setup.shards;
	size_t width = 1 + 2 * (size_t)channels;
	double merged[SHARDS * ROW_MAX];

	memcpy(rank->meeting->rows + (size_t)shards->lo * width, rows, (size_t)(shards->hi - shards->lo) * width * sizeof(double));
	pthread_barrier_wait(&rank->meeting->barrier);
	memcpy(merged, rank->meeting->rows, SHARDS * width * sizeof(double));
	statistics_subtree(merged, 0, SHARDS, channels, merge);
	memcpy(rows, merged, width * sizeof(double));
	pthread_barrier_wait(&rank->meeting->barrier);
	return NN_OK;
}

static void *run_rank(void *argument)
{
	struct rank *rank = argument;

	rank->status = fixture_step(&rank->result, &rank->fixture, 0.1);
	return NULL;
}

static void rank_init(struct rank *rank, struct meeting *meeting, int lo, int hi)
{
	rank->meeting = meeting;
	rank->setup = fixture_setup(reference_set(0), SAMPLES, SHARDS);
	rank->setup.shards = (struct shards){SHARDS, lo, hi};
	rank->setup.exchange = rank->setup.loss_exchange = meeting ? meet : NULL;
	rank->setup.exchange_context = rank->setup.loss_context = rank;
	fixture_init(&rank->fixture, fixture_graph("resnet20", 8, 10, SHORTCUT_B), &rank->setup, SAMPLES);
}

/* The partial gradient of exactly the shards [lo, hi); NULL when no rank holds one. */
static const float *partial_of(const struct rank *ranks, int count, int lo, int hi)
{
	for (int r = 0; r < count; r++) {
		struct shard_node cover[SHARD_COVER_MAX];
		int nodes, partials;
		float *const *gradients = network_gradients(ranks[r].fixture.network, &partials);

		nodes = shards_cover(cover, &ranks[r].setup.shards);
		for (int i = 0; i < nodes; i++)
			if (cover[i].lo == lo && cover[i].hi == hi)
				return gradients[i];
	}
	return NULL;
}

/* sum (parameters floats) = the gradient over the shards [lo, hi), in the tree's order. */
static void tree_sum(float *sum, const struct rank *ranks, int count, int lo, int hi)
{
	size_t parameters = ranks->fixture.graph.parameters;
	const float *partial = partial_of(ranks, count, lo, hi);

	if (partial) {
		memcpy(sum, partial, parameters * sizeof(float));
	} else {
		float *right = reference_alloc(parameters * sizeof(float));

		tree_sum(sum, ranks, count, lo, (lo + hi) / 2);
		tree_sum(right, ranks, count, (lo + hi) / 2, hi);
		ranks->setup.kernels->fp32.add(sum, right, parameters);
		free(right);
	}
}

/* Ranks that hold the shards cuts[r] .. cuts[r + 1] - 1, against `whole`, which holds them all. */
static void check_cut(const struct rank *whole, const int *cuts, int count)
{
	size_t bytes = whole->fixture.graph.parameters * sizeof(float);
	struct rank *ranks = reference_alloc((size_t)count * sizeof(*ranks));
	struct meeting *meeting = reference_alloc(sizeof(*meeting));
	float *sum = reference_alloc(bytes);
	pthread_t threads[RANKS_MAX];

	CU_ASSERT_EQUAL(pthread_barrier_init(&meeting->barrier, NULL, (unsigned)count), 0);
	for (int r = 0; r < count; r++)
		rank_init(&ranks[r], meeting, cuts[r], cuts[r + 1]);
	for (int r = 0; r < count; r++)
		if (pthread_create(&threads[r], NULL, run_rank, &ranks[r]) != 0)
			abort(); /* the others would wait for ever */
	for (int r = 0; r < count; r++)
		pthread_join(threads[r], NULL);
	for (int r = 0; r < count; r++) {
		CU_ASSERT_EQUAL(ranks[r].status, NN_OK);
		CU_ASSERT(same_bits(&ranks[r].result, &whole->result, sizeof(whole->result)));
		CU_ASSERT(same_bits(network_statistics(ranks[r].fixture.network), network_statistics(whole->fixture.network),
				    whole->fixture.graph.statistics * sizeof(float)));
	}
	tree_sum(sum, ranks, count, 0, SHARDS);
	CU_ASSERT(same_bits(sum, partial_of(whole, 1, 0, SHARDS), bytes));
	for (int r = 0; r < count; r++)
		fixture_release(&ranks[r].fixture);
	pthread_barrier_destroy(&meeting->barrier);
	free(ranks);
	free(meeting);
	free(sum);
}

static void a_step_has_the_same_bits_however_ranks_share_the_shards(void)
{
	static const int two[] = {0, 4, 8}, uneven[] = {0, 3, 8}, three[] = {0, 2, 5, 8}, idle[] = {0, 0, 7, 7, 8};
	struct rank whole;

	rank_init(&whole, NULL, 0, SHARDS);
	run_rank(&whole);
	CU_ASSERT_EQUAL(whole.status, NN_OK);
	CU_ASSERT_EQUAL(whole.result.samples, SAMPLES);
	check_cut(&whole, two, 2);
	check_cut(&whole, uneven, 2);
	check_cut(&whole, three, 3);
	check_cut(&whole, idle, 4);
	fixture_release(&whole.fixture);
}

void suite_lockstep(void)
{
	static const struct test_row rows[] = {
	    TEST(a_step_has_the_same_bits_however_ranks_share_the_shards),
	};

	ADD_SUITE("lockstep", rows);
}
