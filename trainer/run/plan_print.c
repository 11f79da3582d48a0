#include "trainer/run/plan_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/covers.h"
#include "nn/models/models.h"
#include "nn/models/network.h"
#include "trainer/data/dataset.h"
#include "trainer/data/loader.h"
#include "trainer/data/sampler.h"
#include "trainer/run/saver.h"
#include "trainer/run/threads.h"

/* The rank whose memory is counted, and the job that it belongs to. */
struct planned {
	const struct options *options;
	int ranks;
	int node_ranks;
	int threads;
	size_t train_images; /* 0: unknown */
	int classes;
	struct graph graph;
	struct network_setup setup;
	struct network_memory memory;
};

static double mib(size_t bytes)
{
	return (double)bytes / (1 << 20);
}

/* The data decides on the classes, and on the length of a run that is given in epochs. */
static enum nn_status look_at_data(struct planned *planned)
{
	const struct options *options = planned->options;
	struct dataset *dataset = NULL;
	enum nn_status status;

	planned->classes = options_cifar_net(options->arch) ? 10 : 1000;
	if (!*options->data)
		return NN_OK;
	status = dataset_open(&dataset, options->data, SPLIT_TRAIN);
	if (status != NN_OK)
		return status;
	planned->classes = dataset_classes(dataset);
	planned->train_images = dataset_count(dataset);
	dataset_close(dataset);
	if (planned->train_images <= (size_t)options->holdout)
		return nn_error(NN_ERR_USAGE, "--holdout %d leaves none of the %zu training images; use fewer", options->holdout,
				planned->train_images);
	planned->train_images -= (size_t)options->holdout;
	return NN_OK;
}

/* Takes the place with the most images, and of those the one with the most partial gradients. */
static void choose_place(struct planned *planned)
{
	size_t batch = (size_t)planned->options->global_batch, most_samples = 0;
	int count = planned->options->shards ? planned->options->shards : planned->ranks, most_nodes = -1;

	for (int place = 0; place < planned->ranks; place++) {
		struct shards shards = covers_shards(place, planned->ranks, count);
		struct shard_node cover[SHARD_COVER_MAX];
		size_t samples = shards_samples(&shards, batch);
		int nodes = shards_cover(cover, &shards);

		if (samples < most_samples || (samples == most_samples && nodes <= most_nodes))
			continue;
		most_samples = samples;
		most_nodes = nodes;
		planned->setup.shards = shards;
		planned->setup.capacity = samples ? samples : 1;
	}
}

static enum nn_status work_out(struct planned *planned)
{
	const struct options *options = planned->options;
	struct model_options model = {.arch = options->arch,
				      .image_size = options->image_size,
				      .shortcut = (enum shortcut)options->shortcut,
				      .stride_in = (enum stride_in)options->stride_in,
				      .zero_gamma = options->zero_gamma};
	enum nn_status status = look_at_data(planned);

	model.classes = planned->classes;
	planned->setup.threads = planned->threads;
	planned->setup.training = true;
	planned->setup.winograd = options->winograd;
	planned->setup.bf16 = options->precision == OPTION_BF16;
	planned->setup.recompute = options->recompute;
	if (status == NN_OK)
		status = kernels_select(&planned->setup.kernels, getenv("RESNET_ISA"), options->precision == OPTION_BF16);
	if (status == NN_OK)
		status = model_build(&planned->graph, &model);
	if (status != NN_OK)
		return status;
	choose_place(planned);
	return network_plan_memory(&planned->memory, &planned->graph, &planned->setup);
}

/* The layer's torchvision name, or what it does when it has no parameters. */
static void layer_name(char name[64], const struct graph *graph, int node)
{
	static const char *const names[] = {"input", "conv", "bn", "relu", "add", "subsample", "maxpool", "avgpool", "linear"};
	const struct node *layer = &graph->nodes[node];
	char *dot;

	snprintf(name, 64, "%s", layer->param < 0 ? names[layer->op] : graph->params[layer->param].name);
	dot = layer->param < 0 ? NULL : strrchr(name, '.');
	if (dot)
		*dot = '\0';
}

static size_t layer_parameters(const struct graph *graph, int node)
{
	const struct node *layer = &graph->nodes[node];
	size_t count = 0;

	if (layer->param < 0)
		return 0;
	count = graph->params[layer->param].count;
	if ((layer->op == OP_BATCHNORM || layer->op == OP_LINEAR))
		count += graph->params[layer->param + 1].count;
	return count;
}

static void print_layers(const struct planned *planned)
{
	const struct graph *graph = &planned->graph;

	printf("%-28s %15s %12s %16s\n", "layer", "output", "parameters", "activation bytes");
	for (int i = 1; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		char name[64], shape[40];

		layer_name(name, graph, i);
		snprintf(shape, sizeof(shape), "%d x %d x %d", node->h, node->w, node->c);
		printf("%-28s %15s %12zu %16zu\n", name, shape, layer_parameters(graph, i),
		       network_value_bytes(graph, &planned->setup, i));
	}
}

static void print_job(const struct planned *planned)
{
	const struct options *options = planned->options;

	printf("%s, %d classes%s, %d x %d pixels, %zu parameters\n", options->arch, planned->classes,
	       *options->data ? "" : " (taken for granted: no --data)", options->image_size, options->image_size,
	       planned->graph.parameters);
	printf("%d images a step on %d rank%s of %d thread%s: at most %zu a rank\n", options->global_batch, planned->ranks,
	       planned->ranks == 1 ? "" : "s", planned->threads, planned->threads == 1 ? "" : "s", planned->setup.capacity);
	if (planned->train_images) {
		size_t epoch = sampler_steps(planned->train_images, (size_t)options->global_batch, options->drop_last);

		printf("length: %zu steps\n", options->steps > 0 ? (size_t)options->steps : epoch * (size_t)options->epochs);
	}
}

static void print_classes(const struct planned *planned)
{
	const struct network_memory *memory = &planned->memory;
	size_t momentum = planned->graph.parameters * sizeof(float), saver = saver_bytes(&planned->graph);
	size_t loader =
	    loader_bytes(planned->setup.capacity, planned->options->image_size) + planned->train_images * 2 * sizeof(uint32_t);
	size_t total = memory->parameters + memory->gradients + momentum + memory->activations + memory->scratch + loader;
	static const char *const passes[] = {"at", "making again", "going back through"};
	char peak[64];

	layer_name(peak, &planned->graph, memory->peak_node);
	printf("parameters  %10.1f MiB  with running statistics\n", mib(memory->parameters));
	printf("gradients   %10.1f MiB\n", mib(memory->gradients));
	printf("momentum    %10.1f MiB\n", mib(momentum));
	printf("activations %10.1f MiB  with their gradients; peak %.1f MiB %s %s\n", mib(memory->activations), mib(memory->peak),
	       passes[memory->peak_pass], peak);
	printf("scratch     %10.1f MiB\n", mib(memory->scratch));
	printf("loader      %10.1f MiB\n", mib(loader));
	printf("saving      %10.1f MiB  on rank 0 only, not in the total per rank\n", mib(saver));
	printf("node        %10.1f MiB  with %d rank%s on it\n", mib(total * (size_t)planned->node_ranks + saver),
	       planned->node_ranks, planned->node_ranks == 1 ? "" : "s");
	printf("total: %zu MiB per rank\n", (total + (1 << 20) - 1) >> 20);
}

enum nn_status plan_print(struct comm *comm, const struct options *options)
{
	struct planned planned = {.options = options, .ranks = options->plan, .node_ranks = options->plan};
	struct core_use use = core_use_find(comm);
	bool master = comm_rank(comm) == 0;
	enum nn_status status = NN_OK;

	if (options->plan == PLAN_JOB) {
		planned.ranks = comm_size(comm);
		planned.node_ranks = comm_node_ranks(comm);
	} else {
		use.ranks = options->plan;
	}
	planned.threads = options->threads > 0 ? options->threads : core_use_threads(use);
	if (master)
		status = work_out(&planned);
	if (master && status == NN_OK) {
		print_job(&planned);
		print_layers(&planned);
		print_classes(&planned);
	}
	graph_release(&planned.graph);
	return comm_agree(comm, status);
}
