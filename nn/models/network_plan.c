/* What a network needs in memory: lifetimes of activations and gradients, who shares a buffer with whom, sizes of scratch. */
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

bool backward_reads_output(const struct node *node)
{
	return node->relu && (node->op == OP_RELU || node->op == OP_BATCHNORM);
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

/* A step after the loss reads it. */
static void lengthen_second(struct network_plan *plan, const struct graph *graph, int node, int time)
{
	int root = value_root(plan->slots, graph, node, true);

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
	if (backward_reads_output(node))
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

static void larger(size_t *size, size_t wanted)
{
	if (*size < wanted)
		*size = wanted;
}

/* Doubles of the rows for one sample of a batch norm next to the convolution. */
static size_t part_rows(const struct conv *conv, int channels)
{
	return (1 + 2 * (size_t)channels) * (size_t)conv_parts(conv);
}

struct conv_env network_env(const struct network_setup *setup, bool bf16)
{
	return (struct conv_env){.kernels = setup->kernels, .threads = setup->threads, .winograd = setup->winograd, .bf16 = bf16};
}

bool network_keeps_packed(const struct network_setup *setup)
{
	return !setup->training && !setup->weights_of;
}

size_t network_packed_size(const struct graph *graph, const struct network_setup *setup, int node)
{
	const struct node *layer = &graph->nodes[node];
	struct conv_env env = network_env(setup, node_is_bf16(graph, setup, node));
	struct conv part;

	if (layer->op != OP_CONV && layer->op != OP_LINEAR)
		return 0;
	part = conv_part(&layer->conv);
	return (conv_packed_size(&part, &env, false) + 15) / 16 * 16;
}

/* Everything but the arena. */
static void scratch_sizes(struct network_sizes *sizes, const struct graph *graph, const struct network_setup *setup)
{
	size_t depth = 0;

	if (setup->shards.hi > setup->shards.lo)
		depth = (size_t)shards_depth(setup->shards.lo, setup->shards.hi);
	larger(&sizes->rows, 3);
	for (int i = 1; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];

		if (node->op == OP_CONV || node->op == OP_LINEAR) {
			struct conv part = conv_part(&node->conv);
			struct conv_env env = network_env(setup, node_is_bf16(graph, setup, i));

			if (env.bf16)
				larger(&sizes->reach, conv_reach(&node->conv));
			if (network_keeps_packed(setup))
				sizes->packed += network_packed_size(graph, setup, i);
			else
				larger(&sizes->packed, network_packed_size(graph, setup, i));
			larger(&sizes->conv_scratch, conv_scratch_size(&part, &env, setup->training));
			if (setup->training)
				larger(&sizes->packed, conv_packed_size(&part, &env, true));
			larger(&sizes->sample_rows, part_rows(&node->conv, node->conv.in_c));
			larger(&sizes->sample_rows, part_rows(&node->conv, node->conv.out_c));
		}
		if (node->op == OP_BATCHNORM) {
			sizes->small += 4 * (size_t)node->c;
			larger(&sizes->rows, 1 + 2 * (size_t)node->c);
		}
		if (node->op == OP_MAXPOOL)
			sizes->taps += node_size(node) * setup->capacity;
	}
	larger(&sizes->sample_rows, sizes->rows);
	for (int i = 0; setup->training && i < graph->param_count; i++)
		larger(&sizes->tree_scratch, depth * graph->params[i].count);
}

/* Places values and gradients. */
static enum nn_status place_arena(struct network_plan *plan, const struct graph *graph, const struct network_setup *setup)
{
	enum nn_status status = fusion_mark(plan->slots, graph);

	if (status == NN_OK && setup->training && setup->recompute)
		status = recompute_choose(plan, graph, setup);
	else if (status == NN_OK)
		status = network_lifetimes(plan, graph, setup);
	return status == NN_OK ? plan_place(plan->items, 3 * graph->node_count, &plan->sizes.arena) : status;
}

static int local_shards(const struct network_setup *setup)
{
	return setup->shards.hi - setup->shards.lo;
}

size_t network_partials(const struct network_setup *setup)
{
	struct shard_node cover[SHARD_COVER_MAX];
	int count = shards_cover(cover, &setup->shards);

	return !setup->training ? 0 : count ? (size_t)count : 1;
}

static enum nn_status find_peak(struct network_memory *memory, const struct network_plan *plan, const struct graph *graph)
{
	int time;
	enum nn_status status = plan_peak(&memory->peak, &time, plan->items, 3 * graph->node_count);

	memory->peak *= sizeof(float);
	memory->peak_node = graph->node_count - 1;
	memory->peak_pass = PASS_BACKWARD; /* at the loss, too */
	for (int i = 1; i < graph->node_count; i++) {
		if (time != i && time != plan->again[i] && time != plan->backward[i])
			continue;
		memory->peak_node = i;
		memory->peak_pass = time == i ? PASS_FORWARD : time == plan->again[i] ? PASS_AGAIN : PASS_BACKWARD;
	}
	return status;
}

static void count_bytes(struct network_memory *memory, const struct network_plan *plan, const struct graph *graph,
			const struct network_setup *setup)
{
	const struct network_sizes *sizes = &plan->sizes;
	size_t rows = sizes->sample_rows * setup->capacity + sizes->rows * ((size_t)local_shards(setup) + 1);
	size_t scratch = sizes->small + sizes->packed + sizes->conv_scratch + sizes->tree_scratch;

	*memory = (struct network_memory){
	    .parameters = (graph->parameters + graph->statistics) * sizeof(float),
	    .gradients = graph->parameters * network_partials(setup) * sizeof(float),
	    .activations = sizes->arena * sizeof(float),
	    .scratch = scratch * sizeof(float) + rows * sizeof(double) + sizes->taps,
	};
}

/* Allocates the tables of a plan. */
static enum nn_status plan_tables(struct network_plan *plan, const struct graph *graph)
{
	size_t nodes = (size_t)graph->node_count;
	enum nn_status status = nn_alloc(&plan->items, 3 * nodes * sizeof(*plan->items));

	if (status == NN_OK)
		status = nn_alloc(&plan->alias, nodes * sizeof(*plan->alias));
	if (status == NN_OK)
		status = nn_alloc(&plan->backward, nodes * sizeof(*plan->backward));
	if (status == NN_OK)
		status = nn_alloc(&plan->again, nodes * sizeof(*plan->again));
	return status == NN_OK ? nn_alloc(&plan->slots, nodes * sizeof(*plan->slots)) : status;
}

enum nn_status network_plan_init(struct network_plan *plan, const struct graph *graph, const struct network_setup *setup)
{
	enum nn_status status;

	memset(plan, 0, sizeof(*plan));
	status = plan_tables(plan, graph);
	if (status == NN_OK)
		status = place_arena(plan, graph, setup);
	if (status == NN_OK) {
		scratch_sizes(&plan->sizes, graph, setup);
		plan->sizes.arena += plan->sizes.reach;
	}
	return status;
}

void network_plan_release(struct network_plan *plan)
{
	nn_free(plan->items);
	nn_free(plan->alias);
	nn_free(plan->backward);
	nn_free(plan->again);
	nn_free(plan->slots);
	memset(plan, 0, sizeof(*plan));
}

enum nn_status network_plan_memory(struct network_memory *memory, const struct graph *graph, const struct network_setup *setup)
{
	struct network_plan plan;
	enum nn_status status = network_plan_init(&plan, graph, setup);

	if (status == NN_OK) {
		count_bytes(memory, &plan, graph, setup);
		status = find_peak(memory, &plan, graph);
	}
	network_plan_release(&plan);
	return status;
}

enum nn_status network_plan_bytes(size_t *bytes, const struct graph *graph, const struct network_setup *setup)
{
	struct network_memory memory;
	struct network_plan plan;
	enum nn_status status = network_plan_init(&plan, graph, setup);

	count_bytes(&memory, &plan, graph, setup);
	network_plan_release(&plan);
	*bytes = memory.parameters + memory.gradients + memory.activations + memory.scratch;
	return status;
}
