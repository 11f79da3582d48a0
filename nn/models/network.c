/* Memory of a network: lifetimes of activations and gradients, sizes, one allocation each. */
#include "nn/models/network.h"

#include <string.h>

#include "nn/core/alloc.h"
#include "nn/models/network_internal.h"
#include "nn/models/plan.h"

/* Sizes of everything, in elements. */
struct sizes {
	size_t arena, small, taps, packed, conv_scratch, tree_scratch, rows;
};

/* Time runs forward through the nodes (node i at time i), then the loss at time n, then backward (node i at time 2n - i). */
static int backward_time(const struct graph *graph, int node)
{
	return 2 * graph->node_count - node;
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

/* items[i] is node i's value. Node 0's value is the caller's images. */
static void value_lifetimes(struct plan_item *items, const struct graph *graph, const struct network_setup *setup)
{
	for (int i = 1; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];

		items[i] = (struct plan_item){.size = node_size(node) * setup->capacity, .first = i, .last = i};
		lengthen(&items[node->in], i);
		if (node->residual >= 0)
			lengthen(&items[node->residual], i);
		if (setup->training && keeps_input(node))
			lengthen(&items[node->in], backward_time(graph, i));
		if (setup->training && keeps_output(node))
			lengthen(&items[i], backward_time(graph, i));
	}
	items[0].size = 0;
	lengthen(&items[graph->node_count - 1], graph->node_count);
}

/* Follows aliases to the node whose gradient buffer is really used. */
static int gradient_root(const int *alias, int node)
{
	while (alias[node] != node)
		node = alias[node];
	return node;
}

/* Whether node's input gradient may be written over node's own gradient: elementwise operations that nothing else reads after.
 * An addition hands its gradient on to its branch as well as to its residual; the branch's last layer is a convolution, which only
 * reads it, and runs before anything adds to the residual's gradient because a block's shortcut is placed before its last layer. */
static bool in_place(const struct graph *graph, const struct node *node)
{
	if (node->op == OP_ADD)
		return graph->nodes[node->in].op == OP_CONV;
	return node->op == OP_RELU || (node->op == OP_BATCHNORM && node->residual < 0);
}

/* Gives the gradient of `to`, written at node's backward time, a buffer: node's own when `alias`, else one of its own. */
static void give_gradient(struct plan_item *items, int *alias, const struct graph *graph, int node, int to, bool take_over,
			  size_t capacity)
{
	int time = backward_time(graph, node);

	if (take_over)
		alias[to] = node;
	else
		items[to] = (struct plan_item){.size = node_size(&graph->nodes[to]) * capacity, .first = time, .last = time};
	lengthen(&items[gradient_root(alias, to)], backward_time(graph, to));
}

/* items[i] is the gradient of node i's value, where alias[i] == i. Walks backward as network_backward does, and notes in slots
 * who writes first, who adds, and who hands its buffer on. */
static enum nn_status gradient_lifetimes(struct slot *slots, struct plan_item *items, int *alias, const struct graph *graph,
					 size_t capacity)
{
	int last = graph->node_count - 1;
	bool *written;

	if (nn_alloc(&written, (size_t)graph->node_count * sizeof(bool)) != NN_OK)
		return NN_ERR_MEMORY;
	for (int i = 0; i <= last; i++)
		alias[i] = i;
	items[last] = (struct plan_item){
	    .size = node_size(&graph->nodes[last]) * capacity, .first = graph->node_count, .last = backward_time(graph, last)};
	written[0] = true; /* nobody wants the gradient of the images */
	for (int i = last; i > 0; i--) {
		const struct node *node = &graph->nodes[i];
		struct slot *slot = &slots[i];

		if (node->residual >= 0) {
			slot->accumulate_residual = written[node->residual];
			slot->alias_residual = !written[node->residual];
			if (slot->alias_residual)
				give_gradient(items, alias, graph, i, node->residual, true, capacity);
			written[node->residual] = true;
		}
		slot->accumulate_in = written[node->in];
		slot->alias_in = !written[node->in] && in_place(graph, node);
		if (!written[node->in])
			give_gradient(items, alias, graph, i, node->in, slot->alias_in, capacity);
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

static size_t padded_rows(const struct node *node)
{
	return 1 + 2 * (size_t)node->c;
}

/* Everything but the arena. */
static void scratch_sizes(struct sizes *sizes, const struct graph *graph, const struct network_setup *setup)
{
	size_t depth = 0;

	if (setup->shards.hi > setup->shards.lo)
		depth = (size_t)shards_depth(setup->shards.lo, setup->shards.hi);
	larger(&sizes->rows, 3);
	for (int i = 1; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];

		if (node->op == OP_CONV || node->op == OP_LINEAR) {
			larger(&sizes->packed, conv_packed_size(&node->conv, setup->kernels, false));
			larger(&sizes->conv_scratch, conv_scratch_size(&node->conv, setup->threads));
			if (setup->training)
				larger(&sizes->packed, conv_packed_size(&node->conv, setup->kernels, true));
		}
		if (node->op == OP_BATCHNORM) {
			sizes->small += 4 * (size_t)node->c;
			larger(&sizes->rows, padded_rows(node));
		}
		if (node->op == OP_MAXPOOL)
			sizes->taps += node_size(node) * setup->capacity;
	}
	for (int i = 0; setup->training && i < graph->param_count; i++)
		larger(&sizes->tree_scratch, depth * graph->params[i].count);
}

/* Places values and gradients. items: 2 * node_count, values first. */
static enum nn_status place_arena(struct plan_item *items, int *alias, struct slot *slots, struct sizes *sizes,
				  const struct graph *graph, const struct network_setup *setup)
{
	int n = graph->node_count;

	value_lifetimes(items, graph, setup);
	if (setup->training && gradient_lifetimes(slots, items + n, alias, graph, setup->capacity) != NN_OK)
		return NN_ERR_MEMORY;
	return plan_place(items, 2 * n, &sizes->arena);
}

static int local_shards(const struct network_setup *setup)
{
	return setup->shards.hi - setup->shards.lo;
}

static size_t gradient_partials(const struct network_setup *setup)
{
	struct shard_node cover[SHARD_COVER_MAX];
	int count = shards_cover(cover, &setup->shards);

	return !setup->training ? 0 : count ? (size_t)count : 1;
}

static size_t total_bytes(const struct sizes *sizes, const struct graph *graph, const struct network_setup *setup)
{
	size_t floats = sizes->arena + sizes->small + sizes->packed + sizes->conv_scratch + sizes->tree_scratch +
			graph->statistics + graph->parameters * (1 + gradient_partials(setup));
	size_t rows = sizes->rows * (setup->capacity + (size_t)local_shards(setup) + 1);

	return floats * sizeof(float) + rows * sizeof(double) + sizes->taps;
}

/* Allocates items and alias for place_arena. */
static enum nn_status plan_tables(struct plan_item **items, int **alias, const struct graph *graph)
{
	enum nn_status status = nn_alloc(items, 2 * (size_t)graph->node_count * sizeof(**items));

	*alias = NULL;
	return status == NN_OK ? nn_alloc(alias, (size_t)graph->node_count * sizeof(**alias)) : status;
}

enum nn_status network_plan_bytes(size_t *bytes, const struct graph *graph, const struct network_setup *setup)
{
	struct sizes sizes = {0};
	struct plan_item *items = NULL;
	struct slot *slots = NULL;
	int *alias = NULL;
	enum nn_status status = plan_tables(&items, &alias, graph);

	if (status == NN_OK)
		status = nn_alloc(&slots, (size_t)graph->node_count * sizeof(*slots));
	if (status == NN_OK)
		status = place_arena(items, alias, slots, &sizes, graph, setup);
	scratch_sizes(&sizes, graph, setup);
	*bytes = total_bytes(&sizes, graph, setup);
	nn_free(items);
	nn_free(alias);
	nn_free(slots);
	return status;
}

/* Cuts the blocks into the slots' pieces. */
static void assign_slots(struct network *network, const struct plan_item *items, const int *alias)
{
	const struct graph *graph = network->graph;
	float *small = network->small;
	uint8_t *taps = network->taps;

	for (int i = 1; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		struct slot *slot = &network->slots[i];

		slot->value = network->arena + items[i].offset;
		if (network->setup.training)
			slot->gradient = network->arena + items[graph->node_count + gradient_root(alias, i)].offset;
		if (node->op == OP_BATCHNORM) {
			slot->bn = (struct batchnorm){node->c, (size_t)node->h * (size_t)node->w, small, small + node->c,
						      small + 2 * node->c};
			small += 4 * node->c;
		}
		if (node->op == OP_MAXPOOL) {
			slot->taps = taps;
			taps += node_size(node) * network->setup.capacity;
		}
	}
}

static enum nn_status allocate(struct network *network, const struct sizes *sizes)
{
	const struct network_setup *setup = &network->setup;
	size_t parameters = network->graph->parameters, partials = gradient_partials(setup);
	size_t local = (size_t)local_shards(setup);
	struct {
		void *slot;
		size_t bytes;
	} const blocks[] = {
	    {&network->arena, sizes->arena * sizeof(float)},
	    {&network->small, sizes->small * sizeof(float)},
	    {&network->taps, sizes->taps},
	    {&network->parameters, parameters * sizeof(float)},
	    {&network->statistics, network->graph->statistics * sizeof(float)},
	    {&network->gradient_block, partials * parameters * sizeof(float)},
	    {&network->packed, sizes->packed * sizeof(float)},
	    {&network->conv_scratch, sizes->conv_scratch * sizeof(float)},
	    {&network->tree_scratch, sizes->tree_scratch * sizeof(float)},
	    {&network->sample_rows, sizes->rows * setup->capacity * sizeof(double)},
	    {&network->shard_rows, sizes->rows * (local + 1) * sizeof(double)},
	    {&network->losses, setup->capacity * sizeof(double)},
	    {&network->ranks, setup->capacity * sizeof(int)},
	    {&network->shard_begin, (local + 1) * sizeof(size_t)},
	};
	enum nn_status status = NN_OK;

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]) && status == NN_OK; i++)
		status = nn_alloc(blocks[i].slot, blocks[i].bytes);
	for (size_t i = 0; status == NN_OK && i < partials; i++)
		network->partials[i] = network->gradient_block + i * parameters;
	return status;
}

enum nn_status network_create(struct network **out, const struct graph *graph, const struct network_setup *setup)
{
	struct sizes sizes = {0};
	struct plan_item *items = NULL;
	int *alias = NULL;
	struct network *network;
	enum nn_status status = nn_alloc(&network, sizeof(*network));

	*out = NULL;
	if (status != NN_OK)
		return status;
	network->graph = graph;
	network->setup = *setup;
	network->cover_count = shards_cover(network->cover, &setup->shards);
	status = nn_alloc(&network->slots, (size_t)graph->node_count * sizeof(*network->slots));
	if (status == NN_OK)
		status = plan_tables(&items, &alias, graph);
	if (status == NN_OK)
		status = place_arena(items, alias, network->slots, &sizes, graph, setup);
	scratch_sizes(&sizes, graph, setup);
	if (status == NN_OK)
		status = allocate(network, &sizes);
	if (status == NN_OK) {
		assign_slots(network, items, alias);
		network->context = (struct context){.kernels = setup->kernels,
						    .threads = setup->threads,
						    .shards = setup->shards,
						    .shard_begin = network->shard_begin,
						    .exchange = setup->exchange,
						    .exchange_context = setup->exchange_context,
						    .sample_rows = network->sample_rows,
						    .shard_rows = network->shard_rows};
		*out = network;
	} else {
		network_destroy(network);
	}
	nn_free(items);
	nn_free(alias);
	return status;
}

void network_destroy(struct network *network)
{
	if (!network)
		return;
	nn_free(network->slots);
	nn_free(network->arena);
	nn_free(network->small);
	nn_free(network->taps);
	nn_free(network->parameters);
	nn_free(network->statistics);
	nn_free(network->gradient_block);
	nn_free(network->packed);
	nn_free(network->conv_scratch);
	nn_free(network->tree_scratch);
	nn_free(network->sample_rows);
	nn_free(network->shard_rows);
	nn_free(network->losses);
	nn_free(network->ranks);
	nn_free(network->shard_begin);
	nn_free(network);
}

const struct graph *network_graph(const struct network *network)
{
	return network->graph;
}

float *network_parameters(struct network *network)
{
	return network->parameters;
}

float *network_statistics(struct network *network)
{
	return network->statistics;
}

float *const *network_gradients(struct network *network, int *count)
{
	*count = network->cover_count;
	return network->partials;
}

void network_begin_batch(struct network *network, size_t global_samples, size_t *first, size_t *samples)
{
	const struct shards *shards = &network->setup.shards;

	*first = shard_begin(shards->lo, shards->count, global_samples);
	for (int v = shards->lo; v <= shards->hi; v++)
		network->shard_begin[v - shards->lo] = shard_begin(v, shards->count, global_samples) - *first;
	*samples = network->shard_begin[shards->hi - shards->lo];
	network->global_samples = global_samples;
	network->context.samples = *samples;
}

void network_begin_samples(struct network *network, size_t samples)
{
	network->context.samples = samples;
}
