/* A network as a list of nodes in forward order, and the flat view of its parameters and running statistics.
 *
 * Every node makes one value, an activation (batch, h, w, c) in NHWC; a node's index is its value's index. Node 0 is the input,
 * the last node gives the logits (batch, 1, 1, classes). Parameters lie one behind the other, in the order of the nodes that use
 * them, so that the backward pass finishes them from the back to the front in contiguous ranges. */
#ifndef NN_MODELS_GRAPH_H
#define NN_MODELS_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "nn/layers/conv.h"

enum op {
	OP_INPUT,
	OP_CONV,      /* weight */
	OP_BATCHNORM, /* gamma, beta; adds `residual` when there is one; then ReLU when `relu` */
	OP_RELU,      /* adds a bias first when it has a parameter; no ReLU when !relu */
	OP_ADD,	      /* in + residual */
	OP_SUBSAMPLE, /* shortcut A: every stride-th pixel, zeros in the channels that are new */
	OP_MAXPOOL,
	OP_AVGPOOL, /* adaptive: to h x w cells; 1 x 1 is the global average */
	OP_LINEAR,  /* weight, bias; flattens its input */
};

struct node {
	enum op op;
	int in;
	int residual; /* -1: none */
	bool relu;
	int h, w, c;	  /* shape of the value it makes */
	struct conv conv; /* OP_CONV and OP_LINEAR; kernel, stride and pad of OP_MAXPOOL and OP_SUBSAMPLE */
	int param;	  /* its first parameter, -1: none */
	int buffer;	  /* its running mean in graph.buffers, -1: none; the running variance follows */
};

enum param_kind { PARAM_CONV, PARAM_LINEAR, PARAM_BIAS, PARAM_GAMMA, PARAM_BETA, PARAM_MEAN, PARAM_VARIANCE };

/* A parameter or a running statistic. Shape in the file's order: OIHW for weights (a linear layer's file shape is O x (I H W)),
 * memory holds HWIO. */
struct param {
	char name[64]; /* torchvision's */
	enum param_kind kind;
	int shape[4];
	int dims; /* 4 for weights, 1 otherwise */
	size_t offset, count;
	bool zero_init; /* gamma of a block's last batch norm, when asked for */
};

struct graph {
	char arch[32];
	struct node *nodes;
	int node_count, node_room;
	int pooled; /* the first OP_AVGPOOL or OP_LINEAR; 0: none yet */
	struct param *params;
	int param_count, param_room;
	size_t parameters; /* floats in all of params */
	struct param *buffers;
	int buffer_count, buffer_room;
	size_t statistics; /* floats in all of buffers */
	int classes;
	int blocks; /* residual blocks (or their plain counterparts) */
};

/* Starts a graph with its input node. */
enum nn_status graph_init(struct graph *graph, const char *arch, int h, int w, int channels);
void graph_release(struct graph *graph);

/* Each adds a node after the last and returns NN_OK; *node is its index. `name` is the torchvision prefix ("layer1.0.conv1"). */
enum nn_status graph_conv(struct graph *graph, int *node, int in, int out_c, int kernel, int stride, int pad, const char *name);
enum nn_status graph_batchnorm(struct graph *graph, int *node, int in, int residual, bool relu, bool zero_init, const char *name);
enum nn_status graph_bias_relu(struct graph *graph, int *node, int in, const char *bias_name, bool relu);
enum nn_status graph_add(struct graph *graph, int *node, int in, int residual);
enum nn_status graph_subsample(struct graph *graph, int *node, int in, int out_c, int stride);
enum nn_status graph_maxpool(struct graph *graph, int *node, int in, int kernel, int stride, int pad);
enum nn_status graph_avgpool(struct graph *graph, int *node, int in, int cells);
enum nn_status graph_linear(struct graph *graph, int *node, int in, int out_c, const char *name);

/* Floats of one sample of a node's value. */
size_t node_size(const struct node *node);

/* Multiply-adds of one sample's forward pass, in convolutions and linear layers. */
double graph_macs(const struct graph *graph);

/* Channels of the widest batch norm; 1 without any. */
int graph_widest_batchnorm(const struct graph *graph);

/* He et al. 2015 (arXiv 1502.01852), fan-out: convolutions ~ N(0, 2 / (k k out_c)); gamma 1 (0 where zero_init), beta and biases 0;
 * linear weights ~ U(-1/sqrt(in), 1/sqrt(in)), as is their bias (torch's default). Running mean 0, variance 1. Deterministic in
 * seed. */
void graph_init_parameters(float *params, float *buffers, const struct graph *graph, uint64_t seed);

#endif
