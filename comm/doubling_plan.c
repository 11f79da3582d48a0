#include "comm/doubling_plan.h"

#include <stdlib.h>

#include "comm/covers.h"
#include "nn/core/alloc.h"

enum { UNKNOWN = -1 };

/* One value on its way, as this node sees it. Values have numbers: those of the cover, then those received, as they are planned. */
struct transfer {
	int round;
	int node;
	bool sends;
	int value;
	int order;
};

/* Holders are the nodes that have shards, by number; behind them come the idle ones. */
struct planner {
	struct doubling_plan *plan;
	int holders;
	int *begins; /* [holders + 1]; holder h has the shards begins[h] .. begins[h + 1] - 1 */
	int *nodes;  /* [nodes]: the node of each holder, then those of idle ones */
	int mine;    /* this node among them */
	int seen;    /* nodes of its cover that were met */
	int received;
	int count;
	struct transfer *transfers; /* NULL: they are only counted */
};

/* A tree node, and the holders of its shards. */
struct part {
	int first;
	int last;
	int level; /* the round in which all of them know its value */
	int value; /* its number, on this node */
};

static void record(struct planner *planner, int round, int peer, bool sends, int value)
{
	int order = planner->count++;

	if (planner->transfers)
		planner->transfers[order] = (struct transfer){round, planner->nodes[peer], sends, value, order};
}

/* The holders of `to` that are not holders of `from` receive its value: the i-th from the i-th, beginning with those who are not
 * holders of both. Says whether there are any. */
static bool deliver(struct planner *planner, struct part *from, struct part *to)
{
	bool rightward = from->first < to->first || from->last < to->last;
	bool shared = rightward ? from->last == to->first : to->last == from->first;
	int senders = from->last - from->first + 1;
	int receivers = to->last - to->first + 1 - shared;
	int first = to->first + (rightward && shared), shift = !rightward && shared;

	for (int i = 0; i < receivers; i++) {
		int sender = from->first + (i + shift) % senders;

		if (sender == planner->mine)
			record(planner, from->level, first + i, true, from->value);
		if (first + i != planner->mine)
			continue;
		from->value = planner->plan->own + planner->received++;
		record(planner, from->level, sender, false, from->value);
	}
	return receivers > 0;
}

/* Plans the value of the tree node [lo, hi), whose holders are known. */
static void plan_node(struct planner *planner, struct part *part, int lo, int hi)
{
	int mid = lo + (hi - lo) / 2, middle = part->first;
	struct part left, right;
	bool rightward, leftward;

	part->level = 0;
	part->value = UNKNOWN;
	if (part->first == part->last) {
		if (part->first == planner->mine)
			part->value = planner->seen++;
		return;
	}
	while (planner->begins[middle + 1] < mid)
		middle++;
	left = (struct part){.first = part->first, .last = middle};
	right = (struct part){.first = planner->begins[middle + 1] > mid ? middle : middle + 1, .last = part->last};
	plan_node(planner, &left, lo, mid);
	plan_node(planner, &right, mid, hi);
	rightward = deliver(planner, &left, &right);
	leftward = deliver(planner, &right, &left);
	part->level = left.level + rightward;
	if (part->level < right.level + leftward)
		part->level = right.level + leftward;
	if (planner->mine < part->first || planner->mine > part->last)
		return;
	part->value = left.value;
	if (planner->transfers)
		planner->plan->merges[planner->plan->merge_count] =
		    (struct doubling_merge){part->level - 1, left.value, right.value};
	planner->plan->merge_count++;
}

/* Plans everything; planner->transfers says whether it is written down. Returns the number of the last value. */
static int plan_all(struct planner *planner, int nodes, int shard_count)
{
	struct part all = {.first = 0, .last = planner->holders - 1};
	struct part idle = {.first = planner->holders, .last = nodes - 1};

	planner->seen = planner->received = planner->count = planner->plan->merge_count = 0;
	plan_node(planner, &all, 0, shard_count);
	planner->plan->own = planner->seen;
	planner->plan->rounds = all.level + deliver(planner, &all, &idle);
	planner->plan->slots = planner->seen + planner->received;
	return all.value;
}

static void find_holders(struct planner *planner, const int *firsts, int nodes, int mine, int shard_count)
{
	int idle = nodes;

	planner->begins[0] = 0;
	for (int k = 0; k < nodes; k++) {
		struct shards range = covers_range(firsts[k], firsts[k + 1], firsts[nodes], shard_count);
		int at = range.lo < range.hi ? planner->holders++ : --idle;

		planner->nodes[at] = k;
		if (k == mine)
			planner->mine = at;
		if (range.lo < range.hi)
			planner->begins[at + 1] = range.hi;
	}
}

/* By message; values in one message in the order in which both ends plan them. */
static int compare(const void *a, const void *b)
{
	const struct transfer *x = a, *y = b;

	if (x->round != y->round)
		return x->round - y->round;
	if (x->sends != y->sends)
		return x->sends - y->sends;
	return x->node != y->node ? x->node - y->node : x->order - y->order;
}

/* Values that come together get slots side by side. */
static void number_slots(int *slots, const struct planner *planner)
{
	int next = planner->plan->own;

	for (int i = 0; i < next; i++)
		slots[i] = i;
	for (int i = 0; i < planner->count; i++)
		if (!planner->transfers[i].sends)
			slots[planner->transfers[i].value] = next++;
}

static void make_messages(struct doubling_plan *plan, const struct planner *planner, const int *slots)
{
	int packed = 0;

	for (int i = 0, end; i < planner->count; i = end) {
		const struct transfer *first = &planner->transfers[i];
		int slot = slots[first->value];

		for (end = i; end < planner->count; end++) {
			const struct transfer *next = &planner->transfers[end];

			if (next->round != first->round || next->sends != first->sends || next->node != first->node)
				break;
			plan->outgoing[end] = slots[next->value];
		}
		packed = i > 0 && first->round != first[-1].round ? 0 : packed;
		packed += first->sends && end - i > 1 ? end - i : 0;
		plan->packed = packed > plan->packed ? packed : plan->packed;
		plan->messages[plan->message_count++] =
		    (struct doubling_message){first->round, first->node, first->sends, first->sends ? i : slot, end - i};
	}
}

static enum nn_status write_down(struct planner *planner, int nodes, int shard_count)
{
	struct doubling_plan *plan = planner->plan;
	size_t transfers = (size_t)planner->count, merges = (size_t)plan->merge_count;
	int *slots = NULL;
	enum nn_status status = nn_alloc(&plan->messages, sizeof(*plan->messages) * transfers);

	if (status == NN_OK)
		status = nn_alloc(&plan->outgoing, sizeof(*plan->outgoing) * transfers);
	if (status == NN_OK)
		status = nn_alloc(&plan->merges, sizeof(*plan->merges) * merges);
	if (status == NN_OK)
		status = nn_alloc(&slots, sizeof(*slots) * (size_t)plan->slots);
	if (status == NN_OK)
		status = nn_alloc(&planner->transfers, sizeof(*planner->transfers) * transfers);
	if (status == NN_OK) {
		plan->result = plan_all(planner, nodes, shard_count);
		qsort(planner->transfers, transfers, sizeof(*planner->transfers), compare);
		number_slots(slots, planner);
		make_messages(plan, planner, slots);
		for (int i = 0; i < plan->merge_count; i++) {
			plan->merges[i].into = slots[plan->merges[i].into];
			plan->merges[i].from = slots[plan->merges[i].from];
		}
		plan->result = slots[plan->result];
	}
	nn_free(planner->transfers);
	nn_free(slots);
	return status;
}

enum nn_status doubling_plan_init(struct doubling_plan *plan, const int *firsts, int nodes, int mine, int shard_count)
{
	struct planner planner = {.plan = plan};
	enum nn_status status;

	*plan = (struct doubling_plan){0};
	status = nn_alloc(&planner.begins, sizeof(*planner.begins) * ((size_t)nodes + 1));
	if (status == NN_OK)
		status = nn_alloc(&planner.nodes, sizeof(*planner.nodes) * (size_t)nodes);
	if (status == NN_OK) {
		find_holders(&planner, firsts, nodes, mine, shard_count);
		plan_all(&planner, nodes, shard_count);
		status = write_down(&planner, nodes, shard_count);
	}
	nn_free(planner.begins);
	nn_free(planner.nodes);
	return status;
}

void doubling_plan_release(struct doubling_plan *plan)
{
	nn_free(plan->messages);
	nn_free(plan->outgoing);
	nn_free(plan->merges);
	*plan = (struct doubling_plan){0};
}
