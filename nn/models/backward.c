#include <string.h>

#include "nn/kernels/gemm.h"
#include "nn/layers/pool.h"
#include "nn/models/network_internal.h"

/* Writes the gradient of one parameter over the samples of one shard (local number) to d_param. */
typedef void (*shard_gradient_fn)(float *d_param, struct network *network, const struct node *node, int shard);

static void round_gradient(float *d_param, const struct network *network, size_t count)
{
	if (network->setup.bf16_gradients)
		network->context.kernels->round(d_param, count);
}

/* Sum over the shards [lo, hi) in the tree's order; scratch has room for the right halves. */
static void tree_gradient(float *d_param, struct network *network, const struct node *node, shard_gradient_fn leaf, size_t count,
			  int lo, int hi, float *scratch)
{
	int mid = lo + (hi - lo) / 2;

	if (hi - lo == 1) {
		leaf(d_param, network, node, lo - network->setup.shards.lo);
		round_gradient(d_param, network, count);
		return;
	}
	tree_gradient(d_param, network, node, leaf, count, lo, mid, scratch);
	tree_gradient(scratch, network, node, leaf, count, mid, hi, scratch + count);
	network->context.kernels->fp32.add(d_param, scratch, count);
	round_gradient(d_param, network, count);
}

/* The gradient of node's i-th parameter, in every partial. */
static void param_gradient(struct network *network, const struct node *node, int i, shard_gradient_fn leaf)
{
	const struct param *param = &network->graph->params[node->param + i];

	for (int n = 0; n < network->cover_count; n++)
		tree_gradient(network->partials[n] + param->offset, network, node, leaf, param->count, network->cover[n].lo,
			      network->cover[n].hi, network->tree_scratch);
}

/* Index of a node; leaves get the node only. */
static int index_of(const struct network *network, const struct node *node)
{
	return (int)(node - network->graph->nodes);
}

/* Both gradients of a convolution over one shard. */
static void conv_leaf(float *d_param, struct network *network, const struct node *node, int shard)
{
	size_t first = network->shard_begin[shard], samples = network->shard_begin[shard + 1] - first;
	int i = index_of(network, node);
	int shards = network->setup.shards.hi - network->setup.shards.lo;
	bool last = shard + 1 == shards;
	struct fused fused = fused_begin(network, i);
	struct conv_env env = network->env;

	env.behind = (network->shard_begin[shards] - first - samples) * fused.parts;
	conv_backward(d_param, node->in > 0 ? network->slots[node->in].gradient : NULL, fused_gradient(&fused),
		      fused_input(&fused, false), network->packed, &fused.shape, &env, first * fused.parts, samples * fused.parts,
		      network->slots[i].accumulate_in, fused_backward_sink(&fused, last));
}

static void linear_weight_leaf(float *d_param, struct network *network, const struct node *node, int shard)
{
	size_t first = network->shard_begin[shard], samples = network->shard_begin[shard + 1] - first;
	int in = node->conv.in_c, out = node->c;
	const float *value = slot_value(network, node->in), *gradient = network->slots[index_of(network, node)].gradient;

	memset(d_param, 0, (size_t)in * (size_t)out * sizeof(float));
	if (samples == 0)
		return;
#pragma omp parallel num_threads(network->context.threads)
	gemm_transposed(d_param, value + first * (size_t)in, gradient + first * (size_t)out, in, out, (int)samples, out, in, out);
}

/* Sum over samples and pixels of the gradient that passes the bias. */
static void bias_leaf(float *d_param, struct network *network, const struct node *node, int shard)
{
	const struct slot *slot = &network->slots[index_of(network, node)];
	size_t pixels = (size_t)node->h * (size_t)node->w, channels = (size_t)node->c;
	size_t first = network->shard_begin[shard] * pixels, end = network->shard_begin[shard + 1] * pixels;

	for (size_t c = 0; c < channels; c++) {
		double sum = 0;

		for (size_t p = first; p < end; p++) {
			float d = 0;

			slot->pointwise->sum(&d, stored(slot->pointwise, slot->gradient, p * channels + c), 1);
			sum += (double)d;
		}
		d_param[c] = (float)sum;
	}
}

/* gamma's gradient is the sum of d_out * xhat, beta's the sum of d_out; both wait in sample_rows. */
static void sum_rows(float *d_param, const struct network *network, const struct node *node, int shard, int at)
{
	size_t width = 1 + 2 * (size_t)node->c, parts = network->slots[index_of(network, node)].bn.parts;

	for (int c = 0; c < node->c; c++) {
		double sum = 0;

		for (size_t n = network->shard_begin[shard] * parts; n < network->shard_begin[shard + 1] * parts; n++)
			sum += network->sample_rows[n * width + (size_t)(at + c)];
		d_param[c] = (float)sum;
	}
}

static void gamma_leaf(float *d_param, struct network *network, const struct node *node, int shard)
{
	sum_rows(d_param, network, node, shard, 1 + node->c);
}

static void beta_leaf(float *d_param, struct network *network, const struct node *node, int shard)
{
	sum_rows(d_param, network, node, shard, 1);
}

static void backward_conv(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];

	if (node->in > 0)
		network_prepare(network, i, true);
	network->slots[node->in].bn.parts = (size_t)conv_parts(&node->conv);
	param_gradient(network, node, 0, conv_leaf);
	if (network->slots[i - 1].fusion.before_conv) /* not begun yet by a process without shards */
		network_merge_sums(network, i - 1);
}

static void backward_linear(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	const struct context *context = &network->context;
	struct slot *slot = &network->slots[i];

	param_gradient(network, node, 0, linear_weight_leaf);
	param_gradient(network, node, 1, bias_leaf);
	network->prepared = 0;
	conv_pack(network->packed, node_param(network, node, 0), NULL, &node->conv, &network->linear_env, true);
	conv_backward(NULL, network->slots[node->in].gradient, (struct source){.values = slot->gradient},
		      (struct source){.values = slot_value(network, node->in)}, network->packed, &node->conv, &network->linear_env,
		      0, context->samples, slot->accumulate_in, (struct sink){0});
}

/* Hands a node's gradient on to its residual, unless they share a buffer. */
static void backward_residual(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	const struct slot *slot = &network->slots[i];
	size_t size = network->context.samples * node_size(node);

	if (node->residual > 0 && slot->accumulate_residual)
		slot->pointwise->add(network->slots[node->residual].gradient, slot->gradient, size);
}

void network_merge_sums(struct network *network, int node)
{
	if (network->summed != node)
		batchnorm_gather(&network->slots[node].bn, &network->context, MERGE_SUM);
	network->summed = node;
}

static enum nn_status backward_batchnorm(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	struct slot *slot = &network->slots[i];
	const void *x = slot_value(network, node->in);

	if (slot->fusion.masked_again) {
		slot->bn.parts = (size_t)node->h;
		batchnorm_backward_sums_again(slot->gradient, &slot->bn, network->conv_scratch, x, node_param(network, node, 1),
					      &network->context);
	} else if (!slot->fusion.before_conv) {
		slot->bn.parts = 1;
		batchnorm_backward_sums(slot->gradient, &slot->bn, slot->value, node->relu, x, &network->context);
	}
	network_merge_sums(network, i);
	network->summed = 0;
	param_gradient(network, node, 0, gamma_leaf);
	param_gradient(network, node, 1, beta_leaf);
	backward_residual(network, i);
	if (node[-1].op == OP_CONV && node[-1].in > 0 && !slot[-1].segment)
		network_prepare(network, i - 1, true);
	if (slot->fusion.lazy_gradient)
		return batchnorm_backward_merge(&slot->bn, node_param(network, node, 0), &network->context);
	return batchnorm_backward_data(network->slots[node->in].gradient, &slot->bn, slot->gradient, x,
				       node_param(network, node, 0), slot->accumulate_in, &network->context);
}

static void backward_relu(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	struct slot *slot = &network->slots[i];
	size_t size = network->context.samples * node_size(node);

	if (node->relu)
		slot->pointwise->relu_backward(slot->gradient, slot->gradient, slot->value, false, size);
	if (node->param >= 0)
		param_gradient(network, node, 0, bias_leaf);
	if (slot->accumulate_in)
		slot->pointwise->add(network->slots[node->in].gradient, slot->gradient, size);
}

static void backward_add(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	const struct slot *slot = &network->slots[i];
	size_t size = network->context.samples * node_size(node);
	void *d_in = network->slots[node->in].gradient;

	if (slot->accumulate_in)
		slot->pointwise->add(d_in, slot->gradient, size);
	else if (!slot->alias_in)
		memcpy(d_in, slot->gradient, size * slot->pointwise->bytes);
	backward_residual(network, i);
}

static void backward_pool(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i], *from = &network->graph->nodes[node->in];
	const struct context *context = &network->context;
	struct avgpool shape = {from->h, from->w, from->c, node->h};
	struct slot *slot = &network->slots[i];
	const struct pointwise *pointwise = network->slots[node->in].pointwise;
	void *d_in = network->slots[node->in].gradient;

	if (node->op == OP_SUBSAMPLE) {
		if (!slot->accumulate_in)
			memset(d_in, 0, context->samples * node_size(from) * pointwise->bytes);
		subsample_backward(d_in, slot->gradient, &node->conv, pointwise, context->samples, context->threads);
	} else if (node->op == OP_MAXPOOL) {
		maxpool_backward(d_in, slot->gradient, slot->taps, &node->conv, pointwise, context->samples, context->threads);
	} else {
		avgpool_backward(d_in, slot->gradient, &shape, pointwise, context->samples, context->threads);
	}
}

static enum nn_status backward_node(struct network *network, int i)
{
	switch (network->graph->nodes[i].op) {
	case OP_INPUT:
		break;
	case OP_CONV:
		backward_conv(network, i);
		break;
	case OP_LINEAR:
		backward_linear(network, i);
		break;
	case OP_BATCHNORM:
		return backward_batchnorm(network, i);
	case OP_RELU:
		backward_relu(network, i);
		break;
	case OP_ADD:
		backward_add(network, i);
		break;
	case OP_SUBSAMPLE:
	case OP_MAXPOOL:
	case OP_AVGPOOL:
		backward_pool(network, i);
		break;
	}
	return NN_OK;
}

/* Parameters of a node lie together: [offset of its first, end of its last). */
static enum nn_status announce(const struct network *network, int i, size_t *end, gradient_ready_fn ready, void *context)
{
	const struct node *node = &network->graph->nodes[i];
	size_t begin, count;

	if (node->param < 0)
		return NN_OK;
	begin = network->graph->params[node->param].offset;
	count = *end - begin;
	*end = begin;
	return ready ? ready(context, begin, count) : NN_OK;
}

enum nn_status network_backward(struct network *network, gradient_ready_fn ready, void *context)
{
	enum nn_status status = NN_OK;
	size_t end = network->graph->parameters;

	for (int i = network->graph->node_count - 1; i > 0 && status == NN_OK; i--) {
		if (network->slots[i].segment)
			network_remake(network, network->slots[i].segment, i);
		status = backward_node(network, i);
		if (status == NN_OK)
			status = announce(network, i, &end, ready, context);
	}
	return status;
}
