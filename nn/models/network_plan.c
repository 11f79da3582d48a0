/* What a network needs in memory: lifetimes of activations and gradients, who shares a buffer with whom, sizes of scratch. */
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/models/network_internal.h"

/* Time runs forward through the nodes (node i at time i), then the loss at time n, then backward (node i at time 2n - i). */
static int backward_time(const struct graph *graph, int node)
{
	return 2 * graph->node_count - node;
}

bool node_is_bf16(const struct graph *graph, const struct network_setup *setup, int node)
{
	if (node == 0 || !setup->bf16)
		return false;
	for (int i = 1; i <= node; i++)
		if (graph->nodes[i].op == OP_AVGPOOL || graph->nodes[i].op == OP_LINEAR)
			return false;
	return true;
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

static bool keeps_input(const struct node *node)
{
	return node->op == OP_CONV || node->op == OP_LINEAR || node->op == OP_BATCHNORM;
}

static bool keeps_output(const struct node *node)
{
	return node->relu && (node->op == OP_RELU || node->op == OP_BATCHNORM);
}

static void lengthen(struct plan_item *item, int time)
{
	if (item->last < time)
		item->last = time;
}

/* The node in whose memory a node's value lies, or from whose value it is made again. */
static int value_root(const struct slot *slots, const struct graph *graph, int node, bool training)
{
	while (slots[node].fusion.unstored || (!training && slots[node].fusion.behind_conv))
		node = graph->nodes[node].in;
	return node;
}

/* The times up to which node i needs other values and its own. */
static void lengthen_values(struct plan_item *items, const struct slot *slots, const struct graph *graph, int i, bool training)
{
	const struct node *node = &graph->nodes[i];
	struct plan_item *in = &items[value_root(slots, graph, node->in, training)];
	int now = slots[i].fusion.before_conv ? i + 1 : i;

	lengthen(in, now);
	if (node->residual >= 0)
		lengthen(&items[value_root(slots, graph, node->residual, training)], now);
	if (training && keeps_input(node))
		lengthen(in, backward_time(graph, i));
	if (training && slots[i].fusion.lazy_gradient)
		lengthen(in, backward_time(graph, node->in));
	if (training && keeps_output(node))
		lengthen(&items[value_root(slots, graph, i, training)], backward_time(graph, i));
}

/* items[i] is node i's value. Node 0's value is the caller's images. */
static void value_lifetimes(struct plan_item *items, const struct slot *slots, const struct graph *graph,
			    const struct network_setup *setup)
{
	for (int i = 1; i < graph->node_count; i++) {
		bool own = value_root(slots, graph, i, setup->training) == i;

		items[i] = (struct plan_item){.size = own ? value_floats(graph, setup, i) : 0, .first = i, .last = i};
		lengthen_values(items, slots, graph, i, setup->training);
	}
	items[0].size = 0;
	lengthen(&items[graph->node_count - 1], graph->node_count);
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

/* Gives the gradient of `to`, written at node's backward time, a buffer: node's own when `alias`, else one of its own. */
static void give_gradient(struct plan_item *items, int *alias, const struct graph *graph, const struct network_setup *setup,
			  int node, int to, bool take_over)
{
	int time = backward_time(graph, node);

	if (take_over)
		alias[to] = node;
	else
		items[to] = (struct plan_item){.size = value_floats(graph, setup, to), .first = time, .last = time};
	lengthen(&items[gradient_root(alias, to)], backward_time(graph, to));
}

/* items[i] is the gradient of node i's value, where alias[i] == i. Walks backward as network_backward does, and notes in slots
 * who writes first, who adds, and who hands its buffer on. */
static enum nn_status gradient_lifetimes(struct slot *slots, struct plan_item *items, int *alias, const struct graph *graph,
					 const struct network_setup *setup)
{
	int last = graph->node_count - 1;
	bool *written;

	if (nn_alloc(&written, (size_t)graph->node_count * sizeof(bool)) != NN_OK)
		return NN_ERR_MEMORY;
	for (int i = 0; i <= last; i++)
		alias[i] = i;
	items[last] = (struct plan_item){
	    .size = value_floats(graph, setup, last), .first = graph->node_count, .last = backward_time(graph, last)};
	written[0] = true; /* nobody wants the gradient of the images */
	for (int i = last; i > 0; i--) {
		const struct node *node = &graph->nodes[i];
		struct slot *slot = &slots[i];

		if (node->residual >= 0) {
			slot->accumulate_residual = written[node->residual];
			slot->alias_residual = !written[node->residual];
			if (slot->alias_residual)
				give_gradient(items, alias, graph, setup, i, node->residual, true);
			written[node->residual] = true;
		}
		slot->accumulate_in = written[node->in];
		slot->alias_in = !written[node->in] && in_place(graph, node, slot);
		if (!written[node->in])
			give_gradient(items, alias, graph, setup, i, node->in, slot->alias_in);
		written[node->in] = true;
	}
	nn_free(written);
	return NN_OK;
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
			larger(&sizes->packed, conv_packed_size(&part, &env, false));
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
	int n = graph->node_count;
	enum nn_status status = NN_OK;

	status = fusion_mark(plan->slots, graph);
	value_lifetimes(plan->items, plan->slots, graph, setup);
	if (status == NN_OK && setup->training)
		status = gradient_lifetimes(plan->slots, plan->items + n, plan->alias, graph, setup);
	return status == NN_OK ? plan_place(plan->items, 2 * n, &plan->sizes.arena) : status;
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

/* Floats of the items that are alive at `time`. */
static size_t alive(const struct plan_item *items, int count, int time)
{
	size_t floats = 0;

	for (int i = 0; i < count; i++)
		if (items[i].first <= time && time <= items[i].last)
			floats += items[i].size;
	return floats;
}

static void find_peak(struct network_memory *memory, const struct plan_item *items, const struct graph *graph)
{
	int last = graph->node_count - 1;

	for (int time = 1; time <= backward_time(graph, 1); time++) {
		size_t bytes = alive(items, 2 * graph->node_count, time) * sizeof(float);

		if (bytes <= memory->peak)
			continue;
		memory->peak = bytes;
		memory->peak_backward = time > last;
		memory->peak_node = time <= last ? time : time == graph->node_count ? last : backward_time(graph, time);
	}
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
	enum nn_status status = nn_alloc(&plan->items, 2 * nodes * sizeof(*plan->items));

	if (status == NN_OK)
		status = nn_alloc(&plan->alias, nodes * sizeof(*plan->alias));
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
	nn_free(plan->slots);
	memset(plan, 0, sizeof(*plan));
}

enum nn_status network_plan_memory(struct network_memory *memory, const struct graph *graph, const struct network_setup *setup)
{
	struct network_plan plan;
	enum nn_status status = network_plan_init(&plan, graph, setup);

	if (status == NN_OK) {
		count_bytes(memory, &plan, graph, setup);
		find_peak(memory, plan.items, graph);
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
