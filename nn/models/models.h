/* The architectures of He et al. 2015 and 2016, and the VGG-19 that they are compared with, by name. */
#ifndef NN_MODELS_MODELS_H
#define NN_MODELS_MODELS_H

#include <stdbool.h>

#include "nn/core/status.h"
#include "nn/models/graph.h"

enum shortcut {
	SHORTCUT_DEFAULT, /* A for CIFAR nets, B for ImageNet nets */
	SHORTCUT_A,	  /* identity; where the shape changes, every second pixel and zeros for the new channels */
	SHORTCUT_B,	  /* identity; where the shape changes, a 1x1 convolution with batch norm */
	SHORTCUT_C,	  /* a 1x1 convolution with batch norm everywhere */
};

enum stride_in {
	STRIDE_IN_3X3, /* bottlenecks downsample in the 3x3 convolution: "v1.5", as torchvision does */
	STRIDE_IN_1X1, /* in the first 1x1 convolution: the paper's "v1" */
};

enum family { FAMILY_IMAGENET, FAMILY_CIFAR, FAMILY_PREACTIVATION, FAMILY_VGG };

struct model_options {
	const char *arch;
	int image_size; /* pixels on a side */
	int classes;
	enum shortcut shortcut;
	enum stride_in stride_in;
	/* Gamma of each residual block's last batch norm starts at 0 (Goyal et al. 2017). Plain and pre-activation nets, which
	 * would never learn from there, ignore it. */
	bool zero_gamma;
};

/* Builds the graph. Ownership: the caller releases it by graph_release, also after an error.
 * Errors: NN_ERR_USAGE for an unknown name or an image too small for the net. */
enum nn_status model_build(struct graph *graph, const struct model_options *options);

/* Whether the name belongs to a CIFAR net (3x3 first convolution, three stages of widths 16, 32, 64). */
bool model_is_cifar(const char *arch);

/* Name of the i-th architecture; NULL behind the last. */
const char *model_name(int i);

#endif
