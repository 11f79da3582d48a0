/* Nodes climb the tree over shards together, stage by stage (comm/stages.h). The holders of a child have a range of its sum each;
 * in each stage they get, from those of both children, what is missing of their range in the parent. At the root each has 1 / N of
 * the total; on the way back each stage gives its holders their range in the child.
 *
 * About 2 log N messages, and 2 (N - 1) / N of the vector when N is a power of two and the nodes' shares fall on the tree; somewhat
 * more otherwise (Thakur, Rabenseifner, Gropp 2005, section 4.5, with the nearest partners first, as the tree wants it). */
#include "comm/node_reducer.h"

struct span {
	size_t begin, end;
};

/* What the holder at `place` has of a vector of `count` floats. */
static struct span span_of(const struct stage_side *side, int place, size_t count)
{
	return (struct span){shard_begin(place, side->count, count), shard_begin(place + 1, side->count, count)};
}

static struct span overlap(struct span a, struct span b)
{
	size_t begin = a.begin > b.begin ? a.begin : b.begin, end = a.end < b.end ? a.end : b.end;

	return (struct span){begin, end > begin ? end : begin};
}

static void send_span(struct node_reducer *reducer, const float *vector, struct span span, int node)
{
	parcels_send(&reducer->parcels, vector + span.begin, span.end - span.begin, node);
}

static void receive_span(struct node_reducer *reducer, float *vector, struct span span, int node)
{
	parcels_receive(&reducer->parcels, vector + span.begin, span.end - span.begin, node);
}

/* Where a child's sum is, or comes to when this node has none of it: the room for others'. */
static float *child_row(const struct node_reducer *reducer, float *const *sums, const struct stage_side *child)
{
	return child->row >= 0 ? sums[child->row] : reducer->received;
}

/* Both children's sums are there: the parent's goes where this node keeps it. Whether left or right comes first changes no bit. */
static void add_children(struct node_reducer *reducer, float *const *sums, const struct stage *stage, struct span span)
{
	static const struct addition addition = {.into = 0, .from = 1};
	int kept = stage->child[0].row >= 0 ? 0 : 1;
	float *rows[2] = {child_row(reducer, sums, &stage->child[kept]), child_row(reducer, sums, &stage->child[1 - kept])};

	additions_run(&addition, 1, rows, span.begin, span.end - span.begin, reducer->bf16);
}

/* Nodes of the job without shards get the total from those that have some, in turn. */
static void serve_idle(struct node_reducer *reducer, float *total, size_t count)
{
	const struct stage_side *root = &reducer->stages.root;
	int mine = reducer->comm->node_index, idle = 0;

	for (int k = 0; k < reducer->comm->nodes; k++) {
		if (covers_held(&reducer->covers, k) > 0)
			continue;
		if (k == mine)
			parcels_receive(&reducer->parcels, total, count, root->holders[idle % root->count]);
		else if (root->holders[idle % root->count] == mine)
			parcels_send(&reducer->parcels, total, count, k);
		idle++;
	}
	parcels_wait(&reducer->parcels);
}

/* A child's sum: what this node has and others of the parent need, and the other way round. */
static void climb_child(struct node_reducer *reducer, float *const *sums, const struct stage *stage, int c, size_t count)
{
	const struct stage_side *child = &stage->child[c], *parent = &stage->parent;
	int mine = reducer->comm->node_index;
	struct span wanted = span_of(parent, parent->place, count);

	for (int place = 0; place < child->count; place++)
		if (child->holders[place] != mine)
			receive_span(reducer, child_row(reducer, sums, child), overlap(wanted, span_of(child, place, count)),
				     child->holders[place]);
	for (int place = 0; child->place >= 0 && place < parent->count; place++)
		if (parent->holders[place] != mine)
			send_span(reducer, sums[child->row],
				  overlap(span_of(child, child->place, count), span_of(parent, place, count)),
				  parent->holders[place]);
}

/* What a child's holder gets on the way back: its range there, in up to two pieces, for a straddler gets its range in the left
 * child anyway. Returns their number. */
static int descent(struct span pieces[2], const struct stage *stage, int c, int place, size_t count)
{
	struct span whole = span_of(&stage->child[c], place, count), left;

	pieces[0] = whole;
	if (c == 0 || stage->child[1].holders[place] != stage->straddler)
		return 1;
	left = span_of(&stage->child[0], stage->straddler_place[0], count);
	pieces[0] = overlap(whole, (struct span){0, left.begin});
	pieces[1] = overlap(whole, (struct span){left.end, count});
	return 2;
}

/* The total's ranges in the parent become ranges in a child. */
static void descend_child(struct node_reducer *reducer, float *total, const struct stage *stage, int c, size_t count)
{
	const struct stage_side *child = &stage->child[c], *parent = &stage->parent;
	struct span pieces[2], had = span_of(parent, parent->place, count);
	int mine = reducer->comm->node_index;

	for (int place = 0; place < child->count; place++) {
		int number = descent(pieces, stage, c, place, count);

		for (int i = 0; i < number && child->holders[place] != mine; i++)
			send_span(reducer, total, overlap(had, pieces[i]), child->holders[place]);
		for (int from = 0; child->holders[place] == mine && from < parent->count; from++)
			for (int i = 0; i < number && parent->holders[from] != mine; i++)
				receive_span(reducer, total, overlap(pieces[i], span_of(parent, from, count)),
					     parent->holders[from]);
	}
}

void reduce_halving(struct node_reducer *reducer, float *total, float *const *sums, size_t count)
{
	for (int i = 0; i < reducer->stages.count; i++) {
		const struct stage *stage = &reducer->stages.stage[i];

		for (int c = 0; c < 2; c++)
			climb_child(reducer, sums, stage, c, count);
		parcels_wait(&reducer->parcels);
		add_children(reducer, sums, stage, span_of(&stage->parent, stage->parent.place, count));
	}
	for (int i = reducer->stages.count - 1; i >= 0; i--) {
		const struct stage *stage = &reducer->stages.stage[i];

		for (int c = 0; c < 2; c++)
			descend_child(reducer, total, stage, c, count);
		parcels_wait(&reducer->parcels);
	}
	serve_idle(reducer, total, count);
}
