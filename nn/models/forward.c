#include <string.h>

#include "nn/layers/loss.h"
#include "nn/layers/pool.h"
#include "nn/models/network_internal.h"

/* The running statistics of batch norm `i` become its scale and bias. */
static void eval_scale(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];

	batchnorm_fold(&network->slots[i].bn, node_param(network, node, 0), node_param(network, node, 1),
		       network->statistics + network->graph->buffers[node->buffer].offset,
		       network->statistics + network->graph->buffers[node->buffer + 1].offset);
}

void network_prepare(struct network *network, int i, bool backward)
{
	const struct node *node = &network->graph->nodes[i];
	struct conv part = conv_part(&node->conv);
	int wanted = backward ? -i : i;

	if (network->prepared != wanted)
		conv_pack(network->slots[i].packed, node_param(network, node, 0), NULL, &part, &network->env, backward);
	network->prepared = wanted;
}

static void forward_conv(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	struct fused fused = fused_begin(network, i);

	if (network->slots[i + 1].fusion.behind_conv)
		network->slots[i + 1].bn.parts = fused.parts;
	if (network->train) {
		network_prepare(network, i, false);
	} else if (!network->packed_kept) {
		if (network->slots[i + 1].fusion.behind_conv)
			eval_scale(network, i + 1);
		conv_pack(network->slots[i].packed, node_param(network, node, 0),
			  fused_folds(&fused) ? network->slots[i + 1].bn.coefficients : NULL, &fused.shape, &network->env, false);
	}
	conv_forward(network->slots[i].value, fused_input(&fused, true), network->slots[i].packed, &fused.shape, &network->env,
		     network->context.samples * fused.parts, fused_finish(&fused), fused_forward_sink(&fused));
}

static void forward_linear(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	const struct context *context = &network->context;
	struct source in = {.values = slot_value(network, node->in)};
	float *out = network->slots[i].value;

	struct conv_finish finish = {.bias = node_param(network, node, 1)};

	network->prepared = 0;
	if (!network->packed_kept)
		conv_pack(network->slots[i].packed, node_param(network, node, 0), NULL, &node->conv, &network->linear_env, false);
	conv_forward(out, in, network->slots[i].packed, &node->conv, &network->linear_env, context->samples, finish,
		     (struct sink){0});
}

static enum nn_status train_batchnorm(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	struct slot *slot = &network->slots[i];
	const void *x = slot_value(network, node->in);
	float *mean = network->statistics + network->graph->buffers[node->buffer].offset;
	float *variance = network->statistics + network->graph->buffers[node->buffer + 1].offset;

	if (!slot->fusion.behind_conv)
		batchnorm_moments_all(&slot->bn, x, &network->context);
	batchnorm_gather(&slot->bn, &network->context, MERGE_MOMENTS);
	if (node[1].op == OP_CONV)
		network_prepare(network, i + 1, false);
	return batchnorm_merge(mean, variance, &slot->bn, node_param(network, node, 0), &network->context);
}

static void apply_batchnorm(struct network *network, int i, const float *mean)
{
	const struct node *node = &network->graph->nodes[i];
	struct slot *slot = &network->slots[i];
	const void *residual = node->residual >= 0 ? slot_value(network, node->residual) : NULL;

	batchnorm_apply_all(slot->value, &slot->bn, slot_value(network, node->in), residual, node->relu, mean,
			    node_param(network, node, 1), &network->context);
}

/* What the convolutions in front and behind leave to do. */
static enum nn_status forward_batchnorm(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	struct slot *slot = &network->slots[i];
	const float *mean = slot->bn.mean;
	enum nn_status status = NN_OK;

	if (network->train) {
		status = train_batchnorm(network, i);
	} else {
		if (slot->fusion.behind_conv)
			return NN_OK;
		eval_scale(network, i);
		mean = network->statistics + network->graph->buffers[node->buffer].offset;
	}
	if (status == NN_OK && !slot->fusion.before_conv)
		apply_batchnorm(network, i, mean);
	return status;
}

static void forward_relu(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	const float *bias = node->param >= 0 ? node_param(network, node, 0) : NULL;

	network->slots[i].pointwise->bias_relu(network->slots[i].value, slot_value(network, node->in), bias, node->relu,
					       network->context.samples * node_size(node), node->c);
}

static void forward_add(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	size_t size = network->context.samples * node_size(node);
	const struct pointwise *pointwise = network->slots[i].pointwise;
	void *out = network->slots[i].value;

	memcpy(out, slot_value(network, node->in), size * pointwise->bytes);
	pointwise->add(out, slot_value(network, node->residual), size);
}

static void forward_pool(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i], *from = &network->graph->nodes[node->in];
	const struct context *context = &network->context;
	struct avgpool shape = {from->h, from->w, from->c, node->h};
	struct slot *slot = &network->slots[i];
	const struct pointwise *pointwise = network->slots[node->in].pointwise;
	const void *x = slot_value(network, node->in);

	if (node->op == OP_SUBSAMPLE)
		subsample_forward(slot->value, x, &node->conv, pointwise, context->samples, context->threads);
	else if (node->op == OP_MAXPOOL)
		maxpool_forward(slot->value, slot->taps, x, &node->conv, pointwise, context->samples, context->threads);
	else
		avgpool_forward(slot->value, x, &shape, pointwise, context->samples, context->threads);
}

static enum nn_status forward_node(struct network *network, int i)
{
	switch (network->graph->nodes[i].op) {
	case OP_INPUT:
		break;
	case OP_CONV:
		forward_conv(network, i);
		break;
	case OP_LINEAR:
		forward_linear(network, i);
		break;
	case OP_BATCHNORM:
		return forward_batchnorm(network, i);
	case OP_RELU:
		forward_relu(network, i);
		break;
	case OP_ADD:
		forward_add(network, i);
		break;
	case OP_SUBSAMPLE:
	case OP_MAXPOOL:
	case OP_AVGPOOL:
		forward_pool(network, i);
		break;
	}
	return NN_OK;
}

enum nn_status network_forward(const float **logits, struct network *network, const float *images, bool train)
{
	enum nn_status status = NN_OK;

	network->images = images;
	network->train = train;
	network->packed_kept = network->packed_kept && !train;
	network->prepared = 0;
	for (int i = 1; i < network->graph->node_count && status == NN_OK; i++) {
		network->slots[i].value = network->slots[i].first;
		status = forward_node(network, i);
	}
	network->packed_kept = status == NN_OK && !train && network_keeps_packed(&network->setup);
	*logits = network->slots[network->graph->node_count - 1].value;
	return status;
}

/* Statistics of batch norms are not gathered again, and those that the convolution behind made are made here. */
static void remake_node(struct network *network, int i)
{
	const struct node *node = &network->graph->nodes[i];
	struct slot *slot = &network->slots[i];
	struct fused fused;

	slot->value = slot->second;
	if (node->op == OP_CONV) {
		fused = fused_begin(network, i);
		network_prepare(network, i, false);
		conv_forward(slot->value, fused_input(&fused, false), network->packed, &fused.shape, &network->env,
			     network->context.samples * fused.parts, (struct conv_finish){0}, (struct sink){0});
	} else if (node->op == OP_BATCHNORM) {
		apply_batchnorm(network, i, slot->bn.mean);
	} else {
		forward_node(network, i);
	}
}

void network_remake(struct network *network, int begin, int end)
{
	for (int i = begin; i < end; i++)
		if (network->slots[i].remade)
			remake_node(network, i);
}

enum nn_status network_loss(struct batch_result *result, struct network *network, const int32_t *labels, double smoothing)
{
	return network_loss_mixed(result, network, labels, NULL, NULL, smoothing);
}

enum nn_status network_loss_mixed(struct batch_result *result, struct network *network, const int32_t *labels,
				  const int32_t *others, const float *shares, double smoothing)
{
	struct context totals = network->context;
	const struct context *context = &network->context;
	const struct slot *last = &network->slots[network->graph->node_count - 1];
	const double *total;
	enum nn_status status;

	loss_softmax_mixed(network->losses, network->ranks, last->gradient, last->value, labels, others, shares, context->kernels,
			   network->graph->classes, smoothing, 1 / (double)network->global_samples, context->samples);
	for (size_t n = 0; n < context->samples; n++) {
		double *row = context->sample_rows + 3 * n;

		row[0] = 1;
		row[1] = network->losses[n];
		row[2] = network->ranks[n] > 0;
	}
	totals.exchange = network->setup.loss_exchange;
	totals.exchange_begin = NULL;
	totals.exchange_context = network->setup.loss_context;
	context_gather(&totals, 1, 1, MERGE_SUM);
	status = context_total(&total, &totals, 1, MERGE_SUM);
	*result = (struct batch_result){total[0], total[1], total[2]};
	return status;
}
