/* Residual and plain nets: He et al. 2015, "Deep Residual Learning for Image Recognition", section 3.3, table 1 and section 4.2. */
#include <stdio.h>

#include "nn/models/internal.h"

/* One convolution of a block. */
struct stage_conv {
	int kernel, stride, out_c;
};

/* What all blocks of a net share, and the block at hand. */
struct block {
	const struct architecture *arch;
	const struct model_options *options;
	enum shortcut shortcut;
	char name[32]; /* "layer2.0" */
	int width, stride;
};

static int block_convs(struct stage_conv convs[3], const struct block *block)
{
	int stride = block->stride;

	if (!block->arch->bottleneck) {
		convs[0] = (struct stage_conv){3, stride, block->width};
		convs[1] = (struct stage_conv){3, 1, block->width};
		return 2;
	}
	convs[0] = (struct stage_conv){1, block->options->stride_in == STRIDE_IN_1X1 ? stride : 1, block->width};
	convs[1] = (struct stage_conv){3, block->options->stride_in == STRIDE_IN_1X1 ? 1 : stride, block->width};
	convs[2] = (struct stage_conv){1, 1, 4 * block->width};
	return 3;
}

/* y = conv(x), without its batch norm. */
static enum nn_status add_conv(struct graph *graph, int *x, const struct stage_conv *conv, const char *block, int i)
{
	char name[48];

	snprintf(name, sizeof(name), "%s.conv%d", block, i + 1);
	return graph_conv(graph, x, *x, conv->out_c, conv->kernel, conv->stride, conv->kernel / 2, name);
}

/* Whether the path around a block has a convolution. */
static bool projects(const struct graph *graph, int in, int out_c, const struct block *block)
{
	bool same = graph->nodes[in].c == out_c && block->stride == 1;

	return !block->arch->plain && (block->shortcut == SHORTCUT_C || (block->shortcut == SHORTCUT_B && !same));
}

static enum nn_status add_projection(struct graph *graph, int *node, int in, int out_c, const struct block *block)
{
	char name[48];
	enum nn_status status;

	snprintf(name, sizeof(name), "%s.downsample.0", block->name);
	status = graph_conv(graph, node, in, out_c, 1, block->stride, 0, name);
	if (status != NN_OK)
		return status;
	snprintf(name, sizeof(name), "%s.downsample.1", block->name);
	return graph_batchnorm(graph, node, *node, -1, false, false, name);
}

/* y = relu(F(x) + shortcut(x)), eq. (1) and (2) of the paper. A projection comes first, so that every batch norm is next to its
 * convolution, and an identity, which may have to copy, last. */
static enum nn_status add_block(struct graph *graph, int *x, const struct block *block)
{
	struct stage_conv convs[3];
	int count = block_convs(convs, block), in = *x, shortcut = -1, out_c = convs[count - 1].out_c;
	bool projected = projects(graph, in, out_c, block);
	enum nn_status status = projected ? add_projection(graph, &shortcut, in, out_c, block) : NN_OK;

	for (int i = 0; i < count && status == NN_OK; i++) {
		bool last = i == count - 1;
		char name[48];

		snprintf(name, sizeof(name), "%s.bn%d", block->name, i + 1);
		status = add_conv(graph, x, &convs[i], block->name, i);
		if (status == NN_OK && last && !projected && !block->arch->plain)
			status = build_identity(graph, &shortcut, in, out_c, block->stride);
		if (status == NN_OK)
			status = graph_batchnorm(graph, x, *x, last ? shortcut : -1, true,
						 last && shortcut >= 0 && block->options->zero_gamma, name);
	}
	graph->blocks++;
	return status;
}

static enum nn_status add_stem(struct graph *graph, int *x, bool cifar)
{
	enum nn_status status =
	    cifar ? graph_conv(graph, x, 0, 16, 3, 1, 1, "conv1") : graph_conv(graph, x, 0, 64, 7, 2, 3, "conv1");

	if (status == NN_OK)
		status = graph_batchnorm(graph, x, *x, -1, true, false, "bn1");
	if (status == NN_OK && !cifar)
		status = graph_maxpool(graph, x, *x, 3, 2, 1);
	return status;
}

enum nn_status build_resnet(struct graph *graph, const struct architecture *arch, const struct model_options *options)
{
	bool cifar = arch->family == FAMILY_CIFAR;
	struct block block = {.arch = arch, .options = options, .shortcut = options->shortcut};
	int x;
	enum nn_status status = add_stem(graph, &x, cifar);

	if (block.shortcut == SHORTCUT_DEFAULT)
		block.shortcut = cifar ? SHORTCUT_A : SHORTCUT_B;
	for (int stage = 0; stage < 4; stage++)
		for (int i = 0; i < arch->blocks[stage] && status == NN_OK; i++) {
			snprintf(block.name, sizeof(block.name), "layer%d.%d", stage + 1, i);
			block.width = (cifar ? 16 : 64) << stage;
			block.stride = stage > 0 && i == 0 ? 2 : 1;
			status = add_block(graph, &x, &block);
		}
	if (status == NN_OK)
		status = graph_avgpool(graph, &x, x, 1);
	return status == NN_OK ? graph_linear(graph, &x, x, options->classes, "fc") : status;
}
