/* Which values and gradients of a step live when, and which of them share memory: their offsets follow from it (plan.h). */
#include <string.h>
#include "nn/core/alloc.h"
#include "nn/models/network_internal.h"

bool node_is_bf16(const struct graph *graph, const struct network_setup *setup, int node)
{
	return setup->bf16 && node > 0 && (graph->pooled == 0 || node < graph->pooled);
}

/* Floats of memory for node i's values of a whole batch. */
static size_t value_floats(const struct graph *graph, const struct network_setup *setup, int node)
{
	size_t values = node_size(&graph->nodes[node]) * setup->capacity;

	return node_is_bf16(graph, setup, node) ? (values + 1) / 2 : values;
}

size_t network_value_bytes(const struct graph *graph, const struct network_setup *setup, int node)
{
	return value_floats(graph, setup, node) * sizeof(float);
}

bool backward_reads_input(const struct node *node)
{
	return node->op == OP_CONV || node->op == OP_LINEAR || node->op == OP_BATCHNORM;
}

bool backward_reads_output(const struct node *node, const struct slot *slot)
{
	return node->relu && (node->op == OP_RELU || node->op == OP_BATCHNORM) && !slot->fusion.masked_again &&
	       !slot->fusion.forward_only;
}

static void lengthen(struct plan_item *item, int time)
{
	if (item->last < time)
		item->last = time;
}

int value_root(const struct slot *slots, const struct graph *graph, int node, bool training)
{
	while (slots[node].fusion.unstored || (!training && slots[node].fusion.behind_conv))
		node = graph->nodes[node].in;
	return node;
}

/* A forward step reads a node's value. A net that trains can evaluate too, where values lie elsewhere. */
static void lengthen_first(struct network_plan *plan, const struct graph *graph, int node, int time, bool training)
{
	lengthen(&plan->items[value_root(plan->slots, graph, node, false)], time);
	if (training)
		lengthen(&plan->items[value_root(plan->slots, graph, node, true)], time);
}

/* A step after the loss reads it, or makes it from what it reads. */
static void lengthen_second(struct network_plan *plan, const struct graph *graph, int node, int time)
{
	int root = value_root(plan->slots, graph, node, true);

	if (plan->slots[root].fusion.forward_only) {
		if (graph->nodes[root].residual >= 0)
			lengthen_second(plan, graph, graph->nodes[root].residual, time);
		root = value_root(plan->slots, graph, graph->nodes[root].in, true);
	}
	lengthen(&plan->items[plan->again[root] ? graph->node_count + root : root], time);
}

/* The times up to which node i needs other values and its own. */
static void lengthen_values(struct network_plan *plan, const struct graph *graph, int i, bool training)
{
	const struct node *node = &graph->nodes[i];
	const struct slot *slot = &plan->slots[i];
	int now = slot->fusion.before_conv ? i + 1 : i;

	lengthen_first(plan, graph, node->in, now, training);
	if (node->residual >= 0)
		lengthen_first(plan, graph, node->residual, now, training);
	if (!training)
		return;
	if (slot->remade)
		lengthen_second(plan, graph, node->in, plan->again[i]);
	if (slot->remade && node->residual >= 0)
		lengthen_second(plan, graph, node->residual, plan->again[i]);
	if (backward_reads_input(node))
		lengthen_second(plan, graph, node->in, plan->backward[i]);
	if (slot->fusion.lazy_gradient)
		lengthen_second(plan, graph, node->in, plan->backward[node->in]);
	if (backward_reads_output(node, slot))
		lengthen_second(plan, graph, i, plan->backward[i]);
}

/* Node 0's value is the caller's images. */
static void value_lifetimes(struct network_plan *plan, const struct graph *graph, const struct network_setup *setup)
{
	for (int i = 1; i < graph->node_count; i++) {
		bool own = value_root(plan->slots, graph, i, setup->training) == i;
		size_t size = own ? value_floats(graph, setup, i) : 0;
		struct plan_item *first = &plan->items[i], *second = first + graph->node_count;

		*first = (struct plan_item){.size = size, .first = i, .last = i};
		*second =
		    (struct plan_item){.size = plan->slots[i].remade ? size : 0, .first = plan->again[i], .last = plan->again[i]};
		lengthen_values(plan, graph, i, setup->training);
	}
	plan->items[0].size = 0;
	lengthen(&plan->items[graph->node_count - 1], graph->node_count);
}

int gradient_root(const int *alias, int node)
{
	while (alias[node] != node)
		node = alias[node];
	return node;
}

/* Whether node's input gradient may be written over node's own gradient: elementwise operations that nothing else reads after.
 * An addition hands its gradient on to its branch as well as to its residual; the branch's last layer is a convolution, which only
 * reads it, and runs before anything adds to the residual's gradient because a block's shortcut is placed before its last layer.
 * The same goes for a batch norm whose convolution makes the gradient from that of the batch norm when it reads it. */
static bool in_place(const struct graph *graph, const struct node *node, const struct slot *slot)
{
	if (slot->fusion.lazy_gradient)
		return true;
	if (node->op == OP_ADD)
		return graph->nodes[node->in].op == OP_CONV;
	return node->op == OP_RELU || (node->op == OP_BATCHNORM && node->residual < 0);
}

/* Gives the gradient of `to`, written at node's backward time, a buffer: node's own when `take_over`, else one of its own. */
static void give_gradient(struct network_plan *plan, const struct graph *graph, const struct network_setup *setup, int node, int to,
			  bool take_over)
{
	struct plan_item *items = plan->items + 2 * graph->node_count;
	int time = plan->backward[node];

	if (take_over)
		plan->alias[to] = node;
	else
		items[to] = (struct plan_item){.size = value_floats(graph, setup, to), .first = time, .last = time};
	lengthen(&items[gradient_root(plan->alias, to)], plan->backward[to]);
}

/* The gradient of node i's value has an item where alias[i] == i. Walks backward as network_backward does, and notes in slots who
 * writes first, who adds, and who hands its buffer on. */
static enum nn_status gradient_lifetimes(struct network_plan *plan, const struct graph *graph, const struct network_setup *setup)
{
	int last = graph->node_count - 1;
	bool *written;

	if (nn_alloc(&written, (size_t)graph->node_count * sizeof(bool)) != NN_OK)
		return NN_ERR_MEMORY;
	for (int i = 0; i <= last; i++) {
		plan->alias[i] = i;
		plan->items[2 * graph->node_count + i].size = 0;
	}
	plan->items[2 * graph->node_count + last] =
	    (struct plan_item){.size = value_floats(graph, setup, last), .first = graph->node_count, .last = plan->backward[last]};
	written[0] = true; /* nobody wants the gradient of the images */
	for (int i = last; i > 0; i--) {
		const struct node *node = &graph->nodes[i];
		struct slot *slot = &plan->slots[i];

		if (node->residual >= 0) {
			slot->accumulate_residual = written[node->residual];
			slot->alias_residual = !written[node->residual];
			if (slot->alias_residual)
				give_gradient(plan, graph, setup, i, node->residual, true);
			written[node->residual] = true;
		}
		slot->accumulate_in = written[node->in];
		slot->alias_in = !written[node->in] && in_place(graph, node, slot);
		if (!written[node->in])
			give_gradient(plan, graph, setup, i, node->in, slot->alias_in);
		written[node->in] = true;
	}
	nn_free(written);
	return NN_OK;
}

enum nn_status network_lifetimes(struct network_plan *plan, const struct graph *graph, const struct network_setup *setup)
{
	recompute_times(plan, graph);
	value_lifetimes(plan, graph, setup);
	return setup->training ? gradient_lifetimes(plan, graph, setup) : NN_OK;
}
