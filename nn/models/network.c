/* Memory of a network: one allocation of each kind, cut up by the plan. */
#include "nn/models/network.h"

#include "nn/core/alloc.h"
#include "nn/models/network_internal.h"

/* Cuts the blocks into the slots' pieces. */
static void assign_slots(struct network *network, const struct plan_item *items, const int *alias)
{
	const struct graph *graph = network->graph;
	float *small = network->small, *packed = network->packed;
	uint8_t *taps = network->taps;

	network->slots[0].pointwise = &network->setup.kernels->fp32;
	for (int i = 1; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		struct slot *slot = &network->slots[i];

		slot->pointwise =
		    node_is_bf16(graph, &network->setup, i) ? &network->setup.kernels->bf16 : &network->setup.kernels->fp32;
		slot->value = slot->first = network->arena + items[i].offset;
		slot->second = network->arena + items[graph->node_count + i].offset;
		if (network->setup.training)
			slot->gradient = network->arena + items[2 * graph->node_count + gradient_root(alias, i)].offset;
		if (node->op == OP_BATCHNORM) {
			slot->bn = (struct batchnorm){
			    node->c,	    (size_t)node->h * (size_t)node->w, small, small + node->c, small + 2 * node->c, 1,
			    slot->pointwise};
			small += 4 * node->c;
		}
		slot->packed = network->packed;
		if (network_keeps_packed(&network->setup)) {
			slot->packed = packed;
			packed += network_packed_size(graph, &network->setup, i);
		}
		if (node->op == OP_MAXPOOL) {
			slot->taps = taps;
			taps += node_size(node) * network->setup.capacity;
		}
	}
}

static enum nn_status allocate(struct network *network, const struct network_sizes *sizes)
{
	const struct network_setup *setup = &network->setup;
	size_t parameters = network->graph->parameters, partials = network_partials(setup);
	bool own = setup->weights_of == NULL;
	size_t local = (size_t)(setup->shards.hi - setup->shards.lo);
	struct {
		void *slot;
		size_t bytes;
	} const blocks[] = {
	    {&network->arena, sizes->arena * sizeof(float)},
	    {&network->small, sizes->small * sizeof(float)},
	    {&network->taps, sizes->taps},
	    {&network->parameters, own ? parameters * sizeof(float) : 0},
	    {&network->statistics, own ? network->graph->statistics * sizeof(float) : 0},
	    {&network->gradient_block, setup->gradients ? 0 : partials * parameters * sizeof(float)},
	    {&network->packed, sizes->packed * sizeof(float)},
	    {&network->conv_scratch, sizes->conv_scratch * sizeof(float)},
	    {&network->tree_scratch, sizes->tree_scratch * sizeof(float)},
	    {&network->sample_rows, sizes->sample_rows * setup->capacity * sizeof(double)},
	    {&network->shard_rows, sizes->rows * (local + 1) * sizeof(double)},
	    {&network->losses, setup->capacity * sizeof(double)},
	    {&network->ranks, setup->capacity * sizeof(int)},
	    {&network->shard_begin, (local + 1) * sizeof(size_t)},
	};
	enum nn_status status = NN_OK;

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]) && status == NN_OK; i++)
		if (blocks[i].bytes > 0)
			status = nn_alloc(blocks[i].slot, blocks[i].bytes);
	if (!own) {
		network->parameters = setup->weights_of->parameters;
		network->statistics = setup->weights_of->statistics;
	}
	for (size_t i = 0; status == NN_OK && i < partials; i++)
		network->partials[i] = (setup->gradients ? setup->gradients : network->gradient_block) + i * parameters;
	return status;
}

enum nn_status network_create(struct network **out, const struct graph *graph, const struct network_setup *setup)
{
	struct network_plan plan = {.items = NULL};
	struct network *network;
	enum nn_status status = nn_alloc(&network, sizeof(*network));

	*out = NULL;
	if (status != NN_OK)
		return status;
	network->graph = graph;
	network->setup = *setup;
	network->cover_count = shards_cover(network->cover, &setup->shards);
	status = network_plan_init(&plan, graph, setup);
	if (status == NN_OK)
		status = allocate(network, &plan.sizes);
	if (status == NN_OK) {
		network->slots = plan.slots;
		plan.slots = NULL;
		assign_slots(network, plan.items, plan.alias);
		network->context = (struct context){.kernels = setup->kernels,
						    .threads = setup->threads,
						    .shards = setup->shards,
						    .shard_begin = network->shard_begin,
						    .exchange = setup->exchange,
						    .exchange_begin = setup->exchange_begin,
						    .exchange_context = setup->exchange_context,
						    .sample_rows = network->sample_rows,
						    .shard_rows = network->shard_rows};
		network->env = network_env(setup, setup->bf16);
		network->linear_env = network_env(setup, false);
		network->env.scratch = network->linear_env.scratch = network->conv_scratch;
		*out = network;
	} else {
		network_destroy(network);
	}
	network_plan_release(&plan);
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
	if (!network->setup.weights_of) {
		nn_free(network->parameters);
		nn_free(network->statistics);
	}
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

bool network_bf16(const struct network *network)
{
	return network->setup.bf16;
}

bool network_winograd(const struct network *network)
{
	return network->setup.winograd;
}

const struct graph *network_graph(const struct network *network)
{
	return network->graph;
}

/* What was rearranged may soon be another thing. */
static void forget_packed(struct network *network)
{
	network->packed_kept = false;
	if (network->setup.weights_of)
		network->setup.weights_of->packed_kept = false;
}

float *network_parameters(struct network *network)
{
	forget_packed(network);
	return network->parameters;
}

float *network_statistics(struct network *network)
{
	forget_packed(network);
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

void network_set_momentum(struct network *network, double momentum)
{
	network->context.momentum = momentum;
}

void network_leave_out(struct network *network, size_t position)
{
	for (int i = 1; i <= network->setup.shards.hi - network->setup.shards.lo; i++)
		network->shard_begin[i] -= network->shard_begin[i] > position;
	network->context.samples--;
}

void network_set_global_samples(struct network *network, size_t global_samples)
{
	network->global_samples = global_samples;
}

void network_begin_samples(struct network *network, size_t samples)
{
	network->context.samples = samples;
}
