/* VGG-19 without batch norm: Simonyan and Zisserman 2014, configuration E; the left column of figure 3 in He et al. 2015.
 * Names and the adaptive 7 x 7 average before the classifier are torchvision's. Without its dropout, as all nets here. */
#include <stdio.h>

#include "nn/models/internal.h"

static enum nn_status add_conv(struct graph *graph, int *x, int out_c, int *index)
{
	char name[32];
	enum nn_status status;

	snprintf(name, sizeof(name), "features.%d", *index);
	*index += 2; /* torchvision counts the ReLU too */
	status = graph_conv(graph, x, *x, out_c, 3, 1, 1, name);
	return status == NN_OK ? graph_bias_relu(graph, x, *x, name, true) : status;
}

enum nn_status build_vgg(struct graph *graph, const struct architecture *arch, const struct model_options *options)
{
	static const int convs[5] = {2, 2, 4, 4, 4}, widths[5] = {64, 128, 256, 512, 512};
	int x = 0, index = 0;
	enum nn_status status = NN_OK;

	(void)arch;
	for (int stage = 0; stage < 5 && status == NN_OK; stage++) {
		for (int i = 0; i < convs[stage] && status == NN_OK; i++)
			status = add_conv(graph, &x, widths[stage], &index);
		if (status == NN_OK)
			status = graph_maxpool(graph, &x, x, 2, 2, 0);
		index++;
	}
	if (status == NN_OK)
		status = graph_avgpool(graph, &x, x, 7);
	for (int i = 0; i < 3 && status == NN_OK; i++) {
		char name[32];

		snprintf(name, sizeof(name), "classifier.%d", 3 * i);
		status = graph_linear(graph, &x, x, i < 2 ? 4096 : options->classes, name);
		if (status == NN_OK && i < 2)
			status = graph_bias_relu(graph, &x, x, NULL, true);
	}
	return status;
}
