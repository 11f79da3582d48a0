/* Pre-activation residual nets for CIFAR: He et al. 2016, "Identity Mappings in Deep Residual Networks", figure 4(e) and appendix.
 * Batch norm and ReLU come before each convolution; the sum of a block passes on untouched. Where a stage begins, the first
 * batch norm and ReLU serve the shortcut too, as in the authors' code. */
#include <stdio.h>

#include "nn/models/internal.h"

struct pre_conv {
	int kernel, stride, out_c;
};

static enum nn_status add_bn_relu(struct graph *graph, int *x, const char *block, int i)
{
	char name[48];

	snprintf(name, sizeof(name), "%s.bn%d", block, i + 1);
	return graph_batchnorm(graph, x, *x, -1, true, false, name);
}

/* The path around the block. `in` is the block's input, `active` the same after batch norm and ReLU. */
static enum nn_status add_shortcut(struct graph *graph, int *node, int in, int active, int out_c, int stride, enum shortcut kind,
				   const char *block)
{
	bool same = graph->nodes[in].c == out_c && stride == 1;
	char name[48];

	if (kind != SHORTCUT_C && same) {
		*node = in;
		return NN_OK;
	}
	if (kind == SHORTCUT_A)
		return build_identity(graph, node, active, out_c, stride);
	snprintf(name, sizeof(name), "%s.downsample.0", block);
	return graph_conv(graph, node, active, out_c, 1, stride, 0, name);
}

static enum nn_status add_block(struct graph *graph, int *x, const struct pre_conv *convs, int count, enum shortcut kind,
				const char *block)
{
	int in = *x, y = *x, shortcut = -1;
	enum nn_status status = NN_OK;

	for (int i = 0; i < count && status == NN_OK; i++) {
		char name[48];

		status = add_bn_relu(graph, &y, block, i);
		if (status == NN_OK && i == 0)
			status = add_shortcut(graph, &shortcut, in, y, convs[count - 1].out_c, convs[0].stride * convs[1].stride,
					      kind, block);
		snprintf(name, sizeof(name), "%s.conv%d", block, i + 1);
		if (status == NN_OK)
			status =
			    graph_conv(graph, &y, y, convs[i].out_c, convs[i].kernel, convs[i].stride, convs[i].kernel / 2, name);
	}
	graph->blocks++;
	return status == NN_OK ? graph_add(graph, x, y, shortcut) : status;
}

enum nn_status build_preactivation(struct graph *graph, const struct architecture *arch, const struct model_options *options)
{
	enum shortcut kind = options->shortcut == SHORTCUT_DEFAULT ? SHORTCUT_A : options->shortcut;
	bool early = options->stride_in == STRIDE_IN_1X1;
	int x;
	enum nn_status status = graph_conv(graph, &x, 0, 16, 3, 1, 1, "conv1");

	for (int stage = 0; stage < 3; stage++)
		for (int i = 0; i < arch->blocks[stage] && status == NN_OK; i++) {
			int width = 16 << stage, stride = stage > 0 && i == 0 ? 2 : 1;
			struct pre_conv two[2] = {{3, stride, width}, {3, 1, width}};
			struct pre_conv three[3] = {
			    {1, early ? stride : 1, width}, {3, early ? 1 : stride, width}, {1, 1, 4 * width}};
			char name[32];

			snprintf(name, sizeof(name), "layer%d.%d", stage + 1, i);
			status = arch->bottleneck ? add_block(graph, &x, three, 3, kind, name)
						  : add_block(graph, &x, two, 2, kind, name);
		}
	if (status == NN_OK)
		status = graph_batchnorm(graph, &x, x, -1, true, false, "bn1");
	if (status == NN_OK)
		status = graph_avgpool(graph, &x, x, 1);
	return status == NN_OK ? graph_linear(graph, &x, x, options->classes, "fc") : status;
}
