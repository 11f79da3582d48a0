/* Recomputation: Chen, Xu, Zhang, Guestrin 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv 1604.06174).
 *
 * The net is cut into segments behind nodes whose value is all that later nodes read, the ends of residual blocks. That value is
 * kept; the others of a segment are forgotten as the forward pass goes on, and made again just before the backward pass reaches the
 * segment. They are in the memory plan twice, with two short lives in place of a long one. The last segment lives on. */
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/models/network_internal.h"

/* narrow[i]: behind node i, nodes read nothing of what came before but its value. Returns how many there are. */
static int find_narrow(bool *narrow, int *last_reader, const struct graph *graph)
{
	int reach = 0, count = 0;

	for (int i = 1; i < graph->node_count; i++) {
		last_reader[graph->nodes[i].in] = i;
		if (graph->nodes[i].residual >= 0)
			last_reader[graph->nodes[i].residual] = i;
	}
	for (int i = 1; i < graph->node_count - 1; i++) {
		narrow[i] = reach <= i;
		count += narrow[i];
		reach = last_reader[i] > reach ? last_reader[i] : reach;
	}
	return count;
}

/* Cuts off a segment at the last place before it would exceed `most` floats of a sample, where there is one. */
static void cut(struct slot *slots, const bool *narrow, const struct graph *graph, size_t most)
{
	int begin = 1, place = 0;
	size_t size = 0, behind_place = 0;

	for (int i = 1; i < graph->node_count; i++) {
		size_t own = value_root(slots, graph, i, true) == i ? node_size(&graph->nodes[i]) : 0;

		slots[i].segment = 0;
		size += own;
		behind_place += own;
		if (size > most && place >= begin) {
			slots[place + 1].segment = begin;
			begin = place + 1;
			size = behind_place;
		}
		if (narrow[i]) {
			place = i;
			behind_place = 0;
		}
	}
}

/* Among what is forgotten, the values that the backward pass reads, and those that these are made of. */
static void mark_remade(struct slot *slots, const int *again, const struct graph *graph)
{
	for (int i = 0; i < graph->node_count; i++)
		slots[i].remade = false;
	for (int i = graph->node_count - 1; i > 0; i--) {
		const struct node *node = &graph->nodes[i];
		int in = value_root(slots, graph, node->in, true);

		if (backward_reads_output(node, &slots[i]))
			slots[value_root(slots, graph, i, true)].remade = true;
		slots[i].remade = slots[i].remade && again[i] > 0;
		if (slots[i].remade || backward_reads_input(node) || slots[i].fusion.lazy_gradient)
			slots[in].remade = true;
		if (slots[i].remade && node->residual >= 0)
			slots[value_root(slots, graph, node->residual, true)].remade = true;
	}
}

void recompute_times(struct network_plan *plan, const struct graph *graph)
{
	struct slot *slots = plan->slots;
	int time = graph->node_count + 1;

	memset(plan->again, 0, (size_t)graph->node_count * sizeof(*plan->again));
	for (int i = graph->node_count - 1; i > 0; i--) {
		if (slots[i].segment) {
			for (int k = slots[i].segment; k < i; k++)
				plan->again[k] = time++;
			plan->again[value_root(slots, graph, i - 1, true)] = 0;
		}
		plan->backward[i] = time++;
	}
	mark_remade(slots, plan->again, graph);
}

/* Tries so many segments of about the same size; *peak becomes what they need at most. */
static enum nn_status try_segments(size_t *peak, struct network_plan *plan, const bool *narrow, const struct graph *graph,
				   const struct network_setup *setup, int segments)
{
	size_t size = 0;
	int time;
	enum nn_status status;

	for (int i = 1; i < graph->node_count; i++)
		size += value_root(plan->slots, graph, i, true) == i ? node_size(&graph->nodes[i]) : 0;
	cut(plan->slots, narrow, graph, size / (size_t)segments);
	status = network_lifetimes(plan, graph, setup);
	return status == NN_OK ? plan_peak(peak, &time, plan->items, 3 * graph->node_count) : status;
}

enum nn_status recompute_choose(struct network_plan *plan, const struct graph *graph, const struct network_setup *setup)
{
	size_t nodes = (size_t)graph->node_count, least = SIZE_MAX, peak;
	int *last_reader = NULL, most, best = 1;
	bool *narrow = NULL;
	enum nn_status status = nn_alloc(&last_reader, nodes * sizeof(*last_reader));

	if (status == NN_OK)
		status = nn_alloc(&narrow, nodes * sizeof(*narrow));
	most = status == NN_OK ? find_narrow(narrow, last_reader, graph) + 1 : 0;
	for (int segments = 1; segments <= most && status == NN_OK; segments++) {
		status = try_segments(&peak, plan, narrow, graph, setup, segments);
		if (status == NN_OK && peak < least) {
			least = peak;
			best = segments;
		}
	}
	if (status == NN_OK)
		status = try_segments(&peak, plan, narrow, graph, setup, best);
	nn_free(last_reader);
	nn_free(narrow);
	return status;
}
