/* Whole jobs in one process: the plans of all nodes, run on values that tell every other order of merges from the right one. */
#include <stdint.h>

#include "comm/covers.h"
#include "comm/doubling_plan.h"
#include "nn/core/alloc.h"
#include "nn/core/shards.h"
#include "tests/unit/suites.h"

enum { NODES_MOST = 40, SLOTS_MOST = 8 * NODES_MOST, MESSAGES_MOST = 16 * NODES_MOST };

struct job {
	int nodes;
	int shards;
	int firsts[NODES_MOST + 1];
	struct doubling_plan plans[NODES_MOST];
	uint64_t values[NODES_MOST][SLOTS_MOST];
	uint64_t sent[NODES_MOST][MESSAGES_MOST]; /* by the sender's message and its value */
};

static struct job job;

static uint64_t merged(uint64_t left, uint64_t right)
{
	uint64_t mixed = left * 0x9e3779b97f4a7c15u + (right ^ (right >> 29)) * 0xbf58476d1ce4e5b9u + 1;

	return mixed ^ (mixed >> 31);
}

/* The value of the tree node [lo, hi), by one process. */
static uint64_t tree(int lo, int hi)
{
	int mid = lo + (hi - lo) / 2;

	return hi - lo == 1 ? (uint64_t)lo + 1 : merged(tree(lo, mid), tree(mid, hi));
}

/* Nodes with 1, 2, ..., most_ranks ranks by turns. */
static void begin(int nodes, int shards, int most_ranks, int group)
{
	job.nodes = nodes;
	job.shards = shards;
	for (int k = 0; k < nodes; k++)
		job.firsts[k + 1] = job.firsts[k] + 1 + k % most_ranks;
	for (int k = 0; k < nodes; k++) {
		struct shards range = covers_range(job.firsts[k], job.firsts[k + 1], job.firsts[nodes], shards);
		struct shard_node cover[SHARD_COVER_MAX];
		int held = shards_cover(cover, &range);

		CU_ASSERT_EQUAL(doubling_plan_init(&job.plans[k], job.firsts, nodes, k, shards, group), NN_OK);
		CU_ASSERT_EQUAL(job.plans[k].own, held);
		CU_ASSERT_EQUAL(job.plans[k].rounds, job.plans[0].rounds);
		CU_ASSERT(job.plans[k].slots >= 1 && job.plans[k].slots <= SLOTS_MOST);
		for (int i = 0; i < SLOTS_MOST; i++)
			job.values[k][i] = 0;
		for (int i = 0; i < held; i++)
			job.values[k][i] = tree(cover[i].lo, cover[i].hi);
	}
}

static void end(void)
{
	for (int k = 0; k < job.nodes; k++)
		doubling_plan_release(&job.plans[k]);
}

/* The one message of the round that `from` sends to `to`; NULL: there is none, or more than one. */
static const struct doubling_message *message_to(int from, int to, int round, bool sends)
{
	const struct doubling_message *found = NULL;

	for (int i = 0; i < job.plans[from].message_count; i++) {
		const struct doubling_message *message = &job.plans[from].messages[i];

		if (message->round != round || message->node != to || message->sends != sends)
			continue;
		if (found)
			return NULL;
		found = message;
	}
	return found;
}

/* What is sent is read before anybody receives or merges, as if all messages crossed. Returns the messages that do not match. */
static int cross(int round)
{
	int wrong = 0;

	for (int k = 0; k < job.nodes; k++)
		for (int i = 0; i < job.plans[k].message_count; i++) {
			const struct doubling_message *message = &job.plans[k].messages[i];

			if (message->round == round && message->sends)
				for (int v = message->first; v < message->first + message->count; v++)
					job.sent[k][v] = job.values[k][job.plans[k].outgoing[v]];
			if (message->round == round && message->sends)
				wrong += message_to(message->node, k, round, false) == NULL;
		}
	for (int k = 0; k < job.nodes; k++)
		for (int i = 0; i < job.plans[k].message_count; i++) {
			const struct doubling_message *message = &job.plans[k].messages[i], *sent;

			if (message->round != round || message->sends)
				continue;
			sent = message_to(message->node, k, round, true);
			wrong += sent == NULL || sent->count != message->count;
			for (int v = 0; sent && v < message->count; v++)
				job.values[k][message->first + v] = job.sent[message->node][sent->first + v];
		}
	return wrong;
}

static void merge(int round)
{
	for (int k = 0; k < job.nodes; k++)
		for (int i = 0; i < job.plans[k].merge_count; i++) {
			const struct doubling_merge *at = &job.plans[k].merges[i];

			if (at->round == round)
				job.values[k][at->into] = merged(job.values[k][at->into], job.values[k][at->from]);
		}
}

/* Returns the number of nodes without the right value, and of messages without another end. */
static int run(void)
{
	uint64_t expected = tree(0, job.shards);
	int wrong = 0;

	for (int round = 0; round < job.plans[0].rounds; round++) {
		wrong += cross(round);
		merge(round);
	}
	for (int k = 0; k < job.nodes; k++)
		wrong += job.values[k][job.plans[k].result] != expected;
	return wrong;
}

static void every_node_learns_the_value_of_the_tree(void)
{
	for (int group = 2; group <= 2 * NODES_MOST; group *= 2)
		for (int most_ranks = 1; most_ranks <= 3; most_ranks++)
			for (int nodes = 1; nodes <= NODES_MOST; nodes += nodes < 12 ? 1 : 7)
				for (int shards = 1; shards <= 2 * NODES_MOST + 3; shards += shards < 40 ? 1 : 5) {
					begin(nodes, shards, most_ranks, group);
					CU_ASSERT_EQUAL(run(), 0);
					end();
				}
}

static int messages_sent(int node)
{
	int sent = 0;

	for (int i = 0; i < job.plans[node].message_count; i++)
		sent += job.plans[node].messages[i].sends;
	return sent;
}

static void a_group_exchanges_in_one_round_one_message_for_each_pair(void)
{
	for (int nodes = 2; nodes <= 32; nodes++)
		for (int shards = 3 * nodes; shards <= 5 * nodes; shards++) {
			begin(nodes, shards, 3, 32);
			CU_ASSERT_EQUAL(job.plans[0].rounds, 1);
			for (int k = 0; k < nodes; k++)
				CU_ASSERT_EQUAL(messages_sent(k), nodes - 1);
			end();
		}
}

static void pairs_take_the_rounds_that_the_number_of_nodes_has_digits_give_or_take_one(void)
{
	for (int nodes = 2; nodes <= NODES_MOST; nodes++) {
		int digits = shards_depth(0, nodes);

		for (int shards = nodes; shards <= 4 * nodes; shards++) {
			begin(nodes, shards, 1, 2);
			CU_ASSERT(job.plans[0].rounds >= digits - 1);
			CU_ASSERT(job.plans[0].rounds <= digits + 1);
			end();
		}
	}
}

static void equal_nodes_exchange_within_groups_then_between_them(void)
{
	static const struct {
		int nodes, group, rounds, messages;
	} rows[] = {{32, 2, 5, 5}, {16, 4, 2, 6}, {32, 8, 2, 10}, {32, 16, 2, 10}, {32, 32, 1, 31}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(rows[i].nodes, 2 * rows[i].nodes, 1, rows[i].group);
		for (int k = 0; k < rows[i].nodes; k++) {
			CU_ASSERT_EQUAL(job.plans[k].rounds, rows[i].rounds);
			CU_ASSERT_EQUAL(messages_sent(k), rows[i].messages);
			CU_ASSERT_EQUAL(job.plans[k].message_count, 2 * rows[i].messages);
			CU_ASSERT_EQUAL(job.plans[k].packed, 0);
		}
		end();
	}
}

static void every_failed_allocation_of_a_plan_is_reported(void)
{
	static const int firsts[] = {0, 1, 3, 4};
	struct doubling_plan plan;
	long before = nn_alloc_count(), needed;

	CU_ASSERT_EQUAL(doubling_plan_init(&plan, firsts, 3, 1, 7, 2), NN_OK);
	needed = nn_alloc_count() - before;
	doubling_plan_release(&plan);
	for (long nth = 1; nth <= needed; nth++) {
		nn_alloc_fail_at(nth);
		CU_ASSERT_EQUAL(doubling_plan_init(&plan, firsts, 3, 1, 7, 2), NN_ERR_MEMORY);
		nn_alloc_fail_at(0);
		doubling_plan_release(&plan);
	}
}

void suite_doubling(void)
{
	static const struct test_row rows[] = {
	    TEST(every_node_learns_the_value_of_the_tree),
	    TEST(a_group_exchanges_in_one_round_one_message_for_each_pair),
	    TEST(pairs_take_the_rounds_that_the_number_of_nodes_has_digits_give_or_take_one),
	    TEST(equal_nodes_exchange_within_groups_then_between_them),
	    TEST(every_failed_allocation_of_a_plan_is_reported),
	};

	ADD_SUITE("doubling", rows);
}
