#include "comm/doubling_plan.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "comm/covers.h"
#include "nn/core/alloc.h"

enum { UNKNOWN = -1 };

/* One value on its way, as this node sees it. Values have numbers: those of the cover, then those received, as they are planned. */
struct transfer {
	int round;
	int node;
	int distance; /* of the other node, forward when it receives: no node is everybody's first */
	bool sends;
	int value;
	int order;
};

/* Holders are the nodes that have shards, by number; behind them come the idle ones. */
struct planner {
	struct doubling_plan *plan;
	int group; /* most nodes that exchange with each other directly */
	int holders;
	int *begins; /* [holders + 1]; holder h has the shards begins[h] .. begins[h + 1] - 1 */
	int *nodes;  /* [nodes]: the node of each holder, then those of idle ones */
	int node_count;
	int mine; /* this node among them */
	int seen; /* nodes of its cover that were met */
	int received;
	int count;
	struct transfer *transfers; /* NULL: they are only counted */
	int *pending;		    /* [slots], a stack of values that this node is about to merge */
	int pending_count;
};

/* A tree node, and the holders of its shards. */
struct part {
	int lo;
	int hi;
	int first;
	int last;
	int level; /* the round in which all of them know its value */
	int value; /* its number, on this node */
};

static bool has_mine(const struct planner *planner, const struct part *part)
{
	return planner->mine >= part->first && planner->mine <= part->last;
}

static void record(struct planner *planner, int round, int peer, bool sends, int value)
{
	int order = planner->count++, nodes = planner->node_count;
	int node = planner->nodes[peer], mine = planner->nodes[planner->mine];
	int distance = (sends ? node - mine + nodes : mine - node + nodes) % nodes;

	if (planner->transfers)
		planner->transfers[order] = (struct transfer){round, node, distance, sends, value, order};
}

/* The holders of `to` that are not holders of `piece` receive its value, the i-th from the i-th. Says whether there are any. */
static bool deliver(struct planner *planner, struct part *piece, const struct part *to)
{
	int senders = piece->last - piece->first + 1, receivers = 0;

	for (int holder = to->first; holder <= to->last; holder++) {
		int sender = piece->first + receivers % senders;

		if (holder >= piece->first && holder <= piece->last)
			continue;
		receivers++;
		if (sender == planner->mine)
			record(planner, piece->level, holder, true, piece->value);
		if (holder != planner->mine)
			continue;
		piece->value = planner->plan->own + planner->received++;
		record(planner, piece->level, sender, false, piece->value);
	}
	return receivers > 0;
}

/* In how many rounds so many holders come to know each other's values: their number is at most group to the power of that. One more
 * is let in, since ranges of shards need not end where tree nodes do. */
static int stage_of(const struct planner *planner, const struct part *part)
{
	int64_t limit = planner->group;
	int holders = part->last - part->first + 1, stage = holders > 1;

	for (; holders > limit + 1; limit *= planner->group)
		stage++;
	return stage;
}

static void halve(struct part halves[2], const struct planner *planner, const struct part *part)
{
	int mid = part->lo + (part->hi - part->lo) / 2, middle = part->first;

	while (planner->begins[middle + 1] < mid)
		middle++;
	halves[0] = (struct part){.lo = part->lo, .hi = mid, .first = part->first, .last = middle};
	halves[1] = (struct part){
	    .lo = mid,
	    .hi = part->hi,
	    .first = planner->begins[middle + 1] > mid ? middle : middle + 1,
	    .last = part->last,
	};
}

static void plan_part(struct planner *planner, struct part *part);

/* Below `node`, the pieces of `whole` are the highest tree nodes of an earlier stage; each is planned, then goes to all holders. */
static void plan_pieces(struct planner *planner, struct part *whole, const struct part *node)
{
	struct part halves[2];

	halve(halves, planner, node);
	for (int i = 0; i < 2; i++) {
		struct part *piece = &halves[i];
		int level;

		if (stage_of(planner, piece) == stage_of(planner, whole)) {
			plan_pieces(planner, whole, piece);
			continue;
		}
		plan_part(planner, piece);
		level = piece->level + deliver(planner, piece, whole);
		whole->level = whole->level > level ? whole->level : level;
		if (planner->transfers && has_mine(planner, whole))
			planner->pending[planner->pending_count++] = piece->value;
	}
}

/* Plans the merges of the pieces, whose values are *next and those behind it. Returns the number of the result. */
static int plan_merges(struct planner *planner, const struct part *whole, const struct part *node, const int **next)
{
	struct part halves[2];
	int values[2];

	halve(halves, planner, node);
	for (int i = 0; i < 2; i++)
		values[i] = stage_of(planner, &halves[i]) == stage_of(planner, whole)
				? plan_merges(planner, whole, &halves[i], next)
				: *(*next)++;
	planner->plan->merges[planner->plan->merge_count++] = (struct doubling_merge){whole->level - 1, values[0], values[1]};
	return values[0];
}

/* Plans the value of a tree node. */
static void plan_part(struct planner *planner, struct part *part)
{
	int before = planner->pending_count;
	const int *values;

	part->level = 0;
	part->value = UNKNOWN;
	if (part->first == part->last) {
		if (has_mine(planner, part))
			part->value = planner->seen++;
		return;
	}
	plan_pieces(planner, part, part);
	if (planner->transfers && has_mine(planner, part)) {
		values = planner->pending + before;
		part->value = plan_merges(planner, part, part, &values);
	}
	planner->pending_count = before;
}

/* Plans everything; planner->transfers says whether it is written down. Returns the number of the last value. */
static int plan_all(struct planner *planner, int shard_count)
{
	struct part all = {.hi = shard_count, .last = planner->holders - 1};
	struct part idle = {.first = planner->holders, .last = planner->node_count - 1};

	planner->seen = planner->received = planner->count = planner->plan->merge_count = 0;
	plan_part(planner, &all);
	planner->plan->own = planner->seen;
	planner->plan->rounds = all.level + deliver(planner, &all, &idle);
	planner->plan->slots = planner->seen + planner->received;
	return all.value;
}

/* The least group that needs no more rounds than the largest one. */
static int group_size(int holders, int most)
{
	int digits = shards_depth(0, holders), most_digits = shards_depth(0, most);
	int rounds = (digits + most_digits - 1) / most_digits;

	return rounds > 0 ? 1 << (digits + rounds - 1) / rounds : 2;
}

static void find_holders(struct planner *planner, const int *firsts, int nodes, int mine, int shard_count)
{
	int idle = nodes;

	planner->node_count = nodes;
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
	return x->distance != y->distance ? x->distance - y->distance : x->order - y->order;
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

static void write_down(struct planner *planner, int *slots, int shard_count)
{
	struct doubling_plan *plan = planner->plan;

	plan->result = plan_all(planner, shard_count);
	qsort(planner->transfers, (size_t)planner->count, sizeof(*planner->transfers), compare);
	number_slots(slots, planner);
	make_messages(plan, planner, slots);
	for (int i = 0; i < plan->merge_count; i++) {
		plan->merges[i].into = slots[plan->merges[i].into];
		plan->merges[i].from = slots[plan->merges[i].from];
	}
	plan->result = slots[plan->result];
}

/* Everything that is received is merged once. */
static enum nn_status allocate(struct planner *planner, int **slots)
{
	struct doubling_plan *plan = planner->plan;
	size_t transfers = (size_t)planner->count, values = (size_t)plan->slots;
	enum nn_status status = nn_alloc(&plan->messages, sizeof(*plan->messages) * transfers);

	if (status == NN_OK)
		status = nn_alloc(&plan->outgoing, sizeof(*plan->outgoing) * transfers);
	if (status == NN_OK)
		status = nn_alloc(&plan->merges, sizeof(*plan->merges) * values);
	if (status == NN_OK)
		status = nn_alloc(slots, sizeof(**slots) * values);
	if (status == NN_OK)
		status = nn_alloc(&planner->pending, sizeof(*planner->pending) * values);
	if (status == NN_OK)
		status = nn_alloc(&planner->transfers, sizeof(*planner->transfers) * transfers);
	return status;
}

enum nn_status doubling_plan_init(struct doubling_plan *plan, const int *firsts, int nodes, int mine, int shard_count, int group)
{
	struct planner planner = {.plan = plan};
	int *slots = NULL;
	enum nn_status status;

	assert(group >= 2 && (group & (group - 1)) == 0);
	*plan = (struct doubling_plan){0};
	status = nn_alloc(&planner.begins, sizeof(*planner.begins) * ((size_t)nodes + 1));
	if (status == NN_OK)
		status = nn_alloc(&planner.nodes, sizeof(*planner.nodes) * (size_t)nodes);
	if (status == NN_OK) {
		find_holders(&planner, firsts, nodes, mine, shard_count);
		planner.group = group_size(planner.holders, group);
		plan_all(&planner, shard_count);
		status = allocate(&planner, &slots);
	}
	if (status == NN_OK)
		write_down(&planner, slots, shard_count);
	nn_free(planner.begins);
	nn_free(planner.nodes);
	nn_free(planner.transfers);
	nn_free(planner.pending);
	nn_free(slots);
	return status;
}

void doubling_plan_release(struct doubling_plan *plan)
{
	nn_free(plan->messages);
	nn_free(plan->outgoing);
	nn_free(plan->merges);
	*plan = (struct doubling_plan){0};
}
