#include "trainer/bench/bench.h"

#include <stdint.h>

#include "nn/core/alloc.h"
#include "nn/core/rng.h"
#include "nn/kernels/gemm.h"
#include "nn/kernels/kernels.h"
#include "nn/models/models.h"
#include "nn/models/network.h"
#include "nn/optim/optimizer.h"
#include "trainer/bench/timing.h"

struct bench {
	const struct bench_options *options;
	const struct kernels *kernels;
	struct graph graph;
	struct network *network;
	float *velocity;
	float *images;
	int32_t *labels;
	double *seconds; /* of each timed step */
};

double bench_flops(const struct graph *graph, bool train)
{
	double forward = 2 * graph_macs(graph), first = 0;

	for (int i = 0; i < graph->node_count && first == 0; i++) {
		const struct node *node = &graph->nodes[i];

		if (node->op == OP_CONV)
			first = 2.0 * node->conv.kernel * node->conv.kernel * node->conv.in_c * (double)node_size(node);
	}
	return train ? 3 * forward - first : forward;
}

/* Forward: input, weight, output. Backward: input, output's gradient, weight, both gradients; then the optimiser's five. */
double bench_bytes(const struct graph *graph, bool train, size_t batch)
{
	double values = 0;

	for (int i = 1; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		double in = (double)(batch * node_size(&graph->nodes[node->in])), out = (double)(batch * node_size(node));
		double weight = (double)node->conv.kernel * node->conv.kernel * node->conv.in_c * node->conv.out_c;

		if (node->op == OP_CONV || node->op == OP_LINEAR)
			values += train ? 2 * (in + out) + 3 * weight + (node->in > 0 ? in : 0) : in + out + weight;
	}
	return sizeof(float) * (values + (train ? 5 * (double)graph->parameters : 0));
}

enum nn_status bench_graph(struct graph *graph, const struct bench_options *options)
{
	bool cifar = model_is_cifar(options->arch);
	struct model_options model = {.arch = options->arch, .image_size = cifar ? 32 : 224, .classes = cifar ? 10 : 1000};

	if (options->image_size > 0)
		model.image_size = options->image_size;
	return model_build(graph, &model);
}

static enum nn_status allocate(struct bench *bench)
{
	const struct bench_options *options = bench->options;
	int shards = options->shards > 0 ? options->shards : 1;
	struct network_setup setup = {.kernels = bench->kernels,
				      .threads = options->threads,
				      .capacity = options->batch,
				      .shards = {shards, 0, shards},
				      .winograd = options->winograd,
				      .bf16 = options->bf16,
				      .training = options->train};
	enum nn_status status = network_create(&bench->network, &bench->graph, &setup);

	if (status == NN_OK && options->train)
		status = nn_alloc(&bench->velocity, bench->graph.parameters * sizeof(float));
	if (status == NN_OK)
		status = nn_alloc(&bench->images, options->batch * node_size(&bench->graph.nodes[0]) * sizeof(float));
	if (status == NN_OK)
		status = nn_alloc(&bench->labels, options->batch * sizeof(*bench->labels));
	if (status == NN_OK)
		status = nn_alloc(&bench->seconds, (size_t)options->iterations * sizeof(double));
	return status;
}

static void fill(struct bench *bench)
{
	struct rng rng = rng_stream(0, 0, 0);
	size_t pixels = bench->options->batch * node_size(&bench->graph.nodes[0]);

	graph_init_parameters(network_parameters(bench->network), network_statistics(bench->network), &bench->graph, 0);
	for (size_t i = 0; i < pixels; i++)
		bench->images[i] = (float)rng_normal(&rng);
	for (size_t i = 0; i < bench->options->batch; i++)
		bench->labels[i] = (int32_t)rng_below(&rng, (uint64_t)bench->graph.classes);
}

static enum nn_status train_step(struct bench *bench)
{
	static const struct optimizer sgd = {.kind = OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 1e-4, .decay_bn = true};
	struct batch_result result;
	const float *logits;
	size_t first, samples;
	int count;
	enum nn_status status;

	network_begin_batch(bench->network, bench->options->batch, &first, &samples);
	status = network_forward(&logits, bench->network, bench->images, true);
	if (status == NN_OK)
		status = network_loss(&result, bench->network, bench->labels, 0);
	if (status == NN_OK)
		status = network_backward(bench->network, NULL, NULL);
	if (status == NN_OK)
		optimizer_step(network_parameters(bench->network), bench->velocity, network_gradients(bench->network, &count)[0],
			       &sgd, &bench->graph, bench->kernels, 0.01, bench->options->threads);
	return status;
}

static enum nn_status eval_step(struct bench *bench)
{
	const float *logits;

	network_begin_samples(bench->network, bench->options->batch);
	return network_forward(&logits, bench->network, bench->images, false);
}

/* The step before the first timed one brings memory and caches into their lasting state. */
static enum nn_status time_steps(struct bench *bench)
{
	enum nn_status status = NN_OK;

	for (int i = -1; i < bench->options->iterations && status == NN_OK; i++) {
		double start = timing_now();

		status = bench->options->train ? train_step(bench) : eval_step(bench);
		if (i >= 0)
			bench->seconds[i] = timing_now() - start;
	}
	return status;
}

static void summarise(struct bench_result *result, struct bench *bench)
{
	const struct bench_options *options = bench->options;
	size_t count = (size_t)options->iterations;

	result->median_seconds = timing_median(bench->seconds, count);
	result->isa = bench->kernels->name;
	result->image_size = bench->graph.nodes[0].h;
	result->least_seconds = bench->seconds[0];
	result->images_per_second = (double)options->batch / result->median_seconds;
	result->gflops = result->images_per_second * bench_flops(&bench->graph, options->train) * 1e-9;
	result->gigabytes = 1e-9 * bench_bytes(&bench->graph, options->train, options->batch);
	result->peak_bytes = timing_peak_bytes();
}

enum nn_status bench_run(struct bench_result *result, const struct bench_options *options)
{
	struct bench bench = {.options = options};
	enum nn_status status = kernels_select(&bench.kernels, options->isa, options->bf16);

	gemm_init();
	if (status == NN_OK)
		status = bench_graph(&bench.graph, options);
	if (status == NN_OK)
		status = allocate(&bench);
	if (status == NN_OK) {
		fill(&bench);
		status = time_steps(&bench);
	}
	if (status == NN_OK)
		summarise(result, &bench);
	network_destroy(bench.network);
	graph_release(&bench.graph);
	nn_free(bench.velocity);
	nn_free(bench.images);
	nn_free(bench.labels);
	nn_free(bench.seconds);
	return status;
}
