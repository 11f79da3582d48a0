#include "comm/stages.h"

#include <assert.h>

#include "nn/core/alloc.h"

/* Tree nodes that a range of shards overlaps in part: two on each level at most. */
enum { STAGES_MAX = 2 * SHARD_DEPTH_MAX };

struct climb {
	struct stages *stages;
	const struct covers *covers;
	int mine;
};

static struct stage_side take_side(struct stages *stages)
{
	return (struct stage_side){.holders = stages->order + stages->used, .place = -1, .row = -1};
}

static void append(struct climb *climb, struct stage_side *side, int holder)
{
	if (holder == climb->mine)
		side->place = side->count;
	climb->stages->order[climb->stages->used++] = holder;
	side->count++;
}

static int find(const struct stage_side *side, int holder)
{
	for (int i = 0; i < side->count; i++)
		if (side->holders[i] == holder)
			return i;
	return -1;
}

/* The first of this node's rows inside [lo, hi); one of its sums is kept there. */
static int row_in(const struct climb *climb, int lo, int hi)
{
	const struct covers *covers = climb->covers;
	int first = covers->first[climb->mine];

	for (int i = first; i < covers->first[climb->mine + 1]; i++)
		if (covers->nodes[i].lo >= lo && covers->nodes[i].hi <= hi)
			return i - first;
	return -1;
}

/* The holder of all of [lo, hi), when that is one of its rows; -1: there are several. */
static int sole_holder(const struct covers *covers, int lo, int hi)
{
	for (int k = 0; k < covers->holders; k++)
		for (int i = covers->first[k]; i < covers->first[k + 1]; i++)
			if (covers->nodes[i].lo <= lo && covers->nodes[i].hi >= hi)
				return k;
	return -1;
}

static struct stage_side join(struct climb *climb, struct stage *stage, const struct stage_side *left,
			      const struct stage_side *right)
{
	struct stage_side side = take_side(climb->stages);

	stage->straddler = -1;
	for (int i = 0; i < left->count || i < right->count; i++) {
		if (i < left->count && find(&side, left->holders[i]) < 0)
			append(climb, &side, left->holders[i]);
		if (i < right->count && find(&side, right->holders[i]) < 0)
			append(climb, &side, right->holders[i]);
	}
	for (int i = 0; i < left->count; i++) {
		int place = find(right, left->holders[i]);

		if (place >= 0) {
			stage->straddler = left->holders[i];
			stage->straddler_place[0] = i;
			stage->straddler_place[1] = place;
		}
	}
	return side;
}

static struct stage_side climb_to(struct climb *climb, int lo, int hi)
{
	struct stages *stages = climb->stages;
	int mid = lo + (hi - lo) / 2, sole = sole_holder(climb->covers, lo, hi);
	struct stage_side side;
	struct stage stage;

	if (sole >= 0) {
		side = take_side(stages);
		append(climb, &side, sole);
	} else {
		stage.child[0] = climb_to(climb, lo, mid);
		stage.child[1] = climb_to(climb, mid, hi);
		side = join(climb, &stage, &stage.child[0], &stage.child[1]);
	}
	if (side.place >= 0)
		side.row = row_in(climb, lo, hi);
	if (side.place >= 0 && sole < 0) {
		assert(stages->count < STAGES_MAX);
		stage.parent = side;
		stages->stage[stages->count++] = stage;
	}
	return side;
}

enum nn_status stages_init(struct stages *stages, const struct covers *covers, int mine, int shard_count)
{
	struct climb climb = {stages, covers, mine};
	size_t levels = (size_t)shards_depth(0, shard_count) + 1;
	/* On a level, a holder is in two tree nodes of several holders at most, whose children count one more where one straddles.
	 */
	enum nn_status status = nn_alloc(&stages->order, sizeof(*stages->order) * 3 * ((size_t)covers->holders + 1) * levels);

	if (status == NN_OK)
		status = nn_alloc(&stages->stage, sizeof(*stages->stage) * STAGES_MAX);
	if (status == NN_OK)
		stages->root = climb_to(&climb, 0, shard_count);
	return status;
}

void stages_release(struct stages *stages)
{
	nn_free(stages->order);
	nn_free(stages->stage);
}
