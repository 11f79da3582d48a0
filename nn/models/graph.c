#include "nn/models/graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/core/rng.h"

/* Makes room for one more element. */
static enum nn_status grow(void *array, int *room, int count, size_t element)
{
	void **old = array, *larger;
	int wanted = count < 64 ? 64 : 2 * count;

	if (count < *room)
		return NN_OK;
	if (nn_alloc(&larger, (size_t)wanted * element) != NN_OK)
		return NN_ERR_MEMORY;
	if (count)
		memcpy(larger, *old, (size_t)count * element);
	nn_free(*old);
	*old = larger;
	*room = wanted;
	return NN_OK;
}

static enum nn_status add_node(struct graph *graph, int *index, struct node node)
{
	enum nn_status status = grow(&graph->nodes, &graph->node_room, graph->node_count, sizeof(node));

	if (status == NN_OK) {
		*index = graph->node_count;
		if (graph->pooled == 0 && (node.op == OP_AVGPOOL || node.op == OP_LINEAR))
			graph->pooled = graph->node_count;
		graph->nodes[graph->node_count++] = node;
	}
	return status;
}

static size_t shape_count(const int shape[4])
{
	return (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2] * (size_t)shape[3];
}

static enum nn_status add_param(struct graph *graph, const char *name, const char *suffix, enum param_kind kind, const int shape[4],
				bool zero_init)
{
	struct param param = {
	    .kind = kind, .dims = kind <= PARAM_LINEAR ? 4 : 1, .offset = graph->parameters, .zero_init = zero_init};
	enum nn_status status = grow(&graph->params, &graph->param_room, graph->param_count, sizeof(param));

	if (status != NN_OK)
		return status;
	snprintf(param.name, sizeof(param.name), "%s.%s", name, suffix);
	memcpy(param.shape, shape, sizeof(param.shape));
	param.count = shape_count(shape);
	graph->params[graph->param_count++] = param;
	graph->parameters += param.count;
	return NN_OK;
}

static enum nn_status add_buffer(struct graph *graph, const char *name, const char *suffix, enum param_kind kind, int channels)
{
	struct param buffer = {
	    .kind = kind, .dims = 1, .shape = {channels, 1, 1, 1}, .offset = graph->statistics, .count = (size_t)channels};
	enum nn_status status = grow(&graph->buffers, &graph->buffer_room, graph->buffer_count, sizeof(buffer));

	if (status != NN_OK)
		return status;
	snprintf(buffer.name, sizeof(buffer.name), "%s.%s", name, suffix);
	graph->buffers[graph->buffer_count++] = buffer;
	graph->statistics += buffer.count;
	return NN_OK;
}

enum nn_status graph_init(struct graph *graph, const char *arch, int h, int w, int channels)
{
	int input;

	memset(graph, 0, sizeof(*graph));
	snprintf(graph->arch, sizeof(graph->arch), "%s", arch);
	return add_node(
	    graph, &input,
	    (struct node){.op = OP_INPUT, .in = -1, .residual = -1, .h = h, .w = w, .c = channels, .param = -1, .buffer = -1});
}

void graph_release(struct graph *graph)
{
	nn_free(graph->nodes);
	nn_free(graph->params);
	nn_free(graph->buffers);
	memset(graph, 0, sizeof(*graph));
}

enum nn_status graph_conv(struct graph *graph, int *node, int in, int out_c, int kernel, int stride, int pad, const char *name)
{
	const struct node *from = &graph->nodes[in];
	struct node to = {.op = OP_CONV, .in = in, .residual = -1, .c = out_c, .param = graph->param_count, .buffer = -1};
	int shape[4] = {out_c, from->c, kernel, kernel};
	enum nn_status status = conv_init(&to.conv, from->h, from->w, from->c, out_c, kernel, stride, pad);

	to.h = to.conv.out_h;
	to.w = to.conv.out_w;
	if (status == NN_OK)
		status = add_param(graph, name, "weight", PARAM_CONV, shape, false);
	return status == NN_OK ? add_node(graph, node, to) : status;
}

enum nn_status graph_batchnorm(struct graph *graph, int *node, int in, int residual, bool relu, bool zero_init, const char *name)
{
	struct node to = graph->nodes[in];
	int shape[4] = {to.c, 1, 1, 1};
	enum nn_status status;

	to = (struct node){.op = OP_BATCHNORM,
			   .in = in,
			   .residual = residual,
			   .relu = relu,
			   .h = to.h,
			   .w = to.w,
			   .c = to.c,
			   .param = graph->param_count,
			   .buffer = graph->buffer_count};
	status = add_param(graph, name, "weight", PARAM_GAMMA, shape, zero_init);
	if (status == NN_OK)
		status = add_param(graph, name, "bias", PARAM_BETA, shape, false);
	if (status == NN_OK)
		status = add_buffer(graph, name, "running_mean", PARAM_MEAN, to.c);
	if (status == NN_OK)
		status = add_buffer(graph, name, "running_var", PARAM_VARIANCE, to.c);
	return status == NN_OK ? add_node(graph, node, to) : status;
}

/* A node with the shape of its input and no parameters. */
static struct node like(const struct graph *graph, enum op op, int in)
{
	const struct node *from = &graph->nodes[in];

	return (struct node){
	    .op = op, .in = in, .residual = -1, .h = from->h, .w = from->w, .c = from->c, .param = -1, .buffer = -1};
}

enum nn_status graph_bias_relu(struct graph *graph, int *node, int in, const char *bias_name, bool relu)
{
	struct node to = like(graph, OP_RELU, in);
	int shape[4] = {to.c, 1, 1, 1};
	enum nn_status status = NN_OK;

	to.relu = relu;
	if (bias_name) {
		to.param = graph->param_count;
		status = add_param(graph, bias_name, "bias", PARAM_BIAS, shape, false);
	}
	return status == NN_OK ? add_node(graph, node, to) : status;
}

enum nn_status graph_add(struct graph *graph, int *node, int in, int residual)
{
	struct node to = like(graph, OP_ADD, in);

	to.residual = residual;
	return add_node(graph, node, to);
}

enum nn_status graph_subsample(struct graph *graph, int *node, int in, int out_c, int stride)
{
	struct node to = like(graph, OP_SUBSAMPLE, in);

	to.conv = (struct conv){to.h, to.w, to.c, (to.h - 1) / stride + 1, (to.w - 1) / stride + 1, out_c, 1, stride, 0};
	to.h = to.conv.out_h;
	to.w = to.conv.out_w;
	to.c = out_c;
	return add_node(graph, node, to);
}

enum nn_status graph_maxpool(struct graph *graph, int *node, int in, int kernel, int stride, int pad)
{
	struct node to = like(graph, OP_MAXPOOL, in);
	enum nn_status status = conv_init(&to.conv, to.h, to.w, to.c, to.c, kernel, stride, pad);

	to.h = to.conv.out_h;
	to.w = to.conv.out_w;
	return status == NN_OK ? add_node(graph, node, to) : status;
}

enum nn_status graph_avgpool(struct graph *graph, int *node, int in, int cells)
{
	struct node to = like(graph, OP_AVGPOOL, in);

	to.h = cells;
	to.w = cells;
	return add_node(graph, node, to);
}

/* Runs as a 1 x 1 convolution over the flattened input; the weight in memory is (h, w, in_c, out_c) all the same. */
enum nn_status graph_linear(struct graph *graph, int *node, int in, int out_c, const char *name)
{
	const struct node from = graph->nodes[in];
	int shape[4] = {out_c, from.c, from.h, from.w}, bias[4] = {out_c, 1, 1, 1};
	struct node to = {
	    .op = OP_LINEAR, .in = in, .residual = -1, .h = 1, .w = 1, .c = out_c, .param = graph->param_count, .buffer = -1};
	enum nn_status status = conv_init(&to.conv, 1, 1, from.h * from.w * from.c, out_c, 1, 1, 0);

	if (status == NN_OK)
		status = add_param(graph, name, "weight", PARAM_LINEAR, shape, false);
	if (status == NN_OK)
		status = add_param(graph, name, "bias", PARAM_BIAS, bias, false);
	if (status == NN_OK)
		status = add_node(graph, node, to);
	graph->classes = out_c;
	return status;
}

size_t node_size(const struct node *node)
{
	return (size_t)node->h * (size_t)node->w * (size_t)node->c;
}

double graph_macs(const struct graph *graph)
{
	double macs = 0;

	for (int i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];

		if (node->op == OP_CONV || node->op == OP_LINEAR)
			macs += (double)node->conv.kernel * node->conv.kernel * node->conv.in_c * (double)node_size(node);
	}
	return macs;
}

static void init_param(float *values, const struct param *param, struct rng rng, double linear_bound)
{
	double deviation = sqrt(2.0 / ((double)param->shape[0] * param->shape[2] * param->shape[3]));

	for (size_t i = 0; i < param->count; i++)
		switch (param->kind) {
		case PARAM_CONV:
			values[i] = (float)(deviation * rng_normal(&rng));
			break;
		case PARAM_LINEAR:
		case PARAM_BIAS:
			values[i] = (float)(linear_bound * (2 * rng_uniform(&rng) - 1));
			break;
		case PARAM_GAMMA:
			values[i] = param->zero_init ? 0.0f : 1.0f;
			break;
		case PARAM_BETA:
		case PARAM_MEAN:
			values[i] = 0.0f;
			break;
		case PARAM_VARIANCE:
			values[i] = 1.0f;
			break;
		}
}

int graph_widest_batchnorm(const struct graph *graph)
{
	int channels = 1;

	for (int i = 0; i < graph->node_count; i++)
		if (graph->nodes[i].op == OP_BATCHNORM && graph->nodes[i].c > channels)
			channels = graph->nodes[i].c;
	return channels;
}

void graph_init_parameters(float *params, float *buffers, const struct graph *graph, uint64_t seed)
{
	const uint64_t stream = UINT64_C(0x6861697473746172); /* no epoch has this number */
	double bound = 0;

	for (int i = 0; i < graph->param_count; i++) {
		const struct param *param = &graph->params[i];

		if (param->kind == PARAM_LINEAR)
			bound = 1 / sqrt((double)param->count / param->shape[0]);
		if (param->kind == PARAM_CONV)
			bound = 0;
		init_param(params + param->offset, param, rng_stream(seed, stream, (uint64_t)i), bound);
	}
	for (int i = 0; i < graph->buffer_count; i++)
		init_param(buffers + graph->buffers[i].offset, &graph->buffers[i], rng_stream(seed, stream, 0), 0);
}
