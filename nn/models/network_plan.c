/* What a network needs in memory: sizes of scratch, and the plan of everything; lifetimes.c has those of values and gradients. */
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/models/network_internal.h"

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
	bool widened = setup->bf16 && !setup->kernels->bf16_products;

	return !setup->training && !setup->weights_of && !widened;
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
static void scratch_sizes(struct network_sizes *sizes, const struct slot *slots, const struct graph *graph,
			  const struct network_setup *setup)
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
			if (setup->training && slots[i].fusion.masked_again) {
				larger(&sizes->sample_rows, (1 + 2 * (size_t)node->c) * (size_t)node->h);
				larger(&sizes->conv_scratch, (size_t)setup->threads * node_size(node) / (size_t)node->h);
			}
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
	enum nn_status status = fusion_mark(plan->slots, graph, setup->training && setup->recompute);

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
		scratch_sizes(&plan->sizes, plan->slots, graph, setup);
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
