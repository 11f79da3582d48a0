/* Shared by the builders of one architecture family each; not for others. */
#ifndef NN_MODELS_INTERNAL_H
#define NN_MODELS_INTERNAL_H

#include "nn/models/models.h"

/* One row of the table of architectures. */
struct architecture {
	const char *name;
	enum family family;
	bool plain;	 /* no shortcuts */
	bool bottleneck; /* 1x1, 3x3, 1x1 with four times as many output channels; otherwise two 3x3 */
	int blocks[4];	 /* blocks in each stage; 0: no such stage */
};

enum nn_status build_resnet(struct graph *graph, const struct architecture *arch, const struct model_options *options);
enum nn_status build_preactivation(struct graph *graph, const struct architecture *arch, const struct model_options *options);
enum nn_status build_vgg(struct graph *graph, const struct architecture *arch, const struct model_options *options);

/* Shortcut A's part of a block: *node = in, or a subsampled in when the shape changes. */
enum nn_status build_identity(struct graph *graph, int *node, int in, int out_c, int stride);

#endif
