/* The double forward pass of a graph, and the fixture of the network's tests. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "nn/core/rng.h"
#include "nn/layers/batchnorm.h"
#include "tests/unit/reference.h"

static size_t value_size(const struct reference *reference, int node)
{
	return reference->samples * node_size(&reference->graph->nodes[node]);
}

void reference_init(struct reference *reference, const struct graph *graph, const float *params, const float *images,
		    size_t samples)
{
	size_t largest = 0;

	*reference = (struct reference){.graph = graph, .params = params, .samples = samples, .moved = -1};
	reference->values = reference_alloc((size_t)graph->node_count * sizeof(double *));
	reference->values[0] = reference_doubles(images, value_size(reference, 0));
	for (int i = 1; i < graph->node_count; i++)
		reference->values[i] = reference_alloc(value_size(reference, i) * sizeof(double));
	for (int i = 0; i < graph->param_count; i++)
		largest = graph->params[i].count > largest ? graph->params[i].count : largest;
	reference->weight = reference_alloc(largest * sizeof(double));
}

void reference_release(struct reference *reference)
{
	for (int i = 0; i < reference->graph->node_count; i++)
		free(reference->values[i]);
	free(reference->values);
	free(reference->weight);
}

static double param_at(const struct reference *reference, int param, size_t i)
{
	double value = (double)reference->params[reference->graph->params[param].offset + i];

	return param == reference->moved ? value + reference->step * reference->direction[i] : value;
}

/* Also linear layers: a 1 x 1 convolution of the flattened input. */
static void run_conv(struct reference *reference, int i)
{
	const struct node *node = &reference->graph->nodes[i];
	size_t classes = (size_t)node->c;
	struct reference_conv conv = {node->conv, reference->samples, reference->values[node->in], reference->weight,
				      reference->values[i]};

	for (size_t k = 0; k < reference->graph->params[node->param].count; k++)
		reference->weight[k] = param_at(reference, node->param, k);
	reference_conv_forward(&conv);
	for (size_t k = 0; node->op == OP_LINEAR && k < reference->samples * classes; k++)
		conv.out[k] += param_at(reference, node->param + 1, k % classes);
}

static void batch_moments(double *mean, double *variance, const double *x, size_t pixels, size_t channels)
{
	*mean = *variance = 0;
	for (size_t p = 0; p < pixels; p++)
		*mean += x[p * channels] / (double)pixels;
	for (size_t p = 0; p < pixels; p++)
		*variance += (x[p * channels] - *mean) * (x[p * channels] - *mean) / (double)pixels;
}

static void run_batchnorm(struct reference *reference, int i)
{
	const struct node *node = &reference->graph->nodes[i];
	const double *residual = node->residual >= 0 ? reference->values[node->residual] : NULL;
	size_t channels = (size_t)node->c, pixels = value_size(reference, i) / channels;

	for (size_t c = 0; c < channels; c++) {
		const double *x = reference->values[node->in] + c;
		double *out = reference->values[i] + c;
		double mean, variance, scale;

		batch_moments(&mean, &variance, x, pixels, channels);
		if (reference->statistics) {
			mean = (double)reference->statistics[reference->graph->buffers[node->buffer].offset + c];
			variance = (double)reference->statistics[reference->graph->buffers[node->buffer + 1].offset + c];
		}
		scale = param_at(reference, node->param, c) / sqrt(variance + BATCHNORM_EPS);
		for (size_t p = 0; p < pixels; p++) {
			double y = (x[p * channels] - mean) * scale + param_at(reference, node->param + 1, c);

			y += residual ? residual[p * channels + c] : 0;
			out[p * channels] = node->relu && y < 0 ? 0 : y;
		}
	}
}

/* OP_RELU and OP_ADD. */
static void run_pointwise(struct reference *reference, int i)
{
	const struct node *node = &reference->graph->nodes[i];

	for (size_t k = 0; k < value_size(reference, i); k++) {
		double y = reference->values[node->in][k];

		if (node->op == OP_ADD)
			y += reference->values[node->residual][k];
		else if (node->param >= 0)
			y += param_at(reference, node->param, k % (size_t)node->c);
		reference->values[i][k] = node->relu && y < 0 ? 0 : y;
	}
}

/* A window of the input, rows h0 .. h1-1 and columns w0 .. w1-1, cut to the image. */
struct area {
	int h0, h1, w0, w1;
};

static struct area area_at(const struct node *node, const struct node *from, int h, int w)
{
	const struct conv *s = &node->conv;

	if (node->op == OP_AVGPOOL)
		return (struct area){h * from->h / node->h, ((h + 1) * from->h + node->h - 1) / node->h, w * from->w / node->w,
				     ((w + 1) * from->w + node->w - 1) / node->w};
	return (struct area){h * s->stride - s->pad, h * s->stride - s->pad + s->kernel, w * s->stride - s->pad,
			     w * s->stride - s->pad + s->kernel};
}

/* One element of OP_MAXPOOL, OP_AVGPOOL or OP_SUBSAMPLE; x is channel c of the sample's input. */
static double pool_area(const double *x, const struct node *node, const struct node *from, struct area area)
{
	double sum = 0, largest = -INFINITY;

	for (int h = area.h0; h < area.h1; h++)
		for (int w = area.w0; w < area.w1; w++)
			if (h >= 0 && w >= 0 && h < from->h && w < from->w) {
				double value = x[((size_t)h * (size_t)from->w + (size_t)w) * (size_t)from->c];

				sum += value;
				largest = fmax(largest, value);
			}
	return node->op == OP_AVGPOOL ? sum / ((area.h1 - area.h0) * (area.w1 - area.w0)) : largest;
}

static void run_pool(struct reference *reference, int i)
{
	const struct node *node = &reference->graph->nodes[i], *from = &reference->graph->nodes[node->in];

	for (size_t k = 0; k < value_size(reference, i); k++) {
		size_t n = k / node_size(node), pixel = k % node_size(node) / (size_t)node->c;
		int c = (int)(k % (size_t)node->c);
		struct area area = area_at(node, from, (int)pixel / node->w, (int)pixel % node->w);

		reference->values[i][k] =
		    c < from->c ? pool_area(reference->values[node->in] + n * node_size(from) + c, node, from, area) : 0;
	}
}

void reference_run(struct reference *reference, int first)
{
	for (int i = first; i < reference->graph->node_count; i++)
		switch (reference->graph->nodes[i].op) {
		case OP_INPUT:
			break;
		case OP_CONV:
		case OP_LINEAR:
			run_conv(reference, i);
			break;
		case OP_BATCHNORM:
			run_batchnorm(reference, i);
			break;
		case OP_RELU:
		case OP_ADD:
			run_pointwise(reference, i);
			break;
		case OP_SUBSAMPLE:
		case OP_MAXPOOL:
		case OP_AVGPOOL:
			run_pool(reference, i);
			break;
		}
}

double reference_mean_loss(const struct reference *reference, const int32_t *labels, double smoothing)
{
	const double *logits = reference->values[reference->graph->node_count - 1];
	int classes = reference->graph->classes;
	double loss = 0;

	for (size_t n = 0; n < reference->samples; n++)
		loss += reference_loss(logits + n * (size_t)classes, labels[n], classes, smoothing) / (double)reference->samples;
	return loss;
}

struct graph fixture_graph(const char *arch, int image_size, int classes, enum shortcut shortcut)
{
	struct graph graph;
	struct model_options options = {.arch = arch, .image_size = image_size, .classes = classes, .shortcut = shortcut};

	if (model_build(&graph, &options) != NN_OK) {
		fprintf(stderr, "cannot build %s for a test: %s\n", arch, nn_error_message());
		exit(2);
	}
	return graph;
}

struct network_setup fixture_setup(const struct kernels *kernels, size_t capacity, int shards)
{
	return (struct network_setup){.kernels = kernels,
				      .threads = 1,
				      .capacity = capacity,
				      .shards = {shards, 0, shards},
				      .winograd = true,
				      .training = true};
}

void fixture_init(struct fixture *fixture, struct graph graph, const struct network_setup *setup, size_t samples)
{
	struct rng rng = rng_stream(3, 0, 0);
	float *params;

	*fixture = (struct fixture){.graph = graph, .samples = samples};
	if (network_create(&fixture->network, &fixture->graph, setup) != NN_OK) {
		fprintf(stderr, "cannot create a network for a test: %s\n", nn_error_message());
		exit(2);
	}
	params = network_parameters(fixture->network);
	graph_init_parameters(params, network_statistics(fixture->network), &fixture->graph, 1);
	for (int i = 0; i < fixture->graph.param_count; i++) {
		const struct param *param = &fixture->graph.params[i];

		for (size_t k = param->offset; param->kind >= PARAM_BIAS && k < param->offset + param->count; k++)
			params[k] = (float)((param->kind == PARAM_GAMMA ? 0.4 : 0) + 0.4 * (rng_uniform(&rng) - 0.5));
	}
	fixture->images = reference_values(samples * node_size(&fixture->graph.nodes[0]), 2);
	fixture->labels = reference_alloc(samples * sizeof(int32_t));
	for (size_t n = 0; n < samples; n++)
		fixture->labels[n] = (int32_t)rng_below(&rng, (uint64_t)fixture->graph.classes);
}

void fixture_release(struct fixture *fixture)
{
	network_destroy(fixture->network);
	graph_release(&fixture->graph);
	free(fixture->images);
	free(fixture->labels);
}

enum nn_status fixture_step(struct batch_result *result, struct fixture *fixture, double smoothing)
{
	size_t first, samples;
	const float *logits;
	enum nn_status status;

	network_begin_batch(fixture->network, fixture->samples, &first, &samples);
	status = network_forward(&logits, fixture->network, fixture->images + first * node_size(&fixture->graph.nodes[0]), true);
	if (status == NN_OK)
		status = network_loss(result, fixture->network, fixture->labels + first, smoothing);
	return status == NN_OK ? network_backward(fixture->network, NULL, NULL) : status;
}
