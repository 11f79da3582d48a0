#include "nn/models/models.h"

#include <string.h>

#include "nn/models/internal.h"

/* CIFAR nets have 6n+2 layers with two-layer blocks, 9n+2 with bottlenecks; n blocks in each of three stages. */
/* clang-format off */
#define CIFAR(name, n)	     {name, FAMILY_CIFAR, false, false, {n, n, n, 0}}
#define CIFAR_PLAIN(name, n) {name, FAMILY_CIFAR, true, false, {n, n, n, 0}}
#define PRE(name, wide, n)   {name, FAMILY_PREACTIVATION, false, wide, {n, n, n, 0}}
/* clang-format on */

static const struct architecture architectures[] = {
    {"resnet18", FAMILY_IMAGENET, false, false, {2, 2, 2, 2}},
    {"resnet34", FAMILY_IMAGENET, false, false, {3, 4, 6, 3}},
    {"resnet50", FAMILY_IMAGENET, false, true, {3, 4, 6, 3}},
    {"resnet101", FAMILY_IMAGENET, false, true, {3, 4, 23, 3}},
    {"resnet152", FAMILY_IMAGENET, false, true, {3, 8, 36, 3}},
    CIFAR("resnet20", 3),
    CIFAR("resnet32", 5),
    CIFAR("resnet44", 7),
    CIFAR("resnet56", 9),
    CIFAR("resnet110", 18),
    CIFAR("resnet1202", 200),
    {"plain18", FAMILY_IMAGENET, true, false, {2, 2, 2, 2}},
    {"plain34", FAMILY_IMAGENET, true, false, {3, 4, 6, 3}},
    CIFAR_PLAIN("plain20", 3),
    CIFAR_PLAIN("plain32", 5),
    CIFAR_PLAIN("plain44", 7),
    CIFAR_PLAIN("plain56", 9),
    CIFAR_PLAIN("plain110", 18),
    {"vgg19", FAMILY_VGG, true, false, {0}},
    PRE("preresnet110", false, 18),
    PRE("preresnet164", true, 18),
    PRE("preresnet1001", true, 111),
};

enum { ARCHITECTURES = sizeof(architectures) / sizeof(architectures[0]) };

static const struct architecture *find(const char *name)
{
	for (int i = 0; i < ARCHITECTURES; i++)
		if (strcmp(architectures[i].name, name) == 0)
			return &architectures[i];
	return NULL;
}

enum nn_status model_build(struct graph *graph, const struct model_options *options)
{
	const struct architecture *arch = find(options->arch);
	enum nn_status status = graph_init(graph, options->arch, options->image_size, options->image_size, 3);

	if (!arch)
		return nn_error(NN_ERR_USAGE, "unknown architecture '%s'; resnet-train --help lists them", options->arch);
	if (status != NN_OK)
		return status;
	if (arch->family == FAMILY_VGG)
		return build_vgg(graph, arch, options);
	if (arch->family == FAMILY_PREACTIVATION)
		return build_preactivation(graph, arch, options);
	return build_resnet(graph, arch, options);
}

bool model_is_cifar(const char *name)
{
	const struct architecture *arch = find(name);

	return arch && (arch->family == FAMILY_CIFAR || arch->family == FAMILY_PREACTIVATION);
}

const char *model_name(int i)
{
	return i >= 0 && i < ARCHITECTURES ? architectures[i].name : NULL;
}

enum nn_status build_identity(struct graph *graph, int *node, int in, int out_c, int stride)
{
	if (graph->nodes[in].c == out_c && stride == 1) {
		*node = in;
		return NN_OK;
	}
	return graph_subsample(graph, node, in, out_c, stride);
}
