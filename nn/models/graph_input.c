#include "nn/models/graph_input.h"

#include <assert.h>
#include <string.h>

#include "nn/core/alloc.h"

/* A copy of an array of `count` elements; nothing for none. */
static enum nn_status copy(void *out, const void *array, int count, size_t element)
{
	enum nn_status status = nn_alloc(out, (size_t)count * element);

	if (status == NN_OK && count)
		memcpy(*(void **)out, array, (size_t)count * element);
	return status;
}

/* The shape of a node's value from that of its input. */
static enum nn_status reshape(struct node *node, const struct node *in)
{
	enum nn_status status;

	switch (node->op) {
	case OP_CONV:
	case OP_MAXPOOL:
	case OP_SUBSAMPLE:
		status = conv_init(&node->conv, in->h, in->w, in->c, node->c, node->conv.kernel, node->conv.stride, node->conv.pad);
		node->h = node->conv.out_h;
		node->w = node->conv.out_w;
		return status;
	case OP_BATCHNORM:
	case OP_RELU:
	case OP_ADD:
		node->h = in->h;
		node->w = in->w;
		return NN_OK;
	case OP_LINEAR:
		assert(node->conv.in_c == in->h * in->w * in->c);
		return NN_OK;
	case OP_INPUT:
	case OP_AVGPOOL:
		break;
	}
	return NN_OK;
}

enum nn_status graph_with_input(struct graph *graph, const struct graph *from, int h, int w)
{
	enum nn_status status;

	*graph = *from;
	graph->node_room = from->node_count;
	graph->param_room = from->param_count;
	graph->buffer_room = from->buffer_count;
	graph->params = NULL;
	graph->buffers = NULL;
	status = copy(&graph->nodes, from->nodes, from->node_count, sizeof(*graph->nodes));
	if (status == NN_OK)
		status = copy(&graph->params, from->params, from->param_count, sizeof(*graph->params));
	if (status == NN_OK)
		status = copy(&graph->buffers, from->buffers, from->buffer_count, sizeof(*graph->buffers));
	if (status != NN_OK)
		return status;
	graph->nodes[0].h = h;
	graph->nodes[0].w = w;
	for (int i = 1; i < graph->node_count && status == NN_OK; i++)
		status = reshape(&graph->nodes[i], &graph->nodes[graph->nodes[i].in]);
	return status;
}
